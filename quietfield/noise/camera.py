"""The camera's noise: synthetic noise on an image without any. `quietfield.noise.transfer` measures it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Number = float | Tensor


@dataclass(frozen=True)
class Camera:
    """What turns photo-electrons into numbers: variance = gain * (mean - offset) + read_noise ** 2.

    Attributes
    ----------
    gain
        Intensity units per photo-electron.
    offset
        Intensity units of no light.
    read_noise
        Standard deviation of what the electronics add, intensity units. White, Gaussian.
    """

    gain: float
    offset: float
    read_noise: float = 0.0

    def averaged(self, frames: int) -> Camera:
        """The camera whose single frames are distributed as the means of so many of this one."""
        return Camera(self.gain / frames, self.offset, self.read_noise / math.sqrt(frames))


# Measured on raw frames of W2S.
W2S_CAMERA = Camera(13.4, 103.4)


def expose(mean: Tensor, gain: Number, offset: Number, read_noise: Number, generator: torch.Generator) -> Tensor:
    """Draw a camera frame: offset + gain * Poisson((mean - offset) / gain) + read noise.

    For training, on the device and with a camera for each crop; `expose_array` is its twin in numpy.

    Parameters
    ----------
    mean : Tensor
        float32, any shape, intensity units: the frame without noise. Below the offset there is no light.
    gain, offset, read_noise : float or Tensor
        As of `Camera`; tensors broadcast against the mean, for a camera of its own for each crop.
    generator : torch.Generator
        Source of the randomness, on the mean's device.

    Returns
    -------
    Tensor
        The shape, type and device of the mean.
    """
    rate = ((mean - offset) / gain).clamp(min=0)
    frame = offset + gain * torch.poisson(rate, generator=generator)
    if isinstance(read_noise, Tensor) or read_noise > 0:
        frame = frame + read_noise * torch.randn(mean.shape, generator=generator, device=mean.device)
    return frame


def expose_array(light: NDArray[Any], camera: Camera, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw a camera frame in numpy: offset + gain * Poisson(light) + read noise.

    The twin of `expose` for test images: it computes in float64 and starts from photo-electrons, so that the same
    seed gives the same frame on every machine. Training draws by `expose`, on the device.

    Parameters
    ----------
    light : ndarray
        Real, any shape, photo-electrons from 0: the frame without noise.
    camera : Camera
        Gain, offset and read noise. Without read noise, only the Poisson numbers are drawn.
    random : Generator
        Source of the randomness: the Poisson numbers of all pixels first, then the read noise.

    Returns
    -------
    ndarray
        The shape of `light`, intensity units, not rounded.

    Examples
    --------
    >>> frame = expose_array(np.full((64, 64), 50.0), Camera(2.0, 100.0), np.random.default_rng(0))
    >>> round(frame.mean()), round(frame.var())
    (200, 207)
    """
    electrons: NDArray[Any] = random.poisson(light)
    if camera.read_noise > 0:
        electrons = electrons + camera.read_noise / camera.gain * random.standard_normal(electrons.shape)
    frame: NDArray[np.float64] = camera.offset + camera.gain * electrons
    return frame


def poisson_frame(
    truth: Tensor, gain: Number, offset: Number, generator: torch.Generator, multiplies: Tensor | None = None
) -> Tensor:
    """Draw a frame of a camera without read noise, with the gain and offset that `photon_transfer` gives.

    Parameters
    ----------
    truth, gain, offset, generator
        As of `expose`.
    multiplies : Tensor, optional
        bool, broadcasts against the ground truth: where the camera multiplies electrons (an EMCCD), `multiplied`.
    """
    frame = expose(truth, gain, offset, 0.0, generator)
    if multiplies is None:
        return frame
    rate = ((truth - offset) / gain).clamp(min=0)
    return torch.where(multiplies, offset + gain * multiplied(rate, generator), frame)


def multiplied(rate: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of a camera that multiplies electrons (EMCCD), scaled to the mean and variance of Poisson noise.

    Each electron becomes an exponentially distributed number of them (Hirsch et al., 2013), which doubles the
    variance; so `rate` stands for twice as many electrons, of half the gain. Its third moment is 1.5 times `rate`.

    Parameters
    ----------
    rate : Tensor
        float32, any shape, from 0: mean and variance.
    generator : torch.Generator
        Source of the randomness, on the rate's device.
    """
    electrons = torch.poisson(2 * rate, generator=generator)
    # The sum of n exponential numbers has a gamma distribution of shape n.
    return torch._standard_gamma(electrons.clamp(min=1), generator=generator) * (electrons > 0) / 2


def average_frames(mean: Tensor, frames: int, camera: Camera, generator: torch.Generator) -> Tensor:
    """Draw the mean of so many frames of one scene: W2S's avg1 to avg16.

    A sum of Poisson numbers is a Poisson number, so one draw at `gain / frames` is distributed as
    the mean of that many, at the price of one.
    """
    one = camera.averaged(frames)
    return expose(mean, one.gain, one.offset, one.read_noise, generator)


def correlate(noise: Tensor, sigma: Number, keep_variance: bool = True, reach: int | None = None) -> Tensor:
    """Noise whose neighbours resemble each other: convolved with a Gaussian.

    White noise gets a correlation of about exp(-1 / (4 sigma ** 2)) between neighbours.

    Parameters
    ----------
    noise : Tensor
        float32, (N, 1, Y, X), each side longer than three sigma.
    sigma : float or Tensor
        Pixels; a tensor is (N, 1, 1, 1). 0 leaves the noise as it is.
    keep_variance : bool
        Keep the variance of white noise, away from the edges. Otherwise the mean is kept and the variance
        falls, as by a camera's or a microscope's interpolation.
    reach : int, optional
        Taps to each side; without, three times the largest sigma.
    """
    count = len(noise)
    sigmas = torch.as_tensor(sigma, dtype=noise.dtype, device=noise.device).expand(count, 1, 1, 1)
    largest = float(sigma.max()) if isinstance(sigma, Tensor) and not reach else sigma  # a GPU has to wait for it
    radius = reach or max(1, math.ceil(3 * largest))
    taps = torch.arange(-radius, radius + 1, device=noise.device)
    kernel = torch.exp(-((taps / sigmas.clamp(min=1e-3)) ** 2) / 2)  # (N, 1, 1, taps)
    kernel = kernel / (kernel.norm(dim=-1, keepdim=True) if keep_variance else kernel.sum(dim=-1, keepdim=True))
    image = functional.pad(noise.transpose(0, 1), 4 * [radius], mode="reflect")
    image = functional.conv2d(image, kernel, groups=count)
    return functional.conv2d(image, kernel.transpose(2, 3), groups=count).transpose(0, 1)


def row_noise(like: Tensor, spread: Number, generator: torch.Generator) -> Tensor:
    """One number for each row of each image (N, 1, Y, X), as of a camera that reads row by row.

    Parameters
    ----------
    like : Tensor
        Gives the shape and the device, which is the generator's too.
    spread : float or Tensor
        Standard deviation, intensity units; a tensor is (N, 1, 1, 1).

    Returns
    -------
    Tensor
        float32, (N, 1, Y, 1), to be added.
    """
    return spread * torch.randn((*like.shape[:3], 1), generator=generator, device=like.device)
