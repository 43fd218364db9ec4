"""The whole way of one file: planes in, network, planes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quietfield.adapt.plan import OFF, Adaptation, Adapted, adapt, spend
from quietfield.files.images import open_stack
from quietfield.machine import available, disk_free
from quietfield.adapt.neighbours import FIRST, Chance, Together, look, reason_against
from quietfield.noise.diagnosis import Diagnosis, glance
from quietfield.network.predict import Denoiser, invalid
from quietfield.files.stack import Stack
from quietfield.files.tiff import write_tiff

BLOCK_PIXELS = 1024 * 1024
# Measured with the networks of each scale, on planes of 1024² to 4096²: what is held for each pixel of
# the planes in work, and on top for each pixel of the tile (with its halo) that the network is at.
PLANE_BYTES, TILE_BYTES = {1: 92, 2: 180}, {1: 560, 2: 1250}
# On top where neighbouring planes are used: for each pixel of one plane, and of the planes in work.
NEIGHBOURS_BYTES = (430, 60)
NEIGHBOURS = ("auto", "off")


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
    neighbours : str
        Whether neighbouring planes were used, and why.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: str
    invalid: int = 0
    network: str = ""
    unlike: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    noise: Diagnosis | None = None
    neighbours: str = ""

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
    neighbours: str = "auto",
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
        What to do to suit the file (`quietfield.adapt.plan`).
    neighbours : str
        "auto": neighbouring planes help where they show the same scene. "off": each plane is by itself.

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
        planes = _denoised(denoiser, stack, report, progress, adaptation, neighbours)
        write_tiff(target, stack, planes, denoiser.network.scale)
    return report


def _check_room(denoiser: Denoiser, source: Path, target: Path, stack: Stack) -> None:
    scale, work = denoiser.network.scale, _work(denoiser, stack)
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


def _block(stack: Stack) -> int:
    """Pixels of the planes in work."""
    y, x = stack.plane_shape
    return int(max(y * x, min(BLOCK_PIXELS, stack.pixels)))


def _work(denoiser: Denoiser, stack: Stack) -> int:
    """Bytes held for the planes in work."""
    block, side = _block(stack), denoiser.tile + 2 * int(denoiser.network.halo)
    scale = int(denoiser.network.scale)
    return PLANE_BYTES[scale] * block + TILE_BYTES[scale] * min(block, side * side)


def _denoised(
    denoiser: Denoiser,
    stack: Stack,
    report: Report,
    progress: Callable[[int, int], None],
    adaptation: Adaptation,
    neighbours: str,
) -> Iterator[NDArray[np.float32]]:
    done, second, together = 0, denoiser.beyond, None
    for block in stack.blocks(BLOCK_PIXELS):
        report.invalid += int(invalid(block).sum())
        if done == 0:
            # One network for all of a stack: planes that changed from one to the other would flicker.
            denoiser, report.unlike = denoiser.suited(block)
            report.network, report.noise = denoiser.name, glance(block)
            adapted, report.adapted = adapt(denoiser, block, stack.pixels, adaptation)
            chance, report.neighbours = _neighbours(adapted, second, stack, neighbours)
            report.adapted += spend(adapted, block, adaptation, passes=2 if chance else 1)
            together = Together(adapted.answer, adapted.by(second).answer, chance) if second and chance else None
        planes = adapted.prepare(block)
        yield from together(planes) if together else adapted.answer(planes)
        done += len(block)
        progress(done, stack.count)
    if together:
        yield from together.rest()


def _neighbours(adapted: Adapted, second: Denoiser | None, stack: Stack, neighbours: str) -> tuple[Chance | None, str]:
    """Whether the neighbouring planes are used, and words on it."""
    pixels = stack.plane_shape[0] * stack.plane_shape[1]
    if neighbours == "off":
        return None, "off: as asked"
    if reason := reason_against(stack):
        return None, f"off: {reason}"
    denoiser = adapted.denoiser
    if second is None or denoiser.network.scale != 1:
        return None, "off: the model has no network for means of planes"
    needed = _work(denoiser, stack) + NEIGHBOURS_BYTES[0] * pixels + NEIGHBOURS_BYTES[1] * _block(stack)
    if needed > (free := available()):
        return None, f"off: they need about {needed >> 20} MiB of memory, found {free >> 20} MiB"
    chance, words = look(denoiser, adapted.prepare(next(stack.blocks(FIRST * pixels))))
    return chance, f"{'used' if chance else 'off'}: {words}"
