"""Read TIFF stacks plane by plane, in any order, and write the answers that the challenge's platform takes."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from quietfield.files import headers
from quietfield.files.metadata import Metadata
from quietfield.files.opening import Series, errors_name, open_series
from quietfield.files.stack import Array, Stack, as_planes
from quietfield.whole import whole

log = logging.getLogger(__name__)

CLASSIC_TIFF_BYTES = 2**32 - 2**25  # pixels beyond this leave no room for the rest below 4 GiB
NARROW, BROAD = (3, 4), 32  # pixels along a last axis without a name that are channels; along those before it
DARK_TO_BRIGHT = 0.9  # share of a colour table's steps that rise, in one whose indices are intensities


def open_tiff(path: Path, resources: ExitStack, axes: str | None = None) -> list[Stack]:
    """Open all images of a TIFF; `resources` closes it. See `quietfield.files.images.open_stacks`."""
    tif, xml, series = open_series(path, resources)
    groups = [list(group) for _, group in itertools.groupby(series, key=_form)]
    with errors_name(path):
        return [_stack(path, tif, xml, group, axes) for group in groups]


def open_main(path: Path, resources: ExitStack, axes: str | None = None) -> Stack:
    """Open the image of a TIFF, or those of its images that are of one shape and most of it; others are named."""
    tif, xml, every = open_series(path, resources)
    alike = [[one for one in every if _form(one) == form] for form in dict.fromkeys(map(_form, every))]
    series = max(alike, key=lambda group: sum(math.prod(one.shape) for one in group))
    if len(series) < len(every):
        others = ", ".join(str(one.shape) for one in every if one not in series)
        shape = series[0].shape
        log.warning("%s: takes the image of shape %s and leaves out others of shape %s", path, shape, others)
    with errors_name(path):
        return _stack(path, tif, xml, series, axes)


def _form(series: Series) -> tuple[object, ...]:
    return series.shape, series.dtype, series.axes


def _stack(path: Path, tif: tifffile.TiffFile, xml: str, series: Sequence[Series], axes: str | None) -> Stack:
    first = series[0]
    shape, own = tuple(first.shape), first.axes
    names = _names(path, shape, own, axes)
    at = names.index("YX") if "YX" in names else len(shape) - 2
    behind = shape[at + 2 :]
    y, x = shape[at : at + 2] if at >= 0 else (0, 0)
    samples = math.prod(behind)
    unit = _unit(first, (y, x) if samples == 1 else (y, x, samples))
    metadata = headers.metadata_of(tif, series, names, xml)
    if names != own and metadata.kind in ("ome", "imagej") and axes:
        metadata = replace(metadata, xml="")  # what it says of axes does not hold
    for fault in metadata.faults:
        log.warning("%s: %s", path, fault)
    _check_colours(path, metadata)
    each = math.prod(shape) // max(1, y * x)  # planes of each image
    readers = [_Reader(path, tif, one, unit, (y, x), samples) for one in series]

    def read(index: int) -> Array:
        with errors_name(path):
            return readers[index // each].plane(index % each)

    dtype = np.dtype(first.dtype)
    resident = dtype.itemsize * math.prod(unit)
    several = len(series) > 1
    stack = Stack(
        (len(series), *shape) if several else shape,
        dtype,
        "I" + names if several else names,
        (y, x),
        read,
        resident,
        samples,
        metadata,
        len(series),
    )
    return _inverted(stack, first.keyframe.bitspersample) if metadata.photometric == "miniswhite" else stack


def _names(path: Path, shape: tuple[int, ...], own: str, given: str | None) -> str:
    """Names of the axes: those that are given, or of the file; what is guessed is logged."""
    if given is not None:
        fits = len(given) == len(shape) and len(set(given)) == len(given) and "YX" in given
        if not fits:
            raise ValueError(
                f"{path}: --axes: expected {len(shape)} different letters with YX among them for the shape {shape}, "
                f"as {'TZCYX'[-min(5, len(shape)) :]}; found {given}"
            )
        return given
    named = set(own) - set("QIYX")
    if len(shape) > 2 and not named and shape[-1] in NARROW and min(shape[-3:-1]) >= BROAD:
        names = own[: len(shape) - 3] + "YXC"
        log.info("%s: shape %s: the last axis is taken for channels; if it is not, give --axes", path, shape)
        return names
    unnamed = [size for axis, size in zip(own, shape, strict=False) if axis in "QI" and size > 1]
    if unnamed:
        example = "TZC"[: len(own) - 2][::-1][::-1] + "YX"
        letters = " and ".join(sorted(set(own) & set("QI"), reverse=True))
        log.info(
            "%s: axes %s, shape %s: axes %s have no name and are taken for planes that follow each other; "
            "if they are channels or others, give --axes, as --axes %s",
            path, own, shape, letters, example,
        )  # fmt: skip
    return own


def _check_colours(path: Path, metadata: Metadata) -> None:
    """Raise a ValueError if the pixels are no intensities; say what else may surprise."""
    if metadata.photometric == "palette" and metadata.kind == "plain" and metadata.colormap is not None:
        light = np.array([0.299, 0.587, 0.114]) @ np.asarray(metadata.colormap, np.float64).reshape(3, -1)
        steps = np.diff(light)
        if (steps >= 0).mean() < DARK_TO_BRIGHT:
            raise ValueError(
                f"{path}: expected intensities, found indices of a colour table that does not run from dark to "
                "bright: save it as grey or as RGB"
            )
    if metadata.orientation != 1:
        log.info("%s: its tag Orientation is %d: the pixels stay as they are stored", path, metadata.orientation)


def _inverted(stack: Stack, bits: int) -> Stack:
    """A stack that is shown with 0 as white, with bright as large numbers."""
    read = stack.read
    if stack.dtype.kind == "u" and bits <= 16:
        top = 2**bits - 1

        def darkest(index: int) -> Array:
            return np.asarray(top - read(index).astype(np.int64)).astype(stack.dtype)

        return replace(stack, read=darkest, sign=-1, offset=float(top))

    def negative(index: int) -> Array:
        return -read(index).astype(np.float64)

    return replace(stack, read=negative, sign=-1)


def _unit(series: tifffile.TiffPageSeries, plane: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the smallest array that the file allows to read: a plane, a page, or all."""
    if _run(series) is not None:
        return plane
    page = tuple(series.keyframe.shape)
    whole_planes = page[-len(plane) :] == plane
    fits = len(series.pages) * math.prod(page) == math.prod(series.shape)
    return page if whole_planes and fits else tuple(series.shape)


class _Reader:
    """Planes of an image, in any order; the array that was read last is kept, as others of its planes may follow.

    Parameters
    ----------
    unit : tuple of int
        Shape of what is read at once (`_unit`).
    plane, samples : tuple of int, int
        (Y, X) of a plane, and of how many planes the pixels are stored side by side.
    """

    def __init__(
        self,
        path: Path,
        tif: tifffile.TiffFile,
        series: tifffile.TiffPageSeries,
        unit: tuple[int, ...],
        plane: tuple[int, int],
        samples: int,
    ) -> None:
        self.path, self.tif, self.series, self.unit = path, tif, series, unit
        self.plane_shape, self.samples = plane, samples
        self.number, self.last = -1, np.empty(0)
        self.start, self.size = _run(series), path.stat().st_size

    def plane(self, index: int) -> Array:
        """One plane (Y, X)."""
        planes = math.prod(self.unit) // math.prod(self.plane_shape)
        number, within = divmod(index, planes)
        if number != self.number:
            self.last = np.empty(0)  # the room of one array at a time
            found = self._array(number)
            if found.size != math.prod(self.unit):
                raise ValueError(f"expected {math.prod(self.unit)} pixels, found {found.size}")
            self.number, self.last = number, as_planes(found, self.plane_shape, self.samples)
        plane: Array = self.last[within]
        return plane

    def _array(self, number: int) -> Array:
        """An array of the shape `unit`: of those that follow each other in the file, the one of a number."""
        if (start := self.start) is not None:
            # One uncompressed run of numbers, of which only those in use are in memory.
            stored = np.dtype(self.series.dtype).newbyteorder(self.tif.byteorder)
            whole, count = stored.itemsize * math.prod(self.series.shape), math.prod(self.unit)
            if start + whole > self.size:
                raise ValueError(f"expected {start + whole} bytes, found {self.size}")
            found = self.tif.filehandle.read_array(stored, count, start + number * count * stored.itemsize)
            return np.asarray(found.reshape(self.unit), dtype=stored.newbyteorder("="))
        if self.unit == tuple(self.series.shape):
            every: Array = self.series.asarray()
            return every
        page = self.series.pages[number]
        if page is None:  # which was logged when the file was opened
            return np.zeros(self.unit, self.series.dtype)
        return _pixels(page)


def _run(series: tifffile.TiffPageSeries) -> int | None:
    """Where a series begins that is one uncompressed run of numbers, in the file that was opened and in no other."""
    here = all(page is None or page.parent is series.parent for page in series.pages)
    return series.dataoffset if here else None


def _pixels(page: tifffile.TiffPage | tifffile.TiffFrame) -> Array:
    """Of a page, which may lie in another file of the same data set."""
    file = page.parent.filehandle
    closed = file.closed
    if closed:
        file.open()
    try:
        pixels: Array = page.asarray()
    finally:
        if closed:
            file.close()
    return pixels


def write_tiff(path: Path, like: Stack, planes: Iterable[Array], scale: int = 1) -> None:
    """Write planes as a float32 TIFF of the axes of `like` that the challenge's importer takes.

    The type is float64 where only that can hold what `like` stores.

    The file appears under its name when it is complete; until then, and if anything fails, there
    is only a temporary one beside it, which is removed.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    like : Stack
        Gives the shape.
    planes : iterable of ndarray
        float32 or float64, (scale * Y, scale * X), as many as `like` has, in its order.
    scale : int
        Times as many pixels along Y and X as `like` has, each so much smaller.
    """
    shape = like.enlarged(scale)
    options: dict[str, Any] = {"photometric": "minisblack", "resolution": (scale, scale), "resolutionunit": "INCH"}
    data = iter(planes)
    if like.samples > 1:
        data = interleave(data, like.samples)
        options["planarconfig"] = "contig"
    dtype = np.dtype("float64" if like.wide else "float32")
    bigtiff = dtype.itemsize * math.prod(shape) > CLASSIC_TIFF_BYTES
    with whole(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=bigtiff) as tif:
        tif.write(data, shape=shape, dtype=dtype, **options)


def interleave(planes: Iterator[Array], samples: int) -> Iterator[Array]:
    """(Y, X) planes, so many to a page, to (Y, X, S) pages."""
    while page := list(itertools.islice(planes, samples)):
        yield np.stack(page, axis=-1)
