"""Image files of every kind that is understood."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from quietfield.files.metaimage import open_metaimage
from quietfield.files.stack import Stack
from quietfield.files.tiff import open_tiff

SUFFIXES = (".tif", ".tiff", ".btf", ".lsm", ".stk", ".mha")


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
    if not os.access(path, os.R_OK):
        raise ValueError(f"{path}: expected leave to read it, found none: change its permissions")
    with ExitStack() as resources:
        stack = open_metaimage(path) if path.suffix.lower() == ".mha" else open_tiff(path, resources)
        if stack.dtype.kind not in "buif":
            raise ValueError(f"{path}: expected real numbers, found {stack.dtype}")
        if 0 in (*stack.shape, *stack.plane_shape):
            raise ValueError(f"{path}: expected at least one plane of pixels, found shape {stack.shape}")
        yield stack
