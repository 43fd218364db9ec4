"""The frames and the ground truths that a configuration picks of an image's files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from .layouts import ROLES, Item
from .reading import Volume, open_volume
from .statistics import mean_frame


class Scene(NamedTuple):
    """One ground truth and its noisy frames, of which a file may hold several.

    Attributes
    ----------
    label : str
        Which of the file's planes it is, as "c0 z3"; empty if the file holds one scene.
    channel : int or None
        Number of the channel; None where the file has none.
    frames : ndarray
        (F, Y, X), in the units of the file, memory-mapped where the file allows.
    truth : ndarray
        (sY, sX), in the units of its file.
    """

    label: str
    channel: int | None
    frames: NDArray[Any]
    truth: NDArray[Any]


def scale_of(name: object, frame: tuple[int, ...], truth: tuple[int, ...]) -> int:
    """Pixels of a ground truth to one of its frame along a side, by their shapes (Y, X): 1 or 2.

    Raises
    ------
    ValueError
        If they do not fit; it names the image or file given.
    """
    for scale in (1, 2):
        if tuple(scale * side for side in frame) == tuple(truth):
            return scale
    raise ValueError(
        f"{name}: expected a ground truth of the frame's shape or twice that, found {truth} and {frame}: crop them "
        "alike, or remove the pair"
    )


def target_of(item: Item, kind: str, config: Config) -> Path | None:
    """The file that the ground truth comes from; none means the mean of the stack.

    Raises
    ------
    ValueError
        If the file that there should be is missing; it names one that is there.
    """
    role = "sim" if kind.startswith("w2s") and config.target == "sim" else "truth"
    path = item.files.get(role)
    if path is None and (role == "sim" or kind != "w2s-raw"):
        present = next(iter(item.files.values()))
        raise ValueError(
            f"{present}: expected the {ROLES[role]} of this name, found no file: add it, or remove this one"
        )
    return path


def read_images(item: Item, kind: str, config: Config) -> list[Scene]:
    """The frames and the ground truths of an image, in the units of their files.

    A ground truth of one plane is that of all noisy planes, which are frames of one scene. One of as many planes is
    taken plane by plane. Where the noisy file has further axes, as T in front of channels, they are frames.

    Returns
    -------
    list of Scene
        With all frames where random ones are learnt from, else the first one, or the mean of the first
        `config.average` (W2S's own avg2 to avg16).

    Raises
    ------
    ValueError
        If a file is missing, cannot be read, or is of a shape that is not understood.
    """
    path = target_of(item, kind, config)
    if item.noisy is None:
        raise ValueError(f"{path}: expected a noisy image of this name, found no file: add it, or remove this one")
    noisy = open_volume(item.noisy).squeezed()
    if path is None:
        scenes = [_of_itself(item.noisy, noisy)]
    else:
        scenes = match(noisy, open_volume(path).squeezed(), (item.noisy, path), config.image_channels)
    if config.image_channels:
        scenes = [one for one in scenes if one.channel is None or one.channel in config.image_channels]
        if not scenes:
            wanted = " ".join(map(str, config.image_channels))
            raise ValueError(f"{item.noisy}: expected channels {wanted} (--image-channels), found others")
    # Of the normalised images the level was chosen by the folder.
    return [_picked(one, 1 if kind == "w2s-normalised" else config.average, config, item.noisy) for one in scenes]


def _of_itself(path: Path, noisy: Volume) -> Scene:
    if len(noisy.leading) != 1:
        raise ValueError(f"{path}: expected a stack whose mean is the ground truth, found {noisy.planes.shape}")
    return Scene("", None, noisy.planes, mean_frame(noisy.planes))


def _picked(scene: Scene, average: int, config: Config, path: Path) -> Scene:
    frames = scene.frames
    if average > len(frames):
        raise ValueError(f"{path}: expected at least {average} frames to average, found {len(frames)}")
    if config.frames == "first":
        frames = frames[:1] if average == 1 else mean_frame(frames[:average])[None].astype(np.float32)
    return scene._replace(frames=frames)


def match(noisy: Volume, truth: Volume, paths: tuple[object, object], channels: Sequence[int] = ()) -> list[Scene]:
    """Scenes of two files, by the names of their axes and channels, or else by their sizes.

    Parameters
    ----------
    noisy, truth : Volume
        Without axes of one plane.
    paths : tuple
        Of the two, for what is said of them.
    channels : sequence of int
        A single one is the one that a ground truth without channels shows.

    Raises
    ------
    ValueError
        If the axes do not fit, or several channels have one ground truth.
    """
    if len(channels) == 1 and "C" not in truth.axes:
        noisy = noisy.channel(channels[0])
    noisy, numbers = by_names(noisy, truth)
    frames, letters = _frames(noisy, truth, paths)
    sizes = truth.leading
    frames = frames.reshape(math.prod(sizes), -1, *noisy.planes.shape[-2:])
    truths = truth.planes.reshape(math.prod(sizes), *truth.planes.shape[-2:])
    scenes = []
    for k, index in enumerate(np.ndindex(*sizes)):
        named = [numbers[n] if axis == "C" else n for axis, n in zip(letters, index, strict=True)]
        label = " ".join(f"{axis.lower()}{n}" for axis, n in zip(letters, named, strict=True))
        channel = named[letters.index("C")] if "C" in letters else None
        scenes.append(Scene(label, channel, frames[k], truths[k]))
    return scenes


def by_names(noisy: Volume, truth: Volume) -> tuple[Volume, list[int]]:
    """The channels of a noisy file that a ground truth has by their names, in its order, and their numbers.

    All of them as they are, where names do not tell.
    """
    every = list(range(noisy.leading[noisy.axes.index("C")])) if "C" in noisy.axes else []
    if not (truth.names and len(noisy.names) == len(every) and set(truth.names) <= set(noisy.names)):
        return noisy, every
    chosen = [noisy.names.index(name) for name in truth.names]
    if "C" not in truth.axes and len(chosen) == 1:
        return noisy.channel(chosen[0]), chosen
    return (noisy, every) if chosen == every else (noisy.ordered(chosen), chosen)


def first_frames(noisy: Volume, truth: Volume, paths: tuple[object, object]) -> Volume:
    """The first frame of each plane of a ground truth, in the order of its planes.

    Parameters, errors: as of `match`.
    """
    frames, letters = _frames(by_names(noisy, truth)[0], truth, paths)
    rest = frames.ndim - 2 - len(letters)
    return Volume(frames[(slice(None),) * len(letters) + (0,) * rest], letters)


def _frames(noisy: Volume, truth: Volume, paths: tuple[object, object]) -> tuple[NDArray[Any], str]:
    """The noisy planes with the axes of the ground truth first, and the letters of these."""
    places = _shared(noisy, truth)
    if places is None:
        raise ValueError(
            f"{paths[1]}: expected a ground truth of one plane, or of the planes of {paths[0]}, {noisy.named}, found "
            f"{truth.named}: crop them alike, or save each plane as a file of its own"
        )
    if any(axis == "C" for i, axis in enumerate(noisy.axes) if i not in places):
        raise ValueError(
            f"{paths[1]}: expected a ground truth of each channel of {paths[0]}, {noisy.named}, found "
            f"{truth.named}: give --image-channels N for the one that it shows (from 0), or save each channel and its "
            "ground truth as files of their own"
        )
    frames = np.moveaxis(noisy.planes, places, range(len(places)))
    return frames, "".join(noisy.axes[i] for i in places)


def _shared(noisy: Volume, truth: Volume) -> list[int] | None:
    """Which axes of the noisy file are those of the ground truth, one after the other; None if they do not fit."""
    sizes, wanted = noisy.leading, truth.leading
    if len(set(noisy.axes)) == len(noisy.axes) and set(truth.axes) <= set(noisy.axes):
        places = [noisy.axes.index(axis) for axis in truth.axes]
        if tuple(sizes[i] for i in places) == wanted:
            return places
    count = len(wanted)
    if count <= len(sizes) and sizes[len(sizes) - count :] == wanted:
        return list(range(len(sizes) - count, len(sizes)))
    return list(range(count)) if sizes[:count] == wanted else None
