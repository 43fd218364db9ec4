"""Lines and gratings that a network took for noise, given back: their spectrum tells them from noise.

The residual of a denoised plane should be noise, whose spectrum has no peaks. What repeats over the plane, or runs all
across it, is a peak far above the noise beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

FINE = 0.26  # cycles a pixel, beyond which an optic passes next to nothing: peaks there are a pattern of the camera
BROAD = 0.1  # cycles a pixel, up to which offsets of rows are not told from the image
FINE_SHARE = 0.4  # of the power above BROAD, which is fine where rows differ by offsets; of white ones 0.6
PEAK = 16.0  # times the noise beside it: of ten million numbers, noise reaches so far in one
FOOT = 4.0  # times the noise, of what lies within two frequencies of a peak and belongs to it
STRIP = 0.011  # cycles a pixel along rows, up to which something is a pattern of rows, perhaps a little tilted
BLOCK = 16  # frequencies of a side, in which the noise is measured
SMALLEST = 4 * BLOCK  # pixels of a side
NEAR, RINGING = 8.0, 0.1  # pixels; of the strength of the strongest that is given back
MOST = 4.0  # times the power that is lost has a frequency of which the answer kept most
BESIDE = 17  # frequencies around one, above three quarters of which it stands out by `PEAK`


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
    spectrum = fft.rfft2(residual)
    power = spectrum.real**2 + spectrum.imag**2
    y, x = np.abs(fft.fftfreq(plane.shape[0]))[:, None], fft.rfftfreq(plane.shape[1])[None]
    floor = _floor(power)
    peaks = power > PEAK * floor
    if peaks.any():  # one that lies between two frequencies has feet
        peaks = ndimage.binary_dilation(peaks, iterations=2) & (power > FOOT * floor)
    peaks &= (y**2 + x**2 <= FINE**2) & (y + x > 0)
    for across, along in ((y, x), (x, y)):  # patterns of rows, and of columns
        strip = np.broadcast_to(along <= STRIP, power.shape)
        if peaks[strip].any() and _offsets(power[strip], np.broadcast_to(across, power.shape)[strip]):
            peaks &= ~strip | _repeats(answer, power, axis=int(across is x))
    if not peaks.any():
        return answer
    lost: NDArray[np.float32] = fft.irfft2(np.where(peaks, spectrum, 0), plane.shape).astype(np.float32)
    return answer + _where_it_is(lost) * lost


def _where_it_is(lost: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 where what few frequencies make is but the ringing of something stronger elsewhere, 1 where it is strong."""
    around = ndimage.gaussian_filter(lost**2, NEAR)
    result: NDArray[np.float32] = ((np.sqrt(around / around.max()) - RINGING) / RINGING).clip(0, 1)
    return result


def _repeats(answer: NDArray[np.float32], lost: NDArray[np.float32], axis: int) -> NDArray[np.bool_]:
    """Which frequencies the answer shows far more of than was lost, and of none beside: it has kept most of a grating.

    Offsets of rows, and straight edges along an axis, have all frequencies across it. What the answer invented is in
    the residual as strong.
    """
    spectrum = fft.rfft2(answer)
    power = spectrum.real**2 + spectrum.imag**2
    usual = ndimage.percentile_filter(power, 75, (BESIDE, 1) if axis == 0 else (1, BESIDE), mode="nearest")
    found: NDArray[np.bool_] = (power > MOST * lost) & (power > PEAK * usual)
    return found


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


def _offsets(power: NDArray[np.float32], frequency: NDArray[np.float64]) -> bool:
    """Whether what rows share, by its power at frequencies across them, are offsets rather than structure."""
    total = float(power[frequency > BROAD].sum())
    return float(power[frequency > FINE].sum()) > FINE_SHARE * total
