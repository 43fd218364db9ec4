"""Crops turned, mirrored, bent and given other intensities, the truth always as its frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from train.config import Config

# Pixels of the frame between the knots of an elastic deformation: about the size of an organelle.
KNOT_SPACING = 32


def augment(noisy: Tensor, truth: Tensor, config: Config, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Change each crop of a batch at random, and its truth alike.

    All decisions are drawn on the CPU, so that they are the same on every device; the pixels are
    moved where they are. A switch that is off draws nothing.

    Parameters
    ----------
    noisy : Tensor
        float32, (N, 1, Y, X), intensity units, on any device.
    truth : Tensor
        float32, (N, 1, s * Y, s * X) for a whole s, the same units and device.
    config : Config
        Its `flips`, `turns`, `elastic`, `gain` and `offset` are the switches.
    generator : torch.Generator
        Source of the randomness, on the CPU.

    Returns
    -------
    noisy, truth : Tensor
        The same shapes.

    Raises
    ------
    ValueError
        If the truth is not as large as the frame, or a whole number of times.
    """
    scale = truth.shape[-1] // noisy.shape[-1]
    if truth.shape != (*noisy.shape[:2], scale * noisy.shape[2], scale * noisy.shape[3]):
        raise ValueError(
            "augment: expected a truth as large as the frame or a whole number of times, "
            f"found frame {tuple(noisy.shape)} and truth {tuple(truth.shape)}"
        )
    count = len(noisy)
    if config.flips or config.turns:
        square = noisy.shape[2] == noisy.shape[3]
        # Whole images that are not square keep their shape: they turn by halves.
        turns = _below(4 if square else 2, count, generator) if config.turns else count * [0]
        turns = turns if square else [2 * t for t in turns]
        mirrors = _below(2, count, generator) if config.flips else count * [0]
        noisy, truth = (orient(images, turns, mirrors) for images in (noisy, truth))
    if config.elastic > 0:
        field = displacement((count, *noisy.shape[2:]), config.elastic, generator)
        noisy, truth = (deform(images, field) for images in (noisy, truth))
    if config.gain > 0 or config.offset > 0:
        factor, shift = (1 + config.gain * _spread(count, generator), config.offset * _spread(count, generator))
        spread = noisy.std(dim=(1, 2, 3), correction=0, keepdim=True)
        factor, shift = factor.to(noisy), shift.to(noisy) * spread
        noisy, truth = (factor * images + shift for images in (noisy, truth))
    return noisy, truth


def orient(images: Tensor, turns: list[int], mirrors: list[int]) -> Tensor:
    """Images (N, 1, Y, X), each turned by so many quarters and then, if asked to, mirrored in x."""
    result = torch.empty_like(images)
    ways = list(zip(turns, mirrors, strict=True))
    for turn, mirror in set(ways):  # at most eight, where a GPU would take longer to be told of each image
        which = torch.tensor([i for i, way in enumerate(ways) if way == (turn, mirror)], device=images.device)
        turned = torch.rot90(images[which], turn, (2, 3))
        result[which] = turned.flip(3) if mirror else turned
    return result


def displacement(shape: tuple[int, int, int], furthest: float, generator: torch.Generator) -> Tensor:
    """The knots of a smooth random displacement field for each of N images (Simard et al., 2003).

    Between its knots a field is bicubic. The furthest shift within an image is drawn evenly from 0 to
    `furthest` pixels, so that nearly straight crops are seen too.

    Parameters
    ----------
    shape : tuple of int
        (N, Y, X) of the images.
    furthest : float
        Pixels of these images.
    generator : torch.Generator
        Source of the randomness, on the CPU.

    Returns
    -------
    Tensor
        float32, (N, 2, knots in y, knots in x): shift in x and in y, of which a whole image is 2, as
        `grid_sample` counts.
    """
    count, height, width = shape
    knots = torch.randn(
        (count, 2, *(max(2, round(side / KNOT_SPACING)) for side in (height, width))), generator=generator
    )
    size = torch.tensor([width, height]).view(1, 2, 1, 1)
    longest = _dense(knots, (height, width)).square().sum(dim=1).amax(dim=(1, 2)).sqrt().view(-1, 1, 1, 1)
    reach = furthest * torch.rand((count, 1, 1, 1), generator=generator)
    return reach * knots / longest * 2 / size


def deform(images: Tensor, field: Tensor) -> Tensor:
    """Images (N, 1, Y, X), bent by the knots of a field, whatever their size in pixels.

    Bilinear, mirrored beyond the edges. What is between pixels is a mean of them, so the noise of a
    bent frame is smoother than a camera's.
    """
    identity = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
    shifts = _dense(field.to(images.device), images.shape[2:]).permute(0, 2, 3, 1)
    grid = functional.affine_grid(identity, list(images.shape), align_corners=False) + shifts
    return functional.grid_sample(images, grid.to(images.dtype), padding_mode="reflection", align_corners=False)


def _dense(knots: Tensor, size: tuple[int, ...]) -> Tensor:
    return functional.interpolate(knots, size=tuple(size), mode="bicubic", align_corners=False)


def _below(n: int, count: int, generator: torch.Generator) -> list[int]:
    numbers: list[int] = torch.randint(n, (count,), generator=generator).tolist()
    return numbers


def _spread(count: int, generator: torch.Generator) -> Tensor:
    """Even from -1 to 1, (N, 1, 1, 1)."""
    return 2 * torch.rand((count, 1, 1, 1), generator=generator) - 1
