"""Crops in network units, on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor

from quietfield.network.normalise import Normalisation
from quietfield.network.unet import own_plane

FURTHEST = 30.0  # that a region is trained to lie from the plane's centre, in standard deviations of its noise
BLIND = 3.0  # standard deviations of a crop, that its noise is above where it shows nothing of its ground truth


def normalised(noisy: Tensor, truth: Tensor, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    """Both in network units, by the statistics of the noisy crop, which is all there is in use.

    Of several planes (N, P, Y, X) the one in the middle tells.
    """
    centre, scale = statistics(own_plane(noisy), normalisation)
    return (noisy - centre) / scale, (truth - centre) / scale


def telling(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Crops in network units, x (N, P, Y, X), with 0 in place of those that show nothing of their ground truth.

    Dark counts behind a median filter are nearly constant, and in their units the ground truth is so far away that
    one such crop would weigh more than all others.
    """
    told = (own_plane(x) - target).square().mean(dim=(1, 2, 3), keepdim=True) <= BLIND**2
    return torch.where(told, x, 0.0), torch.where(told, target, 0.0)


def decentred(x: Tensor, target: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Crops in network units, x (N, P, Y, X), a share moved away from 0 by up to `FURTHEST` times their noise.

    So lies a part of a plane whose other parts are much brighter or darker.
    """
    column = (len(x), 1, 1, 1)
    noise = (own_plane(x) - target).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    chosen, sign, far = (torch.rand(column, generator=generator, device=x.device) for _ in range(3))
    shift = (chosen < share) * torch.sign(sign - 0.5) * FURTHEST**far * noise
    return x + shift, target + shift


def white_variance(crops: Tensor) -> Tensor:
    """Variance of the white noise of crops (N, 1, Y, X), (N, 1, 1, 1): `quietfield.network.normalise.noise_std`."""
    return crops.diff(dim=2).diff(dim=3).square().mean(dim=(2, 3), keepdim=True) / 4


def statistics(noisy: Tensor, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    """Centre and scale of crops, (N, 1, 1, 1), float32: `Normalisation.statistics` in torch, on the device.

    The formula stands twice: inference sums in numpy and training in torch, which round differently, and neither
    may change. `test_crops_are_normalised_as_planes_are` holds both equal. Of a constant crop, the scale is 1 here
    and 0 there, since a division by it needs no exception on a GPU.
    """
    x = noisy.double()
    if normalisation.kind == "dataset":
        shape = (len(x), 1, 1, 1)
        return x.new_full(shape, normalisation.mean).float(), x.new_full(shape, normalisation.std).float()
    centre = x.mean(dim=(2, 3), keepdim=True)
    scale = x.std(dim=(2, 3), keepdim=True, correction=0)
    if normalisation.kind == "noise":
        noise = white_variance(x).sqrt()
        scale = torch.where(noise > 0, noise, scale)
    return centre.float(), torch.where(scale <= 1e-12 * centre.abs(), 1.0, scale).float()
