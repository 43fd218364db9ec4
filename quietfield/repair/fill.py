"""Fill pixels that are no measurement with the picture beside them, mirrored, so that it goes on with its noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def filled(plane: NDArray[Any], mask: Mask) -> Any:
    """A plane whose masked pixels are those on the other side of the mask's edge.

    What is farther from the edge than the picture reaches is filled from what has been filled before.

    Parameters
    ----------
    plane : ndarray
        (Y, X), any real dtype.
    mask : ndarray
        bool, (Y, X); some pixels at least are not masked.

    Examples
    --------
    >>> import numpy
    >>> row = numpy.array([[0, 0, 3, 4, 5]])
    >>> filled(row, row == 0)
    array([[4, 3, 3, 4, 5]])
    """
    result, left = plane.copy(), mask.copy()
    while left.any():
        y, x = np.nonzero(left)
        nearest = ndimage.distance_transform_edt(left, return_distances=False, return_indices=True)
        at_y, at_x = nearest[0, y, x], nearest[1, y, x]
        # Mirrored at the edge between the last masked pixel and the first one that is not.
        to_y, to_x = 2 * at_y - y - np.sign(at_y - y), 2 * at_x - x - np.sign(at_x - x)
        to_y, to_x = (np.clip(to, 0, side - 1) for to, side in zip((to_y, to_x), plane.shape, strict=True))
        there = ~left[to_y, to_x]
        # Beside the edge there is always the nearest pixel itself.
        beside = np.maximum(np.abs(at_y - y), np.abs(at_x - x)) <= 1
        to_y, to_x = np.where(there, to_y, at_y), np.where(there, to_x, at_x)
        done = there | beside
        result[y[done], x[done]] = result[to_y[done], to_x[done]]
        left[y[done], x[done]] = False
    return result
