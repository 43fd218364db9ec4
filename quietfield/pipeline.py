"""The whole way of one image: planes in, a plan, networks, planes out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield import __version__
from quietfield.adapt.plan import Options, make_plan
from quietfield.adapt.probe import Probe
from quietfield.adapt.series import series_of
from quietfield.files.answer import Form, write_answer
from quietfield.files.images import open_stack, open_stacks
from quietfield.files.stack import Stack
from quietfield.files.tiff import write_tiff
from quietfield.machine import available, disk_free
from quietfield.network.predict import Denoiser
from quietfield.planes import fill_invalid
from quietfield.repair.repair import Findings, Repair
from quietfield.report import Part, Report
from quietfield.work import BLOCK_PIXELS, Progress, Work, in_order, silent

log = logging.getLogger(__name__)

# Measured with the networks of each scale, on planes of 1024² to 4096²: what is held for each pixel of
# the planes in work, and on top for each pixel of the tile (with its halo) that the network is at.
PLANE_BYTES, TILE_BYTES = {1: 92, 2: 180}, {1: 560, 2: 1250}
# On top where neighbouring planes are used: for each pixel of one plane, and of the planes in work.
NEIGHBOURS_BYTES = (430, 60)
LEAST_STEPS = 8  # of float32 that the standard deviation of an image must have
LOOK_SIDE = 1024  # pixels along Y and X of a plane that tell its contrast
PACE_SIDE = 256  # of the crop that tells how fast a network is here


def denoise_file(
    denoiser: Denoiser,
    source: Path,
    target: Path,
    options: Options | None = None,
    progress: Progress = silent,
    form: Form | None = None,
) -> Report:
    """Denoise every plane of a file, holding only a few planes at a time.

    Parameters
    ----------
    denoiser : Denoiser
        The network to use, or for images beyond its domain the one that it names.
    source, target : Path
        What to read, and the file to write.
    options : Options, optional
        What to do to suit the file; by default nothing but that neighbouring planes are used.
    progress : callable
        Told the planes done and the planes in all.
    form : Form, optional
        How the file is read and written; by default the answer is float32 and keeps what the file says.

    Returns
    -------
    Report
        Of the file's first image; `others` has those of its other images.

    Raises
    ------
    ValueError
        If the source cannot be read.
    MemoryError, OSError
        If memory or disk do not suffice, which is asked before they are taken, or the target
        cannot be written.
    """
    start = time.perf_counter()
    form = form or Form()
    options = replace(options or Options(), fill_invalid=form.platform)  # whose importer wants numbers
    scale = denoiser.network.scale
    reports: list[Report] = []
    with open_images(source, form) as found:
        for stack in found:
            check_channels(str(source), stack, options, scale)
            check_memory(denoiser, str(source), stack)
            if stack.metadata.denoised:
                log.warning("%s: it says that quietfield has denoised it already: is it an older answer?", source)
        stacks = [with_contrast(str(source), stack) for stack in found]
        check_disk(denoiser, str(source), stacks, target.parent, form)

        def planes_of(stack: Stack) -> Iterator[NDArray[Any]]:
            report, planes = denoise_stack(denoiser, stack, options, progress, target.parent)
            reports.append(report)
            return (stack.restored(plane) for plane in planes)

        if form.platform:
            write_tiff(target, stacks[0], planes_of(stacks[0]), scale)
            clipped = 0
        else:
            clipped = write_answer(target, stacks, planes_of, form, _note(form, options), scale)
    first, *others = reports
    first.others, first.clipped, first.seconds = tuple(others), clipped, time.perf_counter() - start
    return first


@contextmanager
def open_images(source: Path, form: Form) -> Iterator[list[Stack]]:
    """The images of a file that are to be denoised: all, or the one that the platform takes."""
    with ExitStack() as resources:
        if form.platform:
            yield [resources.enter_context(open_stack(source, form.axes))]
        else:
            yield resources.enter_context(open_stacks(source, form.axes))


def with_contrast(name: str, stack: Stack) -> Stack:
    """A stack, without its offset where float32 cannot hold its contrast beside that."""
    for index in dict.fromkeys((0, stack.count // 2, stack.count - 1)):
        step = max(1, max(stack.plane_shape) // LOOK_SIDE)  # a large plane is looked at here and there
        if (mean := lost_contrast(stack.plane(index)[None, ::step, ::step])) is not None:
            log.info("%s: the offset %.6g is taken out and added again; the answer is float64", name, mean)
            return stack.less(mean)
    return stack


def check_channels(name: str, stack: Stack, options: Options, scale: int = 1) -> None:
    """Raise a ValueError, which names the image, if it has not the channels that are asked for."""
    if options.channels is None:
        return
    if scale != 1:
        raise ValueError(f"{name}: channels: expected a network that keeps the number of pixels, found scale {scale}")
    if not all(0 <= channel < stack.channels for channel in options.channels):
        asked = ",".join(map(str, options.channels))
        raise ValueError(
            f"{name}: channels: expected numbers from 0 to {stack.channels - 1} for the axes {stack.axes} of shape "
            f"{stack.shape}, found {asked}{'' if stack.channels > 1 else ': name the axes by --axes or axes='}"
        )


def _note(form: Form, options: Options) -> dict[str, str]:
    """What is done, for the answer."""
    adapt = options.adapt
    minutes = f"{adapt.minutes:g} minutes" if adapt.thorough else "auto" if adapt.minutes else "off"
    words = {"adapt": minutes, "neighbours": options.neighbours, "outliers": options.outliers, "dtype": form.dtype}
    if options.channels is not None:
        words["channels"] = ",".join(map(str, options.channels))
    return {"program": f"quietfield {__version__}", **form.note, **words}


def denoise_stack(
    denoiser: Denoiser,
    stack: Stack,
    options: Options,
    progress: Progress = silent,
    folder: Path | None = None,
) -> tuple[Report, Iterator[NDArray[np.float32]]]:
    """Plan what is done to each series of a stack, and give an iterator over its denoised planes.

    Parameters
    ----------
    denoiser, stack, options, progress
        As of `denoise_file`.
    folder : Path, optional
        Where planes are kept that are done before it is their turn; by default the system's for temporary files.

    Returns
    -------
    report : Report
        Complete when the last plane was taken.
    planes : iterator of ndarray
        float32, (scale * Y, scale * X), in the stack's order, intensity units.
    """
    works = plan_stack(denoiser, stack, options, tune=True)
    report = Report.of(stack, [work.part for work in works], several=denoiser.general is not None)
    return report, in_order(works, stack, denoiser.network.scale, progress, folder)


def plan_stack(denoiser: Denoiser, stack: Stack, options: Options, tune: bool = False) -> list[Work]:
    """What is to be done to each series of a stack; `tune` fine-tunes the networks where that is planned."""
    every = series_of(stack, options.channels)
    # The minutes are those of the file.
    options = replace(options, adapt=replace(options.adapt, minutes=options.adapt.minutes / max(1, len(every))))
    works = []
    for series in every:
        probe = Probe.of(stack, series, Repair(options.outliers, options.fill_invalid))
        check_contrast(probe.planes)
        plan = make_plan(
            denoiser, stack, series, probe, options, room=lambda chosen: work(chosen, stack, neighbours=True)
        )
        plan = plan.tuned(probe.planes) if tune else plan
        repair = Repair(options.outliers, options.fill_invalid, probe.always)
        alone, findings = probe.alone or (None, Findings())
        part = Part(series.name, plan, options.outliers, options.fill_invalid, findings)
        works.append(Work(series, part, repair, alone))
    return works


def estimate(works: Sequence[Work], stack: Stack) -> float:
    """Seconds that plans may take, from the time that their networks take for a crop of a plane."""
    seconds = 0.0
    for one in works:
        crop, plan = stack.plane(one.series.lines[0][0])[None, :PACE_SIDE, :PACE_SIDE], one.part.plan
        plan.steps.denoiser(crop)  # the first call of all takes longer
        start = time.perf_counter()
        plan.steps.denoiser(crop)
        pixels = one.series.count * math.prod(stack.plane_shape)
        seconds += (time.perf_counter() - start) / crop.size * pixels * plan.passes + plan.tuning
    return seconds


def check_memory(denoiser: Denoiser, name: str, stack: Stack) -> None:
    """Raise a MemoryError, which names the image, if its planes do not fit."""
    if (needed := stack.resident + work(denoiser, stack)) > (free := available()):
        raise MemoryError(
            f"{name}: shape {stack.shape}, {stack.dtype}: needs about {needed >> 20} MiB of memory, "
            f"found {free >> 20} MiB: raise the memory limit, or cut the planes"
        )


def lost_contrast(planes: NDArray[Any]) -> float | None:
    """The offset of planes (N, Y, X) beside which float32, the type of the networks, cannot hold their contrast."""
    x = fill_invalid(planes[:1])
    spread, mean = float(x.std()), float(x.mean())
    lost = 1e-12 * abs(mean) < spread < LEAST_STEPS * float(np.finfo(np.float32).eps) * abs(mean)
    return mean if lost else None


def check_contrast(planes: NDArray[Any]) -> None:
    """Raise a ValueError if the contrast of planes (N, Y, X) is lost in float32."""
    if (mean := lost_contrast(planes)) is not None:
        raise ValueError(f"expected a contrast that float32 can hold, found an offset of {mean:.4g}: subtract it")


def check_disk(
    denoiser: Denoiser, name: str, stacks: Stack | Sequence[Stack], folder: Path, form: Form | None = None
) -> None:
    """Raise an OSError, which names the image, if its answer does not fit into a folder."""
    every, form = [stacks] if isinstance(stacks, Stack) else stacks, form or Form()
    needed = denoiser.network.scale**2 * sum(stack.pixels * form.dtype_of(stack).itemsize for stack in every)
    if needed > (free := disk_free(folder)):
        shapes = ", ".join(f"shape {stack.shape}, {stack.dtype}" for stack in every[:3])
        raise OSError(
            f"{name}: {shapes}: the answer needs {needed >> 20} MiB on the disk of "
            f"{folder}, found {free >> 20} MiB: make room, or choose another --output"
        )


def work(denoiser: Denoiser, stack: Stack, neighbours: bool = False) -> int:
    """Bytes held for the planes in work."""
    pixels = math.prod(stack.plane_shape)
    block, side = max(pixels, min(BLOCK_PIXELS, stack.pixels)), denoiser.tile + 2 * int(denoiser.network.halo)
    scale = int(denoiser.network.scale)
    held = PLANE_BYTES[scale] * block + TILE_BYTES[scale] * min(block, side * side)
    return held + (NEIGHBOURS_BYTES[0] * pixels + NEIGHBOURS_BYTES[1] * block if neighbours else 0)
