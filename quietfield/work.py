"""Do what was planned: the planes of each series to its plan, and the answers in the order of the file."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.adapt.series import Series
from quietfield.files.stack import Stack
from quietfield.machine import disk_free
from quietfield.repair.corrections import corrected
from quietfield.repair.repair import Repair, Repaired
from quietfield.report import Part

BLOCK_PIXELS = 1024 * 1024

Array = NDArray[np.float32]
Progress = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Tell nobody how far it is."""


@dataclass(frozen=True)
class Work:
    """A series, what is done to it, and how its planes are made fit for the network.

    Attributes
    ----------
    series : Series
        Its planes.
    part : Part
        Its plan, and what was found.
    repair : Repair
        For each of its planes.
    alone : Repaired, optional
        Of a series of one plane, which was repaired when it was looked at.
    """

    series: Series
    part: Part
    repair: Repair
    alone: Repaired | None = None

    def answers(self, stack: Stack, line: Iterable[int]) -> Iterator[Array]:
        """Planes that follow each other, denoised, in their order."""
        worker, waiting = self.part.plan.worker(), deque[tuple[Repaired, NDArray[Any]]]()
        for block in stack.blocks(BLOCK_PIXELS, line):
            repaired = [self.alone or self.repair(plane, self.part.findings) for plane in block]
            prepared = self.part.plan.steps.prepare(np.stack([one.plane for one in repaired]))
            waiting.extend(zip(repaired, prepared, strict=True))
            for answer in worker(prepared):
                yield _finished(*waiting.popleft(), answer)
        for answer in worker.rest():
            yield _finished(*waiting.popleft(), answer)


def _finished(repaired: Repaired, prepared: NDArray[Any], answer: Array) -> Array:
    """The network's answer, corrected by what it was shown, with what it was not shown put back."""
    result: Array = repaired.restored(corrected(answer, prepared))
    return result


def in_order(
    works: Sequence[Work], stack: Stack, scale: int = 1, progress: Progress = silent, folder: Path | None = None
) -> Iterator[Array]:
    """All planes of a stack in their order: denoised, or as they are where they belong to no series."""
    lines = {tuple(line): one for one in works for line in one.series.lines}
    if all(line[-1] - line[0] == len(line) - 1 for line in lines):
        planes = _line_by_line(lines, stack)
    elif not any(one.part.plan.together for one in works):
        planes = _block_by_block(lines, stack)
    else:
        planes = _kept_aside(lines, stack, scale, folder)
    for done, plane in enumerate(planes, 1):
        yield plane
        progress(done, stack.count)


def _as_stored(stack: Stack, index: int) -> Array:
    return stack.plane(index).astype(np.float32)


def _line_by_line(lines: dict[tuple[int, ...], Work], stack: Stack) -> Iterator[Array]:
    """Where the planes of each line follow each other in the file."""
    first = {line[0]: line for line in lines}
    index = 0
    while index < stack.count:
        if line := first.get(index):
            yield from lines[line].answers(stack, line)
            index += len(line)
        else:
            yield _as_stored(stack, index)
            index += 1


def _block_by_block(lines: dict[tuple[int, ...], Work], stack: Stack) -> Iterator[Array]:
    """Where no plane needs others: those of a block that belong to one series are denoised at once."""
    owner = {index: one for line, one in lines.items() for index in line}
    size = max(1, BLOCK_PIXELS // int(np.prod(stack.plane_shape)))
    for start in range(0, stack.count, size):
        block = range(start, min(start + size, stack.count))
        answers: dict[int, Array] = {}
        for one in {id(owner[i]): owner[i] for i in block if i in owner}.values():
            mine = [i for i in block if owner.get(i) is one]
            answers.update(zip(mine, one.answers(stack, mine), strict=True))
        for index in block:
            yield answers[index] if index in answers else _as_stored(stack, index)


def _kept_aside(lines: dict[tuple[int, ...], Work], stack: Stack, scale: int, folder: Path | None) -> Iterator[Array]:
    """Where lines lie across each other in the file: all planes wait on the disk until it is their turn."""
    shape: tuple[Any, ...] = (stack.count, scale * stack.plane_shape[0], scale * stack.plane_shape[1])
    with tempfile.TemporaryFile(dir=folder) as file:
        where = Path(folder or tempfile.gettempdir())
        if (needed := 4 * int(np.prod(shape, dtype=np.int64))) > (free := disk_free(where)):
            raise OSError(
                f"the planes need {needed >> 20} MiB on the disk of {where} until they are written, found "
                f"{free >> 20} MiB: make room, or take --neighbours off"
            )
        aside = np.memmap(file, np.float32, "w+", shape=shape)
        done = np.zeros(stack.count, bool)
        for line, one in lines.items():
            for index, plane in zip(line, one.answers(stack, line), strict=True):
                aside[index], done[index] = plane, True
        for index in range(stack.count):
            yield np.array(aside[index]) if done[index] else _as_stored(stack, index)
