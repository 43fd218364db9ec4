"""What was seen and done on the way of a file, and the lines that say so in a log."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from quietfield.adapt.plan import Plan
from quietfield.files.stack import Stack
from quietfield.repair.repair import Findings

NAMED = 3  # series, and outliers, that are named in a line


@dataclass
class Part:
    """What was seen and done in one series of an image.

    Attributes
    ----------
    name : str
        What tells it from the others, such as "C 1"; empty of the only one.
    plan : Plan
        What was decided, and why.
    outliers : str
        What becomes of outliers: "auto", "keep" or "off".
    filled : bool
        Whether the answer has numbers in the place of NaN and infinities.
    findings : Findings
        What its planes have that is no measurement.
    """

    name: str
    plan: Plan
    outliers: str = "auto"
    filled: bool = False
    findings: Findings = field(default_factory=Findings)

    def lines(self, planes: int) -> Iterator[tuple[int, str]]:
        """Level (of `logging`) and words of each line."""
        yield from self._found()
        for words in self.plan.adapted:
            yield logging.INFO, words
        for words in self.plan.noise.brief() if self.plan.noise else ():
            yield logging.INFO, words
        if planes > 1:
            yield logging.INFO, f"neighbouring planes {self.plan.neighbours}"
        for words in self.plan.unlike:
            yield logging.WARNING, f"unlike the training images: {words}"

    def _found(self) -> Iterator[tuple[int, str]]:
        found = self.findings
        if found.invalid:
            fate = "filled in" if self.filled else "left as they are"
            yield logging.WARNING, f"{found.invalid} pixels are NaN, infinite or beyond float32: {fate}"
        if (count := found.bright + found.dark) > 0:
            kinds = [f"{n} {name}" for n, name in ((found.bright, "bright"), (found.dark, "dark")) if n]
            fate = "replaced" if self.outliers == "auto" else "kept, but not shown to the network"
            first = ", ".join(f"({y}, {x})" for _, y, x in found.places[:NAMED]) + (", ..." if count > NAMED else "")
            yield (
                logging.WARNING,
                f"isolated outliers (hot or dead pixels): {' and '.join(kinds)} {fate}, at (Y, X) {first}",
            )
        for words, planes in found.borders.items():
            where = f" in {planes} of {found.planes} planes" if found.planes > 1 else ""
            yield logging.INFO, f"{words} was left as it is{where}"
        for count, name in ((found.saturated, "saturated or burnt-in"), (found.constant, "constant, darkest")):
            if count:
                yield logging.INFO, f"{count} {name} pixels were left as they are"


@dataclass
class Report:
    """What was seen and done.

    Attributes
    ----------
    shape, dtype, axes
        As the file has them.
    plane : int
        Pixels of one plane.
    parts : sequence of Part
        One for each series: the planes of one channel at one position.
    several : bool
        Whether the model has more than one network, so that the log names the chosen one.
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
    parts: Sequence[Part]
    several: bool = True
    seconds: float = 0.0
    clipped: int = 0
    others: tuple[Report, ...] = ()

    @staticmethod
    def of(stack: Stack, parts: Sequence[Part], several: bool) -> Report:
        """The report of a file that is about to be denoised."""
        return Report(stack.shape, str(stack.dtype), stack.axes, math.prod(stack.plane_shape), parts, several)

    @property
    def plan(self) -> Plan:
        """What was decided for the first series, and why."""
        return self.parts[0].plan

    @property
    def pixels(self) -> int:
        """Pixels in the file."""
        return math.prod(self.shape)

    @property
    def invalid(self) -> int:
        """Pixels that are NaN, infinite or too large."""
        return sum(part.findings.invalid for part in self.parts)

    @property
    def outliers(self) -> list[tuple[str, int, int, int]]:
        """Series, plane in it, Y and X of the first isolated outliers."""
        return [(part.name, *place) for part in self.parts for place in part.findings.places]

    def lines(self) -> Iterator[tuple[int, str]]:
        """Level (of `logging`) and words of each line, in the order of a log; what series share is said once."""
        if self.clipped:
            yield logging.WARNING, f"{self.clipped} pixels of the answer are beyond its type; clipped"
        said: dict[tuple[int, str], list[str]] = {}
        for part in self.parts:
            if self.several:
                said.setdefault((logging.INFO, f"network: {part.plan.network}"), []).append(part.name)
            for line in part.lines(self.pixels // self.plane):
                said.setdefault(line, []).append(part.name)
        for (level, words), names in said.items():
            which = ", ".join(names[:NAMED]) + (", ..." if names[NAMED:] else "")
            yield level, words if len(names) == len(self.parts) else f"{which}: {words}"

    def summary(self) -> str:
        """Shape, type, axes, time and speed."""
        speed = f", {self.seconds:.2f} s, {self.pixels / 1e6 / self.seconds:.2f} MPix/s" if self.seconds else ""
        return f"shape {self.shape}, {self.dtype}, axes {self.axes}{speed}"
