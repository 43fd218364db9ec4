"""Read TIFF stacks plane by plane, and write the answer whole or not at all."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from quietfield.files.stack import Array, Stack, as_planes
from quietfield.whole import whole

log = logging.getLogger(__name__)

CLASSIC_TIFF_BYTES = 2**32 - 2**25  # pixels beyond this leave no room for the rest below 4 GiB
MOST_MESSAGES = 1000  # of the parser, before a file is given up


def open_tiff(path: Path, resources: ExitStack) -> Stack:
    """Open a TIFF; `resources` closes it. See `quietfield.files.images.open_stack`."""
    with _damage_is_an_error(path):
        try:
            tif = resources.enter_context(tifffile.TiffFile(path))
            len(tif.pages)  # walks the chain of pages, and ends it where it runs in a circle
            every = tif.series
        except MemoryError:
            raise
        except Exception as error:  # damaged bytes make the parser raise anything
            raise ValueError(f"{path}: expected a TIFF, found something else or a damaged one ({error})") from error
    if not every:
        raise ValueError(f"{path}: expected a TIFF with an image in it, found none")
    series = _chosen(path, tif, every)
    first = series[0]
    shape, axes = tuple(first.shape), first.axes
    behind = shape[axes.index("YX") + 2 :] if "YX" in axes else ()
    y, x = shape[: len(shape) - len(behind)][-2:] if len(shape) > len(behind) + 1 else (0, 0)
    samples = math.prod(behind)
    unit = _unit(first, (y, x) if samples == 1 else (y, x, samples))

    each = math.prod(shape) // max(1, y * x)  # planes of each image
    readers = [_Reader(path, tif, one, unit, (y, x), samples) for one in series]

    def read(index: int) -> Array:
        try:
            return readers[index // each].plane(index % each)
        except MemoryError:
            raise
        except Exception as error:  # codecs raise types of their own
            raise ValueError(f"{path}: damaged or cut short: {error}") from error

    dtype = np.dtype(first.dtype)
    resident = dtype.itemsize * math.prod(unit)
    if len(series) > 1:
        return Stack((len(series), *shape), dtype, "I" + axes, (y, x), read, resident, samples)
    return Stack(shape, dtype, axes, (y, x), read, resident, samples)


def _chosen(
    path: Path, tif: tifffile.TiffFile, every: Sequence[tifffile.TiffPageSeries]
) -> list[tifffile.TiffPageSeries]:
    """The image of a file, or several of one shape; what is left out is logged."""
    # The OME-XML of a file may name the images of others, too; each file is answered with its own.
    mine = [s for s in every if any(page is not None and page.parent is tif for page in s.pages)]
    if mine and len(mine) < len(every):
        log.info("%s: %d other images of the data set lie in other files: left out", path, len(every) - len(mine))
    # A thumbnail, marked as an image of reduced resolution, is never the image.
    full = [s for s in mine or every if not s.keyframe.is_reduced] or mine or list(every)
    alike = [[s for s in full if (s.shape, s.dtype) == (one.shape, one.dtype)] for one in full]
    series = max(alike, key=lambda group: sum(math.prod(s.shape) for s in group))
    if len(series) < len(full):
        others = ", ".join(str(s.shape) for s in full if s not in series)
        shape = series[0].shape
        log.warning("%s: takes the image of shape %s and leaves out others of shape %s", path, shape, others)
    return series


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
        self.mapped: Array | None = None

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
        if (start := _run(self.series)) is not None:
            # One uncompressed run of numbers: mapped, so that only the planes in use are in memory.
            stored = np.dtype(self.series.dtype).newbyteorder(self.tif.byteorder)
            if self.mapped is None:
                mapped = np.memmap(self.path, stored, "r", start, tuple(self.series.shape))
                self.mapped = mapped.reshape(-1, *self.unit)
            return np.asarray(self.mapped[number], dtype=stored.newbyteorder("="))
        if self.unit == tuple(self.series.shape):
            every: Array = self.series.asarray()
            return every
        page = self.series.pages[number]
        if page is None:
            log.warning("%s: page %d is missing and taken as zeros", self.path, number)
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


@contextmanager
def _damage_is_an_error(path: Path) -> Iterator[None]:
    """tifffile logs a broken chain of pages and goes on with those before it; here it is an error."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())
            if len(messages) > MOST_MESSAGES:
                raise ValueError(f"more than {MOST_MESSAGES} faults, the first of them {messages[0]}")

    logger, handler = logging.getLogger("tifffile"), Collector(logging.ERROR)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    if any("invalid page offset" in message for message in messages):
        size = path.stat().st_size
        raise ValueError(f"{path}: cut short: a page lies beyond the end of the file ({size} bytes): copy it again")
    if messages:
        log.warning("%s: %s%s", path, messages[0], f" (and {len(messages) - 1} more)" if messages[1:] else "")


def write_tiff(path: Path, like: Stack, planes: Iterable[NDArray[np.float32]], scale: int = 1) -> None:
    """Write planes as a float32 TIFF of the axes of `like` that the challenge's importer takes.

    The file appears under its name when it is complete; until then, and if anything fails, there
    is only a temporary one beside it, which is removed.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    like : Stack
        Gives the shape.
    planes : iterable of ndarray
        float32, (scale * Y, scale * X), as many as `like` has, in its order.
    scale : int
        Times as many pixels along Y and X as `like` has, each so much smaller.
    """
    shape = like.enlarged(scale)
    options: dict[str, Any] = {"photometric": "minisblack", "resolution": (scale, scale), "resolutionunit": "INCH"}
    data: Iterator[NDArray[np.float32]] = iter(planes)
    if like.samples > 1:
        data = _interleave(data, like.samples)
        options["planarconfig"] = "contig"
    bigtiff = 4 * math.prod(shape) > CLASSIC_TIFF_BYTES
    with whole(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=bigtiff) as tif:
        tif.write(data, shape=shape, dtype="float32", **options)


def _interleave(planes: Iterator[NDArray[np.float32]], samples: int) -> Iterator[NDArray[np.float32]]:
    """(Y, X) planes, so many to a page, to (Y, X, S) pages."""
    while page := list(itertools.islice(planes, samples)):
        yield np.stack(page, axis=-1)
