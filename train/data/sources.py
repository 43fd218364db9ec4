"""From a folder, whatever its layout, to the images of a run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..config import Config
from .clean import Clean, freed, split_clean
from .layouts import PAIRED, Layout, detect
from .noisy import find_noisy
from .pairs import Images, Pair, read_pairs
from .phantoms import phantoms
from .split import split_fields
from .synthetic import validation_pairs

SOURCES = {
    "w2s-raw": "W2S (Zhou et al. 2020), raw frames and the mean of 400",
    "w2s-normalised": "W2S (Zhou et al. 2020), normalised",
    "pairs": "pairs of noisy and clean images",
    "clean": "clean images with synthetic noise",
}


def find_images(data: Path, config: Config, clean: Path | None = None, cache: Path | None = None) -> Images:
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

    Raises
    ------
    ValueError
        If the folder holds nothing usable, or not what the configuration needs.
    """
    if not config.supervised:
        return find_noisy(data, config)
    layout = detect(data, config.average)
    if layout.kind == "clean":
        if config.synthetic < 1:
            raise ValueError(
                f"{data}: expected noisy images with their ground truth ({PAIRED}), found images alone: name the "
                "folders so, or, if all images are clean, give --synthetic 1 to learn from synthetic noise"
            )
        return _from_clean(data, config)
    split = split_fields(layout, config)
    training = read_pairs(layout, split.training, config, cache) if config.synthetic < 1 else []
    validation = read_pairs(layout, split.validation, config, cache)
    drawn_on: list[Clean] = []
    unseen: list[Clean] = []
    if round(config.synthetic * config.batch):
        if clean is None:
            raise ValueError(f"synthetic {config.synthetic:g}: expected clean images, found none: give --clean DIR")
        drawn_on, unseen = split_clean(clean, config.validation, config.seed, config.scale)
        drawn_on = learnt_from(drawn_on, config)
    return Images(
        training,
        validation,
        drawn_on,
        drawn_pairs(unseen, config),
        source=_source(layout, bool(drawn_on)),
        shares=split.summary(layout.fields),
        warning=layout.odd,
    )


def _from_clean(data: Path, config: Config) -> Images:
    training, validation = split_clean(data, config.validation, config.seed, config.scale)
    training = learnt_from(training, config)
    return Images([], drawn_pairs(validation, config), training, source=SOURCES["clean"])


def learnt_from(images: list[Clean], config: Config) -> list[Clean]:
    """What gets synthetic noise: the clean images of a folder, freed of their own noise or not, and phantoms."""
    return [*(freed(images) if config.freed else images), *phantoms(config.phantoms, config.seed)]


def drawn_pairs(images: list[Clean], config: Config) -> list[Pair]:
    """Pairs of clean images, of their middle planes, and of frames of them whose noise is the same each time."""
    drawn = validation_pairs([image.planes for image in images], config.scale, config.seed)
    return [
        Pair(image.name, image.name, noisy[None], np.asarray(truth, np.float32), math.nan, math.nan)
        for image, (noisy, truth) in zip(images, drawn, strict=True)
    ]


def _source(layout: Layout, synthetic: bool) -> str:
    text = SOURCES[layout.kind]
    return f"{text}; clean images of other microscopes with synthetic noise" if synthetic else text
