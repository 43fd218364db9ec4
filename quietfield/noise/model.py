"""White noise, as a model for synthetic noise: its level, how that grows with the signal, and its skewness."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from quietfield.noise.correlation import FOURTH
from quietfield.noise.transfer import transfer_of_images

SMOOTH = 3.0  # pixels: width of the Gaussian whose average tells how bright it is at a pixel; less lets noise through
MOST_SKEW = 3.0


@dataclass(frozen=True)
class NoiseModel:
    """White noise of variance `slope` * mean + `intercept`.

    Attributes
    ----------
    slope, intercept : float
        Intensity units, and their square.
    skew : float
        Third central moment, in slope * variance: 1 of Poisson noise, 1.5 behind an electron multiplier
        (W2S's cameras), 0 of Gaussian noise.
    """

    slope: float
    intercept: float
    skew: float = 0.0

    @staticmethod
    def of(planes: NDArray[Any]) -> NoiseModel:
        """The model of single images of one camera, (P, Y, X), by what is finer than they resolve."""
        transfer = transfer_of_images(planes)
        if transfer.camera is None:
            return NoiseModel(0.0, float(transfer.variance.mean()))
        return NoiseModel(transfer.slope, transfer.intercept, skewness(planes, transfer.slope))


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
    size = torch.maximum(unit, 1e-6 * variance.max().sqrt() + 1e-30)
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
    rough = np.stack([ndimage.convolve(np.asarray(plane, float), mask, mode="mirror") for plane in planes])
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
