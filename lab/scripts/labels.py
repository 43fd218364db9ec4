"""Panels of grey with words beside them, pixel by pixel as they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP, TOP, LEFT = 6, 26, 30  # pixels


def labelled(
    rows: Sequence[Sequence[NDArray[np.float64]]], columns: Sequence[str], names: Sequence[str] = ()
) -> Image.Image:
    """One picture of panels of equal size, (Y, X), 0 (black) to 1 (white).

    Parameters
    ----------
    rows : sequence of sequences of ndarray
        The panels.
    columns : sequence of str
        A word above each column.
    names : sequence of str, optional
        Words beside each row.
    """
    height, width = rows[0][0].shape
    left = LEFT if names else 0
    size = left + len(columns) * (width + GAP) - GAP, TOP + len(rows) * (height + GAP) - GAP
    picture, font = Image.new("L", size, 255), ImageFont.load_default(size=16)
    draw = ImageDraw.Draw(picture)
    for j, word in enumerate(columns):
        draw.text((left + j * (width + GAP) + width // 2, TOP // 2), word, fill=0, font=font, anchor="mm")
    for i, panels in enumerate(rows):
        y = TOP + i * (height + GAP)
        if names:
            upright = Image.new("L", (height, left), 255)
            small = ImageFont.load_default(size=14)
            ImageDraw.Draw(upright).text((height // 2, left // 2), names[i], fill=0, font=small, anchor="mm")
            picture.paste(upright.rotate(90, expand=True), (0, y))
        for j, panel in enumerate(panels):
            grey = Image.fromarray((255 * np.clip(panel, 0, 1)).astype(np.uint8))
            picture.paste(grey, (left + j * (width + GAP), y))
    return picture
