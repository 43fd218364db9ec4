"""Pairs of noisy and clean images: found, split by field of view, cut into crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from torch import Tensor

from train.noise import photon_transfer, poisson_frame

# The same field, or overlapping ones, under two numbers: one side of a split holds them all.
W2S_OVERLAPS = (
    (36, 37), (33, 34), (12, 13), (50, 54), (52, 56), (53, 57), (69, 74), (31, 32), (77, 79), (42, 78),
)  # fmt: skip
# Fields 1 and 2 stay out, so that the raw frames of these fields can be measured on.
W2S_TRAIN = range(3, 81)
W2S_TEST = range(81, 101)


@dataclass(frozen=True)
class Pair:
    """One noisy frame and its truth, float32, (Y, X), both in the frame's intensity units."""

    name: str
    fov: int
    noisy: Tensor
    truth: Tensor
    gain: float
    offset: float


def read_pairs(data: Path, fovs: range | list[int]) -> list[Pair]:
    """Read the W2S pairs `noisy/FFF_C.tif`, `clean/FFF_C.tif` of some fields of view.

    Each image was stretched to 8 bits on its own, so the truth is mapped onto the frame by least
    squares: with 262,144 pixels the noise averages out of the two coefficients.

    Raises
    ------
    ValueError
        If the folders are missing, hold nothing for these fields, or a file has no partner.
    """
    wanted = set(fovs)
    names = sorted(p.name for p in (data / "noisy").glob("*_*.tif") if int(p.name.split("_")[0]) in wanted)
    if not names:
        raise ValueError(f"{data}: expected noisy/FFF_C.tif and clean/FFF_C.tif, found none of the fields asked for")
    pairs = []
    for name in names:
        if not (data / "clean" / name).is_file():
            raise ValueError(f"{data / 'clean' / name}: expected the truth of noisy/{name}, found no file")
        noisy = tifffile.imread(data / "noisy" / name).astype(np.float64)
        clean = tifffile.imread(data / "clean" / name).astype(np.float64)
        if noisy.shape != clean.shape or noisy.ndim != 2:
            raise ValueError(f"{data}: {name}: expected two (Y, X) images, found {noisy.shape} and {clean.shape}")
        slope, intercept = np.polyfit(clean.ravel(), noisy.ravel(), 1)
        truth = slope * clean + intercept
        gain, offset = photon_transfer(noisy, truth)
        pairs.append(
            Pair(
                Path(name).stem,
                int(name.split("_")[0]),
                torch.from_numpy(noisy.astype(np.float32)),
                torch.from_numpy(truth.astype(np.float32)),
                gain,
                offset,
            )
        )
    return pairs


def split_fovs(fovs: range, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Fields to train on and fields to validate on; overlapping ones are never parted."""
    groups = [tuple(g) for g in W2S_OVERLAPS if all(f in fovs for f in g)]
    grouped = {f for g in groups for f in g}
    groups += [(f,) for f in fovs if f not in grouped]
    groups.sort()
    order = np.random.default_rng(seed).permutation(len(groups))
    validation: list[int] = []
    for i in order:
        if len(validation) >= share * len(fovs):
            break
        validation += groups[i]
    return sorted(set(fovs) - set(validation)), sorted(validation)


def draw_batch(
    pairs: list[Pair], batch: int, crop: int, redraw: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random crops, turned and flipped; the noise of a share of them drawn anew.

    Returns
    -------
    noisy, truth : Tensor
        float32, (batch, 1, crop, crop), intensity units.
    """
    noisy: list[Tensor] = []
    truth: list[Tensor] = []
    source: list[int] = []
    for _ in range(batch):
        source.append(_integer(len(pairs), generator))
        pair = pairs[source[-1]]
        y, x = (_integer(side - crop + 1, generator) for side in pair.noisy.shape)
        turns, flip = _integer(4, generator), _integer(2, generator)
        for image, crops in ((pair.noisy, noisy), (pair.truth, truth)):
            piece = torch.rot90(image[y : y + crop, x : x + crop], turns)
            crops.append(piece.flip(1) if flip else piece)
    frames, targets = torch.stack(noisy)[:, None], torch.stack(truth)[:, None]
    column = (batch, 1, 1, 1)
    gain, offset = (torch.tensor([getattr(pairs[i], k) for i in source]).view(column) for k in ("gain", "offset"))
    drawn = poisson_frame(targets, gain, offset, generator)
    anew = torch.rand(column, generator=generator) < redraw
    return torch.where(anew, drawn, frames), targets


def _integer(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=generator))
