"""Simulated scenes with known ground truth, and what a microscope adds to them: for `compare.kinds`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from demo import simulate

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

GAIN, OFFSET, READ = 1.7, 110.0, 1.4  # counts per photo-electron; counts; photo-electrons
SIDE = 256  # pixels
PEAKS = {"filaments": 20.0, "vesicles": 26.0, "nuclei": 9.0}  # photo-electrons
BACKGROUND = 2.5  # photo-electrons
LETTERS = {  # five columns each, seven rows, the top one in the lowest bit
    "S": (0x26, 0x49, 0x49, 0x49, 0x32),
    "C": (0x3E, 0x41, 0x41, 0x41, 0x22),
    "A": (0x7E, 0x11, 0x11, 0x11, 0x7E),
    "L": (0x7F, 0x40, 0x40, 0x40, 0x40),
    "E": (0x7F, 0x49, 0x49, 0x49, 0x41),
}


@dataclass(frozen=True)
class Scene:
    """Light, and what a camera makes of it.

    Attributes
    ----------
    light : ndarray
        (Y, X) or (N, Y, X), photo-electrons a pixel.
    noisy : ndarray
        As large, counts; float64, not yet rounded.
    """

    light: Array
    noisy: Array

    @cached_property
    def truth(self) -> Array:
        """The mean of infinitely many such frames, counts."""
        return OFFSET + GAIN * self.light

    @property
    def counts(self) -> NDArray[np.uint16]:
        """What a file has of it."""
        return as_counts(self.noisy)

    def plus(self, added: NDArray[Any]) -> Scene:
        """The same with something that is added to the numbers (counts)."""
        return replace(self, noisy=self.noisy + added)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise, counts."""
        return float((self.noisy - self.truth).std())


def as_counts(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Numbers as a camera of 16 bits writes them."""
    result: NDArray[np.uint16] = np.rint(values).clip(0, 65535).astype(np.uint16)
    return result


def exposed(light: Array, seed: int, read: float = READ) -> Scene:
    """Light under Poisson noise and read noise (photo-electrons)."""
    random = np.random.default_rng(seed)
    electrons = random.poisson(light) + read * random.standard_normal(light.shape)
    return Scene(light, OFFSET + GAIN * electrons)


def cells(seed: int, side: int = SIDE, bright: float = 1.0) -> Array:
    """Filaments, vesicles and nuclei on a dim background, photo-electrons."""
    random = np.random.default_rng(seed)
    drawn = {
        "filaments": simulate.filaments(random, side, 22),
        "vesicles": simulate.vesicles(random, side, 60),
        "nuclei": simulate.nuclei(random, side, 4),
    }
    light = np.full((side, side), BACKGROUND)
    for name, structure in drawn.items():
        light += PEAKS[name] * simulate.microscope(structure)
    return bright * light


def grid(side: int = SIDE) -> tuple[Array, Array]:
    """Y and X of each pixel."""
    y, x = np.mgrid[:side, :side].astype(np.float64)
    return y, x


def spots(side: int, places: Array, photons: Array, sigma: float) -> Array:
    """Points of light behind an optic, each pixel's share of a Gaussian (N places along Y and X)."""
    edges = np.arange(side + 1) - 0.5
    shares = [np.diff(special.erf((edges - at[:, None]) / 2**0.5 / sigma), axis=1) / 2 for at in places.T]
    result: Array = np.einsum("n,ny,nx->yx", photons, *shares, optimize=True)
    return result


def places(random: np.random.Generator, side: int, every: int) -> Array:
    """Places on a grid with some disorder, far from the border, (N, 2)."""
    at = np.arange(every, side - every / 2, every)
    found: Array = np.stack(np.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2) + random.uniform(-1.5, 1.5, (1, 2))
    return found + random.uniform(-2, 2, found.shape)


def pixels(random: np.random.Generator, shape: tuple[int, ...], share: float) -> Mask:
    """Some pixels by chance, one at least."""
    found = np.zeros(shape, bool)
    found.ravel()[random.choice(found.size, max(1, round(share * found.size)), replace=False)] = True
    return found


def grown(mask: Mask, by: int) -> Mask:
    """What is near to some pixels."""
    result: Mask = ndimage.binary_dilation(mask, np.ones((2 * by + 1, 2 * by + 1)))
    return result


def rotated_frame(side: int, degrees: float, scale: float = 1.0) -> Mask:
    """What a turned picture leaves empty of its frame."""
    y, x = (axis - (side - 1) / 2 for axis in grid(side))
    a = np.deg2rad(degrees)
    u, v = x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)
    result: Mask = np.maximum(abs(u), abs(v)) > scale * side / 2
    return result


def text(side: int, word: str, at: tuple[int, int], size: int) -> Mask:
    """A word of letters whose strokes are so many pixels wide."""
    columns = [column for letter in word for column in (*LETTERS[letter], 0)]
    letters = np.array([[column >> row & 1 for column in columns] for row in range(7)], bool)
    letters = letters.repeat(size, 0).repeat(size, 1)
    found = np.zeros((side, side), bool)
    found[at[0] : at[0] + len(letters), at[1] : at[1] + letters.shape[1]] = letters
    return found


def soft_text(side: int, word: str, at: tuple[int, int], quarters: int) -> Array:
    """How much of each pixel a word covers whose strokes are so many quarters of a pixel wide."""
    y, x = at
    fine = text(4 * side, word, (4 * y + 1, 4 * x + 1), quarters)
    result: Array = fine.reshape(side, 4, side, 4).mean(axis=(1, 3))
    return result


def grating(period: float, degrees: float, contrast: float, mean: float = 20.0, side: int = SIDE) -> Array:
    """Light that rises and falls across lines which are so far from upright."""
    y, x = grid(side)
    a = np.deg2rad(degrees)
    across = x * np.cos(a) + y * np.sin(a)
    result: Array = mean * (1 + contrast * np.sin(2 * np.pi * across / period + 0.3))
    return result
