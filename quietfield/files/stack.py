"""An image file as a sequence of planes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.files.metadata import Metadata

Array = NDArray[Any]


@dataclass(frozen=True)
class Stack:
    """An open image file whose planes are read one by one, in any order.

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
    read : callable
        Gives the plane (Y, X) of an index, in native byte order: the planes of the leading axes are counted in their
        order, those of the samples innermost. See `plane`.
    resident : int
        Bytes of the file's pixels that reading holds in memory at once.
    samples : int
        Product of the axes behind X.
    metadata : Metadata
        What the file says besides the pixels.
    images : int
        How many images the file stores one by one; if more than 1, they are the planes' first axis, "I".
    sign, offset : int, float
        What is stored is `offset + sign * plane`; `restored` gives it. The planes differ from what is stored where
        that shows bright as dark, or where its contrast is lost in float32 beside an offset.
    wide : bool
        Whether only float64 can hold what is stored.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    plane_shape: tuple[int, int]
    read: Callable[[int], Array]
    resident: int
    samples: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    images: int = 1
    sign: int = 1
    offset: float = 0.0
    wide: bool = False

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

    def plane(self, index: int) -> Array:
        """One plane (Y, X), in native byte order.

        Parameters
        ----------
        index : int
            From 0, in the stored order; the planes of the samples are innermost.

        Raises
        ------
        IndexError
            If there is no such plane.
        ValueError
            If the file is damaged or cut short; the message names it.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"expected a plane from 0 to {self.count - 1}, found {index}")
        return self.read(index)

    def restored(self, plane: Array) -> Array:
        """A denoised plane in the intensity units of what is stored, float32, or float64 if `wide`."""
        if self.sign == 1 and not self.offset:
            return plane
        values = self.offset + self.sign * plane.astype(np.float64)
        return values if self.wide else values.astype(np.float32)

    def less(self, offset: float) -> Stack:
        """The stack with planes of float64 from which an offset is taken; `restored` adds it again."""

        def read(index: int) -> Array:
            return self.read(index).astype(np.float64) - offset

        return replace(self, read=read, offset=self.offset + self.sign * offset, wide=True)

    def channel_of(self, index: int) -> int:
        """Number of the channel to which a plane belongs, or of its sample; 0 where there are none."""
        if self.samples > 1:
            return index % self.samples
        leading = self.shape[: len(self.shape) - 2]
        for axis in "CS":
            if axis in self.axes[: len(leading)]:
                return int(np.unravel_index(index, leading)[self.axes.index(axis)])
        return 0

    @property
    def channels(self) -> int:
        """Number of channels, or of samples."""
        known = len(self.axes) == len(self.shape)
        sizes = dict(zip(self.axes, self.shape, strict=True)) if known else {}
        return self.samples if self.samples > 1 else sizes.get("C", sizes.get("S", 1))

    def blocks(self, pixels: int, indices: Iterable[int] | None = None) -> Iterator[Array]:
        """Planes in their order, or those of some indices, in arrays (n, Y, X).

        Each array has at most so many pixels, or one plane.
        """
        size = max(1, pixels // math.prod(self.plane_shape))
        for some in _batched(range(self.count) if indices is None else indices, size):
            yield np.stack([self.plane(index) for index in some])


def _batched(indices: Iterable[int], size: int) -> Iterator[list[int]]:
    rest = iter(indices)
    while some := list(itertools.islice(rest, size)):
        yield some


def as_planes(page: Array, plane_shape: tuple[int, int], samples: int) -> Array:
    """(..., Y, X) or, where there are samples, (..., Y, X, S) to (k, Y, X)."""
    if samples == 1:
        return page.reshape(-1, *plane_shape)
    return np.moveaxis(page.reshape(-1, *plane_shape, samples), -1, 1).reshape(-1, *plane_shape)
