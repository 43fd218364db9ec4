"""An array in memory as a stack of planes, and planes as an array again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.files.stack import Array, Stack

NAMES = "TZCYXSPQIRA"  # of axes, as files have them: time, depth, channel, ..., sample, position


class ArrayStack:
    """An array whose planes are denoised, whatever the order of its axes.

    Parameters
    ----------
    image : array-like
        Real numbers; a numpy array, a torch tensor on any device, or what numpy makes an array of.
    axes : str, optional
        A letter for each axis, such as "TCYX"; an image of two axes is "YX".

    Attributes
    ----------
    stack : Stack
        Its planes: the other axes in their order, then Y and X.

    Raises
    ------
    ValueError
        If it is no image of real numbers, or the axes do not fit.
    """

    def __init__(self, image: Any, axes: str | None = None) -> None:
        array = as_array(image)
        self.axes = _checked(array, axes)
        self.order = [i for i, name in enumerate(self.axes) if name not in "YX"]
        self.order += [self.axes.index("Y"), self.axes.index("X")]
        planes = array.transpose(self.order)
        y, x = planes.shape[-2:]

        def read(index: int) -> Array:
            plane: Array = planes[np.unravel_index(index, planes.shape[:-2])]
            return plane.astype(plane.dtype.newbyteorder("="), copy=False)

        names = "".join(self.axes[i] for i in self.order)
        self.stack = Stack(planes.shape, planes.dtype, names, (y, x), read, resident=0)

    def array_of(self, planes: Iterable[NDArray[np.float32]], scale: int = 1) -> NDArray[Any]:
        """Denoised planes in the order of the stack to an array of the image's shape and order of axes.

        It is float32, or float64 where only that can hold the image.
        """
        shape = self.stack.enlarged(scale)
        answer = np.empty((math.prod(shape[:-2]), *shape[-2:]), np.float64 if self.stack.wide else np.float32)
        for plane, place in zip(planes, answer, strict=True):
            place[:] = self.stack.restored(plane)
        return np.ascontiguousarray(answer.reshape(shape).transpose(np.argsort(self.order)))


def as_array(image: Any) -> NDArray[Any]:
    """An image as a numpy array of real numbers; a torch tensor is brought to the CPU.

    Raises
    ------
    ValueError
        If it holds no real numbers, or nothing.
    """
    if hasattr(image, "detach"):  # a torch tensor
        image = image.detach().cpu()
        image = image.float() if str(image.dtype) == "torch.bfloat16" else image
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise ValueError(f"image: expected real numbers, found {array.dtype}")
    if array.ndim < 2 or not array.size:
        raise ValueError(f"image: expected at least one plane of pixels, found shape {array.shape}")
    return array


def _checked(array: NDArray[Any], axes: str | None) -> str:
    if axes is None and array.ndim == 2:
        return "YX"
    example = "TCZYX"[-min(array.ndim, 5) :]
    if axes is None:
        raise ValueError(f"axes: expected a name for each axis of the shape {array.shape}, as axes={example!r}")
    found = str(axes).upper()
    if len(found) != array.ndim or len(set(found)) < len(found) or not {"Y", "X"} <= set(found) <= set(NAMES):
        raise ValueError(
            f"axes: expected {array.ndim} different letters of {NAMES}, with Y and X, for the shape {array.shape}, "
            f"as {example!r}; found {axes!r}"
        )
    return found
