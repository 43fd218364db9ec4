"""Losses of a network on noisy images alone.

All are in network units and take batches (N, 1, Y, X). None is a metric of quality: each has the noise
itself in it, which differs from image to image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from quietfield.noise.blindspots import NEIGHBOURHOOD, BlindSpots

Network = Callable[[Tensor], Tensor]


def noise2void_loss(network: Network, z: Tensor, spots: BlindSpots, generator: torch.Generator) -> Tensor:
    """Predict masked pixels from those around them (Noise2Void; Krull et al., 2019).

    Raises
    ------
    ValueError
        If no pixel is left to mask, or none to see.
    """
    sides = zip(z.shape[2:], (spots.reach_y, spots.reach_x), strict=True)
    if any(side <= 2 * max(reach, NEIGHBOURHOOD) for side, reach in sides):
        raise ValueError(
            f"noise2void: expected images larger than the mask of {2 * spots.reach_y + 1} x {2 * spots.reach_x + 1} "
            f"pixels and its neighbourhood, found {tuple(z.shape[2:])}: give a smaller mask or larger images"
        )
    asked = spots.draw(z, generator)
    if not bool(asked.any()):
        raise ValueError(f"noise2void: expected pixels to mask, found none: raise the share {spots.share:g}")
    return spots.errors(network, z, asked).square().mean()


def neighbour_loss(network: Network, z: Tensor, generator: torch.Generator, agreement: float = 1.0) -> Tensor:
    """Predict one of two neighbouring pixels from the other (Neighbor2Neighbor; Huang et al., 2021).

    Of every 2x2 pixels two neighbours are drawn, which gives two images of half the sides.

    Parameters
    ----------
    network, z, generator
        As of all losses here; Y and X even.
    agreement : float
        Weight of the term that makes up for the two not showing the very same.
    """
    first, second = _neighbours(z.shape, generator, z.device)
    blocks = functional.pixel_unshuffle(z, 2)
    left, right = blocks.gather(1, first), blocks.gather(1, second)
    answer = network(left).float()
    with torch.no_grad():
        whole = functional.pixel_unshuffle(network(z).float(), 2)
        change = whole.gather(1, first) - whole.gather(1, second)
    difference = answer - right
    return difference.square().mean() + agreement * (difference - change).square().mean()


def _neighbours(shape: torch.Size, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Places in 2x2 blocks (0 1 / 2 3) of two pixels that share a side, at random."""
    n, _, height, width = shape
    size = (n, 1, height // 2, width // 2)
    first = torch.randint(4, size, generator=generator, device=device)
    vertical = torch.rand(size, generator=generator, device=device) < 0.5
    return first, torch.where(vertical, first ^ 2, first ^ 1)


def recorrupted_loss(network: Network, z: Tensor, noise: Tensor) -> Tensor:
    """Predict, from an image with as much noise again, what that noise was taken from (Recorrupted-to-Recorrupted).

    With w of the same distribution as the noise n of z, n and w cannot be told apart from n + w, so that
    z - w is, on the average over all that look like z + w, what is clean (Pang et al., 2021, for Gaussian
    noise; at equal strength it holds of any). What was drawn must be distributed as n is, skewness and all.

    Parameters
    ----------
    network, z
        As of all losses here.
    noise : Tensor
        The shape of z: w, independent of the noise in it.
    """
    return (network(z + noise).float() - (z - noise)).square().mean()
