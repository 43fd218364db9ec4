"""The noise of an image as it can be drawn again: its level, its skewness, and what neighbours share."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from denoiser.noise.camera import correlate, row_noise
from denoiser.noise.diagnosis import PATTERN, WHITE, diagnose
from denoiser.noise.transfer import CLASSES, FOURTH, Array, fit_line, transfer_of_images

SMOOTH = 1.0  # pixels: width of the Gaussian whose average tells how bright it is at a pixel
MOST_SKEW = 3.0
SQUARE = 32  # pixels a side of the places that are looked at


@dataclass(frozen=True)
class NoiseModel:
    """Noise of variance `slope` * mean + `intercept`.

    Attributes
    ----------
    slope, intercept : float
        Intensity units, and their square.
    skew : float
        Third central moment, in slope * variance: 1 of Poisson noise, 1.5 behind an electron multiplier
        (W2S's cameras), 0 of Gaussian noise.
    blur_y, blur_x : float
        Width of the Gaussian that white noise was blurred by, pixels; 0 of white noise.
    rows, columns : float
        Standard deviation of what whole rows or columns share, in that of the rest of the noise.
    """

    slope: float
    intercept: float
    skew: float = 0.0
    blur_y: float = 0.0
    blur_x: float = 0.0
    rows: float = 0.0
    columns: float = 0.0

    @staticmethod
    def of_white(planes: NDArray[Any]) -> NoiseModel:
        """The model of white noise, from single images of one camera, (P, Y, X), by what is finer than they resolve."""
        transfer = transfer_of_images(planes)
        if transfer.camera is None:
            return NoiseModel(0.0, float(transfer.variance.mean()))
        return NoiseModel(transfer.slope, transfer.intercept, skewness(planes, transfer.slope))

    @staticmethod
    def of(plane: NDArray[Any], clean: NDArray[Any]) -> NoiseModel:
        """The model of any noise, from an image and what comes near it without noise.

        Whether neighbours share noise is told by what is finer than the image (`diagnose`), and how much of it
        by the quietest places, where there is little else.

        Parameters
        ----------
        plane, clean : ndarray
            (Y, X), any real dtype, intensity units; at least 64 pixels a side.
        """
        found = diagnose(plane)
        rows, columns = (math.sqrt(share) if share > PATTERN else 0.0 for share in (found.rows, found.columns))
        blurred = [abs(lag) > WHITE for lag in (found.lag_y, found.lag_x)]
        if not any(blurred):
            return dataclasses.replace(NoiseModel.of_white(np.asarray(plane)[None]), rows=rows, columns=columns)
        places = _quietest(np.asarray(plane, float))
        if rows:
            places = places - places.mean(axis=2, keepdims=True)
        if columns:
            places = places - places.mean(axis=1, keepdims=True)
        power = (places**2).mean()
        lags = (places[:, 1:] * places[:, :-1]).mean() / power, (places[:, :, 1:] * places[:, :, :-1]).mean() / power
        # What a filter leaves of the noise where it is bright and where it is dark tells its growth, whatever the filter.
        residual = np.asarray(plane, float) - np.asarray(clean, float)
        classes = np.array_split(np.argsort(clean, axis=None), CLASSES)
        means, variances = (np.array([x.ravel()[c].mean() for c in classes]) for x in (np.asarray(clean, float), residual**2))
        slope, intercept, _ = fit_line(means, variances)
        share = float(power) / max(float(variances[: CLASSES // 8].mean()), 1e-30)
        if slope * np.ptp(means) < 0.1 * variances.mean():
            slope, intercept = 0.0, float(variances[: CLASSES // 8].mean())
        widths = [_width(float(lag)) if there else 0.0 for lag, there in zip(lags, blurred, strict=True)]
        return NoiseModel(share * slope, share * intercept, 0.0, *widths, rows, columns)

    def variance(self, mean: Tensor) -> Tensor:
        """Of the noise at pixels of this mean; never less than nothing."""
        return (self.slope * mean + self.intercept).clamp(min=0)

    def draw(self, mean: Tensor, generator: torch.Generator, share: float = 1.0) -> Tensor:
        """Noise like this on an image.

        Parameters
        ----------
        mean : Tensor
            float32, (N, 1, Y, X), intensity units: the image without noise, or what comes near it.
        generator : torch.Generator
            Source of the randomness, on the mean's device.
        share : float
            Of the variance: the noise of that share of the exposure, of as large quanta.

        Returns
        -------
        Tensor
            The same shape, intensity units, of mean 0.
        """
        variance = share * self.variance(mean)
        noise = skewed_noise(variance, mean.new_tensor(self.skew * self.slope), generator)
        if self.blur_y or self.blur_x:
            spread = variance.sqrt().clamp(min=1e-12)
            noise = noise / spread
            for axis, width in (("y", self.blur_y), ("x", self.blur_x)):
                noise = correlate(noise, width, axes=axis) if width else noise
            noise = noise * spread
        for pattern, turned in ((self.rows, False), (self.columns, True)):
            if pattern:
                like = mean.transpose(2, 3) if turned else mean
                lines = row_noise(like, pattern, generator) * variance.mean().sqrt()
                noise = noise + (lines.transpose(2, 3) if turned else lines)
        return noise


def skewed_noise(variance: Tensor, unit: Tensor, generator: torch.Generator) -> Tensor:
    """White noise of this variance, and of a third moment of `unit` times that: units times Poisson numbers.

    Parameters
    ----------
    variance : Tensor
        float32, (N, 1, Y, X).
    unit : Tensor
        Broadcasts against it; where it is 0 the noise is Gaussian.
    generator : torch.Generator
        Source of the randomness, on their device.
    """
    white = torch.randn(variance.shape, generator=generator, device=variance.device) * variance.sqrt()
    size = unit.clamp(min=1e-6 * float(variance.max()) ** 0.5 + 1e-30)
    rate = variance / size**2
    # Beyond a million quanta the numbers are as good as Gaussian, and float32 has no room for more.
    counted = size * (torch.poisson(rate.clamp(max=1e6), generator=generator) - rate.clamp(max=1e6))
    return torch.where((unit > 0) & (rate < 1e6), counted, white)


def skewness(planes: NDArray[Any], slope: float) -> float:
    """`NoiseModel.skew` of white noise, from single images of one camera, (P, Y, X).

    The third moment of their fourth differences along both axes, in which next to nothing is left of an image.
    One image of 512² tells it to a tenth or so.
    """
    mask = np.outer(FOURTH, FOURTH) / (FOURTH**2).sum()
    rough: Array = np.stack([ndimage.convolve(np.asarray(plane, float), mask, mode="mirror") for plane in planes])
    power = float((rough**2).mean())
    expected = float((mask**3).sum()) * slope * power
    return min(max(0.0, float((rough**3).mean()) / expected), MOST_SKEW) if expected > 0 else 0.0


def smoothed(images: Tensor) -> Tensor:
    """(N, 1, Y, X), averaged by a narrow Gaussian: what comes near the image without noise, pixel by pixel."""
    reach = math.ceil(3 * SMOOTH)
    taps = torch.exp(-((torch.arange(-reach, reach + 1.0, device=images.device) / SMOOTH) ** 2) / 2)
    taps = taps / taps.sum()
    padded = functional.pad(images, 4 * [reach], mode="reflect" if min(images.shape[2:]) > reach else "replicate")
    return functional.conv2d(functional.conv2d(padded, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))


def _quietest(plane: Array) -> Array:
    """The tenth of all squares of `SQUARE` pixels with the least variance, (K, Y, X), without their means."""
    height, width = (side // SQUARE for side in plane.shape)
    squares = plane[: height * SQUARE, : width * SQUARE].reshape(height, SQUARE, width, SQUARE)
    squares = squares.transpose(0, 2, 1, 3).reshape(-1, SQUARE, SQUARE)
    quiet = np.argsort(squares.var(axis=(1, 2)))[: max(1, len(squares) // 10)]
    chosen: Array = squares[quiet] - squares[quiet].mean(axis=(1, 2), keepdims=True)
    return chosen


def _width(lag: float) -> float:
    """Of the Gaussian that gives white noise this correlation with its next neighbour."""
    return 0.5 / math.sqrt(-math.log(min(max(lag, 1e-3), 0.95)))
