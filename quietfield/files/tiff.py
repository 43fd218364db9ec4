"""Read TIFF stacks plane by plane, in any order, and write the answers that the challenge's platform takes."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from quietfield.files import headers, ome
from quietfield.files.metadata import Metadata
from quietfield.files.stack import Array, Stack, as_planes
from quietfield.whole import whole

log = logging.getLogger(__name__)

CLASSIC_TIFF_BYTES = 2**32 - 2**25  # pixels beyond this leave no room for the rest below 4 GiB
MOST_MESSAGES = 1000  # of the parser, before a file is given up
NARROW, BROAD = (3, 4), 32  # pixels along a last axis without a name that are channels; along those before it
SPARE = 4, 1000  # times the pages of a file, and pages more, that its OME-XML may name without being taken for wrong
DARK_TO_BRIGHT = 0.9  # share of a colour table's steps that rise, in one whose indices are intensities

Series = tifffile.TiffPageSeries


def open_tiff(path: Path, resources: ExitStack, axes: str | None = None) -> list[Stack]:
    """Open all images of a TIFF; `resources` closes it. See `quietfield.files.images.open_stacks`."""
    tif, xml, series = _opened(path, resources)
    groups = [list(group) for _, group in itertools.groupby(series, key=_form)]
    with _errors_name(path):
        return [_stack(path, tif, xml, group, axes) for group in groups]


def open_main(path: Path, resources: ExitStack, axes: str | None = None) -> Stack:
    """Open the image of a TIFF, or those of its images that are of one shape and most of it; others are named."""
    tif, xml, every = _opened(path, resources)
    alike = [[one for one in every if _form(one) == form] for form in dict.fromkeys(map(_form, every))]
    series = max(alike, key=lambda group: sum(math.prod(one.shape) for one in group))
    if len(series) < len(every):
        others = ", ".join(str(one.shape) for one in every if one not in series)
        shape = series[0].shape
        log.warning("%s: takes the image of shape %s and leaves out others of shape %s", path, shape, others)
    with _errors_name(path):
        return _stack(path, tif, xml, series, axes)


def _form(series: Series) -> tuple[object, ...]:
    return series.shape, series.dtype, series.axes


def _opened(path: Path, resources: ExitStack) -> tuple[tifffile.TiffFile, str, list[Series]]:
    """The open file, its OME-XML, and its images without thumbnails and those that lie in other files."""
    with _damage_is_an_error(path):
        try:
            tif = resources.enter_context(tifffile.TiffFile(path))
            len(tif.pages)  # walks the chain of pages, and ends it where it runs in a circle
            xml = tif.ome_metadata or ""
            if xml:
                tif, xml = _believed(path, tif, xml, resources)
            if tif.is_imagej and (fault := _fault_of_imagej(tif)):
                log.warning("%s: its ImageJ metadata %s: goes by the pages alone", path, fault)
                tif = resources.enter_context(tifffile.TiffFile(path, is_imagej=False))
            every = tif.series
        except MemoryError:
            raise
        except Exception as error:  # damaged bytes make the parser raise anything
            raise ValueError(f"{path}: expected a TIFF, found something else or a damaged one ({error})") from error
    if not every:
        raise ValueError(f"{path}: expected a TIFF with an image in it, found none")
    # The OME-XML of a file may name the images of others, too; each file is answered with its own.
    mine = [one for one in every if any(page is not None and _lies_in(page, tif) for page in one.pages)]
    if mine and len(mine) < len(every):
        log.info("%s: %d other images of the data set lie in other files: left out", path, len(every) - len(mine))
    # A thumbnail, marked as an image of reduced resolution, is never the image.
    return tif, xml, [one for one in mine or every if not one.keyframe.is_reduced] or mine or list(every)


def _lies_in(page: Any, tif: tifffile.TiffFile) -> bool:
    return page.parent is tif or page.parent.filehandle.path == tif.filehandle.path


def _believed(path: Path, tif: tifffile.TiffFile, xml: str, resources: ExitStack) -> tuple[tifffile.TiffFile, str]:
    """The file read by its OME-XML, or by that of its companion; by its pages alone where that cannot be right."""
    root = ome.parse(xml)
    if root is not None and (other := ome.companion(root, path)) is not None:
        try:
            root = ome.parse(other.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            root = None
        if root is None:
            return _by_pages(path, resources, f"its metadata lie in {other}, which cannot be read")
        xml = ome.without_identity(root)
        tif = resources.enter_context(tifffile.TiffFile(path, omexml=xml))
    if root is None:
        return _by_pages(path, resources, "its OME-XML is damaged")
    pixels = ome.pixels_of(root)
    files = list(dict.fromkeys(name for one in pixels for name in ome.files_of(one)))
    missing = [name for name in files if not (path.parent / name).is_file()]
    if files != [path.name] and missing and len(missing) < len(files):
        first = ", ".join(missing[:3]) + (", ..." if missing[3:] else "")
        log.warning("%s: %d files of its data set are missing, their planes are zeros: %s", path, len(missing), first)
    named = sum(map(ome.planes_of, pixels))
    pages = len(tif.pages)
    most = SPARE[0] * max(1, len(files)) * pages + SPARE[1]
    samples = max(1, tif.pages.first.samplesperpixel)
    largest = max(tif.pages[index].size for index in (0, -1, min(1, pages - 1)))
    spread = sum(ome.planes_of(one) * ome.side(one, "X") * ome.side(one, "Y") for one in pixels)
    if any(not 0 <= ome.farthest(one) <= most for one in pixels):
        return _by_pages(path, resources, f"its OME-XML places planes beyond its {pages} pages", xml)
    if named > most * samples or spread > most * largest:
        return _by_pages(path, resources, f"its OME-XML names {named} planes, and {pages} pages are there", xml)
    try:
        series = tif.series
    except MemoryError:
        raise
    except Exception as error:
        return _by_pages(path, resources, f"its OME-XML makes no sense ({error})", xml)
    used = {page.index for one in series if one.kind == "ome" for page in one.pages if page and _lies_in(page, tif)}
    if not used or _has_more(path, used):
        return _by_pages(path, resources, f"its OME-XML names {len(used)} of {pages} pages", xml)
    for one in series:
        lost = sum(page is None for page in one.pages)
        if lost:
            log.warning("%s: %d of %d planes are missing and taken as zeros", path, lost, len(one.pages))
    return tif, xml


def _fault_of_imagej(tif: tifffile.TiffFile) -> str:
    """What is wrong with ImageJ's metadata, so that pixels would be lost."""
    try:
        series = tif.series
    except (ValueError, TypeError, OverflowError) as error:
        return f"make no sense ({error})"
    named, pages = sum(len(one.pages) for one in series), len(tif.pages)
    return f"name {named} of {pages} pages" if named < pages else ""


def _has_more(path: Path, used: set[int]) -> bool:
    """Whether a file has pages besides some that are no thumbnails."""
    with tifffile.TiffFile(path, is_ome=False) as tif:
        rest = (page for index, page in enumerate(tif.pages) if index not in used)
        return any(isinstance(page, tifffile.TiffPage) and not page.is_reduced for page in rest)


def _by_pages(path: Path, resources: ExitStack, fault: str, xml: str = "") -> tuple[tifffile.TiffFile, str]:
    log.warning("%s: %s: goes by the pages alone", path, fault)
    return resources.enter_context(tifffile.TiffFile(path, is_ome=False)), xml


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
        with _errors_name(path):
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
        log.info(
            "%s: axes %s, shape %s: Q and I have no name and are taken for planes that follow each other; "
            "if they are channels or others, give --axes, as --axes %s",
            path, own, shape, example,
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
        self.size = path.stat().st_size

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


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Whatever the parser and the codecs raise becomes a ValueError that names the file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # codecs raise types of their own
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: damaged or cut short: {error}") from error


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
