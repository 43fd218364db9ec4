"""Read image stacks plane by plane, and write the answer whole or not at all."""

from __future__ import annotations

import itertools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Array = NDArray[Any]
SUFFIXES = (".tif", ".tiff", ".mha")
CLASSIC_TIFF_BYTES = 2**32 - 2**25  # pixels beyond this leave no room for the rest below 4 GiB


@dataclass(frozen=True)
class Stack:
    """An open image file whose planes are read one after the other.

    Attributes
    ----------
    shape : tuple of int
        As stored: (..., Y, X), or (..., Y, X, S) where `interleaved`.
    dtype : numpy.dtype
        As stored.
    axes : str
        The file's own names of the axes.
    interleaved : bool
        Samples (colours) come last; they are still planes of their own.
    pages : callable
        Gives an iterator over arrays (k, Y, X) of native byte order, in the order of the file.
    resident : int
        Bytes of the file's pixels that reading holds in memory at once.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    interleaved: bool
    pages: Callable[[], Iterator[Array]]
    resident: int

    @property
    def pixels(self) -> int:
        """Pixels in all planes."""
        return math.prod(self.shape)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(Y, X) of one plane."""
        y, x = self.shape[-3:-1] if self.interleaved else self.shape[-2:]
        return y, x

    @property
    def count(self) -> int:
        """Number of planes."""
        y, x = self.plane_shape
        return self.pixels // (y * x)

    def blocks(self, pixels: int) -> Iterator[Array]:
        """The planes, in arrays (n, Y, X) of at most so many pixels, or of one plane."""
        y, x = self.plane_shape
        size = max(1, pixels // (y * x))
        pending: list[Array] = []
        for page in self.pages():
            for plane in page:
                pending.append(plane)
                if len(pending) == size:
                    yield np.stack(pending)
                    pending = []
        if pending:
            yield np.stack(pending)


@contextmanager
def open_stack(path: Path) -> Iterator[Stack]:
    """Open a TIFF (BigTIFF, ImageJ, OME, any compression imagecodecs knows) or MetaImage file.

    Raises
    ------
    ValueError
        If the file is not what its suffix says, is cut short, or holds no real numbers. Reading
        its planes may raise it, too.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected an image file, found {'a folder' if path.is_dir() else 'nothing'}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected an image, found an empty file (0 bytes): copy it again")
    with ExitStack() as resources:
        stack = _open_mha(path) if path.suffix.lower() == ".mha" else _open_tiff(path, resources)
        if stack.dtype.kind not in "buif":
            raise ValueError(f"{path}: expected real numbers, found {stack.dtype}")
        if len(stack.shape) < 2 or 0 in stack.shape:
            raise ValueError(f"{path}: expected at least one plane of pixels, found shape {stack.shape}")
        yield stack


def _open_tiff(path: Path, resources: ExitStack) -> Stack:
    with _broken_chain_is_an_error(path):
        try:
            tif = resources.enter_context(tifffile.TiffFile(path))
            every = tif.series
        except Exception as error:  # damaged bytes make the parser raise anything
            raise ValueError(f"{path}: expected a TIFF, found something else or a damaged one ({error})") from error
    if not every:
        raise ValueError(f"{path}: expected a TIFF with an image in it, found none")
    first = every[0]
    series = [s for s in every if s.shape == first.shape and s.dtype == first.dtype]
    if len(series) < len(every):
        others = ", ".join(str(s.shape) for s in every if s not in series)
        log.warning("%s: takes the image of shape %s and leaves out others of shape %s", path, first.shape, others)
    shape, axes = tuple(first.shape), first.axes
    if len(series) > 1:
        shape, axes = (len(series), *shape), "I" + axes
    interleaved = axes.endswith("S") and len(shape) > 2

    def pages() -> Iterator[Array]:
        for one in series:
            try:
                for page in _series_pages(path, tif, one):
                    yield _as_planes(page, interleaved)
            except MemoryError:
                raise
            except Exception as error:  # codecs raise types of their own
                raise ValueError(f"{path}: damaged or cut short: {error}") from error

    dtype = np.dtype(first.dtype)
    resident = max(dtype.itemsize * math.prod(_unit(one)) for one in series)
    return Stack(shape, dtype, axes, interleaved, pages, resident)


def _unit(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
    """Shape of the smallest array that the file allows to read: a plane, a page, or all."""
    shape, page = tuple(series.shape), tuple(series.keyframe.shape)
    if series.dataoffset is not None:
        return shape[-3:] if series.axes.endswith("S") and len(shape) > 2 else shape[-2:]
    return page if page == shape[len(shape) - len(page) :] else shape


def _series_pages(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Iterator[Array]:
    """Arrays of the shape of `_unit` that follow each other in the file."""
    unit = _unit(series)
    if series.dataoffset is not None:
        # One uncompressed run of numbers: mapped, so that only the planes in use are in memory.
        stored = np.dtype(series.dtype).newbyteorder(tif.byteorder)
        mapped = np.memmap(path, stored, "r", series.dataoffset, tuple(series.shape))
        for page in mapped.reshape(-1, *unit):
            yield np.asarray(page, dtype=stored.newbyteorder("="))
        return
    if unit != tuple(series.keyframe.shape):
        yield series.asarray()
        return
    for index, page in enumerate(series.pages):
        if page is None:
            log.warning("%s: page %d is missing and taken as zeros", path, index)
        yield np.zeros(unit, series.dtype) if page is None else page.asarray()


def _as_planes(page: Array, interleaved: bool) -> Array:
    """(..., Y, X) or (..., Y, X, S) to (k, Y, X)."""
    if interleaved:
        page = np.moveaxis(page, -1, -3)
    return page.reshape(-1, *page.shape[-2:])


@contextmanager
def _broken_chain_is_an_error(path: Path) -> Iterator[None]:
    """tifffile logs a broken chain of pages and goes on with those before it; here it is an error."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, handler = logging.getLogger("tifffile"), Collector(logging.ERROR)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    for message in messages:
        if "invalid page offset" in message:
            raise ValueError(
                f"{path}: cut short: a page lies beyond the end of the file "
                f"({path.stat().st_size} bytes): copy it again"
            )
        log.warning("%s: %s", path, message)


def _open_mha(path: Path) -> Stack:
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
    components = reader.GetNumberOfComponents()
    interleaved = components > 1
    shape = (*reversed(reader.GetSize()), *([components] if interleaved else []))
    dtype = np.dtype(_mha_dtype(path, SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())))

    def pages() -> Iterator[Array]:
        image = attempt(reader.Execute)
        # A view does not keep its image alive: this frame holds the image, and copies leave it.
        view = SimpleITK.GetArrayViewFromImage(image)
        for page in view.reshape(-1, *shape[-3 if interleaved else -2 :]):
            yield _as_planes(page.copy(), interleaved)

    axes = "TZYX"[-reader.GetDimension() :] + ("S" if interleaved else "")
    return Stack(shape, dtype, axes, interleaved, pages, dtype.itemsize * math.prod(shape))


def _mha_dtype(path: Path, name: str) -> str:
    """numpy's name of SimpleITK's pixel type, as "vector of 16-bit signed integer"."""
    words = name.removeprefix("vector of ").split()
    kind = {"signed integer": "int", "unsigned integer": "uint", "float": "float"}.get(" ".join(words[1:]))
    if kind is None:
        raise ValueError(f"{path}: expected real numbers, found {name}")
    return kind + words[0].removesuffix("-bit")


def write_stack(path: Path, like: Stack, planes: Iterable[NDArray[np.float32]]) -> None:
    """Write planes as a float32 TIFF of the shape of `like` that the challenge's importer takes.

    The file appears under its name when it is complete; until then, and if anything fails, there
    is only a temporary one beside it, which is removed.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    like : Stack
        Gives the shape.
    planes : iterable of ndarray
        float32, (Y, X), as many as `like` has, in its order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    options: dict[str, Any] = {"photometric": "minisblack", "resolution": (1, 1), "resolutionunit": "INCH"}
    data: Iterator[NDArray[np.float32]] = iter(planes)
    if like.interleaved:
        data = _interleave(data, like.shape[-1])
        options["planarconfig"] = "contig"
    size = 4 * like.pixels
    try:
        with tifffile.TiffWriter(temporary, bigtiff=size > CLASSIC_TIFF_BYTES) as tif:
            tif.write(data, shape=like.shape, dtype="float32", **options)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _interleave(planes: Iterator[NDArray[np.float32]], samples: int) -> Iterator[NDArray[np.float32]]:
    """(Y, X) planes, so many to a page, to (Y, X, S) pages."""
    while page := list(itertools.islice(planes, samples)):
        yield np.stack(page, axis=-1)
