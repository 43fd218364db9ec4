"""Pictures: the learning curve of a run, crops of what it makes of validation images, and noise."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quietfield.noise.correlation import LAGS
from quietfield.noise.diagnosis import Diagnosis
from quietfield.planes import middle

from .data.evidence import Look

SIDE = 192  # pixels of a crop of the frame

Array = NDArray[Any]


class Picture(NamedTuple):
    """A validation image, (Y, X): noisy, and as the shipped network, if there is one, and this one restore it.

    Attributes
    ----------
    name : str
        The image.
    frame, shipped, answer, truth : ndarray
        Of as many pixels, or those of the answer; `shipped` and `truth` are None where there are none.
    """

    name: str
    frame: Array
    shipped: Array | None
    answer: Array
    truth: Array | None


def curve(log: Path, target: Path, baselines: dict[str, float] | None = None) -> None:
    """Loss and, where there is a ground truth, validation SI-PSNR against the steps, as a PNG.

    Parameters
    ----------
    log : Path
        A run's `log.csv`.
    target : Path
        The PNG.
    baselines : dict, optional
        SI-PSNR in dB of what the run is set beside, by what that is.
    """
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {k: [float(r[k]) for r in rows] for k in rows[0]}
    figure = _figure(9, 3.5)
    left, right = figure.subplots(1, 2)
    for name in ("loss", "validation_loss"):
        left.plot(columns["step"], columns[name], marker=".", label=name.replace("_", " "))
    left.set(xlabel="optimiser steps", ylabel="loss (network units)")
    losses = [v for name in ("loss", "validation_loss") for v in columns[name] if v == v]  # NaN before the first step
    if all(v > 0 for v in losses):
        left.set_yscale("log")
    left.legend(loc="upper right")
    if "validation_si_psnr" in columns:
        right.plot(columns["step"], columns["validation_si_psnr"], marker=".", color="tab:green", label="this network")
        for (name, value), style in zip((baselines or {}).items(), ("--", ":", "-."), strict=False):
            right.axhline(value, color="black", linestyle=style, linewidth=1, label=name)
        right.legend(loc="lower right")
    else:
        words = "learnt without a ground truth:\nthe losses are no metrics of quality"
        right.text(0.5, 0.5, words, ha="center", va="center")
    right.set(xlabel="optimiser steps", ylabel="validation SI-PSNR (dB)")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def montage(pictures: list[Picture], target: Path) -> None:
    """Centre crops of noisy input, answers, ground truth and residual (input - output), a row for each, as a PNG.

    Parameters
    ----------
    pictures : list of Picture
        The images; without a ground truth its place stays empty.
    target : Path
        The PNG.
    """
    if not pictures:
        return
    compared = any(picture.shipped is not None for picture in pictures)
    columns = 5 if compared else 4
    figure = _figure(3 * columns, 3.1 * len(pictures))
    panels = np.atleast_2d(figure.subplots(len(pictures), columns))
    for row, picture in zip(panels, pictures, strict=True):
        panes = _panes(picture)
        if not compared:
            del panes["shipped network"]
        for axes, (title, (image, least, most)) in zip(row, panes.items(), strict=True):
            axes.set_axis_off()
            if image is None:
                continue
            side = SIDE * (picture.answer.shape[0] // picture.frame.shape[0])
            axes.imshow(middle(image, side), cmap="gray", vmin=least, vmax=most, interpolation="nearest")
            axes.set_title(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(target, dpi=80)


def _panes(picture: Picture) -> dict[str, tuple[Array | None, float, float]]:
    """Title, image and range of brightness of all that is shown of an image."""
    name, frame, shipped, answer, truth = picture
    scale = answer.shape[0] // frame.shape[0]
    large = np.kron(frame, np.ones((scale, scale)))
    low, high = np.percentile(answer if truth is None else truth, [0.5, 99.8])
    residual: Array = large - answer
    reach = float(np.percentile(np.abs(residual), 99)) or 1.0
    return {
        f"{name}: noisy input": (large, low, high),
        "shipped network": (shipped, low, high),
        "this network": (answer, low, high),
        "ground truth": (truth, low, high),
        "residual": (residual, -reach, reach),
    }


def preview(looks: Sequence[Look], target: Path) -> None:
    """Noisy image and ground truth of some pairs side by side, with what was measured of them, as a PNG."""
    figure = _figure(7, 3.6 * len(looks))
    panels = np.atleast_2d(figure.subplots(len(looks), 2))
    for row, one in zip(panels, looks, strict=True):
        y, x = one.shift
        words = (
            f"{one.name}\n"
            f"noisy: {one.frame.min():.4g} to {one.frame.max():.4g}, {100 * one.saturated[0]:.2g} % at the top",
            f"ground truth: {one.truth.min():.4g} to {one.truth.max():.4g}\n"
            f"shift {y:+.1f}, {x:+.1f} px; correlation {one.agreement:.2f}",
        )
        for axes, image, text in zip(row, (one.frame, one.truth), words, strict=True):
            low, high = np.percentile(image, [0.5, 99.8])
            axes.imshow(middle(image, 2 * SIDE), cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes.set_title(text, fontsize=8)
            axes.set_axis_off()
    figure.tight_layout()
    figure.savefig(target, dpi=100)


def noise(diagnosis: Diagnosis, target: Path) -> None:
    """Variance over mean, and the autocorrelation of the noise, as a PNG."""
    t, c = diagnosis.transfer, diagnosis.correlation
    figure = _figure(11, 4.5)
    left, right = figure.subplots(1, 2)
    left.plot(t.mean, t.variance, "o", markersize=4, label="classes of pixels")
    ends = np.array([t.mean.min(), t.mean.max()])
    left.plot(ends, t.slope * ends + t.intercept, "-", label=f"{t.slope:.4g} · mean {t.intercept:+.4g}")
    left.set(xlabel="mean (intensity units)", ylabel="variance (intensity units²)")
    if t.camera:
        left.set_title(f"gain {t.camera.gain:.4g}, offset {t.camera.offset:.4g}, read noise {t.camera.read_noise:.3g}")
    left.legend(loc="upper right")
    y, x = len(c.along_y) + 0.5, len(c.along_x) + 0.5
    picture = right.imshow(c.map(), cmap="RdBu_r", vmin=-1, vmax=1, extent=(-x, x, y, -y))
    figure.colorbar(picture, ax=right, label="correlation")
    ticks = range(-LAGS, LAGS + 1, LAGS // 2)
    right.set(xlabel="shift along X (pixels)", ylabel="shift along Y (pixels)", xticks=ticks, yticks=ticks)
    right.set_title("noise: off the axes, the product of both")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def _figure(width: float, height: float) -> Any:
    """A figure that needs no screen and leaves no state behind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure
