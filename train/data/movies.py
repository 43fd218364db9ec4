"""Synthetic movies and stacks: what clean images look like in a few planes that follow each other.

Scenes that stand still, drift, jitter and turn; things that move on them, blink, flash up and fade; bleaching and
flicker; depth, along which one thing passes into another; and cuts to other scenes, so that a network learns when a
neighbouring plane says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quietfield.network.window import slots
from quietfield.noise.camera import correlate

MARGIN = 8  # pixels of the clean crop around what is filmed, for what drifts in
SPEED = (0.05, 3.0)  # pixels a plane
ENDS = 0.2  # share of the movies that begin or end near the plane to denoise
ALONE = 0.03  # share of the movies that are a single plane
SPOTS, CELLS = 24, 5  # at most, in a crop
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Of the movies, how many have what; each is drawn by itself.

    Attributes
    ----------
    layer : float
        A second scene on the first, which moves, blinks or fades by itself.
    spots : float
        Points of light that move, blink, or are there in one plane alone.
    cells : float
        Cells that brighten for one plane or fade slowly, as of calcium and voltage.
    depth : float
        Scenes that pass into each other out of focus, as along Z.
    bleaching, flicker : float
        Light that falls, or changes from plane to plane.
    cut, unrelated : float
        Another scene from some plane on; another one in each plane.
    followed : float
        Planes that were moved back by whole pixels, as `quietfield.adapt.drift` does it, so that little drift is left.
    """

    layer: float = 0.25
    spots: float = 0.3
    cells: float = 0.2
    depth: float = 0.12
    bleaching: float = 0.15
    flicker: float = 0.15
    cut: float = 0.05
    unrelated: float = 0.07
    followed: float = 0.7


SHARES = Shares()


def filmed(clean: Tensor, random: Generator, shares: Shares = SHARES) -> Tensor:
    """Movies of clean crops, each in a way of its own.

    Parameters
    ----------
    clean : Tensor
        float32, (N, P, Y, X), from 0 to about 1: the same plane P times, or planes of a real movie.
    random : Generator
        Draws all, on the CPU, so that no device waits for it.
    shares : Shares
        How many have what.

    Returns
    -------
    Tensor
        float32, (N, P, Y - 2 `MARGIN`, X - 2 `MARGIN`), from 0; the plane in the middle is to be denoised.
    """
    count, planes = clean.shape[:2]
    times = np.arange(planes) - planes // 2

    def some(share: float) -> NDArray[np.intp]:
        return np.flatnonzero(random.random(count) < share)

    path, turning = _paths(random, count, times)
    followed = some(shares.followed)
    path[followed] -= np.rint(path[followed])
    movie = _moved(clean, path, turning)
    if len(chosen := some(shares.depth)):
        movie[chosen] = _deep(movie, chosen, times, random)
    if len(chosen := some(shares.layer)):
        other = clean[_others(count, chosen, random)]
        other = _moved(other, *_paths(random, len(chosen), times))
        weight = _log_uniform(random, (0.1, 1.6), (len(chosen), 1)) * _courses(random, len(chosen), times)
        movie[chosen] += _each(weight, movie) * other
    if len(chosen := some(shares.cells)):
        drawn = _spots(random, len(chosen), times, CELLS, (3.0, 12.0), 0.2, movie)
        movie[chosen] += drawn * (movie[chosen] + _each(random.uniform(0, 0.5, (len(chosen), 1)), movie))
    if len(chosen := some(shares.spots)):
        movie[chosen] += _spots(random, len(chosen), times, SPOTS, (0.7, 2.5), 4.0, movie)
    gain = np.ones((count, planes))
    bleached = some(shares.bleaching)
    gain[bleached] *= np.exp(-random.uniform(0, 0.15, (len(bleached), 1)) * times)
    flickers = some(shares.flicker)
    gain[flickers] *= np.exp(
        random.uniform(0.01, 0.25, (len(flickers), 1)) * random.normal(size=(len(flickers), planes))
    )
    movie *= _each(gain, movie)
    return _cut(movie, some(shares.cut), some(shares.unrelated), random).clamp(min=0)


def _paths(random: Generator, count: int, times: NDArray[np.intp]) -> tuple[Array, Array]:
    """Where each movie's scene lies in each plane, pixels (N, P, 2), and how it is turned, radians (N, P)."""
    planes = len(times)
    kind = random.choice(4, count, p=(0.3, 0.35, 0.2, 0.15))[:, None, None]  # still, drifting, jittering, walking
    angle = random.uniform(0, 2 * np.pi, count)
    speed = _log_uniform(random, SPEED, (count, 1, 1))
    drift = speed * times[None, :, None] * np.stack([np.sin(angle), np.cos(angle)], 1)[:, None]
    jitter = np.minimum(speed, 2) * random.normal(size=(count, planes, 2))
    walk = np.cumsum(np.minimum(speed, 1.5) * random.normal(size=(count, planes, 2)), axis=1)
    path = np.select([kind == 1, kind == 2, kind == 3], [drift, jitter, walk], 0.0)
    path -= path[:, [planes // 2]]
    # Half of them lie between pixels in the middle plane, too, so that it is not the sharpest.
    path += random.uniform(-0.5, 0.5, (count, 1, 2)) * ((random.random(count)[:, None, None] < 0.5) & (kind > 0))
    turning = np.where(random.random((count, 1)) < 0.2, np.radians(random.normal(size=(count, 1)) * times), 0.0)
    return path, turning


def _moved(scene: Tensor, path: Array, angle: Array) -> Tensor:
    """Each plane of scenes (N, P, Y, X) where its path says, without the margin; bicubic, mirrored beyond the edges."""
    planes, height, width = scene.shape[1:]
    y, x = height - 2 * MARGIN, width - 2 * MARGIN
    still = torch.from_numpy((np.abs(path).max(axis=(1, 2)) + np.abs(angle).max(axis=1)) == 0)
    inner = scene[..., MARGIN : MARGIN + y, MARGIN : MARGIN + x].clone()
    if bool(still.all()):
        return inner
    cos, sin = np.cos(angle), np.sin(angle)
    moving = torch.nonzero(~still)[:, 0]
    # In the terms of `grid_sample`, the scene is 2 wide and high.
    down, right = (((2 * torch.arange(n, dtype=torch.float32) + 1 - n) / side) for n, side in ((y, height), (x, width)))
    turn = [_there(part, scene)[moving].flatten()[:, None, None] for part in (cos, sin)]
    shift = [_there(2 * path[..., i] / scene.shape[2 + i], scene)[moving].flatten()[:, None, None] for i in range(2)]
    down, right = down.to(scene.device)[:, None], right.to(scene.device)
    across = turn[0] * right - turn[1] * down - shift[1]
    along = turn[1] * right + turn[0] * down - shift[0]
    grid = torch.stack([across, along], dim=-1)
    flat = scene[moving].flatten(0, 1)[:, None]
    warped = functional.grid_sample(flat, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    inner[moving] = warped.view(len(moving), planes, y, x)
    return inner


def _courses(random: Generator, count: int, times: NDArray[np.intp]) -> Array:
    """How bright something is in each plane, (N, P), at most about 1: steady, blinking, flashing up once, fading."""
    planes = len(times)
    kind = random.choice(4, count, p=(0.3, 0.2, 0.2, 0.3))[:, None]
    blinking = random.random((count, planes)) < random.uniform(0.2, 0.8, (count, 1))
    # In every second movie it is the plane in the middle.
    when = np.where(random.random(count) < 0.5, planes // 2, random.integers(0, planes, count))[:, None]
    flash = np.arange(planes) == when
    begun = np.arange(planes) - random.integers(-planes, planes, count)[:, None]
    lasting = _log_uniform(random, (0.4, 20), (count, 1))
    fading = np.where(begun >= 0, np.exp(-begun.clip(0) / lasting), 0.0)
    base = random.uniform(0, 1, (count, 1)) * (random.random((count, 1)) < 0.5)
    course = np.select([kind == 1, kind == 2, kind == 3], [blinking, flash, fading], 1.0)
    return np.asarray(np.where(kind == 0, course, base * 0.5 + course))


def _spots(
    random: Generator,
    count: int,
    times: NDArray[np.intp],
    most: int,
    widths: tuple[float, float],
    fastest: float,
    like: Tensor,
) -> Tensor:
    """Movies (N, P, Y, X) of round spots on nothing, each with a width, a way and a course of its own."""
    planes, (height, width) = len(times), like.shape[2:]
    shown = np.arange(most) < _log_uniform(random, (1, most + 1), (count, 1))
    light = shown * _log_uniform(random, (0.1, 1.5), (count, most))
    course = _courses(random, count * most, times).reshape(count, most, planes)
    sigma = _log_uniform(random, widths, (count, 1)) * np.exp(0.2 * random.normal(size=(count, most)))
    speed = fastest * random.random((count, 1, 1)) ** 2 * (random.random((count, 1, 1)) < 0.7)
    shapes = []
    for side in (height, width):
        straight = times * random.normal(size=(count, most, 1)) / 1.4
        wander = np.cumsum(random.normal(size=(count, most, planes)), axis=2)
        wander -= wander[..., [planes // 2]]
        way = np.where(random.random((count, most, 1)) < 0.5, straight, wander)
        at = random.uniform(0, side, (count, most, 1)) + speed * way
        pixels = torch.arange(side, device=like.device, dtype=torch.float32)
        place, spread = _there(at, like)[..., None], _there(sigma, like)[..., None, None]
        shapes.append(torch.exp(-((pixels - place) ** 2) / (2 * spread**2)))
    bright = _there(light[..., None] * course, like)[..., None]
    return torch.einsum("nkpy,nkpx->npyx", bright * shapes[0], shapes[1])


def _deep(movie: Tensor, chosen: NDArray[np.intp], times: NDArray[np.intp], random: Generator) -> Tensor:
    """Stacks along depth: three scenes at three depths, each out of focus the farther away a plane is."""
    count, planes = len(chosen), len(times)
    result = torch.zeros_like(movie[chosen])
    thick = _log_uniform(random, (0.5, 4), (count, 1))
    for layer in range(3):
        scene = movie[chosen] if layer == 0 else movie[_others(len(movie), chosen, random)]
        depth = random.uniform(-0.7, 0.7, (count, 1)) * planes if layer else random.uniform(-1, 1, (count, 1))
        away = np.abs(times - depth) / thick
        blur = _each(np.minimum(random.uniform(0.3, 1.2, (count, 1)) * away, 4.0), movie)
        blurred = correlate(scene.flatten(0, 1)[:, None], blur.flatten(0, 1)[:, None], False, 8)
        result += _each(np.exp(-0.5 * (0.6 * away) ** 2) + 0.05, movie) * blurred.view(scene.shape)
    return result


def _cut(movie: Tensor, cut: NDArray[np.intp], unrelated: NDArray[np.intp], random: Generator) -> Tensor:
    """Some movies with another scene before or behind some plane, others with another one in each plane but one."""
    count, planes = movie.shape[:2]
    own = planes // 2
    result = movie.clone()
    for i in cut if count > 1 else ():
        other = int(_others(count, np.array([i]), random)[0])
        place = int(random.integers(1, own + 1))
        part = slice(0, place) if random.random() < 0.5 else slice(planes - place, planes)
        result[i, part] = movie[other, part]
    for i in unrelated if count > 1 else ():
        for plane in range(planes):
            if plane != own:
                result[i, plane] = movie[int(_others(count, np.array([i]), random)[0]), int(random.integers(planes))]
    return result


def _log_uniform(random: Generator, bounds: tuple[float, float], shape: tuple[int, ...]) -> Array:
    return np.exp(random.uniform(math.log(bounds[0]), math.log(bounds[1]), shape))


def _others(count: int, chosen: NDArray[np.intp], random: Generator) -> NDArray[np.intp]:
    """For each of some movies the number of another one; its own where there is only one."""
    return (chosen + random.integers(1, max(2, count), len(chosen))) % count


def _each(values: Array, like: Tensor) -> Tensor:
    """Numbers (N, P) or (N, 1) for planes (N, P, Y, X), where these are."""
    return _there(values, like)[..., None, None]


def _there(values: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(like.device)


def seen(movie: Tensor, inputs: int, random: Generator) -> tuple[Tensor, Tensor]:
    """What a network for stacks is given of movies (`quietfield.network.window`), before noise is added.

    Some movies begin or end near the plane to denoise, so that others are missing.

    Parameters
    ----------
    movie : Tensor
        float32, (N, P, Y, X), with as many planes as the network can reach.
    inputs : int
        Of the network.
    random : Generator
        Draws which movies begin or end there.

    Returns
    -------
    light : Tensor
        float32, (N, inputs, Y, X): planes, and means of several.
    frames : Tensor
        float32, (N, inputs, 1, 1): how many planes each is the mean of; 0 where there are none, and `light` is 0.
    """
    count, planes = movie.shape[:2]
    far = planes // 2
    ends = random.random(count) < ENDS
    before, behind = (np.where(ends & (random.random(count) < 0.7), random.integers(0, far, count), far) for _ in "ab")
    alone = random.random(count) < ALONE
    before, behind = np.where(alone, 0, before), np.where(alone, 0, behind)
    offsets = np.arange(-far, far + 1)
    there = (offsets >= -before[:, None]) & (offsets <= behind[:, None])
    weights = np.stack([there * np.isin(offsets, [*slot]) for slot in slots(inputs)], axis=1).astype(np.float64)
    frames = weights.sum(axis=2)
    light = torch.einsum("nsp,npyx->nsyx", _there(weights / np.maximum(frames, 1)[..., None], movie), movie)
    return light, _each(frames, movie)
