"""What a step learns: an objective for each name of `Config.learn`, chosen in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from quietfield.network.unet import own_plane
from quietfield.noise.blindspots import BlindSpots
from quietfield.noise.camera import correlate
from quietfield.noise.model import skewed_noise, smoothed

from ..config import Config
from .losses import build_loss
from .selfsupervised import Network, neighbour_loss, noise2void_loss, recorrupted_loss
from .units import white_variance

LEAST_NOISE = 0.03  # of a crop, in its standard deviations, as `balance` sees it
FINEST, COARSEST = 0.5, 2.5  # widths in pixels of the Gaussians whose difference shows structure of 2 to 8 pixels
NOTHING, AROUND = 0.1, 17  # of the noise, that such structure has at most where it is calm; over so many pixels


@dataclass(frozen=True)
class Batch:
    """The crops of one step on their device, float32.

    Attributes
    ----------
    noisy : Tensor
        (N, P, Y, X), intensity units; P is 1, or the planes that the network is given.
    x : Tensor
        The same in network units: what the network is given.
    target : Tensor
        (N, 1, sY, sX), network units: the ground truth, or without one another frame of the same scene.
    camera : Tensor
        (N, 3), gain, offset and skewness of the noise (`train.data.pairs.Pair`).
    """

    noisy: Tensor
    x: Tensor
    target: Tensor
    camera: Tensor


class Objective(Protocol):
    """Gives the loss of a batch, a scalar in network units; `generator` draws on the device of the crops."""

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> Tensor: ...


class Supervised:
    """The difference from the ground truth, by the loss that the configuration names."""

    def __init__(self, config: Config) -> None:
        self.difference, self.balance = build_loss(config.loss, config.mix), config.balance
        self.regions, self.calm = config.regions, config.calm

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> Tensor:
        x, y, target = own_plane(batch.x), network(batch.x), batch.target
        compared = balanced(y, x, target, self.balance, self.regions) if self.balance > 0 else (y, target)
        loss = self.difference(*compared)
        return loss + self.calm * calm_loss(y, x, target) if self.calm > 0 else loss


class Noise2Noise:
    """The difference from another frame of the same scene (Lehtinen et al., 2018)."""

    def __init__(self, config: Config) -> None:
        pass

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> Tensor:
        return (network(batch.x).float() - batch.target).square().mean()


class Noise2Void:
    """Masked pixels from those around them."""

    def __init__(self, config: Config) -> None:
        self.spots = BlindSpots(config.spots, *config.mask).sparse()

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> Tensor:
        return noise2void_loss(network, batch.x, self.spots, generator)


class Neighbours:
    """A pixel from the one beside it."""

    def __init__(self, config: Config) -> None:
        self.agreement = config.agreement

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> Tensor:
        return neighbour_loss(network, batch.x, generator, self.agreement)


class Recorrupted:
    """The image behind noise that is added, which is like its own."""

    def __init__(self, config: Config) -> None:
        pass

    def __call__(self, network: Network, batch: Batch, generator: torch.Generator) -> Tensor:
        noisy, z = batch.noisy, batch.x
        scale = (z.std(dim=(1, 2, 3), keepdim=True) / noisy.std(dim=(1, 2, 3), keepdim=True)).nan_to_num(1.0)
        return recorrupted_loss(network, z, scale * noise_like(noisy, batch.camera, generator))


OBJECTIVES: dict[str, Callable[[Config], Objective]] = {
    "truth": Supervised,
    "noise2noise": Noise2Noise,
    "noise2void": Noise2Void,
    "neighbours": Neighbours,
    "recorrupted": Recorrupted,
}


def build_objective(config: Config) -> Objective:
    """The objective that `config.learn` names."""
    return OBJECTIVES[config.learn](config)


def balanced(y: Tensor, x: Tensor, target: Tensor, power: float, regions: int = 0) -> tuple[Tensor, Tensor]:
    """Answer and ground truth, (N, 1, Y, X), divided by a power of the noise in network units.

    The noise is the root mean square of `x - target`: of the whole crop, or around each pixel in a square of about
    `regions` pixels. It is at least `LEAST_NOISE`, or that share of the crop's, as there may be none.
    """
    square = (x - target).square()
    noise = square.mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=LEAST_NOISE)
    if regions:
        around = functional.avg_pool2d(square, regions | 1, 1, regions // 2, count_include_pad=False).sqrt()
        noise = torch.maximum(around, LEAST_NOISE * noise)
    return y / noise**power, target / noise**power


def calm_loss(y: Tensor, x: Tensor, target: Tensor) -> Tensor:
    """Power of structure of 2 to 8 pixels that an answer, (N, 1, Y, X), has where the ground truth has none.

    It is divided by the noise of each crop, the root mean square of `x - target`.
    """
    noise = (x - target).square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=LEAST_NOISE)
    there = functional.avg_pool2d(_band(target).square(), AROUND, 1, AROUND // 2, count_include_pad=False).sqrt()
    return ((there < NOTHING * noise) * _band(y - target).square() / noise).mean()


def _band(image: Tensor) -> Tensor:
    fine, coarse = (correlate(image.float(), width, keep_variance=False) for width in (FINEST, COARSEST))
    return fine - coarse


def noise_like(noisy: Tensor, camera: Tensor, generator: torch.Generator) -> Tensor:
    """Synthetic noise like that of the crops, in their units.

    Parameters
    ----------
    noisy : Tensor
        float32, (N, 1, Y, X), intensity units.
    camera : Tensor
        (N, 3), gain, offset and skewness; where the gain is NaN the noise is white and Gaussian.
    generator : torch.Generator
        Source of the randomness.
    """
    gain, offset, skew = (camera[:, i].view(-1, 1, 1, 1) for i in range(3))
    white = white_variance(noisy).expand(noisy.shape)
    known = torch.isfinite(gain)
    variance = torch.where(known, gain * (smoothed(noisy) - offset).clamp(min=0), white)
    return skewed_noise(variance, torch.where(known, skew * gain, torch.zeros_like(gain)), generator)
