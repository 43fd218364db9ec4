"""Three microscopes before, as the networks are, and adapted: `python tools/picture_adapt.py DATA PNG [MINUTES]`.

A row for each: FMD's confocal (white noise), Hagen's confocal (noise that neighbours share) and a zebrafish in two
photons (rows), with what the adapted answer took away. The images are others', so the picture stays out of the
repository.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from matplotlib.figure import Figure
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from quietfield.adapt.plan import Adaptation, adapt, spend
from quietfield.machine import choose_device
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser

SETS = ("fmd-extra/raw", "hagen-raw16", "zebrafish-rownoise")
SIDE = 220  # pixels of a crop


def busiest(image: NDArray[Any]) -> tuple[slice, slice]:
    """The crop with the widest range of intensities, on a coarse grid."""
    corners = [(y, x) for y in range(0, image.shape[0] - SIDE + 1, 50) for x in range(0, image.shape[1] - SIDE + 1, 50)]
    y, x = max(corners, key=lambda c: float(image[c[0] : c[0] + SIDE, c[1] : c[1] + SIDE].std()))
    return slice(y, y + SIDE), slice(x, x + SIDE)


def main(data: Path, target: Path, minutes: str = "1") -> None:
    denoiser = Denoiser.of(load_model(Path(__file__).resolve().parents[1] / "resources"), choose_device())
    figure = Figure(figsize=(13, 3.3 * len(SETS)), layout="constrained")
    for row, folder in zip(figure.subplots(len(SETS), 4), SETS, strict=True):
        path = sorted((data / folder).glob("*.tif*"))[0]
        plane = np.squeeze(tifffile.imread(path)).astype(np.float64)
        suited, _ = denoiser.suited(plane[None])
        how = Adaptation.of(minutes)
        adapted, _ = adapt(suited, plane[None], plane.size, how)
        print(path.name, *spend(adapted, plane[None], how), sep="; ")
        answers = suited(plane[None])[0], adapted.answer(adapted.prepare(plane[None]))[0]
        crop = busiest(answers[1])
        low, high = np.percentile(answers[1][crop], [0.5, 99.7])
        for axes, title, image in zip(
            row, (path.name, "--adapt off", f"--adapt {minutes}"), (plane, *answers), strict=False
        ):
            axes.imshow(image[crop], cmap="gray", vmin=low, vmax=high)
            axes.set_title(title, fontsize=8)
        residual = (plane - answers[1])[crop]
        row[3].imshow(residual, cmap="gray", vmin=-3 * residual.std(), vmax=3 * residual.std())
        row[3].set_title("input - adapted", fontsize=8)
        for axes in row:
            axes.set_axis_off()
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
