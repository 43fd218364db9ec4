"""From a folder, whatever its layout, to the images of a run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np

from ..config import Config
from .clean import Clean, freed, split_clean
from .layouts import PAIRED, PATTERNS, SOME, Layout, detect
from .noisy import find_noisy
from .pairs import Images, Pair, padded, parted, read_pairs
from .phantoms import phantoms
from .split import split_fields
from .synthetic import validation_movies, validation_pairs

LEAST_LIGHT = 3.0  # photo-electrons that a clean image must allow for (`Clean.most`); noisy frames allow for 0.3 to 2
MOVIES = 0.15  # of the crops of a network for stacks, that are from real movies
SEEN = 4  # phantoms that are looked at where there are no clean images
SOURCES = {
    "w2s-raw": "W2S (Zhou et al. 2020), raw frames and the mean of 400",
    "w2s-normalised": "W2S (Zhou et al. 2020), normalised",
    "pairs": "pairs of noisy and clean images",
    "clean": "clean images with synthetic noise",
}


def find_images(
    data: Path,
    config: Config,
    clean: Path | None = None,
    cache: Path | None = None,
    *,
    patterns: tuple[str, str] = ("", ""),
    strict: bool = False,
) -> Images:
    """What a run on a folder learns from and is validated on.

    Parameters
    ----------
    data : Path
        Any of the layouts that `train.data.layouts.detect` knows; to learn without a ground truth, see `find_noisy`.
    config : Config
        Its split, its shares, its frames and its target.
    clean : Path, optional
        Folder of clean images for the share `config.synthetic`; of a folder of clean images that folder itself.
    cache : Path, optional
        Where the images are kept once they are prepared; without, they are prepared anew.
    patterns : (str, str)
        Of the noisy files and of the ground truths, where names do not tell (`train.data.layouts.detect`).
    strict : bool
        Have the first image that cannot be used be an error; else such images are left out (`Images.left_out`).

    Raises
    ------
    ValueError
        If the folder holds nothing usable, or not what the configuration needs.
    """
    left_out: list[str] | None = None if strict else []
    if not config.supervised:
        return find_noisy(data, config, patterns[0], left_out)
    layout = detect(data, config.average, *patterns)
    if layout.kind == "clean":
        if config.synthetic < 1:
            raise ValueError(
                f"{data}: expected noisy images with their ground truth ({PAIRED}), found images alone: name them "
                f"so, {PATTERNS}; if all are clean, give --synthetic 1 to learn from synthetic noise; if all "
                "are noisy, --recipe noise2void"
            )
        return _from_clean(data, config, sure=bool(patterns[1]))
    training, validation, shares = _of_pairs(layout, config, cache, left_out)
    drawn_on: list[Clean] = []
    unseen: list[Clean] = []
    if round(config.synthetic * config.batch):
        drawn_on, unseen = _clean_images(clean, config)
    return Images(
        training,
        validation,
        drawn_on,
        drawn_pairs(unseen, config),
        source=_source(layout, bool(drawn_on)),
        shares=shares,
        warning=layout.odd or layout.note,
        left_out=tuple(left_out or ()),
        patterns=patterns,
    )


def _clean_images(clean: Path | None, config: Config) -> tuple[list[Clean], list[Clean]]:
    """What gets synthetic noise besides pairs, to learn from and to look at: photographs and phantoms, or these alone.

    Raises
    ------
    ValueError
        If there is neither.
    """
    if clean is not None:
        drawn_on, unseen = split_clean(clean, config.validation, config.seed, config.scale)
        check_clean(clean, drawn_on)
        return learnt_from(drawn_on, config), unseen
    if not config.phantoms:
        raise ValueError(
            f"synthetic {config.synthetic:g}: expected clean images, found none: give --clean DIR, or --phantoms"
        )
    return phantoms(config.phantoms, config.seed), phantoms(SEEN, config.seed + 1)


def _of_pairs(
    layout: Layout, config: Config, cache: Path | None, left_out: list[str] | None
) -> tuple[list[Pair], list[Pair], str]:
    """Pairs to train on and to validate on, and how many fields of view serve for what."""
    split = split_fields(layout, config)
    wanted = (*(split.training if config.synthetic < 1 else ()), *split.validation)
    pairs = read_pairs(layout, wanted, config, cache, left_out)
    if left_out:
        if not pairs:
            raise ValueError(f"{layout.root}: expected pairs of images, found none that can be used: {left_out[0]}")
        gone = set(wanted) - {pair.field for pair in pairs}
        layout = dataclasses.replace(layout, items=tuple(item for item in layout.items if item.field not in gone))
        split = split_fields(layout, config)
    if left_out is not None and any(pair.scale == config.scale for pair in pairs):
        left_out += [
            f"{pair.name}: expected a ground truth {config.scale} times as large as the frame, found "
            f"{pair.ground_truth.shape} for {pair.frames.shape[-2:]}: crop it, or remove the pair"
            for pair in pairs
            if pair.scale != config.scale
        ]
        pairs = [pair for pair in pairs if pair.scale == config.scale]
    training, validation = ([p for p in pairs if p.field in fields] for fields in (split.training, split.validation))
    if split.alone:
        halves = [parted(pair) for pair in validation]
        training, validation = [upper for upper, _ in halves], [lower for _, lower in halves]
    told = [pair for pair in validation if np.ptp(pair.ground_truth) > 0]
    if reasons := [
        f"{pair.name}: expected a ground truth to validate on, found one value everywhere: remove the image"
        for pair in validation
        if np.ptp(pair.ground_truth) == 0
    ]:
        if left_out is None or not told:
            raise ValueError(reasons[0])
        left_out += reasons
    return [padded(pair, config.crop) for pair in training], told, split.summary(layout.fields)


def _from_clean(data: Path, config: Config, sure: bool) -> Images:
    training, validation = split_clean(data, config.validation, config.seed, config.scale)
    if not sure:
        check_clean(data, training)
    training = learnt_from(training, config)
    return Images([], drawn_pairs(validation, config), training, source=SOURCES["clean"])


def check_clean(folder: Path, images: list[Clean]) -> None:
    """Hold that images which are to serve as ground truths are not noisy ones.

    Raises
    ------
    ValueError
        If several of them have so much noise of their own that nothing but noise could be learnt.
    """
    noisy = [image for image in images if np.median(image.most) < LEAST_LIGHT]
    if SOME * len(noisy) > len(images):
        raise ValueError(
            f"{folder}: expected clean images, found {len(noisy)} of {len(images)} with much noise, as "
            f"{noisy[0].name}: learn from them without ground truth (--recipe noise2void), or, if this is how they "
            "are, give --truth PATTERN"
        )


def learnt_from(images: list[Clean], config: Config) -> list[Clean]:
    """What gets synthetic noise: the clean images of a folder, freed of their own noise or not, and phantoms.

    A network for stacks sees real movies, where there are some, in `MOVIES` of its crops or more.
    """
    every = [*(freed(images) if config.freed else images), *phantoms(config.phantoms, config.seed)]
    movies = [image for image in every if config.planes > 1 and image.moves]
    others = len(every) - len(movies)
    more = math.ceil(MOVIES / (1 - MOVIES) * others / len(movies)) - 1 if movies else 0
    return every + max(0, more) * movies


def drawn_pairs(images: list[Clean], config: Config) -> list[Pair]:
    """Pairs of clean images, of their middle planes, and of frames of them whose noise is the same each time.

    For a network of several planes they are movies, with the ground truth of their middle planes.
    """
    if config.planes > 1:
        movies = validation_movies(images, config.planes, config.seed)
        return [
            Pair(f"{images[i].name} {k}", images[i].name, noisy, truth, math.nan, math.nan)
            for k, (i, noisy, truth) in enumerate(movies)
        ]
    drawn = validation_pairs([image.planes for image in images], config.scale, config.seed)
    return [
        Pair(image.name, image.name, noisy[None], np.asarray(truth, np.float32), math.nan, math.nan)
        for image, (noisy, truth) in zip(images, drawn, strict=True)
    ]


def _source(layout: Layout, synthetic: bool) -> str:
    text = SOURCES[layout.kind]
    return f"{text}; clean images of other microscopes with synthetic noise" if synthetic else text
