"""Lines and gratings that a network took for noise, given back: their spectrum tells them from noise.

The residual of a denoised plane should be noise, whose spectrum has no peaks. What repeats over the plane, or runs all
across it, is a peak far above the noise beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

FINE = 0.26  # cycles a pixel, beyond which an optic passes next to nothing: peaks there are a pattern of the camera
RAISED = 2.0  # times the noise: the median power of whole rows beyond FINE, where these differ by offsets; else 0.7
RISE = 4.0  # times the noise, above which something counts among what rows share
PEAK = 16.0  # times the noise beside it: of ten million numbers, noise reaches so far in one
STRIP = 0.011  # cycles a pixel along rows, up to which something is a pattern of rows, perhaps a little tilted
BLOCK = 16  # frequencies of a side, in which the noise is measured
REGION = 32  # pixels of a side of the squares that the spread of the residual is taken from
LEAST = 1e-3  # of the largest spread, that any has
SMALLEST = 4 * BLOCK  # pixels of a side


def with_lost_lines(answer: NDArray[np.float32], plane: NDArray[Any]) -> NDArray[np.float32]:
    """An answer with what is surely structure in the residual.

    Parameters
    ----------
    answer : ndarray
        float32, (Y, X), intensity units; of another size than the plane, it is left as it is.
    plane : ndarray
        (Y, X), any real dtype, finite: what was denoised, without stripes of the camera.

    Examples
    --------
    >>> import numpy
    >>> y, x = numpy.mgrid[:96, :96]
    >>> noise = numpy.random.default_rng(0).standard_normal((96, 96))
    >>> found = with_lost_lines(numpy.zeros((96, 96), "float32"), noise + 4 * numpy.sin(x))
    >>> round(float(numpy.abs(found - 4 * numpy.sin(x)).mean()), 1)
    0.2
    """
    if answer.shape != plane.shape or min(plane.shape) < SMALLEST:
        return answer
    residual = (plane - answer.astype(np.float64)).astype(np.float32)
    noise = _around(residual)
    residual /= noise  # bright parts, whose noise is strong, would decide for dim ones
    spectrum = fft.rfft2(residual)
    power = spectrum.real**2 + spectrum.imag**2
    y, x = np.abs(fft.fftfreq(plane.shape[0]))[:, None], fft.rfftfreq(plane.shape[1])[None]
    floor = _floor(power)
    peaks = (power > PEAK * floor) & (y**2 + x**2 <= FINE**2) & (y + x > 0)
    for axis, across, along in ((1, y, x), (0, x, y)):  # patterns of rows, and of columns
        strip = np.broadcast_to(along <= STRIP, power.shape)
        expected = np.median(floor[strip & (across > FINE)]) / plane.size / plane.shape[axis]
        if _offsets(residual.mean(axis=axis), float(expected)):
            peaks[strip] = False
    if not peaks.any():
        return answer
    lost: NDArray[np.float32] = fft.irfft2(np.where(peaks, spectrum, 0), plane.shape).astype(np.float32)
    return answer + noise * lost


def _around(residual: NDArray[np.float32]) -> NDArray[np.float32]:
    """The residual's spread around each pixel, (Y, X): that of large squares, and linear between their middles."""
    high, wide = (max(1, side // REGION) for side in residual.shape)
    y, x = residual.shape[0] // high, residual.shape[1] // wide
    squares = residual[: high * y, : wide * x].reshape(high, y, wide, x)
    spread = np.sqrt(np.einsum("hywx,hywx->hw", squares, squares) / np.float32(y * x))
    found: NDArray[np.float32] = _between(high, residual.shape[0]) @ spread @ _between(wide, residual.shape[1]).T
    return np.maximum(found, np.float32(LEAST) * found.max() or np.float32(1))


def _between(count: int, side: int) -> NDArray[np.float32]:
    """Weights, (side, count), that interpolate linearly between the middles of squares, and are constant beyond."""
    at = (np.arange(side) + 0.5) / (side // count) - 0.5
    return np.stack([np.interp(at, np.arange(count), one) for one in np.eye(count)], axis=1, dtype=np.float32)


def _floor(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """The noise's power at each frequency: what half of those around it lie below."""
    high, wide = (-(-side // BLOCK) for side in power.shape)
    padded = np.pad(
        power, [(0, BLOCK * n - side) for n, side in zip((high, wide), power.shape, strict=True)], "reflect"
    )
    blocks = padded.reshape(high, BLOCK, wide, BLOCK).swapaxes(1, 2).reshape(high, wide, -1)
    middle = np.median(blocks, axis=2) / np.float32(np.log(2))
    found: NDArray[np.float32] = middle.repeat(BLOCK, 0).repeat(BLOCK, 1)[: power.shape[0], : power.shape[1]]
    return found


def _offsets(means: NDArray[np.float32], expected: float) -> bool:
    """Whether means of rows, of which noise has an expected variance, differ by offsets and not by structure.

    Offsets have all frequencies, or nearly only such as no optic passes. A window keeps gratings from leaking there.
    """
    if not expected > 0:
        return False
    window = np.hanning(len(means) + 2)[1:-1]
    spectrum = np.abs(fft.rfft(window * (means - means.mean()))) ** 2 / (window**2).sum() / expected
    fine = fft.rfftfreq(len(means)) > FINE
    above = (spectrum - RISE).clip(0)
    return bool(np.median(spectrum[fine]) > RAISED or above[fine].sum() > 3 * above[~fine].sum())
