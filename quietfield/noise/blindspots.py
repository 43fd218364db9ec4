"""Masked pixels, which a network is asked for and does not see: it can tell their image, not their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

HIDDEN = 0.2  # share of the pixels that are masked, at most
NEIGHBOURHOOD = 2  # pixels to each side whose median stands in for a masked pixel


@dataclass(frozen=True)
class BlindSpots:
    """Which pixels are masked, and what is masked along with each.

    Attributes
    ----------
    share : float
        Of the pixels that are masked and asked for.
    reach_y, reach_x : int
        Pixels to each side, along Y and along X, of the rectangle that is masked with it: as far as noise is shared.
    """

    share: float = 0.02
    reach_y: int = 0
    reach_x: int = 0

    @property
    def pixels(self) -> int:
        """Masked for each that is asked for."""
        return (2 * self.reach_y + 1) * (2 * self.reach_x + 1)

    def sparse(self) -> BlindSpots:
        """The same, but so few that not too much is masked with them."""
        return replace(self, share=min(self.share, HIDDEN / self.pixels))

    def draw(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """The pixels to ask for: bool, of the shape and on the device of z, drawn on that of the generator."""
        return (torch.rand(z.shape, generator=generator, device=generator.device) < self.share).to(z.device)

    def hide(self, z: Tensor, asked: Tensor) -> Tensor:
        """The images (N, 1, Y, X) without the pixels that are asked for, and those within reach.

        A pixel that is masked alone shows the median of those around it (N2V2; Hoeck et al., 2022). Where
        rectangles are masked (structured Noise2Void; Broaddus et al., 2020), each pixel of them shows the mean of
        what is left around, the nearest first.
        """
        if self.pixels == 1:
            return z.masked_scatter(asked, _medians(z, asked))
        y, x = self.reach_y, self.reach_x
        seen = 1 - functional.max_pool2d(asked.float(), (2 * y + 1, 2 * x + 1), 1, (y, x))
        sigma = 1.0 + min(y, x)
        around = _blurred(z * seen, sigma) / _blurred(seen, sigma).clamp(min=1e-6)
        return torch.where(seen > 0, z, around)

    def errors(self, network: Callable[[Tensor], Tensor], z: Tensor, asked: Tensor) -> Tensor:
        """What the network has wrong of the pixels that are asked for, in the order of `z[asked]`."""
        return (network(self.hide(z, asked)).float() - z)[asked]


def _medians(z: Tensor, where: Tensor) -> Tensor:
    """Of the neighbourhoods of some pixels, without these."""
    r = NEIGHBOURHOOD
    padded = functional.pad(z, 4 * [r], mode="reflect")
    height, width = z.shape[2:]
    around = [
        padded[..., r + y : r + y + height, r + x : r + x + width][where]
        for y in range(-r, r + 1)
        for x in range(-r, r + 1)
        if (y, x) != (0, 0)
    ]
    return torch.stack(around).median(dim=0).values


def _blurred(images: Tensor, sigma: float) -> Tensor:
    """Images (N, 1, Y, X), with zeros beyond their ends, by a Gaussian of so many pixels."""
    reach = int(4 * sigma)
    weights = (
        torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device).div(sigma).square().div(-2).exp()
    )
    images = functional.conv2d(images, weights.view(1, 1, -1, 1), padding=(reach, 0))
    return functional.conv2d(images, weights.view(1, 1, 1, -1), padding=(0, reach))
