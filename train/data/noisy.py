"""Noisy images alone, to learn from without a ground truth."""

from __future__ import annotations

import dataclasses
import logging
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.noise.diagnosis import SHARED, Diagnosis, glance
from quietfield.noise.model import NoiseModel

from ..config import Config
from .evidence import agreement
from .layouts import Item, Layout, detect_noisy
from .pairs import SMALLEST, Images, Pair, filled, padded, parted
from .reading import open_volume
from .split import split_fields

SCENE = 0.5  # correlation of two smoothed images beyond which they are frames of one scene
MODELLED = 8  # planes of a file that tell its noise
WHITE_ONLY = ("recorrupted", "neighbours")  # ways to learn that take noise which pixels share for the image

log = logging.getLogger(__name__)


def find_noisy(data: Path, config: Config, pattern: str = "", left_out: list[str] | None = None) -> Images:
    """What a run without ground truth learns from and is validated on.

    Parameters
    ----------
    data : Path
        One image or stack, a folder of them, or any layout of pairs, of which the ground truth is not opened.
        W2S's test fields and excluded fields are left out.
    config : Config
        Its split, its channels, and how it learns.
    pattern : str
        Of the files below `data`; empty takes all.
    left_out : list of str, optional
        Gets why each file that cannot be used is left out; without, the first such file is an error.

    Returns
    -------
    Images
        Planes that follow each other along T, or else Z, in one channel are frames (P, Y, X) of a `Pair` without a
        ground truth. Files are split by field of view; of a single file, the last rows of all planes are validated on.

    Raises
    ------
    ValueError
        If there is nothing, it cannot be read, or is too small to learn from, or constant; or if its noise is not
        what this way to learn needs.
    """
    layout = detect_noisy(data, config.average, pattern)
    split = split_fields(layout, config) if len(layout.fields) > 1 else None
    fields = (*split.training, *split.validation) if split else layout.fields
    series: dict[str, list[Pair]] = {}
    for item in layout.items:
        if item.field in fields:
            try:
                series.setdefault(item.field, []).extend(_series(item, config))
            except ValueError as error:
                if left_out is None or len(layout.items) == 1:
                    raise
                left_out.append(str(error))
    if not any(series.values()):
        raise ValueError(f"{data}: expected noisy images, found none that can be used: {(left_out or ['none'])[0]}")
    _say_what_follows(layout, series)
    if config.successive:
        series = _joined(data, series, left_out)
    training, validation = _shared_out(layout, config, series)
    _check_noise(training[0], config)
    source = f"{'W2S (Zhou et al. 2020), ' if layout.w2s else ''}noisy images alone"
    training = [padded(pair, config.crop) for pair in training]
    return Images(training, validation, source=source, left_out=tuple(left_out or ()))


def _say_what_follows(layout: Layout, series: dict[str, list[Pair]]) -> None:
    """Say which planes are taken for frames that follow each other, where a file does not name its axes."""
    stacked = next((pair for pairs in series.values() for pair in pairs if len(pair.frames) > 1), None)
    first = next((item for item in layout.items if stacked and item.field == stacked.field and item.noisy), None)
    if stacked is None or first is None or first.noisy is None:
        return
    if not set(open_volume(first.noisy).squeezed().axes) & {"T", "Z"}:
        log.info(
            "%s: its axes have no names: %d planes are taken for frames that follow each other; if they are channels, "
            "save them as files of their own", first.noisy, len(stacked.frames),
        )  # fmt: skip


def _shared_out(layout: Layout, config: Config, series: dict[str, list[Pair]]) -> tuple[list[Pair], list[Pair]]:
    """What to learn from and what to validate on: other fields of view, or other rows of the only one."""
    if len(series) == 1:
        (every,) = series.values()
        parts = [parted(pair) for pair in every]
        return [upper for upper, _ in parts], [lower for _, lower in parts]
    used = dataclasses.replace(layout, items=tuple(item for item in layout.items if series.get(item.field)))
    split = split_fields(used, config)
    return [p for f in split.training for p in series[f]], [p for f in split.validation for p in series[f]]


def _series(item: Item, config: Config) -> list[Pair]:
    """The planes of a file that follow each other, channel by channel."""
    assert item.noisy is not None
    volume = open_volume(item.noisy).squeezed()
    if min(volume.planes.shape[-2:]) < SMALLEST:
        y, x = volume.planes.shape[-2:]
        raise ValueError(f"{item.noisy}: expected at least {SMALLEST} pixels a side, found {y} x {x}: leave it out")
    along = next((axis for axis in "TZ" if axis in volume.axes), volume.axes.replace("C", "")[-1:])
    place = volume.axes.rfind(along) if along else -1
    planes = np.moveaxis(volume.planes, place, -3) if place >= 0 else volume.planes[..., None, :, :]
    rest = [i for i in range(len(volume.axes)) if i != place]
    pairs: list[Pair] = []
    for index in np.ndindex(*planes.shape[:-3]):
        where = [(volume.axes[i], n) for i, n in zip(rest, index, strict=True)]
        if config.image_channels and any(axis == "C" and n not in config.image_channels for axis, n in where):
            continue
        name = " ".join([item.name, *(f"{axis.lower()}{n}" for axis, n in where)])
        frames = filled(planes[index], item)
        if float(np.ptp(frames)) == 0:
            raise ValueError(
                f"{item.noisy}: expected an image to learn from, found the same value everywhere: leave it out"
            )
        pairs.append(_pair(name, item.field, frames))
    return pairs


def _joined(data: Path, series: dict[str, list[Pair]], left_out: list[str] | None) -> dict[str, list[Pair]]:
    """The stacks of two frames or more; without one, the single images of each field as frames, in the order of names.

    Raises
    ------
    ValueError
        If there are no stacks, and the images of no field are of one scene; or if something has to be left out, and
        nothing may be.
    """
    stacks = {field: kept for field, pairs in series.items() if (kept := [p for p in pairs if len(p.frames) > 1])}
    single = sorted(
        (p for pairs in series.values() for p in pairs if len(p.frames) == 1), key=lambda pair: _counted(pair.name)
    )
    if stacks:
        reasons = [f"{p.name}: expected frames that follow each other, found one image: leave it out" for p in single]
        if reasons and left_out is None:
            raise ValueError(reasons[0])
        if left_out is not None:
            left_out += reasons
        return stacks
    advice = "give a stack, or the frames of one scene and channel (--noisy PATTERN), or --recipe noise2void"
    groups: dict[str, list[Pair]] = {}
    for pair in single:
        groups.setdefault(pair.field, []).append(pair)
    if all(len(frames) == 1 for frames in groups.values()):  # names tell no fields
        groups = {single[0].field: single}
    joined: dict[str, list[Pair]] = {}
    reasons = []
    for field, frames in groups.items():
        if reason := _unlike(frames):
            reasons.append(f"{data}: expected frames that follow each other, found {reason}: {advice}")
            continue
        joined[field] = [_pair(field, field, np.concatenate([pair.frames for pair in frames]))]
        log.info("%s: %d images of %s are taken for frames that follow each other", data, len(frames), field)
    if reasons and (left_out is None or not joined):
        raise ValueError(reasons[0])
    if left_out is not None:
        left_out += reasons
    return joined


def _unlike(frames: list[Pair]) -> str:
    """Why images are no frames of one scene; empty if they are."""
    if len(frames) < 2:
        return "one image"
    for one, other in pairwise(frames):
        if one.frames.shape != other.frames.shape or agreement(one.frames[0], other.frames[0]) <= SCENE:
            return f"images that do not show the same, as {one.name} and {other.name}"
    return ""


def _counted(name: str) -> list[tuple[int, str]]:
    """What sorts t2 before t10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _pair(name: str, field: str, planes: NDArray[Any]) -> Pair:
    model = NoiseModel.of(planes[:: max(1, len(planes) // MODELLED)][:MODELLED])
    gain = model.slope if model.slope > 0 else float("nan")
    offset = -model.intercept / gain
    return Pair(name, field, planes, None, gain, offset, model.skew)


def _check_noise(pair: Pair, config: Config) -> None:
    """Refuse, or warn of, a way to learn that cannot tell this noise from the image."""
    found = glance(pair.frames)
    if found is None or found.white:
        return
    mask = found.mask()
    command = f"--recipe noise2void --mask {mask.reach_y} {mask.reach_x}"
    if config.learn in WHITE_ONLY and _strong(found):
        raise ValueError(
            f"{pair.name}: {config.learn} expected white noise, found noise that neighbouring pixels share "
            f"({found.shared()}): give {command}, or --recipe noise2noise for frames of one scene"
        )
    if config.learn in WHITE_ONLY or (config.learn == "noise2void" and config.mask < (mask.reach_y, mask.reach_x)):
        log.warning("%s: the noise is not white (%s): better give %s", pair.name, found.shared(), command)


def _strong(found: Diagnosis) -> bool:
    return any(found.patterns) or max(abs(lag) for lag in found.lags[:2]) > SHARED
