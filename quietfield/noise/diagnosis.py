"""What noise is in a stack: the camera, by photon transfer, and whether the noise is white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.noise.blindspots import BlindSpots
from quietfield.noise.correlation import LEAST_PASSED, Array, Correlation
from quietfield.noise.transfer import Transfer, transfer_of_frames, transfer_of_images
from quietfield.planes import middle

SMALLEST = 16  # pixels of a side
GLANCE = 2**18  # pixels that `glance` looks at: 512² of one plane, 256² of four, in some 50 ms of one core
GLANCED = 4  # planes of them, at most
WHITE, PATTERN = 0.05, 0.01  # correlation, and share of the power, that are worth a word
# For a mask. A pixel that shares c of the noise tells c² of its power: 1 %. What rows share, all of a row
# tells, and nothing would mask that but all of the row: this is far enough to have the neighbours' noise out.
SHARED, PATTERN_REACH = 0.1, 16


@dataclass(frozen=True)
class Diagnosis:
    """The noise of a stack.

    Attributes
    ----------
    shape
        (P, Y, X) of the planes that were looked at.
    repeats
        Share of the neighbouring planes that show one scene; NaN of a single plane.
    repeated
        Whether all planes are taken for frames of one scene.
    transfer
        Photon transfer, and the camera.
    correlation
        What pixels share of the noise.
    noise, contrast
        Standard deviations of the noise and of the planes, intensity units.
    """

    shape: tuple[int, ...]
    repeats: float
    repeated: bool
    transfer: Transfer
    correlation: Correlation
    noise: float
    contrast: float

    @property
    def lags(self) -> tuple[float, float, float]:
        """Correlation of the noise with that of the next pixel along X, along Y, and along the stack (or NaN)."""
        c = self.correlation
        return float(c.along_x[0]), float(c.along_y[0]), c.along_stack

    @property
    def white(self) -> bool:
        """Whether nothing was found that pixels have in common, beyond what chance may give so few of them."""
        return max(abs(lag) for lag in self.lags[:2]) < max(WHITE, self._chance) and not any(self.patterns)

    @property
    def _chance(self) -> float:
        """What correlation white noise may show in so few pixels, in one of a hundred stacks (from synthetic noise)."""
        planes, height, width = self.shape
        return 7 / math.sqrt(planes * (height - 4) * (width - 4))

    @property
    def patterns(self) -> tuple[bool, bool]:
        """Whether columns (along Y), and rows (along X) share noise, beyond chance."""
        c, (planes, height, width) = self.correlation, self.shape
        return (
            c.columns > max(PATTERN, 16 / (height * math.sqrt(planes * (width - 4)))),
            c.rows > max(PATTERN, 16 / (width * math.sqrt(planes * (height - 4)))),
        )

    def mask(self) -> BlindSpots:
        """What to mask with a pixel so that its noise cannot be told from its neighbours'.

        As far as the correlation along an axis is more than 0.1; far along rows or columns that share noise;
        nothing of white noise. The more is masked with a pixel, the fewer are.
        """
        farthest, shared = (min(self.shape[1:]) - 1) // 2, max(SHARED, self._chance)
        axes = zip((self.correlation.along_y, self.correlation.along_x), self.patterns, strict=True)
        y, x = (min(farthest, PATTERN_REACH if pattern else _reach(lags, shared)) for lags, pattern in axes)
        return BlindSpots(reach_y=y, reach_x=x).sparse()

    def brief(self) -> tuple[str, str]:
        """Two lines for a log."""
        camera, known = self.transfer.camera, self.transfer.read_noise_known
        if camera is None:
            light = "it does not grow with the signal"
        else:
            read = f", read noise {camera.read_noise:.3g}" if known else " if there is no read noise"
            light = f"gain {camera.gain:.4g}, offset {camera.offset:.4g}{read}"
        mask, shape = self.mask(), "{} of {} x {}".format(*self.shape)
        return (
            f"noise (in {shape}): {self._level()}, {light}",
            f"noise is {'white' if self.white else 'not white'}: {self.shared()}; "
            f"blind spots reach {mask.reach_y} in Y, {mask.reach_x} in X",
        )

    def text(self) -> str:
        """All that was measured, in words."""
        t, camera = self.transfer, self.transfer.camera
        kind = "frames of one scene" if self.repeated else "each by itself"
        if not self.repeated and self.repeats > 0:
            kind += f"; {100 * self.repeats:.0f} % of neighbouring planes show one scene"
        lines = [
            f"{self.shape[0]} planes of {self.shape[1]} x {self.shape[2]}, {kind}",
            f"noise: {self._level()}",
            f"variance = {t.slope:.4g} * mean {t.intercept:+.4g}; the points lie within {100 * t.scatter:.1f} %",
        ]
        if camera is None:
            lines.append(
                f"the noise does not grow with the signal: standard deviation {math.sqrt(t.variance.mean()):.4g}"
            )
        else:
            photons = (t.mean - camera.offset) / camera.gain
            doubt = "" if t.read_noise_known else ", supposed: only the offset of a dark frame could tell"
            lines += [
                f"gain {camera.gain:.4g} per photo-electron, offset {camera.offset:.4g}",
                f"read noise {camera.read_noise:.3g}{doubt}",
                f"photo-electrons: {photons.min():.3g} to {photons.max():.3g}, mean {photons.mean():.3g}",
            ]
        verdict = "white" if self.white else "NOT white: a network trained on white noise leaves it in the image"
        return "\n".join([*lines, self.shared(), f"the noise is {verdict}", f"mask for blind spots: {self._mask()}"])

    def _level(self) -> str:
        about = "" if self.repeated or self.correlation.passed > LEAST_PASSED else "roughly "
        share = f" ({self.noise / self.contrast:.2f} of the contrast)" if self.contrast > 0 else ""
        return f"standard deviation {about}{self.noise:.4g}{share}"

    def shared(self) -> str:
        """What pixels share of the noise, in words."""
        c, names = self.correlation, ("x", "y", "along the stack")
        lags = ", ".join(f"{n} {lag:+.3f}" for n, lag in zip(names, self.lags, strict=True) if not math.isnan(lag))
        return (
            f"correlation with the next pixel {lags}; "
            f"rows share {100 * c.rows:.1f} %, columns {100 * c.columns:.1f} % of the power of the rest"
        )

    def _mask(self) -> str:
        mask = self.mask()
        if not mask.reach_y + mask.reach_x:
            return "the pixel alone"
        return f"{mask.reach_y} pixels to each side along Y, {mask.reach_x} along X, of {100 * mask.share:.2g} %"


def diagnose(stack: NDArray[Any], repeated: bool | None = None, offset: float | None = None) -> Diagnosis:
    """Measure the noise of a stack.

    Parameters
    ----------
    stack : ndarray
        (P, Y, X) or (Y, X), any real dtype, intensity units; at least 16 pixels a side.
    repeated : bool, optional
        Whether the planes show one scene again and again; found out by default.
    offset : float, optional
        The camera's, from a dark frame; see `quietfield.noise.transfer` for what it is good for.

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
    correlation = Correlation.of(planes)
    repeats = _one_scene(planes, correlation)
    if repeated is None:
        repeated = len(planes) >= 3 and repeats == 1
    if repeated:
        transfer = transfer_of_frames(planes, offset)
        correlation = Correlation.of(planes, repeated=True)
        power = float(transfer.variance.mean())
    else:
        transfer = transfer_of_images(planes, offset, correlation.passed)
        # Rows and columns are not in the differences along both axes.
        power = float(transfer.variance.mean()) * (1 + max(0.0, correlation.rows) + max(0.0, correlation.columns))
    contrast = math.sqrt(planes.var(axis=(1, 2)).mean())
    return Diagnosis(planes.shape, repeats, repeated, transfer, correlation, math.sqrt(power), contrast)


def glance(planes: NDArray[Any]) -> Diagnosis | None:
    """Diagnose the middle of the first planes (P, Y, X), in a short and bounded time.

    Planes with values that are not finite, or beyond float32, are passed over. None if nothing can be said:
    of constant planes, and of less than 16 pixels a side.
    """
    few = planes[:GLANCED]
    side = math.isqrt(GLANCE // max(1, len(few)))
    crops = middle(few, side).astype(np.float64)
    crops = crops[(np.abs(crops) <= np.finfo(np.float32).max).all(axis=(1, 2))]  # not so of NaN either
    if not len(crops) or min(crops.shape[1:]) < SMALLEST:
        return None
    least = max(1e-9 * float(np.abs(crops).max()), float(np.finfo(np.float32).tiny))  # what rounding may leave
    if float(crops.std()) <= least:
        return None
    with np.errstate(all="ignore"):  # whatever is odd about a file, it is still to be denoised
        found = diagnose(crops)
    return found if found.noise > least else None


def _one_scene(planes: Array, correlation: Correlation) -> float:
    """Share of neighbouring planes that differ by little but noise, of which next to nothing is left when smoothed."""
    if len(planes) < 2:
        return math.nan
    smooth = ndimage.gaussian_filter(planes, (0, 4, 4))
    change, scene = np.diff(smooth, axis=0).var(axis=(1, 2)), smooth.var(axis=(1, 2))
    # Dark frames have no scene, but are frames of one.
    noise = np.diff(planes, axis=0).var(axis=(1, 2)) * correlation.smoothed(4)
    return float((change < np.maximum(0.1 * scene[1:], 3 * noise)).mean())


def _reach(lags: Array, shared: float) -> int:
    """The farthest pixel that shares noise worth hiding; 0 if none."""
    return int(np.flatnonzero(np.abs(np.append(1.0, lags)) > shared).max())
