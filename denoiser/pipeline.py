"""The whole way of one file: planes in, network, planes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoiser.adapt import OFF, Adaptation, Adapted, adapt
from denoiser.images import open_stack
from denoiser.memory import available, disk_free
from denoiser.noise.diagnosis import Diagnosis, glance
from denoiser.predict import Denoiser, invalid
from denoiser.stack import Stack
from denoiser.tiff import write_tiff

BLOCK_PIXELS = 1024 * 1024
# Measured with the networks of each scale, on planes of 1024² to 4096²: what is held for each pixel of
# the planes in work, and on top for each pixel of the tile (with its halo) that the network is at.
PLANE_BYTES, TILE_BYTES = {1: 92, 2: 180}, {1: 560, 2: 1250}


@dataclass
class Report:
    """What was seen on the way.

    Attributes
    ----------
    shape, dtype, axes
        As the file has them.
    invalid : int
        Pixels that are NaN, infinite or too large.
    network : str
        Name of the one that was chosen by the first planes.
    unlike : list of str
        What of them is unlike its training images.
    adapted : list of str
        What was done to suit the file, and what was not.
    noise : Diagnosis or None
        Of the middle of the first planes; None where nothing can be said.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: str
    invalid: int = 0
    network: str = ""
    unlike: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    noise: Diagnosis | None = None

    @property
    def pixels(self) -> int:
        """Pixels in the file."""
        return int(np.prod(self.shape, dtype=np.int64))


def denoise_file(
    denoiser: Denoiser,
    source: Path,
    target: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    adaptation: Adaptation = OFF,
) -> Report:
    """Denoise every plane of a file, holding only a few planes at a time.

    Parameters
    ----------
    denoiser : Denoiser
        The network to use, or for images beyond its domain the one that it names.
    source, target : Path
        What to read, and the TIFF to write.
    progress : callable
        Told the planes done and the planes in all.
    adaptation : Adaptation
        What to do to suit the file (`denoiser.adapt`).

    Raises
    ------
    ValueError
        If the source cannot be read.
    MemoryError, OSError
        If memory or disk do not suffice, which is asked before they are taken, or the target
        cannot be written.
    """
    with open_stack(source) as stack:
        _check_room(denoiser, source, target, stack)
        report = Report(stack.shape, str(stack.dtype), stack.axes)
        write_tiff(target, stack, _denoised(denoiser, stack, report, progress, adaptation), denoiser.network.scale)
    return report


def _check_room(denoiser: Denoiser, source: Path, target: Path, stack: Stack) -> None:
    (y, x), scale = stack.plane_shape, denoiser.network.scale
    block = max(y * x, min(BLOCK_PIXELS, stack.pixels))
    side = denoiser.tile + 2 * denoiser.network.halo
    work = PLANE_BYTES[scale] * block + TILE_BYTES[scale] * min(block, side * side)
    what = f"{source}: shape {stack.shape}, {stack.dtype}"
    if (needed := stack.resident + work) > (free := available()):
        raise MemoryError(
            f"{what}: needs about {needed >> 20} MiB of memory, found {free >> 20} MiB: "
            "raise the memory limit, or cut the planes"
        )
    if (needed := 4 * scale**2 * stack.pixels) > (free := disk_free(target.parent)):
        raise OSError(
            f"{what}: the answer needs {needed >> 20} MiB on the disk of {target.parent}, found {free >> 20} MiB: "
            "make room, or choose another --output"
        )


def _denoised(
    denoiser: Denoiser, stack: Stack, report: Report, progress: Callable[[int, int], None], adaptation: Adaptation
) -> Iterator[NDArray[np.float32]]:
    done = 0
    for block in stack.blocks(BLOCK_PIXELS):
        report.invalid += int(invalid(block).sum())
        if done == 0:
            # One network for all of a stack: planes that changed from one to the other would flicker.
            denoiser, report.unlike = denoiser.suited(block)
            report.network = denoiser.name
            report.noise = glance(block)
            adapted = Adapted(denoiser)
            if adaptation.minutes > 0:
                adapted, report.adapted = adapt(denoiser, block, stack.pixels, adaptation)
        yield from adapted(block)
        done += len(block)
        progress(done, stack.count)
