"""Read MetaImage files (.mha) with SimpleITK."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quietfield.files.stack import Array, Stack


def open_metaimage(path: Path) -> Stack:
    """Read the header; the pixels are read, all at once, when they are asked for."""
    import SimpleITK  # takes a moment, and few need it

    def attempt(action: Callable[[], Any]) -> Any:
        try:
            return action()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            message = f"{path}: expected a MetaImage (.mha), found something else or a damaged one ({reason})"
            raise ValueError(message) from error

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    attempt(reader.ReadImageInformation)
    size, samples = tuple(reversed(reader.GetSize())), reader.GetNumberOfComponents()
    y, x = size[-2:]
    dtype = _dtype(path, SimpleITK.GetPixelIDValueAsString(reader.GetPixelID()))

    @functools.cache
    def pixels() -> tuple[Any, Array]:
        image = attempt(reader.Execute)
        # A view does not keep its image alive, so both are kept.
        return image, SimpleITK.GetArrayViewFromImage(image).reshape(-1, y, x, samples)

    def read(index: int) -> Array:
        return pixels()[1][index // samples, :, :, index % samples].copy()

    axes = "TZYX"[-len(size) :] + ("S" if samples > 1 else "")
    shape = (*size, samples) if samples > 1 else size
    return Stack(shape, dtype, axes, (y, x), read, dtype.itemsize * math.prod(shape), samples)


def _dtype(path: Path, name: str) -> np.dtype[Any]:
    """numpy's type for SimpleITK's name of it, as "vector of 16-bit signed integer"."""
    bits, _, kind = name.removeprefix("vector of ").partition("-bit ")
    kinds = {"signed integer": "int", "unsigned integer": "uint", "float": "float"}
    if kind not in kinds:
        raise ValueError(f"{path}: expected real numbers, found {name}")
    return np.dtype(kinds[kind] + bits)
