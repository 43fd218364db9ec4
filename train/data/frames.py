"""The frames and the ground truth that a configuration picks of an image's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from .layouts import ROLES, Item, open_planes
from .statistics import mean_frame

Loaded = tuple[NDArray[Any], NDArray[Any]]


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


def one_plane(shape: tuple[int, ...]) -> str:
    """What is to be said of a ground truth that is a stack."""
    return (
        f"expected a ground truth of one plane (Y, X), found {shape}: save each plane and its ground truth as files "
        "of their own"
    )


def read_images(item: Item, kind: str, config: Config) -> Loaded:
    """The frames and the ground truth of an image, in the units of their files.

    Returns
    -------
    frames : ndarray
        (F, Y, X), memory-mapped where the file allows: the whole stack for random frames, else the
        first one or the mean of the first `config.average` (W2S's own avg2 to avg16).
    truth : ndarray
        (sY, sX): the file's, or for raw W2S stacks the mean of all frames, or the SIM image.

    Raises
    ------
    ValueError
        If a file is missing, cannot be read, or is of a shape that is not understood.
    """
    path = target_of(item, kind, config)
    if item.noisy is None:
        raise ValueError(f"{path}: expected a noisy image of this name, found no file: add it, or remove this one")
    stack = open_planes(item.noisy)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3:
        raise ValueError(f"{item.noisy}: expected a frame (Y, X) or a stack (F, Y, X), found {stack.shape}")
    # Of the normalised images the level was chosen by the folder.
    average = 1 if kind == "w2s-normalised" else config.average
    if average > len(stack):
        raise ValueError(f"{item.noisy}: expected at least {average} frames to average, found {len(stack)}")
    if path is None and len(stack) < 2:
        raise ValueError(f"{item.noisy}: expected a stack whose mean is the ground truth, found one frame")
    truth = mean_frame(stack) if path is None else open_planes(path)
    truth = truth[0] if truth.ndim == 3 and len(truth) == 1 else truth
    if truth.ndim != 2:
        raise ValueError(f"{path}: {one_plane(truth.shape)}")
    if config.frames == "random":
        return stack, truth
    return (stack[:1] if average == 1 else mean_frame(stack[:average])[None].astype(np.float32)), truth
