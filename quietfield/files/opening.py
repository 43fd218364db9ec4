"""Open a TIFF as far as what it says of itself can be right, and name what cannot."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from quietfield.files import ome
from quietfield.files.parts import metadata_in

log = logging.getLogger(__name__)

MOST_MESSAGES = 1000  # of the parser, before a file is given up
SPARE = 4, 1000  # times the pages of a file, and pages more, that its OME-XML may name without being taken for wrong

Series = tifffile.TiffPageSeries


def open_series(path: Path, resources: ExitStack) -> tuple[tifffile.TiffFile, str, list[Series]]:
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
    mine = [one for one in every if any(page is not None and _lies_in(page, tif) for page in one.pages)]
    # A thumbnail, marked as an image of reduced resolution, is never the image.
    return tif, xml, [one for one in mine or every if not one.keyframe.is_reduced] or mine or list(every)


def _lies_in(page: Any, tif: tifffile.TiffFile) -> bool:
    return page.parent is tif or page.parent.filehandle.path == tif.filehandle.path


def _believed(path: Path, tif: tifffile.TiffFile, xml: str, resources: ExitStack) -> tuple[tifffile.TiffFile, str]:
    """The file read by its OME-XML, or by that of its companion; by its pages alone where that cannot be right."""
    root = ome.parse(xml)
    if root is not None and (other := ome.companion(root, path)) is not None:
        root = ome.parse(metadata_in(other))
        if root is None:
            return _by_pages(path, resources, f"its metadata lie in {other}, which cannot be read")
        xml = ome.without_identity(root)
        tif = resources.enter_context(tifffile.TiffFile(path, omexml=xml))
    if root is None:
        return _by_pages(path, resources, "its OME-XML is damaged")
    if others := ome.keep(root, path.name):
        # The OME-XML of a file may name the images of others, too; each file is answered with its own.
        log.info("%s: %d other images of the data set lie in other files: left out", path, others)
        xml = ElementTree.tostring(root, encoding="unicode")
        tif = resources.enter_context(tifffile.TiffFile(path, omexml=xml))
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
    if not used or (len(used) < pages and _has_more(path, used)):
        return _by_pages(path, resources, f"its OME-XML names {len(used)} of {pages} pages", xml)
    for one in series:
        lost = sum(page is None for page in one.pages)
        if lost and any(page and _lies_in(page, tif) for page in one.pages):
            log.warning("%s: %d of %d planes are missing and taken as zeros", path, lost, len(one.pages))
    return tif, xml


def _fault_of_imagej(tif: tifffile.TiffFile) -> str:
    """What is wrong with ImageJ's metadata, so that pixels would be lost."""
    try:
        series = tif.series
    except (ValueError, TypeError, OverflowError) as error:
        return f"make no sense ({error})"
    # Often one page stands for all: their pixels follow each other behind it.
    named, pages = sum(one.size for one in series) // max(1, tif.pages.first.size), len(tif.pages)
    return f"name {named} of {pages} pages" if named < pages else ""


def _has_more(path: Path, used: set[int]) -> bool:
    """Whether a file has pages besides some that are no thumbnails."""
    with tifffile.TiffFile(path, is_ome=False) as tif:
        rest = (page for index, page in enumerate(tif.pages) if index not in used)
        return any(isinstance(page, tifffile.TiffPage) and not page.is_reduced for page in rest)


def _by_pages(path: Path, resources: ExitStack, fault: str, xml: str = "") -> tuple[tifffile.TiffFile, str]:
    log.warning("%s: %s: goes by the pages alone", path, fault)
    return resources.enter_context(tifffile.TiffFile(path, is_ome=False)), xml


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
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
