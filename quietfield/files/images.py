"""Image files of every kind that is understood."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from quietfield.files.metaimage import METAIMAGES, open_metaimage
from quietfield.files.stack import Stack
from quietfield.files.tiff import open_main, open_tiff

SUFFIXES = (".tif", ".tiff", ".btf", ".lsm", ".stk", *METAIMAGES)


@contextmanager
def open_stack(path: Path, axes: str | None = None) -> Iterator[Stack]:
    """Open a TIFF (BigTIFF, ImageJ, OME, any compression imagecodecs knows) or MetaImage file.

    Of a file with images of several shapes, the largest part of one shape is taken; what is left out is logged.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        Names of its axes, in place of those that it has.

    Raises
    ------
    ValueError
        If the file is not what its suffix says, is cut short, or holds no real numbers. Reading
        its planes may raise it, too.
    """
    with _open(path, lambda resources: [open_main(path, resources, axes)], axes) as stacks:
        yield stacks[0]


@contextmanager
def open_stacks(path: Path, axes: str | None = None) -> Iterator[list[Stack]]:
    """Open all images of a file, in their order; those of one shape that follow each other are one stack.

    Parameters, errors: as of `open_stack`.
    """
    with _open(path, lambda resources: open_tiff(path, resources, axes), axes) as stacks:
        yield stacks


@contextmanager
def _open(path: Path, tiff: Callable[[ExitStack], list[Stack]], axes: str | None) -> Iterator[list[Stack]]:
    if not path.is_file():
        raise ValueError(f"{path}: expected an image file, found {'a folder' if path.is_dir() else 'nothing'}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected an image, found an empty file (0 bytes): copy it again")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{path}: expected leave to read it, found none: change its permissions")
    with ExitStack() as resources:
        stacks = [open_metaimage(path, axes)] if path.suffix.lower() in METAIMAGES else tiff(resources)
        for stack in stacks:
            if stack.dtype.kind not in "buif":
                raise ValueError(f"{path}: expected real numbers, found {stack.dtype}")
            if 0 in (*stack.shape, *stack.plane_shape):
                raise ValueError(f"{path}: expected at least one plane of pixels, found shape {stack.shape}")
        yield stacks
