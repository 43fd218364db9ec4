"""Numerical phantoms: drawn structures that, unlike a photograph, have no noise of their own.

What is drawn is meant to have the edges, lines, points, textures and dynamic range of fluorescence images, not to look
like any one of them. The field of the demo is none of these (`demo.simulate`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from .clean import Clean

SIDE, PLANES = 256, 8  # of a phantom, which stands for one file
PSF = (0.3, 2.5)  # standard deviation of the point spread function, pixels: from undersampled to empty magnification
LAYERS = 3  # at most so many structures in one plane
FAINTEST = 0.03  # of them, beside the brightest

Image = NDArray[np.float64]


def phantoms(count: int, seed: int) -> list[Clean]:
    """So many phantoms of `PLANES` planes each, float32 from 0 to about 1; none has any noise."""
    endless = [math.inf] * PLANES
    return [Clean(f"phantom {i}", _planes(np.random.default_rng((seed, i))), endless) for i in range(count)]


def _planes(random: Generator) -> torch.Tensor:
    return torch.from_numpy(np.stack([phantom(random) for _ in range(PLANES)]).astype(np.float32))


def phantom(random: Generator, side: int = SIDE) -> Image:
    """One to three structures of unlike brightness as a microscope sees them, (side, side), from 0 to about 1."""
    image = np.zeros((side, side))
    often = np.array([*STRUCTURES.values()]) / sum(STRUCTURES.values())
    for structure in random.choice(len(STRUCTURES), random.integers(1, LAYERS + 1), replace=False, p=often):
        layer = [*STRUCTURES][structure](random, side)
        if (where := random.random()) < 0.3:  # lit unevenly, or present in a part alone
            layer = layer * np.exp(random.uniform(0.3, 1.5) * clouds(random, side, 3.0))
        elif where < 0.5:  # inside of cells, or of nuclei
            inside = cells(random, side)
            layer = layer * (inside / inside.max() + 0.01)
        image += _log_uniform(random, FAINTEST, 1) * layer / layer.max()
    image = gaussian_filter(image, _log_uniform(random, *PSF))
    if random.random() < 0.5:  # light from out of focus
        image += random.uniform(0, 0.5) * gaussian_filter(image, random.uniform(6, 20))
    low, high = np.percentile(image, [0.1, 99.9])
    result: Image = ((image - low) / max(high - low, 1e-6)).clip(min=0)
    if random.random() < 0.3:  # on light of its own: cytoplasm, stain that is not bound
        pedestal = _log_uniform(random, 0.3, 5)
        result = (result + pedestal) / (1 + pedestal)
    if random.random() < 0.15:  # debris, a fiducial, a bright cell
        yy, xx = np.mgrid[:side, :side]
        distance = (_ellipse(random, yy, xx, _log_uniform(random, 2, 40)) - 1).clip(-1, 10)
        result = result + _log_uniform(random, 3, 100) / (1 + np.exp(_log_uniform(random, 4, 40) * distance))
    return result


def leaves(random: Generator, side: int) -> Image:
    """Flat and mottled patches of all sizes that hide each other, with sharp borders ("dead leaves")."""
    image = np.full((side, side), random.random())
    yy, xx = np.mgrid[:side, :side]
    mottle = clouds(random, side, random.uniform(1.2, 2.5))
    for _ in range(random.integers(20, 120)):
        radius = min(_log_uniform(random, 3, side / 3), side / 3)
        inside = _ellipse(random, yy, xx, radius) < 1
        image[inside] = random.random() * (1 + (random.random() < 0.3) * 0.2 * mottle[inside])
    return image.clip(min=0)


def cells(random: Generator, side: int) -> Image:
    """Blobs with soft borders on nothing, half of them mottled inside."""
    image = np.zeros((side, side))
    yy, xx = np.mgrid[:side, :side]
    mottle, mottled = clouds(random, side, random.uniform(1.2, 3.0)), random.random() < 0.5
    for _ in range(random.integers(1, 12)):
        distance = _ellipse(random, yy, xx, random.uniform(0.03, 0.2) * side)
        inside = 1 / (1 + np.exp(random.uniform(5, 40) * (distance - 1).clip(max=10)))
        contrast = random.uniform(0, 0.6) if mottled else 0
        image = np.maximum(image, random.uniform(0.2, 1) * inside * np.exp(contrast * mottle))
    return image


def filaments(random: Generator, side: int) -> Image:
    """Curves of one curvature and width each; some beaded."""
    image = np.zeros((side, side))
    steps = 2 * side
    for _ in range(random.integers(3, 60)):
        turns = random.normal(0, _log_uniform(random, 1e-4, 1e-2)) + 0.03 * random.normal(size=steps)
        angle = random.uniform(0, 2 * np.pi) + 0.5 * np.cumsum(turns)
        y, x = (random.uniform(0, side) + 0.5 * np.cumsum(part) for part in (np.sin(angle), np.cos(angle)))
        weight = np.full(steps, random.uniform(0.2, 1.0))
        if random.random() < 0.3:
            weight *= random.gamma(0.5, 2.0, steps // 8).repeat(8)
        _add_points(image, y, x, weight)
    result: Image = gaussian_filter(image, random.uniform(0, 1.5))
    return result


def points(random: Generator, side: int) -> Image:
    """Few to many points, most of them faint, of one size."""
    image = np.zeros((side, side))
    count = int(_log_uniform(random, 3, 600))
    y, x = random.uniform(0, side, (2, count))
    _add_points(image, y, x, random.pareto(2.0, count) + 0.1)
    result: Image = gaussian_filter(image, _log_uniform(random, 0.3, 4))
    return result


def membranes(random: Generator, side: int) -> Image:
    """Thin borders of a tissue's cells, brighter here and there."""
    centres = random.uniform(-0.1 * side, 1.1 * side, (int(_log_uniform(random, 5, 150)), 2))
    grid = np.mgrid[:side, :side].reshape(2, -1).T + 2 * random.normal(size=2)
    nearest, second = cKDTree(centres).query(grid, k=2)[0].T.reshape(2, side, side)
    wall = np.exp(-(((second - nearest) / random.uniform(1, 4)) ** 2))
    result: Image = wall * np.exp(random.uniform(0, 0.8) * clouds(random, side, 2.0))
    return result


def texture(random: Generator, side: int) -> Image:
    """Clouds from fine to coarse, some with high peaks."""
    result: Image = np.exp(random.uniform(0.2, 1.2) * clouds(random, side, random.uniform(1.2, 2.5)))
    return result


def mottle(random: Generator, side: int) -> Image:
    """A dense texture of one size all over, as of chromatin, cytoplasm or tissue; some drawn out, some labyrinths."""
    drawn_out, labyrinth = random.random() < 0.3, random.random() < 0.15
    size = _log_uniform(random, 2.5 if labyrinth else 1.0 if drawn_out else 1.3, 6)  # noise is no such thing
    longer, angle = size * (random.uniform(2.5, 4) if drawn_out else 1), random.uniform(0, np.pi)
    y, x = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    along, across = y * np.sin(angle) + x * np.cos(angle), y * np.cos(angle) - x * np.sin(angle)
    spectrum = np.exp(-2 * np.pi**2 * ((longer * along) ** 2 + (size * across) ** 2))
    if labyrinth:
        spectrum *= 1 - np.exp(-4 * np.pi**2 * size**2 * (y**2 + x**2))
    grain = np.fft.irfft2(np.fft.rfft2(random.normal(size=(side, side))) * spectrum, (side, side))
    grain *= _log_uniform(random, 0.05, 0.6) / grain.std()
    result: Image = np.exp(grain) if random.random() < 0.5 else (1 + grain).clip(min=0)
    return result


def granules(random: Generator, side: int) -> Image:
    """Points of one brightness or of many, so dense that they touch, such as packed vesicles and mitochondria."""
    image = np.zeros((side, side))
    # Fine ones are fewer, and unlike each other: else they would be like blurred noise.
    most, unlike, width = (4000, (0.3, 1.5), (0.4, 0.9)) if random.random() < 0.5 else (12000, (1, 30), (0.9, 2.5))
    y, x = _scattered(random, side, int(_log_uniform(random, 500, most)))
    _add_points(image, y, x, random.gamma(_log_uniform(random, *unlike), size=len(y)))
    result: Image = gaussian_filter(image, _log_uniform(random, *width))
    return result


def rods(random: Generator, side: int) -> Image:
    """Short strokes of one width, loose or packed, such as bacteria, cristae and microvilli; some at right angles."""
    image = np.zeros((side, side))
    y, x = _scattered(random, side, int(_log_uniform(random, 20, 3000)))
    length = _log_uniform(random, 3, 20)
    angle = random.choice(4, len(y)) * np.pi / 2 if random.random() < 0.3 else random.uniform(0, np.pi, len(y))
    along = np.linspace(-0.5, 0.5, math.ceil(2 * length))[:, None] * length
    weight = np.broadcast_to(random.uniform(random.uniform(0.1, 1), 1, len(y)), (len(along), len(y)))
    _add_points(image, *(part.ravel() for part in (y + along * np.sin(angle), x + along * np.cos(angle), weight)))
    result: Image = gaussian_filter(image, _log_uniform(random, 0.3, 1.5))
    if random.random() < 0.5:  # as bright where they cross
        result = np.minimum(result, random.uniform(0.2, 0.7) * result.max())
    return result


def gratings(random: Generator, side: int) -> Image:
    """Lines at one distance, as of sarcomeres and of structured light, all over or in one or a few patches."""
    yy, xx = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    whole = random.random() < 0.4
    for _ in range(1 if whole else random.integers(1, 4)):
        angle = random.uniform(0, np.pi) if random.random() < 0.6 else random.choice((0, np.pi / 2))
        across = yy * np.sin(angle) + xx * np.cos(angle)
        if random.random() < 0.6:
            across = across + random.uniform(0, 4) * clouds(random, side, 3.0)
        wave = (0.5 + 0.5 * np.cos(2 * np.pi * across / _log_uniform(random, 3.5, 16))) ** random.uniform(0.5, 4)
        where = 1.0 if whole or random.random() < 0.3 else clouds(random, side, 2.5) > random.uniform(-0.5, 1)
        if random.random() < 0.3:  # in bands, as fibres lie side by side
            bands = np.sin((yy * np.cos(angle) - xx * np.sin(angle)) / _log_uniform(random, 3, 15)) > 0
            where = where * (bands + random.uniform(0.1, 1))
        image = np.maximum(image, random.uniform(0.2, 1) * where * (wave + _log_uniform(random, 0.03, 6)))
    return image + 1e-3


def lines(random: Generator, side: int) -> Image:
    """A few straight lines, a pixel or little more wide."""
    image = np.zeros((side, side))
    along = np.arange(-2 * side, 2 * side) / 2
    for _ in range(random.integers(1, 15)):
        y, x = random.uniform(0, side, 2)
        angle = random.uniform(0, np.pi) if random.random() < 0.7 else random.choice((0, np.pi / 2))
        _add_points(
            image, y + along * np.sin(angle), x + along * np.cos(angle), np.full(4 * side, random.uniform(0.1, 1))
        )
    return image


STRUCTURES: dict[Callable[[Generator, int], Image], int] = {  # and how often one is drawn
    leaves: 2, cells: 2, filaments: 2, points: 2, membranes: 2, texture: 1, gratings: 2, lines: 1, mottle: 1,
    granules: 1, rods: 1,
}  # fmt: skip


def clouds(random: Generator, side: int, slope: float) -> Image:
    """A random field of mean 0 and spread 1 whose amplitude falls with the frequency to the power `slope`."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(random.normal(size=(side, side))) * frequency**-slope, (side, side))
    result: Image = field / field.std()
    return result


def _ellipse(random: Generator, yy: NDArray[np.int64], xx: NDArray[np.int64], radius: float) -> Image:
    """Distance from a random centre, 1 on an ellipse."""
    y, x = random.uniform(0, len(yy), 2)
    angle, squash = random.uniform(0, np.pi), random.uniform(0.4, 1)
    along = (yy - y) * np.sin(angle) + (xx - x) * np.cos(angle)
    across = (yy - y) * np.cos(angle) - (xx - x) * np.sin(angle)
    result: Image = np.hypot(along / radius, across / (squash * radius))
    return result


def _scattered(random: Generator, side: int, count: int) -> tuple[Image, Image]:
    """Y and X of so many places: all over, or half as many in clusters, as around nuclei."""
    if random.random() < 0.5:
        y, x = random.uniform(0, side, (2, count))
        return y, x
    centres, wide = random.uniform(0, side, (2, random.integers(2, 30))), _log_uniform(random, 3, 40)
    count = max(1, count // 2)
    y, x = centres[:, random.integers(0, centres.shape[1], count)] + random.normal(0, wide, (2, count))
    return y, x


def _add_points(image: Image, y: Image, x: Image, weight: Image) -> None:
    """Add points where they fall on the image, each to the pixel that it falls on."""
    inside = (y >= 0) & (x >= 0) & (y < len(image)) & (x < len(image))
    np.add.at(image, (y[inside].astype(int), x[inside].astype(int)), weight[inside])


def _log_uniform(random: Generator, low: float, high: float) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))
