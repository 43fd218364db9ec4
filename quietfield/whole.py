"""Write a file whole or not at all."""

from __future__ import annotations

import os
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
