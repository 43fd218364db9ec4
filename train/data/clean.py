"""Clean images of many microscopes: read in any axes, split by file, and cut into crops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quietfield.noise.camera import correlate
from quietfield.noise.correlation import FOURTH, differences

from .reading import PICTURES, SUFFIXES, is_image, open_volume

# Every so many files of a folder, by name, are never trained on.
HELD_OUT_EVERY = 4
# Reconstructions whose pixels are finer than a microscope's: 2x2 of them are binned.
FINE = ("biosr-mt",)
# How many times the spread of its own noise a clean image's synthetic noise has at least: with less, to keep
# the own noise would be learnt as if it were the finest structure.
OWN_NOISE = 6.0
MOVIE, RESEMBLES = 6, 0.5  # planes of a movie at least, and the correlation of two that follow each other
ENOUGH = 256  # pixels of a side: of larger ones half are enough
BACKGROUND = 0.05  # of the brightest, taken to lie under the darkest parts when synthetic noise is added
PARTS = (30, 90)  # percentiles of brightness: what is below the first is dark, above the second bright


@dataclass(frozen=True)
class Clean:
    """The planes of one file: float32, (P, Y, X), from 0 (the darkest permille) to 1 (the brightest)."""

    name: str
    planes: Tensor
    good_for: list[float] | None = None

    @cached_property
    def most(self) -> list[float]:
        """Of each plane, the most photo-electrons of its brightest pixel at which synthetic noise hides its own.

        In its dark and in its bright parts, whichever allow less; fine structure that is taken for noise lowers
        it as well. `good_for`, where it is known.
        """
        return self.good_for or [_most_photons(plane.double().numpy()) for plane in self.planes]

    @cached_property
    def moves(self) -> bool:
        """Whether its planes follow each other as those of a movie or a stack do: most resemble the one before."""
        if len(self.planes) < MOVIE:
            return False
        small = functional.avg_pool2d(self.planes[:, None], 4)[:, 0].flatten(1)
        small = small - small.mean(dim=1, keepdim=True)
        small = small / small.norm(dim=1, keepdim=True).clamp(min=1e-9)
        return float((small[1:] * small[:-1]).sum(dim=1).median()) > RESEMBLES

    def around(self, plane: int, count: int) -> list[int]:
        """The numbers of `count` planes around one: those beside it in a movie, to and fro, else itself.

        Examples
        --------
        >>> Clean("one", torch.zeros(1, 8, 8)).around(0, 3)
        [0, 0, 0]
        """
        if not self.moves:
            return count * [plane]
        last = len(self.planes) - 1
        far = range(plane - count // 2, plane + count // 2 + 1)
        return [last - abs(last - i % (2 * last)) for i in far]


def read_clean(folder: Path, held_out: bool = False, scale: int = 1) -> list[Tensor]:
    """The planes of all clean images below a folder; see `read_named`."""
    return [image.planes for image in read_named(folder, held_out, scale)]


def read_named(folder: Path, held_out: bool = False, scale: int = 1) -> list[Clean]:
    """All clean images below a folder, each plane from 0 (its darkest permille) to 1 (its brightest).

    Parameters
    ----------
    folder : Path
        Searched for image files of any axes; a plane is the two longest ones.
    held_out : bool
        Give the files that are kept for measuring (every fourth of each folder), else the others.
    scale : int
        1 bins the super-resolved ones (`FINE`) to a microscope's pixels, 2 keeps them as ground truth.

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
    for path in sorted(p for p in folder.rglob("*") if is_image(p)):
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


def freed(images: Sequence[Clean]) -> list[Clean]:
    """The images with less noise of their own: blurred, and with half the pixels if they are large enough.

    The width of the blur, 0.7 to 1.1 pixels, differs from file to file. White noise of its own falls to a third of its
    spread or less, so that ten times the light and more can be drawn on it (`Clean.most`).
    """
    result = []
    for i, image in enumerate(images):
        planes = correlate(image.planes[:, None], 0.7 + 0.1 * (i % 5), keep_variance=False)
        if min(planes.shape[2:]) >= ENOUGH:
            planes = functional.avg_pool2d(planes, 2)
        result.append(Clean(f"{image.name} freed", planes[:, 0].contiguous()))
    return result


def _read(path: Path) -> NDArray[Any]:
    image: NDArray[Any]
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, allow_pickle=False)
        elif path.suffix.lower() in PICTURES:
            from PIL import Image

            with Image.open(path) as opened:
                # A palette's numbers are no intensities, and transparency is no channel.
                other = {"P": "RGB", "RGBA": "RGB", "LA": "L", "1": "L"}.get(opened.mode)
                image = np.asarray(opened.convert(other) if other else opened)
        elif path.suffix.lower() in (".tif", ".tiff"):
            image = tifffile.imread(path)
        else:
            image = open_volume(path).planes
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


def _most_photons(plane: NDArray[np.float64]) -> float:
    if min(plane.shape) < len(FOURTH):
        return math.inf
    rough = np.abs(differences(differences(plane[None], 1, FOURTH), 2, FOURTH)[0])
    y, x = ((full - side) // 2 for full, side in zip(plane.shape, rough.shape, strict=True))
    light = plane[y : y + rough.shape[0], x : x + rough.shape[1]]
    dark, bright = np.percentile(light, PARTS)
    most = math.inf
    for part in (light <= dark, light >= bright):
        own = 1.4826 * float(np.median(rough[part]))
        if own > 0:
            most = min(most, (float(light[part].mean()) + BACKGROUND) / (OWN_NOISE * own) ** 2)
    return most


def draw_clean(
    images: Sequence[Clean], count: int, crop: int, generator: torch.Generator, planes: int = 1
) -> tuple[Tensor, Tensor]:
    """Random crops: every file as often as another, then a plane and a place of it.

    Returns
    -------
    crops : Tensor
        float32, (count, planes, crop, crop): of movies planes that follow each other, else one so many times.
    most : Tensor
        float32, (count,), `Clean.most` of the planes.

    Raises
    ------
    ValueError
        If no image is as large as a crop.
    """
    crops, most = [], []
    for place in plan_clean(images, count, crop, generator):
        image = images[place.image]
        which = image.around(place.plane, planes)
        piece = image.planes[which, place.y : place.y + crop, place.x : place.x + crop]
        piece = torch.rot90(piece, place.turns, (1, 2))
        crops.append(piece.flip(2) if place.mirrored else piece)
        most.append(image.most[place.plane])
    return torch.stack(crops), torch.tensor(most)


class Place(NamedTuple):
    """A window of a plane of a clean image, turned by quarters and then mirrored in x."""

    image: int
    plane: int
    y: int
    x: int
    turns: int
    mirrored: int


def plan_clean(images: Sequence[Clean], count: int, crop: int, generator: torch.Generator) -> list[Place]:
    """The windows that `draw_clean` cuts."""
    large = [i for i, image in enumerate(images) if min(image.planes.shape[1:]) >= crop]
    if not large:
        shapes = sorted({tuple(i.planes.shape[1:]) for i in images})
        raise ValueError(f"clean images: expected some of at least {crop} x {crop} pixels, found {shapes}")

    def below(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    places = []
    for _ in range(count):
        image = large[below(len(large))]
        planes, *sides = images[image].planes.shape
        plane = below(planes)
        y, x = (below(side - crop + 1) for side in sides)
        places.append(Place(image, plane, y, x, below(4), below(2)))
    return places
