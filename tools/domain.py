"""Measure what a model was trained on and write it into its record: `python tools/domain.py MODEL DATA [BEYOND]`.

For models of before `train fit` did so by itself. DATA is the folder that it was trained on; BEYOND is the name
of the folder inside MODEL with the model for images outside of that domain.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from quietfield.network.domain import Domain
from quietfield.network.model import RECORD
from train.config import from_record
from train.images.sources import find_images


def main() -> None:
    path = Path(sys.argv[1]) / RECORD
    record = json.loads(path.read_text(encoding="utf-8"))
    images = find_images(Path(sys.argv[2]), from_record(record["training"]["config"]))
    record["domain"] = Domain.of(pair.frames[0] for pair in images.training).ranges
    if len(sys.argv) > 3:
        record["beyond"] = sys.argv[3]
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(record["domain"])


if __name__ == "__main__":
    main()
