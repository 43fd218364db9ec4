"""A short mark of what files hold, the same for a copy of them, that does not take the time to read all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .reading import is_image

ENDS = 64 * 1024  # bytes that are read at the beginning and at the end of a file


def fingerprint(path: Path) -> str:
    """SHA-256 of the name, the size and both ends of each file below a folder, or of one file.

    Parameters
    ----------
    path : Path
        Folder, all of whose images count, or all files if there is no image; or a file, whose name does not count.
    """
    files = [path]
    if path.is_dir():
        below = [p for p in sorted(path.rglob("*")) if p.is_file()]
        files = [p for p in below if is_image(p)] or below
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path).as_posix()}\0{size}\0".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(ENDS))
            stream.seek(max(ENDS, size - ENDS))
            digest.update(stream.read(ENDS))
    return digest.hexdigest()
