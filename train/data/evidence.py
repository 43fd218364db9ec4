"""What pairs of images show, to hold against what their names say: the same scene, in place, with more noise in one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from quietfield.noise.diagnosis import glance
from quietfield.planes import middle

from .pairs import Pair, binned

LOOKED_AT = 6  # pairs of a data set, spread over it
SIDE = 384  # pixels of their middle
SMOOTH = 2.0  # pixels, standard deviation: what is left of white noise is a seventh
APART = 0.5  # pixels, beyond which a pair is not registered
BETTER = 0.02  # correlation that a shift has to bring, to be believed
SURE = 0.5  # correlation after a shift, at least
SAME = 0.9999  # correlation of the two as they are, beyond which they are one image
ALIKE = 0.2  # correlation of two smoothed images of one scene, at least
SATURATED = 0.005  # share of the pixels at the top value that is worth a word
ALIKE_SCENES, COARSE = 0.98, 32  # correlation of ground truths of one scene, and pixels of a side that tell
FLOOR = 1.25  # of the power of the finest detail, up to which a noisy image has nothing but noise at a frequency
DETAIL = 4.0  # of that power, from which it has detail that a ground truth has to show, too
ONE_SCENE = 0.8  # correlation of two smoothed frames of one scene, unless noise hides it
COPIED, FOREIGN = 0.8, 0.6  # coherence of noise beyond which a ground truth is a filtered copy; of detail, at least
MEDIANS: list[NDArray[Any]] = [
    *(np.ones((n, n)) for n in (3, 5, 7)),
    *(np.hypot(*np.mgrid[-r : r + 1, -r : r + 1]) <= r + 0.3 for r in (2, 3)),
]
FLAT = 0.9  # share of the pixels that are as the one beside them, beyond which a ground truth is like a mask


@dataclass(frozen=True)
class Look:
    """What one pair shows.

    Attributes
    ----------
    name : str
        Of the image.
    frame, truth : ndarray
        (Y, X), the middle of both; a larger ground truth is binned.
    agreement : float
        Correlation of the two, smoothed.
    shift : (float, float)
        Pixels along Y and X by which the frame lies beside its ground truth; 0 where it cannot be told.
    noise : (float, float)
        Standard deviation of the noise in that of the pixels, of both; NaN where it cannot be told.
    saturated : (float, float)
        Share of the pixels at the top value, of both.
    inverted : bool
        Whether the ground truth was inverted to match the frame.
    flat : bool
        Whether the ground truth has one value over most of its area, as a mask or labels have.
    copied : bool
        Whether the ground truth has the noise of the frame itself, smoothed: it is a filtered copy.
    changing : bool
        Whether the frames differ by more than their noise: one ground truth cannot be that of all.
    foreign : bool
        Whether the detail of the frame that stands above its noise is not that of the ground truth.
    """

    name: str
    frame: NDArray[np.float64]
    truth: NDArray[np.float64]
    agreement: float
    shift: tuple[float, float]
    noise: tuple[float, float]
    saturated: tuple[float, float]
    inverted: bool
    flat: bool
    changing: bool
    copied: bool
    foreign: bool


def look(pair: Pair) -> Look:
    """Look at one pair."""
    frame = middle(pair.frames[0], SIDE).astype(np.float64)
    truth = binned(pair.ground_truth.astype(np.float64), pair.scale)
    truth = middle(truth, SIDE)
    shift, agreement = _registered(frame, truth)
    saturated = _saturated(pair.frames[0]), _saturated(-pair.ground_truth if pair.inverted else pair.ground_truth)
    flat = float((np.diff(truth) == 0).mean()) > max(FLAT, float((np.diff(frame) == 0).mean()))
    noise, detail = _noise(frame), _detail(frame, truth)
    return Look(
        pair.name, frame, truth, agreement, shift, (noise, _noise(truth)), saturated, pair.inverted, flat,
        _changing(pair), *detail,
    )  # fmt: skip


def _changing(pair: Pair) -> bool:
    """Whether the first, the middle and the last of the frames all show something else."""
    few = pair.frames[[0, len(pair.frames) // 2, -1]]
    found = glance(few) if len(pair.frames) > 2 else None
    return found is not None and found.repeats == 0 and agreement(few[0], few[1]) < ONE_SCENE


def _detail(frame: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[bool, bool]:
    """Whether the ground truth is a filtered copy of the frame, and whether it lacks the frame's detail.

    At the frequencies where a frame is noise alone, its ground truth has nothing in common with it. A filtered copy has
    the same noise, weaker. A median is no linear filter, so the frame's medians are compared, too.
    """
    spectra, finest = [_spectrum(image) for image in (frame, truth)], _ring(frame, 0.4, 0.5)
    floor, foreign, copied = _power(spectra[0][finest]), False, False
    medians = None
    for low in np.arange(0.05, 0.4, 0.05):
        ring = _ring(frame, low, low + 0.05)
        noisy, clean = (spectrum[ring] for spectrum in spectra)
        if low < 0.1 and _power(noisy) > DETAIL * floor:
            foreign = abs(_coherence(noisy, clean)) < FOREIGN
        if _power(noisy) > FLOOR * floor or not 0 < _power(clean) < _power(noisy) / 2:
            continue
        if medians is None:
            medians = [_spectrum(ndimage.median_filter(frame, footprint=shape)) for shape in MEDIANS]
        copied |= any(abs(_coherence(one[ring], clean)) > COPIED for one in (spectra[0], *medians))
    return copied, foreign


def _spectrum(image: NDArray[np.float64]) -> NDArray[np.complex128]:
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    return np.asarray(np.fft.rfft2((image - image.mean()) * window))


def _ring(image: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    """Where `_spectrum` of an image has frequencies from `low` to below `high`, in cycles a pixel."""
    y, x = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
    return np.asarray((np.hypot(y, x) >= low) & (np.hypot(y, x) < high))


def _power(part: NDArray[np.complex128]) -> float:
    return float(np.square(np.abs(part)).mean())


def _coherence(one: NDArray[np.complex128], other: NDArray[np.complex128]) -> float:
    power = _power(one) * _power(other)
    return float((one * other.conj()).mean().real) / math.sqrt(power) if power > 0 else 0.0


def _saturated(image: NDArray[Any]) -> float:
    return float((image == image.max()).mean())


def _registered(frame: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[tuple[float, float], float]:
    smooth = [ndimage.gaussian_filter(image - image.mean(), SMOOTH) for image in (truth, frame)]
    before = _correlation(*smooth)
    if not all(np.ptp(image) > 0 for image in smooth):
        return (0.0, 0.0), before
    y, x = map(float, phase_cross_correlation(*smooth, upsample_factor=10, normalization=None)[0])
    after = _correlation(smooth[0], ndimage.shift(smooth[1], (y, x), order=1, mode="nearest"))
    told = after > max(before + BETTER, SURE)  # other scenes have a best shift, too
    return ((-y, -x), before) if told else ((0.0, 0.0), before)


def shared(training: Sequence[Pair], validation: Sequence[Pair]) -> list[str]:
    """A sentence, with what to do, if what is validated on shows what is trained on; else nothing."""
    pairs = [*training, *validation]
    if any(pair.truth is None for pair in pairs) or len({pair.field for pair in pairs}) < 2:
        return []  # nothing to compare, or parted by its rows
    seen = [(pair, _coarse(pair)) for pair in training]
    for pair in validation:
        own = _coarse(pair)
        for other, coarse in seen:
            if coarse.shape == own.shape and _correlation(own, coarse) > ALIKE_SCENES and pair.field != other.field:
                return [
                    f"{pair.name} is validated on and {other.name} is trained on, and both show the same: the "
                    "validation is too good; put what shows one scene into a folder of its own"
                ]
    return []


def _coarse(pair: Pair) -> NDArray[np.float64]:
    """Its ground truth in few pixels."""
    truth = pair.ground_truth
    step = [max(1, side // COARSE) for side in truth.shape]
    y, x = (side // s * s for side, s in zip(truth.shape, step, strict=True))
    blocks = truth[:y, :x].reshape(y // step[0], step[0], x // step[1], step[1])
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64))


def agreement(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Correlation of two images (Y, X) once they are smoothed, so that their noise counts little."""
    smooth = [ndimage.gaussian_filter(image.astype(np.float64), SMOOTH) for image in (one, other)]
    return _correlation(*smooth)


def _correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean()) / spread if spread > 0 else 0.0


def _noise(image: NDArray[np.float64]) -> float:
    found = glance(image[None])
    return found.noise / found.contrast if found and found.contrast > 0 else math.nan


def look_at(pairs: Sequence[Pair], count: int = LOOKED_AT) -> list[Look]:
    """Look at some pairs, spread over all; at none without a ground truth."""
    some = pairs[:: max(1, len(pairs) // count)][:count]
    return [look(pair) for pair in some if pair.truth is not None]


def doubts(looks: Sequence[Look]) -> list[str]:
    """What speaks against the pairs, a sentence each, with what to do; empty if nothing does."""
    found = []
    apart = [one for one in looks if math.hypot(*one.shift) > APART]
    if apart:
        y, x = (round(part, 1) + 0.0 for part in apart[0].shift)  # no "-0.0"
        found.append(
            f"{len(apart)} of {len(looks)} pairs lie apart, as {apart[0].name}, whose noisy image lies {y:+.1f} pixels "
            f"in Y and {x:+.1f} in X from its ground truth: register them, or answers get blurred"
        )
    if inverted := [one for one in looks if one.inverted and not one.flat and one.agreement >= ALIKE]:
        found.append(
            f"{len(inverted)} of {len(looks)} ground truths are bright where their noisy images are dark, as of "
            f"{inverted[0].name}: they are taken inverted; if that is wrong, look at the pairs"
        )
    if other := [one for one in looks if one.agreement < ALIKE and math.hypot(*one.shift) <= APART]:
        found.append(
            f"{len(other)} of {len(looks)} pairs do not show the same, as {other[0].name} (correlation "
            f"{other[0].agreement:.2f}): pair them by --noisy PATTERN --truth PATTERN"
        )
    if same := [one for one in looks if abs(_correlation(one.frame, one.truth)) > SAME]:
        found.append(
            f"{len(same)} of {len(looks)} noisy images are their own ground truth, as {same[0].name}: nothing can be "
            "learnt from them; look at the names and the patterns"
        )
    if copies := [one for one in looks if one.copied]:
        found.append(
            f"{len(copies)} of {len(looks)} ground truths have the noise of their own noisy images, smoothed, as of "
            f"{copies[0].name}: a filtered copy teaches the filter; give images of less noise, or learn without ground "
            "truth (--recipe noise2void)"
        )
    if changing := [one for one in looks if one.changing]:
        found.append(
            f"{len(changing)} of {len(looks)} images have planes that differ by more than noise, as "
            f"{changing[0].name}, and one ground truth for all: the planes of a Z stack show different things; give a "
            "ground truth of as many planes"
        )
    of_one = [one for one in looks if one.agreement >= ALIKE and math.hypot(*one.shift) <= APART and not one.changing]
    if foreign := [one for one in of_one if one.foreign and not one.flat]:
        found.append(
            f"{len(foreign)} of {len(looks)} ground truths do not show the detail of their noisy images, as of "
            f"{foreign[0].name}: edges and projections are no ground truth, nor is a scene that has moved; look at "
            "them (--preview)"
        )
    noisier = [one for one in looks if one.noise[1] > one.noise[0]]
    if len(noisier) * 2 > len(looks):
        found.append(
            "the ground truths have more noise than the noisy images: if the two are exchanged, rename them, or give "
            "--noisy PATTERN --truth PATTERN"
        )
    if masks := [one for one in looks if one.flat]:
        found.append(
            f"{len(masks)} of {len(looks)} ground truths have one value over most of their area, as {masks[0].name}: "
            "masks and labels are no ground truth of intensities"
        )
    for which, named in enumerate(("noisy images", "ground truths")):
        cut = [one for one in looks if one.saturated[which] > SATURATED and not (which and one.flat)]
        if cut:
            found.append(
                f"{len(cut)} of {len(looks)} {named} are saturated, as {cut[0].name} "
                f"({100 * cut[0].saturated[which]:.1f} % of the pixels have the top value): what is brighter cannot be "
                "learnt"
            )
    return found
