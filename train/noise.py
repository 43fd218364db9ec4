"""The camera's noise: measured from a pair (photon transfer), and drawn anew from the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def photon_transfer(noisy: NDArray[Any], truth: NDArray[Any]) -> tuple[float, float]:
    """Gain and offset of a camera with Poisson noise: variance = gain * (mean - offset).

    Parameters
    ----------
    noisy, truth : ndarray
        One frame and its noise-free image in the same units and shape.

    Returns
    -------
    gain : float
        Intensity units per photo-electron.
    offset : float
        Intensity units of no light.

    Raises
    ------
    ValueError
        If the variance does not grow with the mean: such noise is not Poisson noise.
    """
    mean = np.asarray(truth, dtype=np.float64).ravel()
    variance = (np.asarray(noisy, dtype=np.float64).ravel() - mean) ** 2
    centred = mean - mean.mean()
    power = float((centred**2).sum())
    gain = float((centred * variance).sum()) / power if power > 0 else 0.0
    if not gain > 0:
        raise ValueError(f"photon transfer: expected a variance that grows with the mean, found a slope of {gain:.3g}")
    return gain, float(mean.mean() - variance.mean() / gain)


def poisson_frame(truth: Tensor, gain: Tensor, offset: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a camera frame: offset + gain * Poisson((truth - offset) / gain).

    Parameters
    ----------
    truth : Tensor
        float32, (N, 1, Y, X), intensity units.
    gain, offset : Tensor
        float32, (N, 1, 1, 1), as `photon_transfer` gives them.
    generator : torch.Generator
        Source of the randomness, on the truth's device.
    """
    rate = ((truth - offset) / gain).clamp(min=0)
    return offset + gain * torch.poisson(rate, generator=generator)
