"""An image file as a sequence of planes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Stack:
    """An open image file whose planes are read one after the other.

    Attributes
    ----------
    shape : tuple of int
        As stored: leading axes, Y, X, and at times trailing ones (the samples of a colour image).
    dtype : numpy.dtype
        As stored.
    axes : str
        The file's own names of the axes.
    plane_shape : tuple of int
        (Y, X) of one plane.
    pages : callable
        Gives an iterator over arrays (k, Y, X) of native byte order: the planes of the leading
        axes in their order, those of the samples innermost.
    resident : int
        Bytes of the file's pixels that reading holds in memory at once.
    samples : int
        Product of the axes behind X.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    plane_shape: tuple[int, int]
    pages: Callable[[], Iterator[Array]]
    resident: int
    samples: int = 1

    @property
    def pixels(self) -> int:
        """Pixels in all planes."""
        return math.prod(self.shape)

    @property
    def count(self) -> int:
        """Number of planes."""
        return self.pixels // math.prod(self.plane_shape)

    def enlarged(self, scale: int) -> tuple[int, ...]:
        """The shape with `scale` times the pixels along Y and along X; leading and trailing axes stay."""
        _, found, behind = self.axes.partition("YX")
        end = len(self.shape) - (len(behind) if found else 0)
        y, x = self.plane_shape
        return (*self.shape[: end - 2], scale * y, scale * x, *self.shape[end:])

    def blocks(self, pixels: int) -> Iterator[Array]:
        """The planes, in arrays (n, Y, X) of at most so many pixels, or of one plane."""
        size = max(1, pixels // math.prod(self.plane_shape))
        pending: list[Array] = []
        for page in self.pages():
            for plane in page:
                pending.append(plane)
                if len(pending) == size:
                    yield np.stack(pending)
                    pending = []
        if pending:
            yield np.stack(pending)


def as_planes(page: Array, plane_shape: tuple[int, int], samples: int) -> Array:
    """(..., Y, X) or, where there are samples, (..., Y, X, S) to (k, Y, X)."""
    if samples == 1:
        return page.reshape(-1, *plane_shape)
    return np.moveaxis(page.reshape(-1, *plane_shape, samples), -1, 1).reshape(-1, *plane_shape)
