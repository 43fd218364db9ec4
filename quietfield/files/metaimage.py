"""MetaImage files (.mha, and .mhd with .raw): read with SimpleITK, written plane by plane."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from quietfield.files.metadata import Metadata, Quantity
from quietfield.files.stack import Array, Stack
from quietfield.whole import whole

METAIMAGES = (".mha", ".mhd")
TYPES = {
    "int8": "MET_CHAR", "uint8": "MET_UCHAR", "int16": "MET_SHORT", "uint16": "MET_USHORT", "int32": "MET_INT",
    "uint32": "MET_UINT", "int64": "MET_LONG_LONG", "uint64": "MET_ULONG_LONG", "float32": "MET_FLOAT",
    "float64": "MET_DOUBLE",
}  # fmt: skip
MOST_AXES = 4


def open_metaimage(path: Path, axes: str | None = None) -> Stack:
    """Read the header; the pixels are read, all at once, when they are asked for."""
    import SimpleITK  # takes a moment, and few need it

    def attempt(action: Callable[[], Any]) -> Any:
        try:
            return action()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            message = f"{path}: expected a MetaImage (.mha, .mhd), found something else or a damaged one ({reason})"
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

    names = "TZYX"[-len(size) :] + ("S" if samples > 1 else "")
    if axes is not None:
        if len(axes) != len(names) or len(set(axes)) < len(axes) or axes.find("YX") != len(size) - 2:
            raise ValueError(f"{path}: --axes: expected {len(names)} different letters as {names}, found {axes}")
        names = axes
    shape = (*size, samples) if samples > 1 else size
    spacing, origin = tuple(reader.GetSpacing()), tuple(reader.GetOrigin())
    # The unit is millimetres by convention; 1 is what a file has that says nothing.
    known = any(step != 1 for step in spacing)
    steps = [Quantity(step, "mm") if known and 0 < step < math.inf else None for step in (*spacing, 1.0)[:3]]
    z = steps[2] if len(size) > 2 else None
    metadata = Metadata(
        "metaimage",
        names,
        steps[0],
        steps[1],
        z,
        spacing=spacing,
        origin=origin,
        direction=tuple(reader.GetDirection()),
    )
    resident = dtype.itemsize * math.prod(shape)
    return Stack(shape, dtype, names, (y, x), read, resident, samples, metadata)


def write_metaimage(
    path: Path, stack: Stack, planes: Iterable[Array], dtype: np.dtype[Any], comment: str, scale: int = 1
) -> None:
    """Write planes as a MetaImage of the axes, spacing, origin and direction of `stack`, whole or not at all.

    Parameters
    ----------
    path : Path
        Its name ends in .mha.
    stack : Stack
        Gives the shape.
    planes : iterable of ndarray
        (scale * Y, scale * X), of `dtype`, as many as `stack` has, in its order.
    dtype : numpy.dtype
        Of the answer.
    comment : str
        A note.
    scale : int
        Times as many pixels along Y and X as `stack` has, each so much smaller.

    Raises
    ------
    ValueError
        If a MetaImage cannot hold the axes or the type.
    """
    shape = stack.enlarged(scale)
    size = shape[: len(shape) - 1] if stack.samples > 1 else shape
    if len(size) > MOST_AXES or dtype.name not in TYPES:
        raise ValueError(
            f"{path}: expected at most {MOST_AXES} axes and a type of {', '.join(TYPES)} for a MetaImage, found the "
            f"shape {shape} and {dtype}: give the answer a name that ends in .tif"
        )
    spacing, origin, direction = _geometry(stack, len(size), scale)
    header = {
        "ObjectType": "Image",
        "NDims": len(size),
        "Comment": comment.replace("\n", " ")[:200],
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": _row(np.reshape(direction, (len(size), len(size))).T.ravel()),
        "Offset": _row(origin),
        "CenterOfRotation": _row([0] * len(size)),
        "ElementSpacing": _row(spacing),
        "DimSize": _row(reversed(size)),
        **({"ElementNumberOfChannels": stack.samples} if stack.samples > 1 else {}),
        "ElementType": TYPES[dtype.name],
        "ElementDataFile": "LOCAL",
    }
    little = dtype.newbyteorder("<")
    with whole(path) as temporary, temporary.open("wb") as file:
        file.write("".join(f"{key} = {value}\n" for key, value in header.items()).encode("utf-8"))
        page: list[Array] = []
        for plane in planes:
            page.append(plane)
            if len(page) == stack.samples:
                file.write(np.stack(page, axis=-1).astype(little, copy=False).tobytes())
                page = []


def _geometry(stack: Stack, count: int, scale: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Spacing, origin and direction of the answer, X first."""
    found = stack.metadata
    if len(found.spacing) == count:
        spacing, origin, direction = found.spacing, found.origin, found.direction
    else:
        lengths = [size.micrometres if size else None for size in (found.x, found.y, found.z)]
        spacing = tuple(length / 1000 if length else 1.0 for length in (*lengths, None)[:count])
        origin, direction = (0.0,) * count, tuple(np.eye(count).ravel().tolist())
    finer = tuple(step / scale if axis < 2 else step for axis, step in enumerate(spacing))
    # The origin is the middle of the first pixel.
    moved = np.reshape(direction, (count, count)) @ ((np.array(finer) - np.array(spacing)) / 2)
    return finer, tuple((np.array(origin) + moved).tolist()), direction


def _row(values: Iterable[Any]) -> str:
    return " ".join(repr(float(v)) if not isinstance(v, int) else str(v) for v in values)


def _dtype(path: Path, name: str) -> np.dtype[Any]:
    """numpy's type for SimpleITK's name of it, as "vector of 16-bit signed integer"."""
    bits, _, kind = name.removeprefix("vector of ").partition("-bit ")
    kinds = {"signed integer": "int", "unsigned integer": "uint", "float": "float"}
    if kind not in kinds:
        raise ValueError(f"{path}: expected real numbers, found {name}")
    return np.dtype(kinds[kind] + bits)
