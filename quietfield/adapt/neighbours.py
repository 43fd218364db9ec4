"""Stacks along time or depth: where planes show one scene, their noise is averaged; where they differ, it is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.adapt.drift import Drift, Part, Place, overlap
from quietfield.adapt.series import LEAST, Series
from quietfield.files.stack import Stack
from quietfield.network.predict import Denoiser
from quietfield.noise.line import NoiseLine
from quietfield.planes import fill_invalid, middle

Array = NDArray[np.float32]

Answers = Callable[[NDArray[Any]], Array]

REACH = 8  # planes on either side
FIRST = 9  # planes that are looked at before all others
NEAR, AROUND = 5, 17  # pixels, sides of the windows in which planes are compared
CHANCE = 0.07  # share of a still scene's pixels that are taken for changed
FALL = 2.0  # how fast weights fall beyond that
OTHER = 0.5  # weight, below which a plane in the mean is one of another scene
ALIKE = 0.5  # correlation of denoised planes that show one scene
LEVELS = (5, 25, 50, 75, 90, 95, 98, 99)  # percentiles that tell how bright a plane is beside another
DIMMEST = 2.0  # times the light, beyond which planes are of different scenes
SAMPLE, SAMPLES = 512, 4  # side of the crops that are looked at, and on how many the network's error is measured
SMALLEST = 32  # side of planes
SLOW = 0.1  # pixels a plane, a drift that is not worth a word
MOST_PIXELS = 2**28  # of a series
CLASSES = 30  # of equal numbers of pixels, by contrast


@dataclass(frozen=True)
class ErrorTable:
    """The network's error over the image's contrast.

    Attributes
    ----------
    noise : NoiseLine
        What the error is counted in.
    contrast, error : ndarray
        float64, (K,): the error's variance in that of the noise, by the logarithm of the contrast, which rises.
    """

    noise: NoiseLine
    contrast: NDArray[np.float64]
    error: NDArray[np.float64]

    @staticmethod
    def of(noise: NoiseLine, one: Array, two: Array) -> ErrorTable:
        """Of two answers (N, Y, X) to the same scene."""
        contrast = _contrast(noise, one).ravel()
        error = (_box((one - two) ** 2, NEAR) / 2 / noise.variance(one)).ravel()
        classes = np.array_split(np.argsort(contrast), CLASSES)
        levels, left = (np.array([v[c].mean(dtype=np.float64) for c in classes]) for v in (contrast, error))
        # More contrast leaves more error; where the table says otherwise, it is by chance.
        return ErrorTable(noise, levels, np.maximum.accumulate(np.maximum(left, 1e-9)))

    def expected(self, denoised: Array) -> Array:
        """Variance of the network's error at each pixel of planes (N, Y, X)."""
        share = np.interp(_contrast(self.noise, denoised), self.contrast, self.error)
        return self.noise.variance(denoised) * share.astype(np.float32)


@dataclass(frozen=True)
class Chance:
    """How far denoised planes of one and the same scene lie apart by chance.

    Attributes
    ----------
    table : ErrorTable
        What the network leaves of the noise.
    near, around : float
        What only `CHANCE` of the pixels of a still scene exceed, in the two windows.
    """

    table: ErrorTable
    near: float
    around: float

    @staticmethod
    def of(denoiser: Denoiser, noisy: NDArray[Any], denoised: Array) -> Chance:
        """Measure it: noise is drawn anew on denoised planes, and what the network leaves of it is looked at.

        Parameters
        ----------
        denoiser : Denoiser
            The one that denoised the planes.
        noisy, denoised : ndarray
            (N, Y, X), N at least 3, intensity units, finite.
        """
        chosen = np.linspace(0, len(noisy) - 1, min(SAMPLES, len(noisy))).astype(int)
        noise = NoiseLine.of(noisy[chosen])
        one, two = _answered_twice(denoiser, noisy[chosen], denoised[chosen], noise)
        table = ErrorTable.of(noise, one, two)
        squared, expected = (one - two) ** 2, _box(table.expected(one) + table.expected(two), NEAR)
        near = float(np.quantile(_near(squared, expected), 1 - CHANCE))
        return Chance(table, near, float(np.quantile(_around(_near(squared, expected), near), 1 - CHANCE)))

    def expected(self, denoised: Array) -> Array:
        """Variance of the network's error around each pixel of planes (N, Y, X)."""
        return _box(self.table.expected(denoised), NEAR)

    def weights(self, difference: Array, expected: Array) -> Array:
        """1 where planes differ by no more than chance, and falling to 0 where by more.

        Parameters
        ----------
        difference, expected : ndarray
            (N, Y, X): of denoised planes, and the variance of that around each pixel in a still scene.
        """
        near = _near(difference**2, expected)
        over = np.maximum(near / self.near, _around(near, self.near) / self.around)
        result: Array = np.exp(-FALL * np.maximum(0, over - 1))
        return result


def _contrast(noise: NoiseLine, denoised: Array) -> Array:
    """Logarithm of how steep planes (N, Y, X) are around each pixel, in the noise."""
    slopes = [ndimage.gaussian_filter1d(denoised, 1.0, axis=axis, order=1) ** 2 for axis in (1, 2)]
    result: Array = np.log(_box(slopes[0] + slopes[1], NEAR) / noise.variance(denoised) + 1e-12)
    return result


def _answered_twice(denoiser: Denoiser, noisy: NDArray[Any], scene: Array, noise: NoiseLine) -> tuple[Array, Array]:
    """Two answers to denoised planes (N, Y, X) with noise.

    The noise is once white, as photon transfer tells, and once what was taken away from another plane, mirrored,
    which keeps what neighbouring pixels share; the one of which more is left counts.
    """
    spread = np.sqrt(noise.variance(scene))
    random = np.random.default_rng(0)
    white = [spread * random.standard_normal(scene.shape) for _ in range(2)]
    taken = (noisy - scene) / spread
    taken -= taken.mean(axis=(1, 2), keepdims=True)
    other = [spread * np.roll(taken, 1, axis=0)[:, ::-1], spread * np.roll(taken, 2, axis=0)[:, :, ::-1]]
    answers = [(_one_by_one(denoiser, scene + a), _one_by_one(denoiser, scene + b)) for a, b in (white, other)]
    return max(answers, key=lambda pair: float(((pair[0] - pair[1]) ** 2).mean()))


def _near(squared: Array, expected: Array) -> Array:
    """How far planes (N, Y, X) differ around each pixel, in what is expected there."""
    return _box(squared, NEAR) / expected


def _around(near: Array, limit: float) -> Array:
    """The same farther around; cut off, so that what moves spoils its surroundings no more for being bright."""
    return _box(np.minimum(near / limit, 1), AROUND)


def reason_against(stack: Stack, series: Series, rules: bool = True) -> str:
    """Why the planes of a series are no neighbours, by its shape and axes alone; empty if they may be."""
    length, least = len(series.lines[0]), LEAST[series.named or not series.along]
    if length < least:
        where = "of an axis without a name" if series.along and not series.named else "along time or depth"
        return f"{length} plane{'s' * (length != 1)}, at least {least} {where} are needed"
    if min(stack.plane_shape) < SMALLEST:
        return f"planes smaller than {SMALLEST} pixels"
    if rules and (pixels := series.count * math.prod(stack.plane_shape)) > MOST_PIXELS:
        return f"{pixels / 1e6:.0f} MPix would take too long, {MOST_PIXELS / 1e6:.0f} at most"
    return ""


def look(denoiser: Denoiser, planes: NDArray[Any]) -> tuple[Chance | None, str]:
    """Whether planes that follow each other show one scene.

    Parameters
    ----------
    denoiser : Denoiser
        The one that suits single planes.
    planes : ndarray
        (N, Y, X), N at least 3, any real dtype; the middle of the first `FIRST` is looked at.

    Returns
    -------
    chance : Chance or None
        How far they differ by chance, if they do.
    words : str
        What was found.
    """
    noisy = fill_invalid(middle(planes[:FIRST], SAMPLE))
    denoised = [denoiser(noisy[:1])[0]]
    repeated, steps = 0, len(noisy) - 1
    drift = Drift()
    places = [drift.place(plane) for plane in noisy]
    for step in range(1, len(noisy)):
        denoised.append(denoiser(noisy[step : step + 1])[0])
        here, there = overlap(noisy.shape[1:], places[step - 1], places[step])
        repeated += structure_repeats(denoised[-2][here], denoised[-1][there])
        if 2 * (repeated + steps - step) <= steps:  # whatever the rest is like
            return None, f"structure repeats in {repeated} of {step} steps"
    words = f"structure repeats in {repeated} of {steps} steps"
    if (speed := float(np.hypot(*np.diff(places, axis=0).T).mean())) > SLOW:
        words += f", drifts by {speed:.1f} pixels a plane, and is followed"
    return Chance.of(denoiser, noisy, np.stack(denoised)), words


def structure_repeats(one: Array, other: Array) -> bool:
    """Whether two denoised planes (Y, X) show the same structure."""
    a, b = (plane - plane.mean(dtype=np.float64) for plane in (one, other))
    return bool((a * b).sum() > ALIKE * np.sqrt((a**2).sum() * (b**2).sum()))


class OneByOne:
    """Denoises each plane by itself.

    Parameters
    ----------
    answer : callable
        Planes (N, Y, X) to denoised ones.
    """

    def __init__(self, answer: Answers) -> None:
        self.answer = answer

    def __call__(self, block: NDArray[Any]) -> Array:
        """Answer planes (n, Y, X), any real dtype."""
        return self.answer(block)

    def rest(self) -> Iterable[Array]:
        """Nothing is kept back."""
        return ()


@dataclass(frozen=True)
class Seen:
    """A plane (Y, X) that is compared with others.

    Attributes
    ----------
    noisy, denoised, expected : ndarray
        float32, itself, its answer by itself, and the variance of that one's error around each pixel.
    place : tuple of float
        Where the scene lies in it.
    levels : ndarray
        How bright the answer is, at each percentile of `LEVELS`.
    """

    noisy: Array
    denoised: Array
    expected: Array
    place: Place
    levels: NDArray[Any]

    def beside(self, other: Seen) -> tuple[Part, Array, Array, Array]:
        """Where another plane shows the same; and what this one is there, as bright as the other."""
        here, there = overlap(self.noisy.shape, other.place, self.place)
        theirs, ours = (levels - levels.mean() for levels in (other.levels, self.levels))
        square = float(theirs @ theirs)
        gain = float(theirs @ ours) / square if square > 0 else 0.0
        noisy, denoised, expected = (plane[there] for plane in (self.noisy, self.denoised, self.expected))
        if not 1 / DIMMEST < gain < DIMMEST:
            return here, noisy, denoised, expected
        offset = np.float32(self.levels.mean() - gain * other.levels.mean())
        return here, (noisy - offset) / np.float32(gain), (denoised - offset) / np.float32(gain), expected / gain**2


class Together:
    """Denoises planes that show one scene, block by block, and holds 2 `REACH` planes besides a block.

    Each plane is denoised by itself and compared with its neighbours, which are moved by whole pixels where the scene
    drifts, and brightened where the light bleaches or flickers. The mean of it and of those is denoised again.
    Where a neighbour differs, the plane's own denoised pixels stand in for it, so that the mean's noise is of one kind.
    A pixel that no neighbour resembles is as it would be without neighbours.

    Parameters
    ----------
    denoiser, second : callable
        Planes (N, Y, X) to denoised ones: for single planes, and for means of them.
    chance : Chance
        As `look` found it.
    """

    def __init__(self, denoiser: Answers, second: Answers, chance: Chance) -> None:
        self.denoiser, self.second, self.chance = denoiser, second, chance
        self.held: list[Seen] = []
        self.drift = Drift()
        self.next = 0  # the plane to be answered next, counted in those held
        self.most = 1  # planes of the largest block: no more are given to a network at once

    def __call__(self, block: NDArray[Any]) -> Array:
        """Take planes (n, Y, X), and answer those, float32 (m, Y, X), whose neighbours have all been seen."""
        self.most = max(self.most, len(block))
        filled = fill_invalid(block)
        denoised = self.denoiser(filled)
        for noisy, own, expected in zip(filled, denoised, self.chance.expected(denoised), strict=True):
            levels = np.percentile(own[::2, ::2], LEVELS)
            self.held.append(Seen(noisy.astype(np.float32), own, expected, self.drift.place(noisy), levels))
        return self._answer(max(self.next, len(self.held) - REACH))

    def rest(self) -> Array:
        """Answer the last planes."""
        return self._answer(len(self.held))

    def _answer(self, until: int) -> Array:
        answer = np.empty((until - self.next, *self.held[0].noisy.shape), np.float32)
        for start in range(self.next, until, self.most):
            part = range(start, min(until, start + self.most))
            means, shares = zip(*map(self._mean, part), strict=True)
            own = np.stack([self.held[i].denoised for i in part])
            answer[part.start - self.next : part.stop - self.next] = own + np.stack(shares) * (
                self.second(np.stack(means)) - own
            )
        drop = max(0, until - REACH)
        del self.held[:drop]
        self.next = until - drop
        return answer

    def _mean(self, plane: int) -> tuple[Array, Array]:
        """The mean around a plane, and the share with which it counts, both (Y, X)."""
        own = self.held[plane]
        window = range(max(0, plane - REACH), min(len(self.held), plane + REACH + 1))
        mean, total, count = own.noisy.copy(), np.zeros(own.noisy.shape, np.float32), 1
        for i in window:
            if i != plane:
                here, noisy, denoised, expected = self.held[i].beside(own)
                difference = denoised - own.denoised[here]
                weight = self.chance.weights(difference[None], (expected + own.expected[here])[None])[0]
                if weight.mean() < OTHER:
                    continue
                mean += own.denoised
                mean[here] += weight * (noisy - own.denoised[here])
                total[here] += weight
                count += 1
        return (mean / count).astype(np.float32), np.minimum(total, 1)


def _one_by_one(denoiser: Denoiser, planes: NDArray[Any]) -> Array:
    """The network's memory grows with the planes that it is given at once."""
    return np.concatenate([denoiser(plane[None]) for plane in planes])


def _box(planes: Array, side: int) -> Array:
    result: Array = ndimage.uniform_filter(planes, (0, side, side), mode="reflect")
    return result
