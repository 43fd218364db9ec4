"""What is done to a series: decided once, from some of its planes, by functions that look and change nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.adapt.ensemble import TURNS, self_ensemble
from quietfield.adapt.neighbours import FIRST, Chance, OneByOne, Together, look, reason_against
from quietfield.adapt.probe import Probe
from quietfield.adapt.series import LEAST, Series
from quietfield.adapt.stacks import Windows
from quietfield.adapt.stripes import are_offsets, without_stripes
from quietfield.adapt.tune import tune
from quietfield.files.stack import Stack
from quietfield.machine import available
from quietfield.network.predict import Denoiser
from quietfield.network.window import reach
from quietfield.noise.blindspots import BlindSpots
from quietfield.noise.diagnosis import PATTERN_REACH, SMALLEST, Diagnosis, diagnose, glance
from quietfield.planes import fill_invalid, middle
from quietfield.repair.repair import OUTLIERS, Repair

Planes = NDArray[Any]

AUTO = 10.0  # minutes for a file, of the 20 that the challenge's platform gives
LARGEST = 512  # side of what is looked at of each plane, in the middle
TUNING_BYTES = 2**28  # that a step of tuning may take (measured: 140 MiB beyond what denoising takes)
SAFE = 0.8  # of the time that is left, for what is expected to take as long as what was measured
NEIGHBOURS = ("auto", "off")


@dataclass(frozen=True)
class Adaptation:
    """How far to go to suit a file.

    Attributes
    ----------
    minutes : float
        Wall time for a file, denoising included; 0 is off.
    thorough : bool
        Spend what is left of it on test-time augmentation and on fine-tuning.
    """

    minutes: float = 0.0
    thorough: bool = False

    @staticmethod
    def of(text: str | float) -> Adaptation:
        """Of "auto", "off" or a number of minutes, which are then made use of.

        Raises
        ------
        ValueError
            If it is something else.
        """
        if text in ("auto", "off"):
            return Adaptation(AUTO if text == "auto" else 0.0)
        try:
            minutes = float(text)
        except ValueError:
            minutes = math.nan
        if not 0 < minutes < math.inf:
            raise ValueError(f"adapt: expected auto, off, or minutes above 0, found {text!r}")
        return Adaptation(minutes, True)


OFF = Adaptation()


@dataclass(frozen=True)
class Options:
    """What a user chooses for a file.

    Attributes
    ----------
    adapt : Adaptation
        How far to go to suit it.
    neighbours : str
        "auto": each plane of a stack is denoised with those around it; "off": by itself.
    channels : tuple of int or None
        Numbers of the channels that are denoised; the others are copied. None: all are denoised.
    outliers : str
        Isolated outliers, such as hot pixels. "auto": replaced. "keep": put back unchanged. "off": not looked for.
    fill_invalid : bool
        Whether the answer has numbers in the place of NaN and infinities.
    """

    adapt: Adaptation = OFF
    neighbours: str = NEIGHBOURS[0]
    channels: tuple[int, ...] | None = None
    outliers: str = OUTLIERS[0]
    fill_invalid: bool = False

    def __post_init__(self) -> None:
        if self.outliers not in OUTLIERS:
            raise ValueError(f"outliers: expected {', '.join(OUTLIERS)}, found {self.outliers!r}")
        if self.neighbours not in NEIGHBOURS:
            raise ValueError(f"neighbours: expected {' or '.join(NEIGHBOURS)}, found {self.neighbours!r}")


@dataclass(frozen=True)
class Steps:
    """What is done to each plane: `answer(prepare(planes))`.

    Attributes
    ----------
    denoiser : Denoiser
        The network.
    rows, columns : bool
        Take out what rows or columns have in common first, which is one pass more.
    eightfold : bool
        Test-time augmentation: average the answers to the eight turns and mirrors of each plane.
    """

    denoiser: Denoiser
    rows: bool = False
    columns: bool = False
    eightfold: bool = False

    @property
    def striped(self) -> bool:
        """Whether there are stripes to take out first."""
        return self.rows or self.columns

    def prepare(self, planes: Planes) -> Planes:
        """Planes (N, Y, X) without what rows or columns have in common."""
        if not self.striped:
            return planes
        planes = fill_invalid(planes)
        return without_stripes(planes, self.denoiser(planes), self.rows, self.columns)

    def answer(self, planes: Planes) -> NDArray[np.float32]:
        """Denoise planes, as `Denoiser` does it."""
        return self_ensemble(self.denoiser, planes) if self.eightfold else self.denoiser(planes)


@dataclass(frozen=True)
class Plan:
    """What is done to all planes of a series, and why.

    Attributes
    ----------
    steps : Steps
        What is done to each plane.
    stack : Denoiser or None
        The network that is given neighbouring planes, too; None where they are not used, or the model has none.
    second : Denoiser or None
        The network for means of planes; None where neighbours are not used by rules.
    chance : Chance or None
        How far planes of one scene differ by chance; None where neighbours are not used by rules.
    tuning : float
        Seconds for fine-tuning the network, which `tuned` does; 0 for none.
    unlike : tuple of str
        What the image has that is unlike the training images of the network.
    noise : Diagnosis or None
        Of the middle of some planes; None where nothing can be said.
    adapted : tuple of str
        What is done to suit the file, and what is not.
    neighbours : str
        Whether neighbouring planes are used, and why.
    """

    steps: Steps
    stack: Denoiser | None = None
    second: Denoiser | None = None
    chance: Chance | None = None
    tuning: float = 0.0
    unlike: tuple[str, ...] = ()
    noise: Diagnosis | None = field(default=None, repr=False)
    adapted: tuple[str, ...] = ()
    neighbours: str = "off"

    @property
    def network(self) -> str:
        """Name of the network."""
        return (self.stack or self.steps.denoiser).name

    @property
    def passes(self) -> int:
        """Passes of a network over each plane."""
        return _passes(self.steps, self.chance)

    @property
    def together(self) -> bool:
        """Whether planes of a line are needed for each other."""
        return self.stack is not None or self.chance is not None

    def worker(self) -> OneByOne | Together | Windows:
        """Takes prepared planes block by block and answers them, some blocks later perhaps; new for each run."""
        if self.stack:
            return Windows(self.stack, self.steps.eightfold)
        if self.chance and self.second:
            return Together(self.steps.answer, replace(self.steps, denoiser=self.second).answer, self.chance)
        return OneByOne(self.steps.answer)

    def tuned(self, planes: Planes) -> Plan:
        """The same with the network fine-tuned to some planes (N, Y, X), where that is planned and surely gains.

        Whatever befalls it, the file is still to be denoised: then the network stays as it is, and `adapted` says why.
        """
        if not self.tuning:
            return self
        if (free := available()) < TUNING_BYTES:
            need = f"about {TUNING_BYTES >> 20} MiB of memory are needed, found {free >> 20} MiB"
            return replace(self, adapted=(*self.adapted, f"the network is not fine-tuned: {need}"))
        try:
            middles = self.steps.prepare(np.stack(list(_middles(planes))))
            found = tune(self.steps.denoiser, middles, _mask(middles, self.steps), self.tuning)
        except (ValueError, ArithmeticError, RuntimeError) as error:  # torch is out of memory by a RuntimeError
            first, *_ = str(error).split("\n")
            return replace(self, adapted=(*self.adapted, f"the network is not fine-tuned: {first}"))
        steps = replace(self.steps, denoiser=found.denoiser)
        return replace(self, steps=steps, adapted=(*self.adapted, str(found)))


def make_plan(
    denoiser: Denoiser,
    stack: Stack,
    series: Series,
    probe: Probe,
    options: Options,
    *,
    room: Callable[[Denoiser], int] = lambda _: 0,
) -> Plan:
    """Decide what is done to a series. Nothing is changed, and nothing is kept but the plan.

    Parameters
    ----------
    denoiser : Denoiser
        The network, and with it the general one for images beyond its domain.
    stack : Stack
        The image.
    series : Series
        Of it.
    probe : Probe
        What was looked at of the series.
    options : Options
        What the user chose.
    room : callable
        Bytes that neighbouring planes need with a denoiser; if they are not there, neighbours are not used.
    """
    # One network for all of a series: planes that changed from one to the other would flicker.
    chosen, unlike = denoiser.suited(probe.planes)
    pixels = series.count * math.prod(stack.plane_shape)
    steps, pace, adapted = _stripes(chosen, probe.planes, pixels, options.adapt)
    network, chance, neighbours = _neighbours(steps, stack, series, probe, denoiser, options, room)
    unlike = network.suited(probe.planes)[1] if network else unlike
    steps, tuning, thorough = _thorough(steps, pace, options.adapt, _passes(steps, chance), network)
    return Plan(
        steps,
        stack=network,
        second=denoiser.general if chance else None,
        chance=chance,
        tuning=tuning,
        unlike=tuple(unlike),
        noise=glance(probe.planes),
        adapted=(*adapted, *thorough),
        neighbours=neighbours,
    )


def _passes(steps: Steps, chance: Chance | None) -> int:
    return (2 if chance else 1) * (TURNS if steps.eightfold else 1) + steps.striped


def _stripes(denoiser: Denoiser, planes: Planes, pixels: int, how: Adaptation) -> tuple[Steps, float, tuple[str, ...]]:
    """Whether stripes are taken out, the minutes of one pass over the file (0 where nobody asks), and words on it."""
    plain = Steps(denoiser)
    if not how.minutes:
        return plain, 0.0, ()
    if denoiser.network.scale > 1:
        return plain, 0.0, ("not adapted: the network changes the number of pixels",)
    middles = list(_middles(planes))
    if not middles:
        return plain, 0.0, (f"not adapted: the planes are constant, or smaller than {SMALLEST} pixels a side",)
    began, pace = time.monotonic(), 0.0
    rows, columns = _patterns(middles)
    steps = Steps(denoiser, rows, columns)
    if steps.striped or how.thorough:
        denoiser(middles[0][None])
        pace = (time.monotonic() - began) / middles[0].size * pixels / 60
    if not steps.striped:
        return plain, pace, ()
    if 2 * pace > how.minutes:
        words = f"{2 * pace:.2g} minutes are needed, {how.minutes:g} given"
        return plain, pace, (f"not adapted to what rows or columns share: {words}",)
    names = [name for name, there in (("rows", rows), ("columns", columns)) if there]
    return steps, pace, (f"the offsets of {' and '.join(names)} are taken out",)


def _thorough(
    steps: Steps, pace: float, how: Adaptation, passes: int, network: Denoiser | None
) -> tuple[Steps, float, tuple[str, ...]]:
    """With test-time augmentation, if the time is enough; and the seconds that are left for fine-tuning."""
    if not how.thorough or not pace:
        return steps, 0.0, ()
    what = "test-time augmentation (eight turns and mirrors)"
    answers = passes - steps.striped
    needed = (TURNS * answers + steps.striped) * pace
    eightfold = needed <= how.minutes
    words = what if eightfold else f"not {what}: {needed:.2g} minutes are needed, {how.minutes:g} given"
    rest = how.minutes - (needed if eightfold else passes * pace)
    steps = replace(steps, eightfold=eightfold)
    if network:
        return steps, 0.0, (words, "the network is not fine-tuned: it is one for stacks")
    if rest <= 0:
        return steps, 0.0, (words, "the network is not fine-tuned: no time is left")
    return steps, 60 * SAFE * rest, (words,)


def _neighbours(
    steps: Steps,
    stack: Stack,
    series: Series,
    probe: Probe,
    denoiser: Denoiser,
    options: Options,
    room: Callable[[Denoiser], int],
) -> tuple[Denoiser | None, Chance | None, str]:
    """How the neighbouring planes are used, by a network for stacks or by rules, if at all, and words on it."""
    network = denoiser if denoiser.network.planes > 1 else denoiser.stack
    if options.neighbours == "off":
        return None, None, "off: as asked"
    if reason := reason_against(stack, series, rules=network is None):
        return None, None, f"off: {reason}"
    if (network or denoiser.general) is None or steps.denoiser.network.scale != 1:
        return None, None, "off: the model has no network for means of planes"
    if (needed := room(steps.denoiser)) > (free := available()):
        return None, None, f"off: they need about {needed >> 20} MiB of memory, found {free >> 20} MiB"
    if network:
        return network, None, f"used: {reach(network.network.planes)} on either side"
    planes = probe.beside(stack, series, FIRST, Repair(options.outliers, always=probe.always))
    if len(planes) < LEAST[True]:
        return None, None, f"off: only {len(planes)} planes show anything"
    chance, words = look(steps.denoiser, steps.prepare(planes))
    return None, chance, f"{'used' if chance else 'off'}: {words}"


def _middles(planes: Planes) -> Iterator[NDArray[np.float64]]:
    """The middle of each plane, if there is something to say of it."""
    for plane in fill_invalid(planes):
        crop = middle(plane, LARGEST)
        if min(crop.shape) >= SMALLEST and np.ptp(crop) > 0:
            yield crop


def _patterns(planes: list[NDArray[np.float64]]) -> tuple[bool, bool]:
    """Whether most planes have rows, and columns, that share noise, and no structure that runs along them."""
    found = [diagnose(plane).patterns for plane in planes]
    columns, rows = (
        2 * sum(there[axis] and are_offsets(plane, 1 - axis) for plane, there in zip(planes, found, strict=True))
        > len(planes)
        for axis in range(2)
    )
    return rows, columns


def _mask(planes: Planes, steps: Steps) -> BlindSpots:
    """What shares the noise of a pixel, in any of the planes; what is left of stripes is still shared along them."""
    masks = [diagnose(plane).mask() for plane in planes]
    y, x = (PATTERN_REACH if there else 0 for there in (steps.columns, steps.rows))
    y, x = max(y, *(m.reach_y for m in masks)), max(x, *(m.reach_x for m in masks))
    return BlindSpots(reach_y=y, reach_x=x).sparse()
