"""The run that `test_fit.test_two_processes_equal_one` starts; Lightning starts the second process itself."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from training import TINY, images

from train.fit import Machine, fit

if __name__ == "__main__":
    config = dataclasses.replace(TINY, steps=10)
    fit(config, images((1, 3), (2, 4, 5)), Path(sys.argv[1]), machine=Machine("cpu", devices=2))
