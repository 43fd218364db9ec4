"""`train noise`: the noise of a file, in words and as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from quietfield.files.images import open_stack
from quietfield.noise.diagnosis import diagnose

from . import pictures
from .data.reading import PICTURES, open_volume

MOST_PIXELS = 2**23  # of a file that are looked at: 32 frames of 512²


def report(path: Path, plot_to: Path | None = None, offset: float | None = None) -> str:
    """Diagnose an image file, as far as it fits into a little memory; plot the noise if asked to.

    Parameters
    ----------
    path : Path
        TIFF, MetaImage, `.png`, `.jpg`, or `.npy` of shape (..., Y, X).
    plot_to : Path, optional
        The picture to write.
    offset : float, optional
        The camera's, from a dark frame.

    Raises
    ------
    ValueError
        If the file cannot be read, or nothing can be said of it.
    """
    if path.suffix.lower() in (*PICTURES, ".npy"):
        stored = open_volume(path).planes
        planes = stored.reshape(-1, *stored.shape[-2:])
        count, planes = len(planes), planes[: max(1, MOST_PIXELS // math.prod(planes.shape[1:]))]
    else:
        with open_stack(path) as stack:
            count, planes = stack.count, next(stack.blocks(MOST_PIXELS))
    try:
        diagnosis = diagnose(planes, offset=offset)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if plot_to is not None:
        plot_to.parent.mkdir(parents=True, exist_ok=True)
        pictures.noise(diagnosis, plot_to)
    return f"{path}: the first {len(planes)} of {count} planes\n{diagnosis.text()}"
