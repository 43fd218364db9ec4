"""A simulated widefield field of view with known ground truth: filaments, vesicles and nuclei.

Nothing here comes from a real image. The camera is W2S's as measured on its raw frames: variance
= 13.4 * (mean - 103.4) counts^2, that is Poisson noise of gain 13.4 on an offset of 103.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from quietfield.noise.camera import W2S_CAMERA, expose_array

CAMERA = W2S_CAMERA
GAIN, OFFSET = CAMERA.gain, CAMERA.offset  # counts per photo-electron; counts
SIDE = 512  # pixels
PSF_SIGMA = 1.6  # pixels: the focus
HAZE_SIGMA = 14.0  # pixels: what a widefield microscope adds from out of focus
PHOTONS = {"filaments": 18.0, "vesicles": 24.0, "nuclei": 8.0, "background": 2.0}  # at the peak

Image = NDArray[np.float64]


def simulate_field(seed: int = 2020, side: int = SIDE) -> tuple[NDArray[np.uint16], Image]:
    """One noisy frame and its ground truth.

    Parameters
    ----------
    seed : int
        Of structures and noise alike.
    side : int
        Side of the field in pixels.

    Returns
    -------
    noisy : ndarray
        uint16, (side, side), camera counts.
    truth : ndarray
        float64, (side, side), the mean of infinitely many such frames in camera counts.
    """
    random = np.random.default_rng(seed)
    structures = {"filaments": filaments, "vesicles": vesicles, "nuclei": nuclei}
    light = np.full((side, side), PHOTONS["background"])
    for name, draw in structures.items():
        light += PHOTONS[name] * microscope(draw(random, side))
    truth = OFFSET + GAIN * light
    noisy = expose_array(light, CAMERA, random)
    return np.rint(noisy).clip(0, 65535).astype(np.uint16), truth


def microscope(structure: Image, haze: float = 0.25) -> Image:
    """Blur by a Gaussian PSF, add out-of-focus haze, and scale the peak to one."""
    image = gaussian_filter(structure, PSF_SIGMA) + haze * gaussian_filter(structure, HAZE_SIGMA)
    result: Image = image / image.max()
    return result


def filaments(random: np.random.Generator, side: int, count: int = 45) -> Image:
    """Curves of slowly turning direction, drawn point by point."""
    image = np.zeros((side, side))
    steps = int(1.2 * side)
    for _ in range(count):
        turns = np.cumsum(random.normal(0, 0.0004, steps))
        angle = random.uniform(0, 2 * np.pi) + np.cumsum(turns)
        y = random.uniform(0, side) + np.cumsum(np.sin(angle))
        x = random.uniform(0, side) + np.cumsum(np.cos(angle))
        _add_points(image, y, x, np.full(steps, random.uniform(0.4, 1.0)))
    return image


def vesicles(random: np.random.Generator, side: int, count: int = 160) -> Image:
    """Points of unequal brightness, in clouds."""
    image = np.zeros((side, side))
    clouds = random.uniform(0.1 * side, 0.9 * side, (8, 2))
    centres = clouds[random.integers(len(clouds), size=count)] + random.normal(0, 0.06 * side, (count, 2))
    _add_points(image, centres[:, 0], centres[:, 1], random.gamma(3.0, 1 / 3.0, count))
    return image


def nuclei(random: np.random.Generator, side: int, count: int = 6) -> Image:
    """Ellipses with soft borders and a mottled inside."""
    yy, xx = np.mgrid[:side, :side].astype(float)
    texture = gaussian_filter(random.normal(size=(side, side)), 4)
    image = np.zeros((side, side))
    for _ in range(count):
        y, x = random.uniform(0, side, 2)
        long, short = side * random.uniform(0.07, 0.1), side * random.uniform(0.05, 0.07)
        angle = random.uniform(0, np.pi)
        u = (yy - y) * np.sin(angle) + (xx - x) * np.cos(angle)
        v = (yy - y) * np.cos(angle) - (xx - x) * np.sin(angle)
        inside = 1 / (1 + np.exp(12 * (np.hypot(u / long, v / short) - 1)))
        image = np.maximum(image, inside * (1 + 0.35 * texture / texture.std()).clip(0.2))
    return image


def _add_points(image: Image, y: Image, x: Image, weight: Image) -> None:
    """Add points at sub-pixel positions, shared out over the four nearest pixels."""
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    for dy in (0, 1):
        for dx in (0, 1):
            share = weight * np.abs(1 - dy - (y - y0)) * np.abs(1 - dx - (x - x0))
            inside = (y0 + dy >= 0) & (y0 + dy < len(image)) & (x0 + dx >= 0) & (x0 + dx < len(image))
            np.add.at(image, (y0[inside] + dy, x0[inside] + dx), share[inside])
