"""Folders to write to, tried before time is spent on what goes into them."""

from __future__ import annotations

import tempfile
from pathlib import Path


def make_folder(folder: Path, option: str) -> None:
    """Make a folder, with those above it, unless it is there, and try to write to it.

    Parameters
    ----------
    folder : Path
        The folder.
    option : str
        Of the command line, that names another one.

    Raises
    ------
    OSError
        If it cannot be made, or nothing can be written to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = f"expected a folder that can be written to, found none ({error.strerror})"
        raise OSError(f"{folder}: {reason}: name another with {option}") from error
