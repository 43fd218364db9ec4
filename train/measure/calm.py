"""Calm regions: what is left of the noise, and what is invented, where the ground truth has no fine structure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

FINE = 2.0  # pixels: what a Gaussian of this width takes away has periods of 2 to 8 pixels, by half its amplitude
AROUND = 8.0  # pixels over which it is asked whether a region is calm
SHARE = 0.25  # of the pixels are the calm regions: the calmest ones

Array = NDArray[np.float64]


class Calm(NamedTuple):
    """What was found in calm regions, in standard deviations of the frame's noise there.

    Attributes
    ----------
    left : float
        Root mean square difference from the ground truth: 1 of the frame itself, 0 of a perfect answer.
    invented : float
        Structure of 2 to 8 pixels that the ground truth has not: the root mean square of what is left of it when as
        much of the ground truth's own is taken off as explains most of it.
    """

    left: float
    invented: float


def fine(image: Array) -> Array:
    """Structure of 2 to 8 pixels of an image (Y, X)."""
    result: Array = image - gaussian_filter(image, FINE)
    return result


def calm_regions(truth: Array) -> NDArray[np.bool_]:
    """Where the ground truth (Y, X) has least fine structure for its brightness and its slopes: bool, (Y, X)."""
    # What is left of a truth's own noise is no structure: it is smoothed by a pixel before.
    power = gaussian_filter(fine(gaussian_filter(truth, 1.0)) ** 2, AROUND)
    calm: NDArray[np.bool_] = power <= np.quantile(power, SHARE)
    return calm


def measure_calm(truth: Array, frame: Array, answer: Array) -> Calm:
    """Compare an answer with its ground truth where that is calm.

    Parameters
    ----------
    truth, frame, answer : ndarray
        (Y, X), float64, in the same units: without noise, with it, and denoised.

    Returns
    -------
    Calm
        NaN where the frame has no noise in calm regions.
    """
    calm = calm_regions(truth)

    def spread(image: Array) -> float:
        return float(np.sqrt((image[calm] ** 2).mean()))

    noise = spread(frame - truth)
    if noise == 0:
        return Calm(float("nan"), float("nan"))
    made, there = fine(answer)[calm], fine(truth)[calm]
    power = float((there**2).sum())
    own = float((made * there).sum()) / power if power > 0 else 0.0
    return Calm(spread(answer - truth) / noise, float(np.sqrt(((made - own * there) ** 2).mean())) / noise)
