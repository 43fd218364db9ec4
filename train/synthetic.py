"""Clean images of many microscopes, and the noise of many cameras to put on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# Every so many files of a folder, by name, are never trained on.
HELD_OUT_EVERY = 4
# Reconstructions whose pixels are finer than a microscope's: 2x2 of them are binned.
FINE = ("biosr-mt",)


def read_clean(folder: Path, held_out: bool = False) -> list[Tensor]:
    """All clean TIFFs below a folder, each plane from 0 (its darkest permille) to 1 (its brightest).

    Parameters
    ----------
    folder : Path
        Searched for `.tif` files of any axes; a plane is the two longest ones.
    held_out : bool
        Give the files that are kept for measuring (every fourth of each folder), else the others.

    Returns
    -------
    list of Tensor
        float32, (P, Y, X), the planes of each file.

    Raises
    ------
    ValueError
        If there are none.
    """
    folders: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.tif")):
        folders.setdefault(path.parent, []).append(path)
    result = []
    for parent, paths in folders.items():
        for i, path in enumerate(paths):
            if (i % HELD_OUT_EVERY == 0) == held_out:
                planes = _planes(tifffile.imread(path))
                result.append(torch.stack([_scaled(p, parent.name in FINE) for p in planes]))
    if not result:
        raise ValueError(f"{folder}: expected clean .tif images, found none")
    return result


def _planes(image: NDArray[Any]) -> NDArray[Any]:
    y, x = sorted(np.argsort(image.shape, kind="stable")[-2:])
    return np.moveaxis(image, (y, x), (-2, -1)).reshape(-1, image.shape[y], image.shape[x])


def _scaled(plane: NDArray[Any], fine: bool) -> Tensor:
    image = torch.from_numpy(plane.astype(np.float32))
    if fine:
        image = functional.avg_pool2d(image[None], 2)[0]
    low, high = np.percentile(image.numpy(), [0.1, 99.9])
    return ((image - float(low)) / max(float(high - low), 1e-6)).clamp(min=0)


def draw_clean(images: list[Tensor], count: int, crop: int, generator: torch.Generator) -> Tensor:
    """Random crops, (count, 1, crop, crop): every file as often as another, then a plane and a place of it."""
    images = [i for i in images if min(i.shape[1:]) >= crop]

    def below(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    crops = []
    for _ in range(count):
        planes = images[below(len(images))]
        plane = planes[below(len(planes))]
        y, x = (below(side - crop + 1) for side in plane.shape)
        piece = torch.rot90(plane[y : y + crop, x : x + crop], below(4))
        crops.append(piece.flip(1) if below(2) else piece)
    return torch.stack(crops)[:, None]


def degrade(truth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Photograph clean crops, each with a dose, a background and a camera of its own.

    The dose of the brightest is 3 to 500 photo-electrons, the background up to half of it, the read
    noise in every second crop up to three electrons, the noise of a quarter blurred (as by
    resampling), and that of a tenth has rows.

    Parameters
    ----------
    truth : Tensor
        float32, (N, 1, Y, X), from 0 to about 1.
    generator : torch.Generator
        Source of the randomness, on the truth's device.

    Returns
    -------
    noisy, truth : Tensor
        The same shape, photo-electrons.
    """
    column = (len(truth), 1, 1, 1)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(column, generator=generator, device=truth.device)

    def some(share: float) -> Tensor:
        return torch.rand(column, generator=generator, device=truth.device) < share

    dose = 10 ** uniform(np.log10(3), np.log10(500))
    mean = dose * (truth + 10 ** uniform(-2.5, np.log10(0.5)))
    noise = torch.poisson(mean, generator=generator) - mean
    white = torch.randn(truth.shape, generator=generator, device=truth.device)
    noise = noise + some(0.5) * uniform(0, 3) * white
    noise = torch.where(some(0.25), _blurred(noise, uniform(0.4, 1.0)), noise)
    row = torch.randn((len(truth), 1, truth.shape[2], 1), generator=generator, device=truth.device)
    spread = noise.std(dim=(2, 3), keepdim=True)
    return mean + noise + some(0.1) * uniform(0.1, 0.7) * spread * row, mean


def _blurred(noise: Tensor, sigma: Tensor) -> Tensor:
    """Convolved with a Gaussian of `sigma` pixels."""
    taps = torch.arange(-3, 4, device=noise.device)
    kernel = torch.exp(-((taps / sigma) ** 2) / 2)  # (N, 1, 1, 7)
    kernel = kernel / kernel.sum(dim=-1, keepdim=True)
    count = len(noise)
    image = functional.pad(noise.transpose(0, 1), (3, 3, 3, 3), mode="reflect")
    image = functional.conv2d(image, kernel, groups=count)
    return functional.conv2d(image, kernel.transpose(2, 3), groups=count).transpose(0, 1)
