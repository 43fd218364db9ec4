"""Noisy, denoised, ground truth and residual side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SIDE = 512  # pixels of a larger plane's centre that are shown


@dataclass(frozen=True)
class Row:
    """One plane before and after, (Y, X) each, and its ground truth where it is known."""

    name: str
    noisy: NDArray[Any]
    denoised: NDArray[Any]
    truth: NDArray[Any] | None = None


def draw(rows: list[Row], path: Path, title: str) -> None:
    """One PNG: a row per plane; the residual is noisy - denoised, in noise of grey around zero."""
    columns = 4 if any(row.truth is not None for row in rows) else 3
    size = 3.2
    figure, grid = plt.subplots(
        len(rows),
        columns,
        figsize=(size * columns, (size + 0.35) * len(rows) + 0.5),
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(title, fontsize=14)
    for row, axes in zip(rows, grid, strict=True):
        noisy, denoised = _centre(row.noisy), _centre(row.denoised)
        residual = noisy - denoised
        low, high = np.percentile(denoised, [0.5, 99.8])
        spread = 3 * float(residual.std()) or 1.0
        panels = [(f"noisy: {row.name}", noisy, low, high), ("denoised", denoised, low, high)]
        if row.truth is not None:
            panels.append(("ground truth", _centre(row.truth), low, high))
        panels.append((f"residual (±{spread:.3g})", residual, -spread, spread))
        for axis, (name, image, bottom, top) in zip(axes, panels, strict=False):
            axis.imshow(image, cmap="gray", vmin=bottom, vmax=max(top, bottom + 1e-9), interpolation="nearest")
            axis.set_title(name, fontsize=12)
            axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _centre(image: NDArray[Any]) -> NDArray[np.float64]:
    y, x = (max(0, (side - SIDE) // 2) for side in image.shape)
    return np.nan_to_num(image[y : y + SIDE, x : x + SIDE].astype(np.float64))
