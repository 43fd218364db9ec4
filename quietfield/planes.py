"""What is asked of planes everywhere: their middle, and their invalid pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def middle(planes: NDArray[Any], side: int) -> NDArray[Any]:
    """The middle of planes (..., Y, X), at most `side` pixels along Y and X; a view."""
    y, x = (max(0, length - side) // 2 for length in planes.shape[-2:])
    return planes[..., y : y + side, x : x + side]


def invalid(planes: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a pixel is NaN, infinite, or too large for float32."""
    with np.errstate(over="ignore"):
        result: NDArray[np.bool_] = ~np.isfinite(planes.astype(np.float32))
    return result


def fill_invalid(planes: NDArray[Any]) -> NDArray[np.float64]:
    """The planes (N, Y, X) as float64, invalid pixels filled with the mean of the valid ones, or 0."""
    x = planes.astype(np.float64)
    bad = invalid(planes)
    for plane, wrong in zip(x, bad, strict=True):
        if wrong.any():
            plane[wrong] = 0 if wrong.all() else plane[~wrong].mean()
    return x
