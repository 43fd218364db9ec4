"""Does wide range need units of each region? `local_units.py DATA [--model FOLDER]`.

The wide-range scenes of `compare.kinds`, through the public API, and W2S's validation images, by the network for them,
in units of the whole plane; in units of each region (mean and standard deviation under a Gaussian, undone behind the
network); and in those of the plane with what is bright cut off as a layer, which is how it is done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import quietfield
from compare.bench import Bench
from compare.spoilt import wide_range
from quietfield.network.normalise import normalise, undo
from quietfield.network.predict import Denoiser
from quietfield.planes import fill_invalid
from train.data.sources import find_images
from train.measure.metrics import si_psnr
from train.recipes import RECIPES

Array = NDArray[np.float64]
Answer = Callable[[Denoiser, Array], NDArray[np.float32]]


def whole(denoiser: Denoiser, planes: Array) -> NDArray[np.float32]:
    """In units of the plane."""
    return denoiser._answer(fill_invalid(planes))


def regions(sigma: float) -> Answer:
    """In units of the region around."""

    def answer(denoiser: Denoiser, planes: Array) -> NDArray[np.float32]:
        x = np.asarray(fill_invalid(planes), float)
        around = (0, sigma, sigma)
        centre = gaussian_filter(x, around)
        scale = np.sqrt(gaussian_filter((x - centre) ** 2, around))
        return undo(denoiser._tiled(normalise(x, centre, scale)), centre, scale)

    return answer


WAYS: dict[str, Answer] = {
    "plane": whole, "regions of 64 px": regions(64), "regions of 24 px": regions(24), "layers": Denoiser.__call__,
}  # fmt: skip


def main() -> None:
    """Print a table: a row for each scene, a column for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    model = quietfield.load(options.model) if options.model else quietfield.load()
    pairs = find_images(options.data / "w2s", RECIPES["pairs"][1]).validation
    rows: dict[str, list[float]] = {}
    denoiser = model.denoiser if hasattr(model, "denoiser") else model._denoiser
    for answer in WAYS.values():
        with mock.patch.object(Denoiser, "__call__", answer):
            for case, measure, value, _ in wide_range(Bench(model)):
                if measure.startswith("RMSE"):
                    rows.setdefault(case, []).append(value)
            found = [si_psnr(p.truth.astype(float), answer(denoiser, np.asarray(p.frames[0])[None])[0]) for p in pairs]
            rows.setdefault("W2S, validation (dB)", []).append(float(np.mean(found)))
    print("| scene |", " | ".join(WAYS), "|\n|---" * 1 + "|---" * len(WAYS) + "|")
    for case, values in rows.items():
        print(f"| {case} |", " | ".join(f"{value:.3g}" if value < 20 else f"{value:.2f}" for value in values), "|")


if __name__ == "__main__":
    main()
