"""An image as series: the planes of one channel at one position, along time or depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quietfield.files.stack import Stack

ALONG = "TZ"  # axes along which planes show one scene, the first of them that is long enough
WITHOUT_NAME = "QI"  # axes that may be so
LEAST = {True: 3, False: 5}  # planes along an axis with a name, and along one without: few of those are rather channels


@dataclass(frozen=True)
class Series:
    """Planes that are planned together, and denoised line by line.

    Attributes
    ----------
    name : str
        What tells it from other series of the image, such as "C 1"; empty of the only one.
    lines : tuple of sequence of int
        Indices of planes in the stack, each line along one axis; planes of a line may help each other.
    along : str
        That axis; empty where each line is one plane.
    """

    name: str
    lines: tuple[Sequence[int], ...]
    along: str = ""

    @property
    def named(self) -> bool:
        """Whether planes are known to follow each other in time or depth."""
        return self.along in tuple(ALONG)

    @property
    def count(self) -> int:
        """Number of planes."""
        return sum(len(line) for line in self.lines)


def series_of(stack: Stack, channels: tuple[int, ...] | None = None) -> list[Series]:
    """The series of a stack, in the order of their first planes.

    Parameters
    ----------
    stack : Stack
        The image.
    channels : tuple of int, optional
        Those that are wanted; all by default.
    """
    sizes, axes = _leading(stack)
    order = _axes_of_lines(axes, sizes)
    groups = [i for i in range(len(axes)) if i not in order]
    length = sizes[order[-1]] if order else 1
    several = [sizes[i] for i in groups]
    indices = np.arange(stack.count).reshape(sizes).transpose(groups + order)
    grouped = indices.reshape(int(np.prod(several, dtype=np.int64)), -1, length)
    found = []
    for which, lines in zip(np.ndindex(*several), grouped, strict=True):
        if channels is not None and stack.channel_of(int(lines[0, 0])) not in channels:
            continue
        name = ", ".join(f"{axes[i]} {k}" for i, k in zip(groups, which, strict=True) if sizes[i] > 1)
        found.append(Series(name, tuple(tuple(map(int, line)) for line in lines), axes[order[-1]] if order else ""))
    return found


def _leading(stack: Stack) -> tuple[tuple[int, ...], str]:
    """Sizes and names of the axes that count planes, samples innermost."""
    count = stack.count // stack.samples
    before = len(stack.axes.partition("YX")[0])
    sizes, axes = tuple(stack.shape[:before]), stack.axes[:before]
    if "YX" not in stack.axes or math.prod(sizes) != count:
        sizes, axes = (count,), "Q"
    return ((*sizes, stack.samples), axes + "S") if stack.samples > 1 else (sizes, axes)


def _axes_of_lines(axes: str, sizes: tuple[int, ...]) -> list[int]:
    """Positions of the axes whose planes are of one series; the last of them is that of the lines."""
    without = [i for i, name in enumerate(axes) if name in WITHOUT_NAME]
    named = [axes.index(name) for name in ALONG if name in axes]
    if not named:
        return without
    along = next((i for i in named if sizes[i] >= LEAST[True]), named[-1])
    return [*without, *(i for i in named if i != along), along]
