"""What was seen and done on the way of a file, and the lines that say so in a log."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

from quietfield.adapt.plan import Plan
from quietfield.files.stack import Stack


@dataclass
class Report:
    """What was seen and done.

    Attributes
    ----------
    shape, dtype, axes
        As the file has them.
    plane : int
        Pixels of one plane.
    plan : Plan
        What was decided, and why.
    several : bool
        Whether the model has more than one network, so that the log names the chosen one.
    invalid : int
        Pixels that are NaN, infinite or too large.
    seconds : float
        Wall time, 0 until it is known.
    clipped : int
        Pixels of the answer that its type could not hold.
    others : tuple of Report
        Of the other images of the file.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: str
    plane: int
    plan: Plan
    several: bool = True
    invalid: int = 0
    seconds: float = 0.0
    clipped: int = 0
    others: tuple[Report, ...] = ()

    @staticmethod
    def of(stack: Stack, plan: Plan, several: bool) -> Report:
        """The report of a file that is about to be denoised."""
        return Report(stack.shape, str(stack.dtype), stack.axes, math.prod(stack.plane_shape), plan, several)

    @property
    def pixels(self) -> int:
        """Pixels in the file."""
        return math.prod(self.shape)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Level (of `logging`) and words of each line, in the order of a log."""
        if self.invalid:
            yield logging.WARNING, f"{self.invalid} pixels are NaN, infinite or beyond float32; filled in"
        if self.clipped:
            yield logging.WARNING, f"{self.clipped} pixels of the answer are beyond its type; clipped"
        if self.several:
            yield logging.INFO, f"network: {self.plan.network}"
        for words in self.plan.adapted:
            yield logging.INFO, words
        for words in self.plan.noise.brief() if self.plan.noise else ():
            yield logging.INFO, words
        if self.pixels > self.plane:
            yield logging.INFO, f"neighbouring planes {self.plan.neighbours}"
        for words in self.plan.unlike:
            yield logging.WARNING, f"unlike what the network was trained on: {words}"

    def summary(self) -> str:
        """Shape, type, axes, time and speed."""
        speed = f", {self.seconds:.2f} s, {self.pixels / 1e6 / self.seconds:.2f} MPix/s" if self.seconds else ""
        return f"shape {self.shape}, {self.dtype}, axes {self.axes}{speed}"
