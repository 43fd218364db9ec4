"""Planes whose brightness spans more than a network can see at once, cut into layers by brightness.

A network without biases that is centred on a plane's mean denoises a region worse, the farther its level lies from that
mean in units of its noise. Such a plane is denoised once for each layer: what is brighter is filled from its
neighbourhood, and the answers are put together, each where its layer is. The brightest layer is the plane itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.noise.line import NoiseLine
from quietfield.repair.fill import filled

Array = NDArray[np.float64]

FAR = 20.0  # standard deviations of a region's noise, that its level is from the mean, where the network loses
LEAST = 8  # pixels of those that are looked at, that are worth another pass
STEP = 2  # every second pixel is looked at
MOST = 4  # layers
NEAR = 12.0  # standard deviations of the noise, that a cut lies above the darker pixels, at most
BLEND, BLEND_NEAR = 10.0, 3.0  # of these, half of what one layer passes into the next over, at most; of a near cut
EDGES = 2.0  # length of a cut's border in the picture, in the sum of the picture's sides, at most
LEAST_NOISE = 3e-7  # of the range of values; with less there is nothing to denoise
SMALLEST = 32  # pixels of a side, below which a plane is one layer


@dataclass(frozen=True)
class Layer:
    """What a network sees, and how far its answer counts.

    Attributes
    ----------
    plane : ndarray
        (Y, X), intensity units.
    weight : ndarray or None
        (Y, X), 0 to 1; the weights of a plane's layers add up to 1. None where it is the only one.
    """

    plane: NDArray[Any]
    weight: NDArray[np.float32] | None = None


def layers(plane: NDArray[Any]) -> list[Layer]:
    """The layers of a plane (Y, X), any real dtype, finite; nearly always one, which is the plane itself."""
    if min(plane.shape) < SMALLEST:
        return [Layer(plane)]
    x = plane.astype(np.float64)
    offset, scale = float(x.mean()), float(np.ptp(x)) or 1.0
    x = (x - offset) / scale
    noise = NoiseLine.robust(x.astype(np.float32))
    if noise.floor**0.5 < LEAST_NOISE or not _is_far(x[::STEP, ::STEP], noise).any():
        return [Layer(plane)]
    smooth = ndimage.median_filter(x, 3)
    levels = smooth[::STEP, ::STEP]
    cuts = _cuts(levels, np.ones(levels.shape, bool), noise)
    if not cuts:
        return [Layer(plane)]
    level = noise.stabilised(smooth)
    found, below = [], np.zeros(plane.shape)  # how far a pixel has passed beyond the cut before
    edges = [(-np.inf, 0.0), *cuts, (np.inf, 0.0)]
    for (low, _), (high, high_width) in itertools.pairwise(edges):
        above = np.zeros(plane.shape) if high == np.inf else np.clip((level - high) / (2 * high_width) + 0.5, 0, 1)
        weight = (1 - above) if low == -np.inf else below - above
        brighter = level > high + high_width
        found.append(Layer(scale * filled(x, brighter) + offset, weight.astype(np.float32)))
        below = above
    return found


def _is_far(levels: Array, noise: NoiseLine) -> NDArray[np.bool_]:
    """Which levels are so far from their mean that a network loses there; none if they are but a few."""
    off = np.abs(levels - levels.mean()) / np.sqrt(noise.variance(levels))
    far: NDArray[np.bool_] = (off > FAR) & ((off > FAR).sum() >= LEAST)
    return far


def _cuts(levels: Array, inside: NDArray[np.bool_], noise: NoiseLine, most: int = MOST) -> list[tuple[float, float]]:
    """Where levels (Y, X) are cut, and half the width over which layers blend, both in noise's standard deviations."""
    if most < 2 or not _is_far(levels[inside], noise).any():
        return []
    stabilised = noise.stabilised(levels)
    for best in _best_cuts(np.sort(stabilised[inside])):
        above = stabilised > best[0]
        if sum(np.count_nonzero(np.diff(above, axis=axis)) for axis in (0, 1)) <= EDGES * sum(levels.shape):
            break
    else:
        return []  # a cut would go through structures all over the picture
    lower = _cuts(levels, inside & ~above, noise, most // 2)
    upper = _cuts(levels, inside & above, noise, most // 2)
    return [*lower, best, *upper]


def _best_cuts(values: Array) -> list[tuple[float, float]]:
    """Cuts between the two groups of sorted values that differ most (Otsu, 1979), each with half its passage's width.

    Where the groups are far apart, the borders of what is bright lie between them. By the first cut they belong to it,
    so that the darker group does not see them; the last one is in the middle.
    """
    count = np.arange(1, len(values))
    total = np.cumsum(values)
    left, right = total[:-1] / count, (total[-1] - total[:-1]) / (len(values) - count)
    k = int(np.argmax(count * (len(values) - count) * (right - left) ** 2))
    middle, apart = float(values[k] + values[k + 1]) / 2, float(right[k] - left[k])
    near = float(left[k]) + NEAR
    cuts = [(near, BLEND_NEAR)] if near < middle else []
    return [(cut, max(1e-9, min(width, apart / 4))) for cut, width in (*cuts, (middle, BLEND))]
