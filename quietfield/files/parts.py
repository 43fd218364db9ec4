"""Files that hold one image together: an OME data set names them in each."""

from __future__ import annotations

import logging
from pathlib import Path

import tifffile

from quietfield.files import ome

log = logging.getLogger(__name__)

TIFFS = (".tif", ".tiff", ".btf")


def metadata_in(path: Path) -> str:
    """OME-XML of a data set in a file: a companion file, or another TIFF of the set; empty if it cannot be read."""
    try:
        if path.suffix.lower() not in TIFFS:
            return path.read_text(encoding="utf-8")
        with tifffile.TiffFile(path) as tif:
            return tif.ome_metadata or ""
    except Exception:  # a damaged TIFF makes the parser raise anything
        return ""


def parts_of(path: Path) -> frozenset[Path]:
    """The files, this one among them, that hold the images of which this one holds planes."""
    alone = frozenset([path])
    if path.suffix.lower() not in TIFFS:
        return alone
    root = ome.parse(metadata_in(path))  # what is damaged is named when it is opened
    if root is not None and (other := ome.companion(root, path)) is not None:
        root = ome.parse(metadata_in(other))
    if root is None:
        return alone
    names: set[str] = {path.name}
    for pixels in ome.pixels_of(root):
        files = ome.files_of(pixels)
        if path.name in files:
            names.update(files)
    return frozenset(file for name in names if (file := path.parent / name).is_file())


def leaders(paths: list[Path]) -> dict[Path, Path]:
    """For each file whose images are answered with those of an earlier one, that one."""
    found: dict[frozenset[Path], Path] = {}
    result = {}
    for path in paths:
        parts = parts_of(path)
        if len(parts) > 1 and path in parts:
            first = found.setdefault(parts, path)
            if first != path:
                result[path] = first
    return result
