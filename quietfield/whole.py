"""Write a file, or the files of a folder, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a file, which becomes the file when all went well, and is removed when not.

    The folder is made if need be. The temporary name is hidden and ends in `.part`, so that nothing takes it for an
    image; what a killed process left there is removed before anything is written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(pathlib.Path(folder, "answer.txt")) as temporary:
    ...         _ = temporary.write_text("42")
    ...     pathlib.Path(folder, "answer.txt").read_text()
    '42'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path, last: str) -> Iterator[Path]:
    """Give a temporary folder, whose entries go into another one when all went well, and which is removed when not.

    It lies inside that folder, so that names alone change in the end. Entries that are there give way to those of the
    same name; all others stay.

    Parameters
    ----------
    folder : Path
        Made if need be, and removed again if nothing comes of it.
    last : str
        The entry that is put in place after all others: who finds it finds the others as well.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_folder(pathlib.Path(folder), "b.txt") as temporary:
    ...         _ = [(temporary / name).write_text("42") for name in ("b.txt", "a.txt")]
    ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
    ['a.txt', 'b.txt']
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    temporary, before = (folder / name for name in (".new.part", ".before.part"))
    try:
        for path in (temporary, before):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        yield temporary
        for path in sorted(temporary.iterdir(), key=lambda path: path.name == last):
            there = folder / path.name
            if there.is_dir():  # no folder takes the place of one that holds something
                os.replace(there, before / path.name)
            os.replace(path, there)
    finally:
        for path in (temporary, before):
            shutil.rmtree(path, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()
