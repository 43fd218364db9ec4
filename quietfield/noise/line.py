"""The variance of noise as a straight line over the mean, for all who ask how far something is above the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.noise.transfer import transfer_of_images

Array = NDArray[np.float32]

FLOOR = 0.2  # of the usual variance, that is believed at least
SAMPLED = 2**13  # pixels that tell the noise of a plane with outliers
CLASSES = 16  # of them, by brightness
NINE_TENTHS, NEARLY_ALL = 1.645, 2.17  # standard deviations, below which 90 and 97 of 100 magnitudes of noise lie
TAIL = 3.0  # times as far as nine tenths, lie 97 of 100 magnitudes of any noise
LONG = (1.8, 6.0)  # times as far they lie where few photons are multiplied; farther, there are outliers
MEDIAN_OF_EIGHT = 1.17  # variance of a pixel's difference from the median of its neighbours, in the noise's
# The eight pixels around one, as shifts along Y and X.
AROUND = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


@dataclass(frozen=True)
class NoiseLine:
    """The noise's variance over the mean.

    Attributes
    ----------
    slope, intercept, floor : float
        Of the line, and the least that is believed, intensity units (squared).
    photon : float
        What one photon may add at most, intensity units: noise that is not Gaussian reaches farther.
    """

    slope: float
    intercept: float
    floor: float
    photon: float = 0.0

    @staticmethod
    def of(noisy: NDArray[Any]) -> NoiseLine:
        """By photon transfer of planes (N, Y, X); level where the noise does not grow with the signal."""
        transfer = transfer_of_images(noisy)
        usual = float(np.median(transfer.variance))
        slope, intercept = (transfer.slope, transfer.intercept) if transfer.camera else (0.0, usual)
        return NoiseLine(slope, intercept, max(FLOOR * usual, 1e-12))

    @staticmethod
    def robust(plane: NDArray[Any]) -> NoiseLine:
        """Of a plane (Y, X) with outliers in it: of differences between neighbours, nine tenths count."""
        random = np.random.default_rng(0)  # a grid might meet a pattern of the camera
        y, x = (random.integers(1, side - 1, min(SAMPLED, plane.size)) for side in plane.shape)
        values = plane[y, x]
        level = np.median([plane[y + i, x + j] for i, j in AROUND], axis=0)
        off = np.abs(values - level)
        classes = np.array_split(np.argsort(level, kind="stable"), CLASSES)
        means = np.array([level[c].mean(dtype=np.float64) for c in classes])
        variances = np.array([_spread(off[c]) ** 2 for c in classes]) / MEDIAN_OF_EIGHT
        usual, quantum = float(np.median(variances)), _quantum(values)
        # The slope between dark and bright classes, by medians: edges and outliers are in few classes.
        steps = np.subtract.outer(means, means)
        apart = steps > 0.1 * np.ptp(means)
        slopes = np.subtract.outer(variances, variances)[apart] / steps[apart]
        slope = max(0.0, float(np.median(slopes)) if slopes.size else 0.0)
        intercept = float(np.median(variances - slope * means))
        light = float(np.median(values) - np.quantile(values, 0.001))
        photon = quantum or max(_multiplied(off), slope, usual / light if light > 0 else 0.0)
        return NoiseLine(slope, intercept, max(FLOOR * usual, quantum**2 / 12, 1e-30), photon)

    def variance(self, level: NDArray[Any]) -> Array:
        """Of the noise at a level."""
        result: Array = np.maximum(self.slope * level + self.intercept, self.floor).astype(np.float32)
        return result

    def stabilised(self, level: NDArray[Any]) -> NDArray[np.float64]:
        """A level in standard deviations of the noise, which are not the same at every level."""
        level = np.asarray(level, np.float64)
        if self.slope <= 0:
            flat: NDArray[np.float64] = level / max(self.intercept, self.floor) ** 0.5
            return flat
        dark = (self.floor - self.intercept) / self.slope  # below it, the noise is the least that is believed
        bright = np.sqrt(np.maximum(self.slope * level + self.intercept, self.floor)) - self.floor**0.5
        result: NDArray[np.float64] = np.minimum(level - dark, 0) / self.floor**0.5 + 2 / self.slope * bright
        return result


def _spread(off: NDArray[Any]) -> float:
    """Standard deviation of noise by magnitudes, of which a few belong to outliers."""
    most, nearly_all = np.quantile(off, (0.9, 0.97))
    return float(max(most / NINE_TENTHS, min(nearly_all, TAIL * most) / NEARLY_ALL))


def _multiplied(off: NDArray[Any]) -> float:
    """What one photon adds behind an electron multiplier, by the long tail of magnitudes; 0 where there is none."""
    most, nearly_all = np.quantile(off, (0.9, 0.97))
    tail = float((nearly_all - most) / np.log(0.1 / 0.03))
    return tail if LONG[0] * most < nearly_all < LONG[1] * most else 0.0


def _quantum(values: NDArray[Any]) -> float:
    """What one photon adds, of values that are mostly those of no photon; else 0."""
    usual = float(np.median(values))
    others = np.abs(values[values != usual] - usual)
    return float(np.median(others)) if 0 < others.size < 0.5 * values.size else 0.0
