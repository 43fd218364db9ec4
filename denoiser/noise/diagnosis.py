"""What noise is in a file: the camera, by photon transfer, and whether the noise is white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from denoiser.images import open_stack
from denoiser.noise.transfer import FOURTH, Array, Transfer, transfer_of_frames, transfer_of_images

MOST_PIXELS = 2**23  # of a file that are looked at: 32 frames of 512²
SMALLEST = 16  # pixels of a side
WHITE, PATTERN = 0.05, 0.01  # correlation, and share of the power, that are worth a word


@dataclass(frozen=True)
class Diagnosis:
    """The noise of a stack.

    Attributes
    ----------
    shape
        (P, Y, X) of the planes that were looked at.
    repeated
        Whether the planes are frames of one scene.
    transfer
        Photon transfer, and the camera.
    lag_x, lag_y, lag_t
        Correlation of the noise with that of the next pixel, row and frame (NaN without repeated frames).
    rows, columns
        Power that whole rows or columns have in common, as a share of that of the noise.
    """

    shape: tuple[int, ...]
    repeated: bool
    transfer: Transfer
    lag_x: float
    lag_y: float
    lag_t: float
    rows: float
    columns: float

    @property
    def white(self) -> bool:
        """Whether nothing was found that pixels have in common."""
        return max(abs(self.lag_x), abs(self.lag_y)) < WHITE and max(self.rows, self.columns) < PATTERN

    def text(self) -> str:
        """All figures in words."""
        t, camera = self.transfer, self.transfer.camera
        kind = "frames of one scene" if self.repeated else "each by itself"
        lines = [
            f"{self.shape[0]} planes of {self.shape[1]} x {self.shape[2]}, {kind}",
            f"variance = {t.slope:.4g} * mean {t.intercept:+.4g}; the points lie within {100 * t.scatter:.1f} %",
        ]
        if camera is None:
            spread = math.sqrt(t.variance.mean())
            lines.append(f"the noise does not grow with the signal: standard deviation {spread:.4g}")
        else:
            photons = (t.mean - camera.offset) / camera.gain
            doubt = "" if t.read_noise_known else ", supposed: only the offset of a dark frame could tell"
            lines += [
                f"gain {camera.gain:.4g} per photo-electron, offset {camera.offset:.4g}",
                f"read noise {camera.read_noise:.3g}{doubt}",
                f"photo-electrons: {photons.min():.3g} to {photons.max():.3g}, mean {photons.mean():.3g}",
            ]
        lags = f"x {self.lag_x:+.3f}, y {self.lag_y:+.3f}" + (f", t {self.lag_t:+.3f}" if self.repeated else "")
        verdict = "white" if self.white else "NOT white: a network trained on white noise leaves it in the image"
        return "\n".join(
            [
                *lines,
                f"correlation with the next pixel: {lags}",
                f"in common to rows {100 * self.rows:.1f} %, to columns {100 * self.columns:.1f} % of the noise power",
                f"the noise is {verdict}",
            ]
        )


def diagnose(stack: NDArray[Any], repeated: bool | None = None, offset: float | None = None) -> Diagnosis:
    """Measure the noise of a stack.

    Parameters
    ----------
    stack : ndarray
        (P, Y, X) or (Y, X), any real dtype, intensity units; at least 16 pixels a side.
    repeated : bool, optional
        Whether the planes show one scene again and again; found out by default.
    offset : float, optional
        The camera's, from a dark frame; see `denoiser.noise.transfer` for what it is good for.

    Raises
    ------
    ValueError
        If the stack is too small, or holds values that are not finite.
    """
    planes = np.asarray(stack, dtype=np.float64)
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.ndim != 3 or min(planes.shape[1:]) < SMALLEST:
        raise ValueError(
            f"noise: expected planes (P, Y, X) of {SMALLEST} pixels a side or more, found {np.shape(stack)}"
        )
    if bad := int((~np.isfinite(planes)).sum()):
        raise ValueError(f"noise: expected finite values, found {bad} of {planes.size} that are not")
    if repeated is None:
        repeated = len(planes) >= 3 and _one_scene(planes)
    if repeated:
        transfer = transfer_of_frames(planes, offset)
        noise = planes - planes.mean(axis=0)
        lag_x, lag_y = _lag(noise, 2), _lag(noise, 1)
        # Deviations of F white frames from their mean are themselves correlated, by -1 / (F - 1).
        lag_t = (_lag(noise, 0) * (len(planes) - 1) + 1) / len(planes)
    else:
        transfer, noise, lag_t = transfer_of_images(planes, offset), planes, math.nan
        rough = _differences(_differences(planes, 1), 2)
        lag_x, lag_y = (_before_differences(_lag(rough, axis)) for axis in (2, 1))
    rows, columns = _in_common(noise, 1), _in_common(noise, 2)
    return Diagnosis(planes.shape, repeated, transfer, lag_x, lag_y, lag_t, rows, columns)


def noise_report(path: Path, plot_to: Path | None = None, offset: float | None = None) -> str:
    """Diagnose an image file, as far as it fits into a little memory; draw the photon transfer if asked to.

    Parameters
    ----------
    path : Path
        TIFF, MetaImage, or `.npy` of shape (..., Y, X).
    plot_to : Path, optional
        The picture to write.
    offset : float, optional
        The camera's, from a dark frame.

    Raises
    ------
    ValueError
        If the file cannot be read, or nothing can be said of it.
    """
    if path.suffix.lower() == ".npy":
        stored = np.load(path, mmap_mode="r")
        planes = stored.reshape(-1, *stored.shape[-2:])
        count, planes = len(planes), planes[: max(1, MOST_PIXELS // math.prod(planes.shape[1:]))]
    else:
        with open_stack(path) as stack:
            count, planes = stack.count, next(stack.blocks(MOST_PIXELS))
    try:
        diagnosis = diagnose(planes, offset=offset)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if plot_to is not None:
        plot(diagnosis, plot_to)
    return f"{path}: the first {len(planes)} of {count} planes\n{diagnosis.text()}"


def plot(diagnosis: Diagnosis, path: Path) -> None:
    """Draw variance over mean, and the line, into an image file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    t = diagnosis.transfer
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="mean (intensity units)", ylabel="variance (intensity units²)")
    axes.plot(t.mean, t.variance, "o", markersize=4, label="classes of pixels")
    ends = np.array([t.mean.min(), t.mean.max()])
    axes.plot(ends, t.slope * ends + t.intercept, "-", label=f"{t.slope:.4g} · mean {t.intercept:+.4g}")
    if t.camera:
        axes.set_title(f"gain {t.camera.gain:.4g}, offset {t.camera.offset:.4g}, read noise {t.camera.read_noise:.3g}")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _one_scene(planes: Array) -> bool:
    """Whether neighbouring planes differ by little but noise, which is gone when both are smoothed."""
    change = ndimage.gaussian_filter(np.diff(planes, axis=0), (0, 4, 4)).var(axis=(1, 2))
    scene = ndimage.gaussian_filter(planes, (0, 4, 4)).var(axis=(1, 2))
    # What the filter leaves of white noise: dark frames have no scene, but are frames of one.
    noise = np.diff(planes, axis=0).var(axis=(1, 2)) / (4 * math.pi * 4**2)
    return bool((change < np.maximum(0.1 * scene[1:], 3 * noise)).all())


def _differences(planes: Array, axis: int) -> Array:
    """Fourth ones, which leave white noise its power and an image nearly none of its."""
    result: Array = ndimage.convolve1d(planes, FOURTH / math.sqrt((FOURTH**2).sum()), axis=axis, mode="mirror")
    return result


def _lag(noise: Array, axis: int) -> float:
    moved = np.moveaxis(noise, axis, 0)
    power = float((moved**2).mean())
    return float((moved[1:] * moved[:-1]).mean()) / power if power > 0 else 0.0


def _before_differences(lag: float) -> float:
    """The correlation c of the noise, from that of its fourth differences, supposing it ends at the next pixel.

    The differences' own autocorrelation is (70, -56, 28, ...), so theirs is (-56 + 98 c) / (70 - 112 c).
    """
    return (56 + 70 * lag) / (98 + 112 * lag)


def _in_common(planes: Array, axis: int) -> float:
    """Power of what the rows (1) or columns (2) have in common, as a share of the noise without it."""
    rough = _differences(planes, axis)
    power = float((_differences(rough, 3 - axis) ** 2).mean())
    means = rough.mean(axis=3 - axis)
    # The median passes over the few rows in which an edge of the image runs along.
    common = (float(np.median(np.abs(means))) / 0.6745) ** 2
    return (common - power / planes.shape[3 - axis]) / power if power > 0 else 0.0
