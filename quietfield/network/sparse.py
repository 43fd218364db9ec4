"""Counts of photons, so few that most pixels have none: binned before the network, and enlarged behind it.

A network learns from images with some photons a pixel. Where ten pixels share one photon, no detail of a pixel is
there to be lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Photons a pixel, below which squares of such a side are binned.
SIDES = ((0.03, 4), (0.1, 2))
SMALLEST = 16  # pixels of a side, that a binned plane has at least


def sparse_side(plane: NDArray[Any]) -> int:
    """The side of the squares that a plane (Y, X) is binned by; 1 unless nearly all of its pixels have no photon."""
    least = plane.min()
    bright = plane[plane > least]
    if not 0 < bright.size < SIDES[-1][0] * plane.size:
        return 1
    photons = float(bright.sum() - bright.size * least) / (float(np.median(bright)) - float(least)) / plane.size
    side = next((side for most, side in SIDES if photons < most), 1)
    return side if min(plane.shape) >= side * SMALLEST else 1


def binned(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Means of squares; what is left over at the end is filled up by its mirror image."""
    padded = np.pad(plane, [(0, -length % side) for length in plane.shape], "symmetric")
    y, x = (length // side for length in padded.shape)
    result: NDArray[np.float64] = padded.reshape(y, side, x, side).mean(axis=(1, 3))
    return result


def enlarged(plane: NDArray[np.float32], side: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A plane of so many times the pixels, cut to a shape or that many times it (a network may enlarge, too)."""
    result: NDArray[np.float32] = ndimage.zoom(plane, side, order=3, mode="nearest", grid_mode=True)
    scale = result.shape[0] // shape[0]
    return result[: scale * shape[0], : scale * shape[1]]
