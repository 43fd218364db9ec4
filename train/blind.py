"""Learning without a truth: what one step learns from noisy crops alone."""

from __future__ import annotations

import torch
from torch import Tensor

from quietfield.noise.blindspots import BlindSpots
from quietfield.noise.model import skewed_noise, smoothed
from train.config import Config
from train.selfsupervised import Network, neighbour_loss, noise2void_loss, recorrupted_loss


def blind_loss(
    network: Network,
    noisy: Tensor,
    z: Tensor,
    other: Tensor,
    camera: Tensor,
    config: Config,
    generator: torch.Generator,
) -> Tensor:
    """The loss that `config.learn` names.

    Parameters
    ----------
    network : callable
        (N, 1, Y, X) to (N, 1, Y, X) in network units.
    noisy, z : Tensor
        float32, (N, 1, Y, X): the crops in intensity units, and in network units.
    other : Tensor
        The shape of z: another frame of the same scene in the same network units, for "noise2noise".
    camera : Tensor
        (N, 3), gain, offset and skewness of the noise (`train.images.pairs.Pair`), for "recorrupted".
    config : Config
        Its `spots`, `mask` and `agreement`.
    generator : torch.Generator
        Draws what is drawn, on the device of the crops.
    """
    if config.learn == "noise2noise":
        return (network(z).float() - other).square().mean()
    if config.learn == "noise2void":
        return noise2void_loss(network, z, BlindSpots(config.spots, *config.mask).sparse(), generator)
    if config.learn == "neighbours":
        return neighbour_loss(network, z, generator, config.agreement)
    spread = (z.std(dim=(1, 2, 3), keepdim=True) / noisy.std(dim=(1, 2, 3), keepdim=True)).nan_to_num(1.0)
    return recorrupted_loss(network, z, spread * noise_like(noisy, camera, generator))


def noise_like(noisy: Tensor, camera: Tensor, generator: torch.Generator) -> Tensor:
    """Noise like that of the crops, drawn anew, in their units.

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
    mixed = noisy.diff(dim=2).diff(dim=3)
    white = (mixed.square().mean(dim=(1, 2, 3), keepdim=True) / 4).expand(noisy.shape)
    known = torch.isfinite(gain)
    variance = torch.where(known, gain * (smoothed(noisy) - offset).clamp(min=0), white)
    return skewed_noise(variance, torch.where(known, skew * gain, torch.zeros_like(gain)), generator)
