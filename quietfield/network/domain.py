"""What images a network was trained on, in a few figures, and whether an image lies outside of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.network.normalise import noise_std, second_differences
from quietfield.planes import middle

LARGEST = 512  # side of what is looked at in the middle of a plane
SMALLEST = 16  # side below which nothing is said
SMOOTH = 2.0  # pixels, of the Gaussian that tells how bright it is at a pixel
MOST = 4.0  # skewness beyond which it is no more than chance
RARE = 0.005  # share of the training images below a range, and above it: they may be flukes


@dataclass(frozen=True)
class Trait:
    """What a range is widened by, and what to tell the owner of an image that lies below it, or above."""

    margin: float
    below: str
    above: str


CHECK = "compare the answer with the image"
TRAITS = {
    "noise": Trait(
        0.03,
        "there is so little noise that structure may be smoothed needlessly",
        "the noise is so strong that fine structure may be lost",
    ),
    "correlation_x": Trait(
        0.05,
        "the noise alternates from pixel to pixel along X: some of it may be left",
        "neighbouring pixels share their noise along X: some of it may be left",
    ),
    "correlation_y": Trait(
        0.05,
        "the noise alternates from pixel to pixel along Y: some of it may be left",
        "neighbouring pixels share their noise along Y: some of it may be left",
    ),
    "rows": Trait(
        0.15,
        f"rows are more alike than noise makes them: {CHECK}",
        "rows differ by more than noise: stripes may be left, or lines along rows weakened",
    ),
    "columns": Trait(
        0.15,
        f"columns are more alike than noise makes them: {CHECK}",
        "columns differ by more than noise: stripes may be left, or lines along columns weakened",
    ),
    "fine": Trait(
        0.015,
        f"the image seems to be sharpened or filtered already: {CHECK}",
        "there is very fine structure, or noise that neighbouring pixels share: it may be smeared",
    ),
    "growth": Trait(
        0.1,
        f"the noise does not grow with the signal as photon noise does: {CHECK}",
        f"the noise grows faster with the signal than photon noise does: {CHECK}",
    ),
    "skewness": Trait(
        0.1,
        f"the noise is not that of photons: {CHECK}",
        f"single pixels are far brighter than photon noise makes them: {CHECK}",
    ),
    "saturated": Trait(0.01, "nothing to fear", "much is saturated: the brightest structures stay cut off"),
}


def traits(plane: NDArray[Any]) -> dict[str, float]:
    """Figures of an image that no gain and no offset changes.

    Parameters
    ----------
    plane : ndarray
        (Y, X), any real dtype, finite values; of a large one the middle is looked at.

    Returns
    -------
    dict
        By the names of `TRAITS`; nothing for planes that are constant or smaller than 16 pixels a side.

        - `noise`: its standard deviation in that of the plane, by second differences, for which fine
          structure is noise.
        - `correlation_x`, `correlation_y`: of what these differences see with its next neighbour; 0 for
          white noise.
        - `rows`, `columns`: spread of their means from one to the next, in that which white noise gives them.
        - `fine`: what the differences see of 2x2 binned pixels, in what white noise alone would leave: more
          than 1 if there is structure of a few pixels, or noise that neighbours share.
        - `growth`: how much the noise's variance grows over a standard deviation of the image, in itself: 0 of
          read noise, about the image's contrast of Poisson noise.
        - `skewness`: third moment of the noise, in that growth of the variance: 1 of Poisson noise, 1.5 behind an
          electron multiplier, less with read noise.
        - `saturated`: share of the pixels at the maximum.
    """
    image = np.asarray(middle(plane, LARGEST), dtype=np.float64)
    if min(image.shape) < SMALLEST or (spread := float(image.std())) <= 1e-9 * abs(float(image.mean())):
        return {}
    mixed = second_differences(image)
    noise = max(float(noise_std(image[None])[0, 0, 0]), 1e-9 * spread)
    return {
        "noise": noise / spread,
        "correlation_x": _correlation(mixed.T),
        "correlation_y": _correlation(mixed),
        "rows": _spread(image.mean(axis=1)) * image.shape[1] ** 0.5 / noise,
        "columns": _spread(image.mean(axis=0)) * image.shape[0] ** 0.5 / noise,
        "fine": 2 * float(noise_std(_binned(image)[None])[0, 0, 0]) / noise,
        **_poisson(image),
        "saturated": float((image == image.max()).mean()),
    }


def _poisson(image: NDArray[np.float64]) -> dict[str, float]:
    """Growth and skewness of the noise, from each pixel's difference from its four neighbours.

    The differences have 20 times the noise's variance, and 60 times its third moment. The growth is a trait to
    tell images apart by, not a camera's gain: `quietfield.noise.transfer` measures that.
    """
    inside = image[1:-1, 1:-1]
    beside = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    differences = 4 * inside - beside
    variance = differences**2 / 20
    mean = ndimage.gaussian_filter(image, SMOOTH)[1:-1, 1:-1]
    spread, power = float(mean.std()), float(variance.mean())
    if not (spread > 0 and power > 0):
        return {"growth": 0.0, "skewness": 0.0}
    slope = float(((mean - mean.mean()) * variance).mean()) / spread**2
    third = float((differences**3).mean()) / 60
    skewness = third / (slope * power) if slope > 0 else 0.0
    return {"growth": slope * spread / power, "skewness": min(max(skewness, -MOST), MOST)}


def _correlation(mixed: NDArray[np.float64]) -> float:
    """Correlation c of noise between rows, from its second differences', which is (2 c - 1) / (2 - 2 c)."""
    power = float((mixed**2).mean())
    lag = float((mixed[1:] * mixed[:-1]).mean()) / power if power > 0 else -0.5
    return (1 + 2 * lag) / (2 + 2 * lag) if lag > -1 else -1.0


def _spread(means: NDArray[np.float64]) -> float:
    """Standard deviation of independent numbers, from fourth differences, in which a smooth curve all but vanishes."""
    return float(np.sqrt((np.diff(means, 4) ** 2).mean() / 70))


def _binned(image: NDArray[np.float64]) -> NDArray[np.float64]:
    y, x = (side // 2 for side in image.shape)
    result: NDArray[np.float64] = image[: 2 * y, : 2 * x].reshape(y, 2, x, 2).mean(axis=(1, 3))
    return result


@dataclass(frozen=True)
class Domain:
    """The ranges of the traits of training images: what a network knows.

    Attributes
    ----------
    ranges : dict
        Least and greatest value by the names of `TRAITS`; a trait without a range is not looked at.
    """

    ranges: dict[str, tuple[float, float]]

    @staticmethod
    def of(images: Iterable[NDArray[Any]]) -> Domain:
        """The ranges in which all but a few of the images lie, each (Y, X)."""
        seen = [found for image in images if (found := traits(image))]
        ranges = {}
        for name, trait in TRAITS.items() if seen else ():
            low, high = np.quantile([found[name] for found in seen], (RARE, 1 - RARE))
            ranges[name] = (round(float(low) - trait.margin, 4), round(float(high) + trait.margin, 4))
        return Domain(ranges)

    def outside(self, plane: NDArray[Any]) -> list[str]:
        """What of a plane (Y, X) lies outside, in words, and what to expect; nothing if nothing does."""
        words = []
        # The figures of a small image are less sure: their chance goes with the square root of its pixels.
        unsure = LARGEST / max(1, min(LARGEST, *plane.shape)) - 1
        for name, found in traits(plane).items():
            low, high = self.ranges.get(name, (-np.inf, np.inf))
            slack = unsure * TRAITS[name].margin
            if not low - slack <= found <= high + slack:
                words.append(TRAITS[name].below if found < low else TRAITS[name].above)
        return words
