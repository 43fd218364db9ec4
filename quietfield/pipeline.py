"""The whole way of one image: planes in, a plan, networks, planes out."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.adapt.plan import Options, Plan, make_plan
from quietfield.files.images import open_stack
from quietfield.files.stack import Stack
from quietfield.files.tiff import write_tiff
from quietfield.machine import available, disk_free
from quietfield.network.predict import Denoiser
from quietfield.planes import fill_invalid, invalid
from quietfield.report import Report

BLOCK_PIXELS = 1024 * 1024
# Measured with the networks of each scale, on planes of 1024² to 4096²: what is held for each pixel of
# the planes in work, and on top for each pixel of the tile (with its halo) that the network is at.
PLANE_BYTES, TILE_BYTES = {1: 92, 2: 180}, {1: 560, 2: 1250}
# On top where neighbouring planes are used: for each pixel of one plane, and of the planes in work.
NEIGHBOURS_BYTES = (430, 60)
LEAST_STEPS = 8  # of float32 that the standard deviation of an image must have
PACE_SIDE = 256  # of the crop that tells how fast a network is here

Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Tell nobody how far it is."""


def denoise_file(
    denoiser: Denoiser, source: Path, target: Path, options: Options | None = None, progress: Progress = silent
) -> Report:
    """Denoise every plane of a file, holding only a few planes at a time.

    Parameters
    ----------
    denoiser : Denoiser
        The network to use, or for images beyond its domain the one that it names.
    source, target : Path
        What to read, and the TIFF to write.
    options : Options, optional
        What to do to suit the file; by default nothing but that neighbouring planes are used.
    progress : callable
        Told the planes done and the planes in all.

    Raises
    ------
    ValueError
        If the source cannot be read.
    MemoryError, OSError
        If memory or disk do not suffice, which is asked before they are taken, or the target
        cannot be written.
    """
    start = time.perf_counter()
    with open_stack(source) as stack:
        check_memory(denoiser, str(source), stack)
        check_disk(denoiser, str(source), stack, target.parent)
        report, planes = denoise_stack(denoiser, stack, options or Options(), progress)
        write_tiff(target, stack, planes, denoiser.network.scale)
    report.seconds = time.perf_counter() - start
    return report


def denoise_stack(
    denoiser: Denoiser, stack: Stack, options: Options, progress: Progress = silent
) -> tuple[Report, Iterator[NDArray[np.float32]]]:
    """Plan what is done to a stack, and give an iterator over its denoised planes.

    Returns
    -------
    report : Report
        Complete when the last plane was taken.
    planes : iterator of ndarray
        float32, (scale * Y, scale * X), in the stack's order, intensity units.
    """
    blocks = stack.blocks(BLOCK_PIXELS)
    first = next(blocks)
    check_contrast(first)
    plan = plan_of(denoiser, stack, first, options).tuned(first)
    report = Report.of(stack, plan, several=denoiser.general is not None)
    return report, _run(plan, itertools.chain([first], blocks), report, stack.count, progress)


def plan_of(denoiser: Denoiser, stack: Stack, first: NDArray[Any], options: Options) -> Plan:
    """What would be done to a stack whose first planes (N, Y, X) are these."""
    return make_plan(denoiser, stack, first, options, room=lambda chosen: work(chosen, stack, neighbours=True))


def _run(
    plan: Plan, blocks: Iterable[NDArray[Any]], report: Report, count: int, progress: Progress
) -> Iterator[NDArray[np.float32]]:
    worker, done = plan.worker(), 0
    for block in blocks:
        report.invalid += int(invalid(block).sum())
        yield from worker(plan.steps.prepare(block))
        done += len(block)
        progress(done, count)
    yield from worker.rest()


def estimate(plan: Plan, stack: Stack, first: NDArray[Any]) -> float:
    """Seconds that a plan may take, from the time that a network takes for a crop of the first plane."""
    crop = first[:1, :PACE_SIDE, :PACE_SIDE]
    plan.steps.denoiser(crop)  # the first call of all takes longer
    start = time.perf_counter()
    plan.steps.denoiser(crop)
    return (time.perf_counter() - start) / crop.size * stack.pixels * plan.passes + plan.tuning


def check_memory(denoiser: Denoiser, name: str, stack: Stack) -> None:
    """Raise a MemoryError, which names the image, if its planes do not fit."""
    if (needed := stack.resident + work(denoiser, stack)) > (free := available()):
        raise MemoryError(
            f"{name}: shape {stack.shape}, {stack.dtype}: needs about {needed >> 20} MiB of memory, "
            f"found {free >> 20} MiB: raise the memory limit, or cut the planes"
        )


def check_contrast(planes: NDArray[Any]) -> None:
    """Raise a ValueError if the contrast of planes (N, Y, X) is lost in float32, the type of the answers."""
    x = fill_invalid(planes[:1])
    spread, mean = float(x.std()), abs(float(x.mean()))
    if 1e-12 * mean < spread < LEAST_STEPS * float(np.finfo(np.float32).eps) * mean:
        raise ValueError(
            f"expected a contrast that float32 can hold, found {spread:.3g} on an offset of {mean:.4g}: "
            "subtract the offset"
        )


def check_disk(denoiser: Denoiser, name: str, stack: Stack, folder: Path) -> None:
    """Raise an OSError, which names the image, if its answer does not fit into a folder."""
    if (needed := 4 * denoiser.network.scale**2 * stack.pixels) > (free := disk_free(folder)):
        raise OSError(
            f"{name}: shape {stack.shape}, {stack.dtype}: the answer needs {needed >> 20} MiB on the disk of "
            f"{folder}, found {free >> 20} MiB: make room, or choose another --output"
        )


def work(denoiser: Denoiser, stack: Stack, neighbours: bool = False) -> int:
    """Bytes held for the planes in work."""
    pixels = math.prod(stack.plane_shape)
    block, side = max(pixels, min(BLOCK_PIXELS, stack.pixels)), denoiser.tile + 2 * int(denoiser.network.halo)
    scale = int(denoiser.network.scale)
    held = PLANE_BYTES[scale] * block + TILE_BYTES[scale] * min(block, side * side)
    return held + (NEIGHBOURS_BYTES[0] * pixels + NEIGHBOURS_BYTES[1] * block if neighbours else 0)
