"""Pairs of noisy and clean images: read, and cut into crops."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quietfield.noise.transfer import photon_transfer

from ..config import Config
from .cache import open_cache
from .clean import Clean
from .frames import Scene, read_images, scale_of, target_of
from .layouts import Item, Layout

log = logging.getLogger(__name__)

VALIDATED = 8  # one part in so many of the rows of an image that is alone is validated on
LEAST = 32  # rows of it that this must be
SMALLEST = 16  # pixels a side of an image that anything can be learnt from
REFERENCES = 16  # frames of a stack whose mean tells its intensity units
UNCUT = 97  # percentile of brightness below which even frames stretched to 8 bits have their noise whole


@dataclass(frozen=True)
class Pair:
    """One image: its noisy frames and, if there is one, their ground truth, all in the frames' intensity units.

    Attributes
    ----------
    name, field : str
        The image, and its field of view.
    frames : ndarray
        (F, Y, X), any real dtype, possibly memory-mapped.
    truth : ndarray or None
        float32, (sY, sX), without NaN; None where noisy images alone are learnt from.
    gain, offset : float
        The camera's, by `photon_transfer`; NaN where the variance does not grow with the mean.
    skew : float
        Third moment of the noise (`quietfield.noise.model.NoiseModel`): 1 of Poisson noise.
    whole : ndarray or None
        (Y, X), the frame that these are some rows of; it tells which network suits the image.
    inverted : bool
        Whether the ground truth was inverted to match the frames, being bright where they are dark.
    """

    name: str
    field: str
    frames: NDArray[Any]
    truth: NDArray[np.float32] | None
    gain: float
    offset: float
    skew: float = 1.0
    whole: NDArray[Any] | None = None
    inverted: bool = False

    @property
    def scale(self) -> int:
        """Pixels of the ground truth to one of the frame, along a side: 1 or 2; 1 without a ground truth."""
        return 1 if self.truth is None else scale_of(self.name, self.frames.shape[-2:], self.truth.shape)

    @property
    def ground_truth(self) -> NDArray[np.float32]:
        """The ground truth, where there has to be one.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.truth is None:
            raise ValueError(f"{self.name}: expected a ground truth, found noisy frames alone: give pairs")
        return self.truth


@dataclass(frozen=True)
class Images:
    """What a run learns from and what it is validated on.

    Attributes
    ----------
    training, validation : list of Pair
        Of different fields of view.
    clean : list of Clean
        Images that get synthetic noise, for the share `synthetic` of the batches.
    drawn : list of Pair
        Others of these, with synthetic noise, to look at besides; the best step is chosen without them.
    source : str
        What they are, for the record.
    shares : str
        How many fields of view serve for what, for the log.
    warning : str
        What may be wrong with the names of the files; empty if nothing is.
    left_out : tuple of str
        Why each image that cannot be used is left out.
    patterns : (str, str)
        Of noisy files and ground truths, where names did not tell.
    """

    training: list[Pair]
    validation: list[Pair]
    clean: list[Clean] = field(default_factory=list)
    drawn: list[Pair] = field(default_factory=list)
    source: str = ""
    shares: str = ""
    warning: str = ""
    left_out: tuple[str, ...] = ()
    patterns: tuple[str, str] = ("", "")

    def __deepcopy__(self, memo: dict[int, Any]) -> Images:
        """Itself: nobody changes it, and what averages weights copies all that trains, files mapped into memory too."""
        return self

    @property
    def counts(self) -> str:
        """How many images serve for what, and how many are left out, in words."""
        left = f", and {len(self.left_out)} left out" if self.left_out else ""
        count = len(self.training)
        return f"{count} image{'s' * (count != 1)} to train on and {len(self.validation)} to validate on{left}"

    @property
    def split(self) -> dict[str, list[str]]:
        """The fields of view of both, and the clean images that get synthetic noise, for the record."""
        return {
            "training_fields": sorted({p.field for p in self.training}),
            "validation_fields": sorted({p.field for p in self.validation}),
            "clean_images": [image.name for image in self.clean],
            "validation_clean_images": [pair.name for pair in self.drawn],
        }


def read_pairs(
    layout: Layout,
    fields: Collection[str],
    config: Config,
    cache: Path | None = None,
    left_out: list[str] | None = None,
) -> list[Pair]:
    """Read the images of some fields of view.

    Parameters
    ----------
    layout : Layout
        What `train.data.layouts.detect` found.
    fields : collection of str
        Fields of view, as `split_fields` names them.
    config : Config
        `frames`, `average` and `target` pick what is read; with `match` each ground truth is mapped onto
        its frame by least squares: with a quarter of a million pixels the noise averages out of the
        two coefficients, and the intensities are then right even where each image was stretched on
        its own.
    cache : Path, optional
        Folder of the normalised images, filled if need be; without, all is computed on the fly.
    left_out : list of str, optional
        Gets why each image that cannot be used is left out; without, the first such image is an error.

    Raises
    ------
    ValueError
        If there is nothing for these fields, or a file has no partner, cannot be read, does not fit
        its partner, or holds NaN where the ground truth is; it names the file.
    OSError
        If the disk has no room for the cache.
    """
    wanted = set(fields)
    items = [item for item in layout.items if item.field in wanted and layout.kind != "clean"]
    if not items:
        found = f"{len(layout.fields)} other fields" if layout.fields else "none"
        raise ValueError(f"{layout.root}: expected pairs of the fields asked for, found {found} of kind {layout.kind}")
    store = open_cache(layout, config, cache) if cache else None
    read = store.read if store else read_images
    pairs: list[Pair] = []
    empty: dict[str, list[Item]] = {}
    for item in items:
        try:
            scenes = read(item, layout.kind, config)
            constant = [scene.label for scene in scenes if np.ptp(scene.frames[0]) == 0]
            if left_out is not None and 0 < len(constant) < len(scenes):  # as a colour that a screenshot lacks
                scenes = [scene for scene in scenes if scene.label not in constant]
                empty.setdefault(", ".join(constant), []).append(item)
            pairs += [_pair(item, layout.kind, config, scene) for scene in scenes]
        except ValueError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    for labels, some in empty.items():
        assert left_out is not None
        left_out.append(
            f"{some[0].noisy}: expected images to learn from, found the same value everywhere in {labels}, in "
            f"{len(some)} of {len(items)} files: their other planes are used"
        )
    return pairs


def _pair(item: Item, kind: str, config: Config, scene: Scene) -> Pair:
    path = target_of(item, kind, config) or item.noisy
    frames, truth = scene.frames, scene.truth
    scale = check_shapes(item, scene)
    if missing := int(np.count_nonzero(~np.isfinite(truth))):
        frames, truth = _finite(frames, truth, scale)
        y, x = frames.shape[-2:]
        if min(y, x) < SMALLEST:
            raise ValueError(
                f"{path}: expected a ground truth without NaN, found {missing} pixels that are not finite, and {y} x "
                f"{x} pixels at most without them: remove the file, or crop both to {SMALLEST} pixels a side or more"
            )
        log.warning("%s: %d pixels are not finite: the largest part without them is used, %d x %d", path, missing, y, x)
    frames = filled(frames, item)
    if float(np.ptp(frames[0])) == 0:
        raise ValueError(f"{item.noisy}: expected an image to learn from, found the same value everywhere: remove it")
    answer, inverted = truth.astype(np.float64), False
    if config.match:
        reference = frames[:: max(1, len(frames) // REFERENCES)].mean(axis=0, dtype=np.float64)
        answer = matched(answer, reference, scale)
        inverted = float(((answer - answer.mean()) * (truth - truth.mean())).sum()) < 0
    gain, offset, skew = _camera(np.asarray(frames[0], np.float64), binned(answer, scale))
    # The mean of random frames has less noise than the one that was measured.
    gain /= min(config.average, len(frames)) if config.frames == "random" else 1
    name = f"{item.name} {scene.label}".rstrip()
    return Pair(name, item.field, frames, answer.astype(np.float32), gain, offset, skew, inverted=inverted)


def _finite(frames: NDArray[Any], truth: NDArray[Any], scale: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The largest rectangle of both in which the ground truth is finite, as a registered image has borders of NaN."""
    y, x = frames.shape[-2:]
    valid = np.isfinite(truth).reshape(y, scale, x, scale).all(axis=(1, 3))
    rows, columns = largest(valid)
    fine = tuple(slice(scale * part.start, scale * part.stop) for part in (rows, columns))
    return frames[:, rows, columns], truth[fine]


def largest(valid: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of the largest rectangle (Y, X) in which all is valid."""
    best, found = 0, (slice(0, 0), slice(0, 0))
    heights = np.zeros(valid.shape[1], int)
    for y, row in enumerate(valid):
        heights = (heights + 1) * row  # valid pixels above each, with its own
        steps: list[tuple[int, int]] = []  # where each height begins, rising
        for x, height in enumerate([*heights.tolist(), 0]):
            start = x
            while steps and steps[-1][1] >= height:
                start, tall = steps.pop()
                if tall * (x - start) > best:
                    best, found = tall * (x - start), (slice(y + 1 - tall, y + 1), slice(start, x))
            steps.append((start, height))
    return found


def check_shapes(item: Item, scene: Scene) -> int:
    """Hold that crops can be cut of a scene; pixels of the ground truth to one of the frame, along a side.

    Raises
    ------
    ValueError
        If it is too small, or the ground truth is neither of its shape nor twice as large.
    """
    y, x = scene.frames.shape[-2:]
    if min(y, x) < SMALLEST:
        raise ValueError(f"{item.noisy}: expected at least {SMALLEST} pixels a side, found {y} x {x}: leave it out")
    return scale_of(item.truth or item.sim or item.noisy, (y, x), scene.truth.shape)


def parted(pair: Pair) -> tuple[Pair, Pair]:
    """The upper rows of an image that is alone, to learn from, and the lower ones, to validate on.

    Raises
    ------
    ValueError
        If it is too small.
    """
    height, width = pair.frames.shape[-2:]
    rows = max(LEAST, height // VALIDATED)
    if height - rows < LEAST or width < LEAST:
        raise ValueError(
            f"{pair.name}: expected at least {LEAST + rows} x {LEAST} pixels to learn from some rows and validate on "
            f"{rows} others, found {height} x {width}: add images"
        )
    upper, lower = (pair.frames[:, part] for part in (slice(None, -rows), slice(-rows, None)))
    pair = dataclasses.replace(pair, whole=pair.frames[0])
    if pair.truth is None:
        return dataclasses.replace(pair, frames=upper), dataclasses.replace(pair, frames=lower)
    cut = -pair.scale * rows
    above, below = pair.truth[:cut], pair.truth[cut:]
    return dataclasses.replace(pair, frames=upper, truth=above), dataclasses.replace(pair, frames=lower, truth=below)


def padded(pair: Pair, side: int) -> Pair:
    """The pair, mirrored at its borders to at least `side` pixels a side if it is smaller."""
    missing = [max(0, side - size) for size in pair.frames.shape[-2:]]
    if not any(missing):
        return pair
    before_behind = [(size // 2, size - size // 2) for size in missing]
    frames = np.pad(pair.frames, [(0, 0), *before_behind], mode="symmetric")
    truth = pair.truth
    if truth is not None:
        s = pair.scale
        truth = np.pad(truth, [(s * a, s * b) for a, b in before_behind], mode="symmetric")
    return dataclasses.replace(pair, frames=frames, truth=truth)


def _camera(frame: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float, float]:
    try:
        gain, offset = photon_transfer(frame, truth)
    except ValueError:  # not Poisson noise
        return math.nan, math.nan, 1.0
    return gain, offset, _skew(frame, truth, gain, offset)


def _skew(frame: NDArray[np.float64], truth: NDArray[np.float64], gain: float, offset: float) -> float:
    """Third moment of the noise in that of Poisson noise, where frames of 8 bits do not cut off its peaks."""
    darker = truth <= np.percentile(truth, UNCUT)
    light = (truth[darker] - offset).clip(0)
    third = float(((frame[darker] - truth[darker]) ** 3).mean())
    return third / max(gain**2 * float(light.mean()), 1e-30)


def filled(frames: NDArray[Any], item: Item) -> NDArray[Any]:
    """The frames with the mean of the valid pixels in place of those that are not finite."""
    if frames.dtype.kind != "f":
        return frames
    missing = [int(np.count_nonzero(~np.isfinite(frame))) for frame in frames]
    if not any(missing):
        return frames
    frames, finite = np.array(frames), np.isfinite(frames)
    if not finite.any():
        raise ValueError(f"{item.noisy}: expected pixels, found NaN alone: remove the file")
    frames[~finite] = frames[finite].mean(dtype=np.float64)
    log.warning("%s: %d of %d pixels are not finite: the mean in their place", item.noisy, sum(missing), finite.size)
    return frames


def binned(image: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """Mean of each `scale` x `scale` pixels."""
    y, x = (side // scale for side in image.shape)
    return np.asarray(image.reshape(y, scale, x, scale).mean(axis=(1, 3)))


def matched(truth: NDArray[np.float64], frame: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """The ground truth, (sY, sX), mapped by the line that brings its pixels nearest to the frame's, (Y, X)."""
    small = binned(truth, scale)
    centred = small - small.mean()
    power = float((centred**2).sum())
    slope = float((centred * frame).sum()) / power if power > 0 else 0.0
    return np.asarray(slope * (truth - small.mean()) + frame.mean())


@dataclass(frozen=True)
class Sampling:
    """How crops are taken of pairs.

    Attributes
    ----------
    crop : int
        Side of the windows in pixels of the frame; 0 takes whole images.
    frames, average : str, int
        "first" or "random" frames of a stack, and the mean of how many (all, if it has no more).
    seed : int
        Of the order of the images in each epoch.
    successive : bool
        Take two successive frames, drawn at random, in place of a frame and its ground truth.
    """

    crop: int
    frames: str = "first"
    average: int = 1
    seed: int = 0
    successive: bool = False

    @classmethod
    def of(cls, config: Config) -> Sampling:
        """That of a configuration; without a ground truth all frames are as good."""
        frames = config.frames if config.supervised else "random"
        return cls(config.crop, frames, config.average, config.seed, config.successive)


class Windows(NamedTuple):
    """Where the crops of a batch are: numbers of the images, upper left corners (y, x), and their common shape."""

    numbers: list[int]
    corners: list[tuple[int, int]]
    shape: tuple[int, int]


def draw_batch(
    pairs: Sequence[Pair], samples: range, sampling: Sampling, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut some samples of an endless sequence in which each epoch has every image once.

    Parameters
    ----------
    pairs : sequence of Pair
        All of one scale; whole images must be of one shape, too.
    samples : range
        Numbers of the samples; which image one is follows from its number and the seed alone.
    sampling : Sampling
        How they are cut.
    generator : torch.Generator
        Draws the windows and the frames, on the CPU.

    Returns
    -------
    noisy : Tensor
        float32, (samples, 1, crop, crop), intensity units.
    truth : Tensor
        float32, (samples, 1, s crop, s crop), intensity units: the ground truth, or the frame that follows; where
        there is neither, `noisy` itself.
    camera : Tensor
        float32, (samples, 3), gain, offset and skewness of each.

    Raises
    ------
    ValueError
        If an image is smaller than the crop, or shapes or scales differ that must not.
    """
    numbers, places, shape = plan_batch(pairs, samples, sampling, generator)
    drawn = [pairs[i] for i in numbers]
    s = drawn[0].scale
    noisy = np.empty((len(samples), 1, *shape), np.float32)
    truth = np.empty((len(samples), 1, *(s * side for side in shape)), np.float32)
    for k, (pair, (y, x)) in enumerate(zip(drawn, places, strict=True)):
        picks = _frames(len(pair.frames), sampling.frames, sampling.average, generator)
        windows = [pair.frames[f, y : y + shape[0], x : x + shape[1]] for f in picks]
        noisy[k, 0] = windows[0] if len(picks) == 1 else np.mean(windows, axis=0, dtype=np.float64)
        if sampling.successive:
            noisy[k, 0], truth[k, 0] = _successive(pair, generator)[:, y : y + shape[0], x : x + shape[1]]
        elif pair.truth is None:
            truth[k, 0] = noisy[k, 0]
        else:
            truth[k, 0] = pair.truth[s * y : s * (y + shape[0]), s * x : s * (x + shape[1])]
    camera = torch.tensor([[pair.gain, pair.offset, pair.skew] for pair in drawn], dtype=torch.float32)
    return torch.from_numpy(noisy), torch.from_numpy(truth), camera


def plan_batch(pairs: Sequence[Pair], samples: range, sampling: Sampling, generator: torch.Generator) -> Windows:
    """Where the samples of `draw_batch` are."""
    numbers = _order(len(pairs), samples.start, len(samples), sampling.seed)
    drawn, crop = [pairs[i] for i in numbers], sampling.crop
    shape = (crop, crop) if crop else drawn[0].frames.shape[-2:]
    corners = []
    draws = torch.rand(len(samples), 2, generator=generator, dtype=torch.float64).tolist()
    for pair, place in zip(drawn, draws, strict=True):
        _check_window(pair, drawn[0], crop)
        sides = zip(place, pair.frames.shape[-2:], shape, strict=True)
        y, x = (int(at * (side - size + 1)) for at, side, size in sides)
        corners.append((y, x))
    return Windows(numbers, corners, (shape[0], shape[1]))


def _successive(pair: Pair, generator: torch.Generator) -> NDArray[Any]:
    """Two frames that follow each other, in either order."""
    if len(pair.frames) < 2:
        raise ValueError(
            f"{pair.name}: expected frames of one scene, or planes of a stack, found one image: give stacks"
        )
    first = int(torch.randint(len(pair.frames) - 1, (), generator=generator))
    backwards = int(torch.randint(2, (), generator=generator))
    return pair.frames[first : first + 2][:: -1 if backwards else 1]


def _order(count: int, first: int, batch: int, seed: int) -> list[int]:
    """The images of some samples: a permutation of all for each epoch."""
    epochs = range(first // count, (first + batch - 1) // count + 1)
    orders = {e: np.random.default_rng([seed, e]).permutation(count) for e in epochs}
    return [int(orders[k // count][k % count]) for k in range(first, first + batch)]


def _check_window(pair: Pair, one: Pair, crop: int) -> None:
    sides = pair.frames.shape[-2:]
    if pair.scale != one.scale:
        raise ValueError(
            f"{pair.name}: expected a ground truth {one.scale} times as large, as of {one.name}, found {pair.scale}"
        )
    if crop and min(sides) < crop:
        raise ValueError(
            f"{pair.name}: expected an image of at least the crop's {crop} pixels, found {sides}: lower --crop"
        )
    if not crop and sides != one.frames.shape[-2:]:
        raise ValueError(
            f"{pair.name}: expected whole images of one shape, found {sides}, and {one.frames.shape[-2:]} of "
            f"{one.name}: set --crop, or --batch 1"
        )


def _frames(count: int, kind: str, average: int, generator: torch.Generator) -> list[int]:
    """Numbers of the frames to average; none twice."""
    average = min(average, count)
    if kind == "first" or average == count:
        return list(range(average))
    return [int(f) for f in torch.randperm(count, generator=generator)[:average]]


def check_scale(pairs: Sequence[Pair], scale: int) -> None:
    """Raise a ValueError, which names one, if ground truths are not `scale` times as large as their frames."""
    if wrong := [p for p in pairs if p.scale != scale]:
        advice = f"give --scale {wrong[0].scale}" if len(wrong) == len(pairs) else "crop it, or remove the pair"
        raise ValueError(
            f"{wrong[0].name}: expected a ground truth {scale} times as large as the frame, found "
            f"{wrong[0].ground_truth.shape} for {wrong[0].frames.shape}: {advice}"
        )
