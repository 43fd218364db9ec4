"""Light without fine structure, which most of a microscope's image consists of: background, blur, diffuse stain."""

from __future__ import annotations

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

FLAT = 0.35  # share of the fields that are of one brightness


def smooth_light(like: Tensor, generator: torch.Generator, random: Generator) -> Tensor:
    """Fields that only change slowly, each from above 0 to 1.

    Parameters
    ----------
    like : Tensor
        (N, 1, Y, X), gives shape, type and device.
    generator : torch.Generator
        Draws the fields, on that device.
    random : Generator
        Draws how slowly, for all of them alike.

    Returns
    -------
    Tensor
        As large. From a knot to the next it is bicubic.
    """
    column = (len(like), 1, 1, 1)
    field = torch.zeros_like(like)
    for knots in (2, int(random.integers(3, 8))):
        drawn = torch.randn((len(like), 1, knots, knots), generator=generator, device=like.device)
        field = field + functional.interpolate(drawn, size=like.shape[2:], mode="bicubic", align_corners=False)
    contrast = torch.rand(column, generator=generator, device=like.device)
    contrast = (2 * (contrast - FLAT)).clamp(min=0)
    light = (contrast * field).exp()
    return light / light.amax(dim=(2, 3), keepdim=True)


def lit(truth: Tensor, share: float, generator: torch.Generator, random: Generator) -> Tensor:
    """Crops, from 0 to about 1: a share of them is smooth light alone, another as large is seen behind such light.

    Parameters
    ----------
    truth : Tensor
        float32, (N, P, Y, X); planes of one crop are behind the same light.
    share : float
        Of the crops, 0 to 0.5.
    generator, random : torch.Generator, Generator
        As of `smooth_light`.
    """
    column = (len(truth), 1, 1, 1)
    light = smooth_light(truth[:, :1], generator, random)
    draw, weight = (torch.rand(column, generator=generator, device=truth.device) for _ in range(2))
    mixed = torch.lerp(light, truth, 10 ** (-1.5 * weight))
    return torch.where(draw < share, light, torch.where(draw < 2 * share, mixed, truth))
