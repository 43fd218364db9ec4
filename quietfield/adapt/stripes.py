"""Take out what whole rows or columns of a plane have in common: stripes of a camera or a scanner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SMOOTH = 4.0  # rows: what is left of stripes in a denoised plane is gone when it is smoothed so far across them
BROAD = 16.0  # rows: what changes as slowly as this from row to row may be the image


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
