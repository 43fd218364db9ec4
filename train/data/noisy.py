"""Noisy images alone, to learn from without a ground truth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.files.images import open_stack
from quietfield.noise.model import NoiseModel

from ..config import Config
from .layouts import W2S_NAME, Item, Layout, detect, open_image
from .pairs import Images, Pair, filled
from .split import split_fields

VALIDATED = 8  # one part in so many of the rows of an image that is alone is validated on
LEAST = 32  # rows of it that this must be
MODELLED = 8  # planes of a file that tell its noise


def find_noisy(data: Path, config: Config) -> Images:
    """What a run without ground truth learns from and is validated on.

    Parameters
    ----------
    data : Path
        One image or stack, a folder of them, or any layout of pairs, of which the ground truth is not opened.
        W2S's test fields and excluded fields are left out by their names.
    config : Config
        Its split.

    Returns
    -------
    Images
        Each file's planes are frames (P, Y, X) of a `Pair` without a ground truth. Files are split by field of
        view; of a single file, the last rows of all planes are validated on.

    Raises
    ------
    ValueError
        If there is nothing, it cannot be read, or is too small to learn from, or constant.
    """
    if data.is_file():
        items = [Item(data.stem, data.stem, 0, noisy=data)]
        layout = Layout("noisy", data, tuple(items), ())
    else:
        layout = _noisy(detect(data, config.average))
    if not layout.items:
        raise ValueError(f"{data}: expected noisy images, found none")
    source = f"{'W2S (Zhou et al. 2020), ' if layout.w2s else ''}noisy images alone"
    if len(layout.fields) == 1:
        learnt, validated = zip(*(_parted(item, config) for item in layout.items), strict=True)
        return Images(list(learnt), list(validated), source=source)
    split = split_fields(layout, config)
    training, validation = (
        [_pair(item, _planes(item)) for item in layout.items if item.field in set(fields)]
        for fields in (split.training, split.validation)
    )
    return Images(training, validation, source=source)


def _noisy(layout: Layout) -> Layout:
    """The layout with the noisy files alone; a folder of images without partners is one of noisy ones."""
    items = []
    for item in layout.items:
        path = item.truth if layout.kind == "clean" else item.noisy
        if path is None:
            continue
        # A folder of noisy images alone keeps W2S's fields together, if that is what they are called.
        numbered = W2S_NAME.fullmatch(item.name)
        items.append(Item(item.name, numbered[1] if numbered else item.field, 0, noisy=path))
    return Layout("noisy", layout.root, tuple(items), ())


def _planes(item: Item) -> NDArray[Any]:
    """All planes of a file, (P, Y, X), without NaN."""
    assert item.noisy is not None
    if re.fullmatch(r"\.(npy|png)", item.noisy.suffix.lower()):
        image = open_image(item.noisy)
        if image.ndim < 2:
            raise ValueError(f"{item.noisy}: expected an image (Y, X) or a stack (..., Y, X), found {image.shape}")
        planes = image.reshape(-1, *image.shape[-2:])
    else:
        with open_stack(item.noisy) as stack:
            planes = np.concatenate(list(stack.blocks(stack.pixels)))
    planes = filled(planes, item)
    if float(np.ptp(planes)) == 0:
        raise ValueError(
            f"{item.noisy}: expected an image to learn from, found the same value everywhere: leave it out"
        )
    return planes


def _parted(item: Item, config: Config) -> tuple[Pair, Pair]:
    """The upper rows to learn from, and the lower ones."""
    planes = _planes(item)
    rows = max(LEAST, planes.shape[1] // VALIDATED)
    least = max(config.crop, LEAST)
    if planes.shape[1] - rows < least or planes.shape[2] < least:
        raise ValueError(
            f"{item.noisy}: expected at least {least + rows} x {least} pixels to learn from crops of {config.crop} "
            f"and validate on {rows} rows, found {planes.shape[1]} x {planes.shape[2]}: lower --crop, or add images"
        )
    return _pair(item, planes[:, :-rows]), _pair(item, planes[:, -rows:])


def _pair(item: Item, planes: NDArray[Any]) -> Pair:
    model = NoiseModel.of(planes[:: max(1, len(planes) // MODELLED)][:MODELLED])
    gain = model.slope if model.slope > 0 else float("nan")
    offset = -model.intercept / gain
    return Pair(item.name, item.field, planes, None, gain, offset, model.skew)
