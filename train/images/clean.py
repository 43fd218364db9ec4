"""Clean images of many microscopes: read in any axes, split by file, and cut into crops."""

from __future__ import annotations

from dataclasses import dataclass
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
SUFFIXES = (".tif", ".png", ".npy")


@dataclass(frozen=True)
class Clean:
    """The planes of one file: float32, (P, Y, X), from 0 (the darkest permille) to 1 (the brightest)."""

    name: str
    planes: Tensor


def read_clean(folder: Path, held_out: bool = False, scale: int = 1) -> list[Tensor]:
    """The planes of all clean images below a folder; see `read_named`."""
    return [image.planes for image in read_named(folder, held_out, scale)]


def read_named(folder: Path, held_out: bool = False, scale: int = 1) -> list[Clean]:
    """All clean images below a folder, each plane from 0 (its darkest permille) to 1 (its brightest).

    Parameters
    ----------
    folder : Path
        Searched for `.tif`, `.png` and `.npy` files of any axes; a plane is the two longest ones.
    held_out : bool
        Give the files that are kept for measuring (every fourth of each folder), else the others.
    scale : int
        1 bins the super-resolved ones (`FINE`) to a microscope's pixels, 2 keeps them as truth.

    Returns
    -------
    list of Clean
        By name, which is the path below `folder`.

    Raises
    ------
    ValueError
        If there are none, or one cannot be read.
    """
    folders: dict[Path, list[Path]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        folders.setdefault(path.parent, []).append(path)
    result = []
    for parent, paths in folders.items():
        for i, path in enumerate(paths):
            if (i % HELD_OUT_EVERY == 0) == held_out:
                fine = scale == 1 and parent.name in FINE
                planes = torch.stack([_scaled(p, fine) for p in _planes(_read(path))])
                result.append(Clean(path.relative_to(folder).as_posix(), planes))
    if not result:
        beside = f" besides the first of every {HELD_OUT_EVERY}, which are for measuring" if folders else ""
        raise ValueError(f"{folder}: expected clean {', '.join(SUFFIXES)} images, found none{beside}")
    return result


def split_clean(folder: Path, share: float, seed: int, scale: int = 1) -> tuple[list[Clean], list[Clean]]:
    """Files to train on and files to validate on; those held out for measuring are in neither.

    Parameters
    ----------
    folder : Path
        As `read_named` takes it.
    share : float
        Of the files, for validation: at least one unless it is 0.
    seed : int
        Decides which.
    scale : int
        As `read_named` takes it.

    Raises
    ------
    ValueError
        If nothing is left to train on.
    """
    images = read_named(folder, scale=scale)
    count = max(1, round(share * len(images))) if share > 0 else 0
    if count >= len(images):
        raise ValueError(
            f"{folder}: expected more clean files than the {count} to validate on, found {len(images)} besides "
            f"the first of every {HELD_OUT_EVERY}, which are for measuring: add files or validate on fewer"
        )
    chosen = set(np.random.default_rng(seed).permutation(len(images))[:count].tolist())
    return (
        [image for i, image in enumerate(images) if i not in chosen],
        [image for i, image in enumerate(images) if i in chosen],
    )


def _read(path: Path) -> NDArray[Any]:
    image: NDArray[Any]
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, allow_pickle=False)
        elif path.suffix.lower() == ".png":
            from PIL import Image

            with Image.open(path) as opened:
                # A palette's numbers are no intensities, and transparency is no channel.
                other = {"P": "RGB", "RGBA": "RGB", "LA": "L", "1": "L"}.get(opened.mode)
                image = np.asarray(opened.convert(other) if other else opened)
        else:
            image = tifffile.imread(path)
    except Exception as error:  # damaged bytes make the parsers raise anything
        raise ValueError(f"{path}: expected a clean image, found a damaged file or none ({error})") from error
    if image.ndim < 2 or image.dtype.kind not in "buif":
        raise ValueError(f"{path}: expected real numbers with Y and X, found {image.dtype} of shape {image.shape}")
    if not np.isfinite(image).all():
        raise ValueError(f"{path}: expected a clean image, found NaN or infinite pixels: leave the file out")
    return image


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
    """Random crops, (count, 1, crop, crop): every file as often as another, then a plane and a place of it.

    Raises
    ------
    ValueError
        If no image is as large as a crop.
    """
    large = [i for i in images if min(i.shape[1:]) >= crop]
    if not large:
        shapes = sorted({tuple(i.shape[1:]) for i in images})
        raise ValueError(f"clean images: expected some of at least {crop} x {crop} pixels, found {shapes}")

    def below(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    crops = []
    for _ in range(count):
        planes = large[below(len(large))]
        plane = planes[below(len(planes))]
        y, x = (below(side - crop + 1) for side in plane.shape)
        piece = torch.rot90(plane[y : y + crop, x : x + crop], below(4))
        crops.append(piece.flip(1) if below(2) else piece)
    return torch.stack(crops)[:, None]
