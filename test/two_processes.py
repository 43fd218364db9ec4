"""The run that `test_train.test_two_processes_equal_one` starts in two processes."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from test_train import TINY, pair

from train.fit import fit

if __name__ == "__main__":
    config = dataclasses.replace(TINY, steps=10)
    fit(config, [pair(1), pair(3)], [pair(2)], Path(sys.argv[1]))
