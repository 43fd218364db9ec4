"""Take out what whole rows or columns of a plane have in common: stripes of a camera or a scanner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.network.normalise import noise_std
from quietfield.repair.periodic import FINE, FINE_SHARE

SMOOTH_UP_TO = 0.05  # cycles a pixel, up to which the means of rows are those of the image
STRONG = 2.0  # standard deviations of the noise: offsets are not far above it
SKEWED = 1.0  # of offsets: they are no more above the image than below it
SMOOTH = 4.0  # rows: what is left of stripes in a denoised plane is gone when it is smoothed so far across them
BROAD = 16.0  # rows: what changes as slowly as this from row to row may be the image


def are_offsets(plane: NDArray[Any], across: int) -> bool:
    """Whether what rows (across = axis 0) or columns (1) of a plane share is an offset of a camera, and no structure.

    Offsets change from row to row faster than anything that passed an optic, are above the image as often as below
    it, and not far above the noise. Lines, gratings and kymographs are blurred, bright, or strong.

    Parameters
    ----------
    plane : ndarray
        (Y, X), any real dtype, finite.
    across : int
        The axis along which offsets change.
    """
    x = np.asarray(plane, np.float64)
    profile = x.mean(axis=1 - across)
    # Second differences keep the image's slow changes from leaking into all frequencies.
    rough = np.diff(profile, 2) * np.hanning(len(profile) - 2)
    frequency = np.fft.rfftfreq(len(rough))[1:]
    power = np.abs(np.fft.rfft(rough)[1:]) ** 2 / (2 * np.sin(np.pi * frequency)) ** 4
    power *= 2 / len(rough) / (np.hanning(len(rough)) ** 2).sum()
    seen = frequency > SMOOTH_UP_TO
    total, fine = float(power[seen].sum()), float(power[frequency > FINE].sum())
    offsets = profile - ndimage.gaussian_filter1d(profile, 2.0)
    spread = float(offsets.std())
    skewness = float(((offsets - offsets.mean()) ** 3).mean()) / spread**3 if spread > 0 else 0.0
    noise = float(noise_std(x[None])[0, 0, 0])
    return fine > FINE_SHARE * total and abs(skewness) < SKEWED and total**0.5 < STRONG * noise


def without_stripes(planes: NDArray[Any], clean: NDArray[Any], rows: bool, columns: bool) -> NDArray[np.float64]:
    """Planes without the offsets of their rows, or columns.

    Parameters
    ----------
    planes, clean : ndarray
        (N, Y, X), any real dtype, intensity units; and what a denoiser makes of them, which may have stripes still.
    rows, columns : bool
        What to take out.

    Returns
    -------
    ndarray
        float64, (N, Y, X).
    """
    result = np.asarray(planes, np.float64)
    for wanted, across in ((rows, 1), (columns, 2)):
        if wanted:
            result = result - stripes(result, np.asarray(clean, np.float64), across)
    return result


def stripes(planes: NDArray[np.float64], clean: NDArray[np.float64], across: int) -> NDArray[np.float64]:
    """The offset of each row (across = axis 1) or column (2), no more of it than is more than chance.

    Returns
    -------
    ndarray
        float64, (N, Y, 1) or (N, 1, X), intensity units.
    """
    along = 3 - across
    residual = planes - ndimage.gaussian_filter1d(clean, SMOOTH, axis=across)
    offsets = residual.mean(axis=along, keepdims=True)
    offsets = offsets - ndimage.gaussian_filter1d(offsets, BROAD, axis=across)
    # The means of rows without stripes differ, too, by what pixels' own noise leaves of itself in them.
    own = (residual - residual.mean(axis=along, keepdims=True)).var(axis=(1, 2), keepdims=True) / planes.shape[along]
    spread = offsets.var(axis=across, keepdims=True)
    share = np.clip(1 - own / np.maximum(spread, 1e-300), 0, 1)
    kept: NDArray[np.float64] = share * offsets
    return kept
