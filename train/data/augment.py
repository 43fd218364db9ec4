"""Crops turned, mirrored, bent and given other intensities, the ground truth always as its frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..config import Config

# Pixels of the frame between the knots of an elastic deformation: about the size of an organelle.
KNOT_SPACING = 32


def augment(noisy: Tensor, truth: Tensor, config: Config, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Change each crop of a batch at random, and its ground truth alike.

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
        If the ground truth is not as large as the frame, or a whole number of times.
    """
    scale = truth.shape[-1] // noisy.shape[-1]
    if truth.shape != (*noisy.shape[:2], scale * noisy.shape[2], scale * noisy.shape[3]):
        raise ValueError(
            "augment: expected a ground truth as large as the frame or a whole number of times, "
            f"found frame {tuple(noisy.shape)} and ground truth {tuple(truth.shape)}"
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
    height, width = images.shape[2:]
    ways = [walk(turn, mirror, (height, width), width) for turn, mirror in zip(turns, mirrors, strict=True)]
    index = pixels(torch.tensor(ways).to(images.device, non_blocking=True), (height, width))
    turned: Tensor = images.flatten(1).gather(1, index.flatten(1)).view_as(images)
    return turned


def walk(turns: int, mirrored: int, shape: tuple[int, int], stride: int) -> tuple[int, int, int]:
    """How to read a window so that it comes out turned by quarters and then mirrored in x.

    Parameters
    ----------
    turns, mirrored : int
        Quarter turns, counter-clockwise; only halves of a window that is not square. Whether to mirror.
    shape : tuple of int
        Of the window.
    stride : int
        From a row to the next, where it is read.

    Returns
    -------
    tuple of int
        Where the first pixel is, behind the window's upper left corner, and how far it is from there to the pixel
        below and to the one at the right.
    """
    height, width = shape

    def source(row: int, column: int) -> int:
        if mirrored:
            column = width - 1 - column
        if turns % 4 in (2, 3):
            row, column = height - 1 - row, width - 1 - column
        if turns % 2:
            row, column = column, width - 1 - row
        return row * stride + column

    first = source(0, 0)
    return first, source(1, 0) - first, source(0, 1) - first


def pixels(ways: Tensor, shape: tuple[int, int]) -> Tensor:
    """Where to read each pixel, int64, (N, 1, Y, X), of windows by their first pixel and steps, int64, (N, 3)."""
    first, down, right = ways.T.view(3, -1, 1, 1, 1)
    rows, columns = (torch.arange(side, device=ways.device) for side in shape)
    index: Tensor = first + down * rows.view(-1, 1) + right * columns
    return index


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
