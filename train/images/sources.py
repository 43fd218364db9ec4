"""From a folder, whatever its layout, to the images of a run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from train.config import Config
from train.images.clean import Clean, read_named, split_clean
from train.images.layouts import Layout, detect
from train.images.pairs import Pair, read_pairs
from train.images.split import split_fields
from train.measure.cases import Case, cases_of, w2s_cases
from train.noise.synthetic import validation_pairs
from train.stream import Images

SOURCES = {
    "w2s-raw": "W2S (Zhou et al. 2020), raw frames and the mean of 400",
    "w2s-normalised": "W2S (Zhou et al. 2020), normalised",
    "pairs": "pairs of noisy and clean images",
    "clean": "clean images with drawn noise",
}


def find_images(data: Path, config: Config, clean: Path | None = None, cache: Path | None = None) -> Images:
    """What a run on a folder learns from and is validated on.

    Parameters
    ----------
    data : Path
        Any of the layouts that `train.images.layouts.detect` knows.
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
    layout = detect(data, config.average)
    if layout.kind == "clean":
        if config.synthetic < 1:
            raise ValueError(
                f"{data}: expected noisy images with their truth, found clean images alone: give --synthetic 1 to "
                "learn from drawn noise"
            )
        return _from_clean(data, config)
    split = split_fields(layout, config)
    training = read_pairs(layout, split.training, config, cache) if config.synthetic < 1 else []
    validation = read_pairs(layout, split.validation, config, cache)
    planes = []
    if round(config.synthetic * config.batch):
        if clean is None:
            raise ValueError(f"synthetic {config.synthetic:g}: expected clean images, found none: give --clean DIR")
        planes = [image.planes for image in split_clean(clean, 0.0, config.seed, config.scale)[0]]
    return Images(training, validation, planes, _source(layout, bool(planes)))


def find_cases(data: Path, config: Config, on: str | None = None) -> list[Case]:
    """What to measure a model on.

    Parameters
    ----------
    data : Path
        Any layout; or a folder with `w2s` and `w2s-raw16`, whose test images are then taken.
    config : Config
        Of the run that made the model: its split says which fields it never saw.
    on : str, optional
        "test", "validation" or "all" fields; without, "test" where the split has any, else "validation".

    Raises
    ------
    ValueError
        If there are none.
    """
    if (data / "w2s").is_dir() and (data / "w2s-raw16").is_dir():
        return w2s_cases(data)
    layout = detect(data, config.average)
    if layout.kind == "clean":
        training, validation = split_clean(data, config.validation, config.seed, config.scale)
        held_out = read_named(data, held_out=True, scale=config.scale)
        images = {"validation": validation, "all": [*held_out, *validation, *training]}.get(on or "test", held_out)
        return [Case(data.name, p.name, 0, np.asarray(p.frames[0]), p.truth) for p in _pairs(images, config)]
    split = split_fields(layout, config)
    on = on or ("test" if split.test else "validation")
    fields = {"test": split.test, "validation": split.validation, "all": layout.fields}[on]
    if not fields:
        raise ValueError(f"{data}: expected {on} fields, found none by the split {config.split!r}: take another --on")
    return cases_of([item for item in layout.items if item.field in fields], config.scale, f"{data.name}, {on}")


def _from_clean(data: Path, config: Config) -> Images:
    training, validation = split_clean(data, config.validation, config.seed, config.scale)
    return Images([], _pairs(validation, config), [image.planes for image in training], SOURCES["clean"])


def _pairs(images: list[Clean], config: Config) -> list[Pair]:
    drawn = validation_pairs([image.planes for image in images], config.scale, config.seed)
    return [
        Pair(image.name, image.name, noisy[None], np.asarray(truth, np.float32), math.nan, math.nan)
        for image, (noisy, truth) in zip(images, drawn, strict=True)
    ]


def _source(layout: Layout, synthetic: bool) -> str:
    text = SOURCES[layout.kind]
    return f"{text}; clean images of other microscopes with drawn noise" if synthetic else text
