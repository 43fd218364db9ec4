"""What is left of row noise: `python tools/rows.py FOLDER` denoises each image with and without `--adapt auto`.

Prints by how much the power of what rows share has fallen: of the spectrum at no frequency along X, at more than
an eighth of the highest along Y.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from quietfield.adapt.plan import Adaptation, adapt
from quietfield.machine import choose_device
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser


def row_power(plane: NDArray[Any]) -> float:
    """Mean power of the row means of a plane (Y, X) above an eighth of the highest frequency."""
    means = np.asarray(plane, np.float64).mean(axis=1)
    power = np.abs(np.fft.rfft((means - means.mean()) * np.hanning(len(means)))) ** 2
    return float(power[len(power) // 8 :].mean())


def main() -> None:
    denoiser = Denoiser.of(load_model(Path(__file__).resolve().parents[1] / "resources"), choose_device())
    print("| image | power of the rows, down by: as it is | `--adapt auto` |\n|---|---|---|")
    for path in sorted(Path(sys.argv[1]).glob("*.tif*")):
        plane = tifffile.imread(path).astype(np.float64)
        suited, _ = denoiser.suited(plane[None])
        adapted, _ = adapt(suited, plane[None], plane.size, Adaptation.of("auto"))
        answers = [suited(plane[None])[0], adapted.answer(adapted.prepare(plane[None]))[0]]
        falls = " | ".join(f"{row_power(plane) / row_power(answer):.1f}" for answer in answers)
        print(f"| {path.name} | {falls} |", flush=True)


if __name__ == "__main__":
    main()
