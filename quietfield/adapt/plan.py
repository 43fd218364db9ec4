"""Adapt to a file's own noise, as far as the time allows."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.machine import available
from quietfield.noise.blindspots import BlindSpots
from quietfield.noise.diagnosis import PATTERN_REACH, SMALLEST, Diagnosis, diagnose
from quietfield.network.predict import Denoiser, fill_invalid
from quietfield.adapt.stripes import without_stripes
from quietfield.adapt.tune import tune

Planes = NDArray[Any]

AUTO = 10.0  # minutes for a file, of the 20 that the challenge's platform gives
LARGEST = 512  # side of what is looked at of each plane, in the middle
TURNS = 8  # turns and mirrors of a plane
TUNING_BYTES = 2**28  # that a step of tuning may take (measured: 140 MiB beyond what denoising takes)
SAFE = 0.8  # of the time that is left, for what is expected to take as long as what was measured


class Adapted:
    """A denoiser, and what else is done to the planes of a file: `answer(prepare(planes))`.

    Parameters
    ----------
    denoiser : Denoiser
        The network.
    rows, columns : bool
        Take out what rows or columns have in common first, which is one pass more.
    eightfold : bool
        Average the answers to the eight turns and mirrors of each plane.
    pace : float
        Minutes that one pass over the file takes, or more.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        rows: bool = False,
        columns: bool = False,
        eightfold: bool = False,
        pace: float = 0.0,
    ) -> None:
        self.denoiser, self.rows, self.columns, self.eightfold, self.pace = denoiser, rows, columns, eightfold, pace

    @property
    def striped(self) -> bool:
        """Whether there is something to take out first."""
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

    def by(self, other: Denoiser) -> Adapted:
        """The same with another network."""
        return Adapted(other, self.rows, self.columns, self.eightfold, self.pace)


def self_ensemble(denoiser: Denoiser, planes: Planes) -> NDArray[np.float32]:
    """The mean of a denoiser's answers to the eight turns and mirrors of each plane, (N, Y, X)."""
    total: Any = 0.0
    for turns in range(TURNS // 2):
        for step in (1, -1):
            answer = denoiser(np.rot90(planes, turns, axes=(1, 2))[..., ::step])
            total = total + np.rot90(answer[..., ::step], -turns, axes=(1, 2)).astype(np.float64)
    return np.asarray(total / TURNS, dtype=np.float32)


@dataclass(frozen=True)
class Adaptation:
    """How far to go.

    Attributes
    ----------
    minutes : float
        Wall time for a file, denoising included; 0 is off.
    thorough : bool
        Spend what is left of it on the mean of eight answers, and on tuning the network.
    """

    minutes: float = 0.0
    thorough: bool = False

    @staticmethod
    def of(text: str) -> Adaptation:
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


def adapt(denoiser: Denoiser, planes: Planes, pixels: int, how: Adaptation) -> tuple[Adapted, list[str]]:
    """Decide what is done to a file.

    Parameters
    ----------
    denoiser : Denoiser
        The one that suits its planes.
    planes : ndarray
        (N, Y, X), any real dtype: the first of them.
    pixels : int
        Of the whole file.
    how : Adaptation
        How far to go.

    Returns
    -------
    adapted : Adapted
        What to denoise the file with: the mere denoiser where nothing is to be gained, or the time is short. It is
        not eightfold yet: see `spend`.
    words : list of str
        What is done and what is not, for the log.
    """
    if not how.minutes:
        return Adapted(denoiser), []
    if denoiser.network.scale > 1:
        return Adapted(denoiser), ["not adapted: the network changes the number of pixels"]
    middles = list(_middles(planes))
    if not middles:
        return Adapted(denoiser), [f"not adapted: no plane of {SMALLEST} pixels a side or more that is not constant"]
    began = time.monotonic()
    adapted = Adapted(denoiser, *_patterns([diagnose(plane) for plane in middles]))
    if adapted.striped or how.thorough:
        denoiser(middles[0][None])
        adapted.pace = (time.monotonic() - began) / middles[0].size * pixels / 60
    if not adapted.striped:
        return adapted, []
    if 2 * adapted.pace > how.minutes:
        words = f"{2 * adapted.pace:.2g} minutes are needed, {how.minutes:g} given"
        return Adapted(denoiser, pace=adapted.pace), [f"not adapted to what rows or columns share: {words}"]
    names = [name for name, there in (("rows", adapted.rows), ("columns", adapted.columns)) if there]
    return adapted, [f"the offsets of {' and '.join(names)} are taken out"]


def spend(adapted: Adapted, planes: Planes, how: Adaptation, passes: int = 1) -> list[str]:
    """Spend what is left of the time on the mean of eight answers, if it is enough, and on tuning the network.

    Parameters
    ----------
    adapted : Adapted
        As `adapt` gives it; its `eightfold` and its `denoiser` are set.
    planes : ndarray
        The first of the file, as `adapt` was given them.
    how : Adaptation
        How far to go.
    passes : int
        Answers that each plane needs, eightfold or not.

    Returns
    -------
    list of str
        Words on it, for the log.
    """
    if not how.thorough or not adapted.pace:
        return []
    what = "the mean of the answers to eight turns and mirrors"
    needed = (TURNS * passes + adapted.striped) * adapted.pace
    adapted.eightfold = needed <= how.minutes
    words = what if adapted.eightfold else f"not {what}: {needed:.2g} minutes are needed, {how.minutes:g} given"
    rest = how.minutes - (needed if adapted.eightfold else (passes + adapted.striped) * adapted.pace)
    return [words, _tune(adapted, planes, 60 * SAFE * rest)]


def _tune(adapted: Adapted, planes: Planes, seconds: float) -> str:
    """Tune the network to the middles of the planes; whatever befalls it, the file is still to be denoised."""
    if (free := available()) < TUNING_BYTES:
        need = f"about {TUNING_BYTES >> 20} MiB of memory are needed, found {free >> 20} MiB"
        return f"the network's channels are not tuned: {need}"
    try:
        middles = adapted.prepare(np.stack(list(_middles(planes))))
        masks = [diagnose(plane).mask() for plane in middles]
        # What is left of stripes is still shared along them.
        y, x = (PATTERN_REACH if there else 0 for there in (adapted.columns, adapted.rows))
        y, x = max(y, *(m.reach_y for m in masks)), max(x, *(m.reach_x for m in masks))
        found = tune(adapted.denoiser, middles, BlindSpots(reach_y=y, reach_x=x).sparse(), seconds)
    except (ValueError, ArithmeticError, RuntimeError) as error:  # torch is out of memory by a RuntimeError
        first, *_ = str(error).split("\n")
        return f"the network's channels are not tuned: {first}"
    adapted.denoiser = found.denoiser
    return str(found)


def _middles(planes: Planes) -> Iterator[NDArray[np.float64]]:
    """The middle of each plane, if there is something to say of it."""
    for plane in fill_invalid(planes):
        y, x = (max(0, side - LARGEST) // 2 for side in plane.shape)
        middle: NDArray[np.float64] = plane[y : y + LARGEST, x : x + LARGEST]
        if min(middle.shape) >= SMALLEST and np.ptp(middle) > 0:
            yield middle


def _patterns(found: list[Diagnosis]) -> tuple[bool, bool]:
    """Whether most planes have rows, and columns, that share noise."""
    columns, rows = (2 * sum(d.patterns[axis] for d in found) > len(found) for axis in range(2))
    return rows, columns
