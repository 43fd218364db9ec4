"""The noise of many cameras on clean images, and the blur of a microscope."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quietfield.network.unet import own_plane
from quietfield.network.window import reach
from quietfield.noise.camera import correlate, multiplied, row_noise

from .clean import Clean
from .light import lit
from .movies import filmed, seen
from .shared import shared_noise

# Photo-electrons a pixel in the mean, as W2S's frames have them, and the width of a wide-field
# microscope's point spread function in pixels of the super-resolved image.
PHOTONS, SIGMA = (0.6, 16.0), (1.8, 2.6)
# Share of the mean that is background (W2S: 4 to 30 %), and the least mean of a crop: what is darker
# than that is not brightened any further.
BACKGROUND, DARKEST = (0.05, 0.5), 0.02
PATTERNED = 0.1  # share of the movies whose camera adds a pattern of its own to all planes
BRIGHT = 20.0  # photo-electrons, from which Poisson noise is near normal noise with some skewness
REACH = 8  # taps to each side of a point spread function: three times the widest

# What validation images are taken with, one after the other: photo-electrons of the brightest pixel to
# denoise, and in the mean to double the pixels as well.
DOSES = {1: (5.0, 15.0, 50.0, 150.0), 2: (1.0, 4.0, 16.0)}
MOVIES, FILMED = 4, 256  # movies of each validation image, and the side of the crop that is filmed
LARGEST = 512  # side of a validation image in pixels of the input


@dataclass(frozen=True)
class Cameras:
    """What cameras there are.

    Attributes
    ----------
    photons : tuple of float
        Least and most photo-electrons, drawn evenly in their logarithm: of the brightest pixel, or for
        scale 2 in the mean.
    read_noise : float
        Most of it, in electrons; every second crop has some. None for scale 2.
    correlated, rows : float
        Share of the crops whose noise is blurred (as by resampling), and that has rows. None for scale 2.
    smooth : float
        Share of the crops that are blurred before they are photographed, by 0.5 to 2 pixels: as a microscope
        out of focus or with finer pixels sees them, and without noise of their own. None for scale 2.
    multiplied : float
        Share of the crops whose camera multiplies electrons (`quietfield.noise.camera.multiplied`). None for scale 2.
    origins : str
        "blur" by 0.4 to 1 pixels is what makes noise correlated, or "any" of `train.data.shared.ORIGINS`.
    additive : float
        Share of the crops whose noise is as strong in the dark as in the light. None for scale 2.
    fields : float
        Share of the crops that are smooth light alone, and of those behind such light (`train.data.light.lit`). None
        for scale 2.
    planes : int
        Of a network for stacks, how many it is given: each crop becomes a movie (`train.data.movies`). 1 for scale 2.
    """

    photons: tuple[float, float] = (3.0, 500.0)
    read_noise: float = 3.0
    correlated: float = 0.25
    rows: float = 0.1
    smooth: float = 0.0
    multiplied: float = 0.0
    origins: str = "blur"
    additive: float = 0.0
    fields: float = 0.0
    planes: int = 1


ANY_CAMERA = Cameras()


def degrade(
    truth: Tensor,
    generator: torch.Generator,
    scale: int = 1,
    *,
    dose: float | None = None,
    sigma: float | None = None,
    cameras: Cameras | None = None,
    most: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Photograph clean crops, each with a dose, a background and a camera of its own.

    Parameters
    ----------
    truth : Tensor
        float32, (N, P, Y, X), from 0 to about 1; P is 1, but for a camera that films.
    generator : torch.Generator
        Source of the randomness, on the ground truth's device.
    scale : int
        1 for a frame of the ground truth's pixels (`camera`), 2 for one of half as many in Y and in X (`wide_field`).
    dose : float, optional
        Photo-electrons, the same for all; else each has its own. For scale 1 of the brightest pixel, for
        scale 2 in the mean.
    sigma : float, optional
        For scale 2, width of the point spread function in pixels of the ground truth, the same for all.
    cameras : Cameras, optional
        What cameras there are; without, any that W2S or other microscopes may have.
    most : Tensor, optional
        For scale 1, (N,), photo-electrons that each crop is good for (`train.data.clean.Clean.most`).

    Returns
    -------
    noisy : Tensor
        float32, (N, P, Y / scale, X / scale), photo-electrons a pixel; of movies without their margin.
    truth : Tensor
        float32, (N, 1, Y, X), in the units of `noisy`; of movies the plane in the middle.

    Raises
    ------
    ValueError
        For scale 2, if Y or X is odd or too small to be blurred.
    """
    if scale == 1:
        return camera(truth, generator, dose, cameras or ANY_CAMERA, most)
    photons = (dose, dose) if dose else cameras.photons if cameras else PHOTONS
    return wide_field(truth, generator, photons, (sigma, sigma) if sigma else SIGMA)


def camera(
    truth: Tensor,
    generator: torch.Generator,
    brightest: float | None = None,
    cameras: Cameras = ANY_CAMERA,
    most: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """A frame of the ground truth's own pixels; parameters as those of `degrade`.

    The background is up to half of the brightest pixel; blurred noise is blurred by 0.4 to 1 pixel, and rows
    have 0.1 to 0.7 times the spread of the rest of the noise.
    """
    draw = _Draw(len(truth), 1, generator, truth.device)
    least, highest = (math.log10(photons) for photons in cameras.photons)
    good_for = truth.new_full((len(truth),), math.inf) if most is None else most
    dose = brightest or 10 ** draw.uniform(least, good_for.log10().clamp(least, highest).view(-1, 1, 1, 1))
    if cameras.smooth:
        chosen, width = draw.some(cameras.smooth), draw.uniform(0.5, 2.0).repeat_interleave(truth.shape[1], 0)
        blurred = correlate(truth.flatten(0, 1)[:, None], width, False, 6)
        truth = torch.where(chosen, blurred.view(truth.shape), truth)
    random = np.random.default_rng(generator.initial_seed())  # decides on the CPU: no device has to wait
    if cameras.fields:
        truth = lit(truth, cameras.fields, generator, random)
    frames = None
    if cameras.planes > 1:
        truth, frames = seen(filmed(truth, random), cameras.planes, random)
    mean = dose * (truth + 10 ** draw.uniform(-2.5, np.log10(0.5)))
    if frames is None:
        return mean + _noise(mean, 1, generator, random, cameras), mean
    # The sum of Poisson numbers is one, so a sum of frames is drawn at once.
    pictures = (mean * frames).flatten(0, 1)[:, None]
    noise = _noise(pictures, cameras.planes, generator, random, cameras, frames.view(-1, 1, 1, 1))
    noisy = mean + noise.view(mean.shape) / frames.clamp(min=1)
    return torch.where(frames > 0, noisy, own_plane(noisy)), own_plane(mean)  # as `UNet` wants those that lack


@dataclass(frozen=True)
class _Draw:
    """Draws a number for each of some crops, and repeats it for the planes of each, (crops * planes, 1, 1, 1)."""

    crops: int
    planes: int
    generator: torch.Generator
    device: torch.device

    def uniform(self, low: float, high: float | Tensor) -> Tensor:
        drawn = torch.rand((self.crops, 1, 1, 1), generator=self.generator, device=self.device)
        return (low + (high - low) * drawn).repeat_interleave(self.planes, 0)

    def some(self, share: float) -> Tensor:
        return self.uniform(0, 1) < share


def _noise(
    mean: Tensor,
    planes: int,
    generator: torch.Generator,
    random: np.random.Generator,
    cameras: Cameras,
    frames: float | Tensor = 1.0,
) -> Tensor:
    """What is added to pictures (crops * planes, 1, Y, X), photo-electrons; those of one crop are of one camera.

    Each is the sum of so many frames, (crops * planes, 1, 1, 1).
    """
    draw = _Draw(len(mean) // planes, planes, generator, mean.device)
    noise = _poisson_noise(mean, generator) if planes > 1 else torch.poisson(mean, generator=generator) - mean
    if cameras.multiplied and planes > 1:  # drawn for those alone that have it: there are many planes
        which = torch.from_numpy(random.random(draw.crops) < cameras.multiplied).repeat_interleave(planes, 0)
        noise[which] = multiplied(mean[which], generator) - mean[which]
    elif cameras.multiplied:
        noise = torch.where(draw.some(cameras.multiplied), multiplied(mean, generator) - mean, noise)
    white = torch.randn(mean.shape, generator=generator, device=mean.device)
    if cameras.additive:
        noise = torch.where(draw.some(cameras.additive), mean.mean(dim=(2, 3), keepdim=True).sqrt() * white, noise)
        # Each pixel of an sCMOS has its own amplifier, a few a bad one.
        unlike = torch.randn(mean[::planes].shape, generator=generator, device=mean.device)
        amplified = white.roll(1, -1) * (0.5 * unlike).exp().repeat_interleave(planes, 0)
        white = torch.where(draw.some(0.3), amplified, white)
    noise = noise + draw.some(0.5) * draw.uniform(0, cameras.read_noise) * white * frames**0.5
    if cameras.origins == "blur":
        noise = torch.where(draw.some(cameras.correlated), correlate(noise, draw.uniform(0.4, 1.0), False, 3), noise)
    else:
        noise = shared_noise(noise, cameras.correlated, random, planes)
    row = row_noise(mean, 1.0, generator)
    spread = noise.std(dim=(2, 3), keepdim=True)
    noise = noise + draw.some(cameras.rows) * draw.uniform(0.1, 0.7) * spread * row
    if planes > 1:  # what the sensor adds to all planes alike, which is no structure either
        pattern = torch.randn(mean[::planes].shape, generator=generator, device=mean.device)
        spread = spread[planes // 2 :: planes] * pattern
        noise = noise + draw.some(PATTERNED) * draw.uniform(0.05, 0.4) * frames * spread.repeat_interleave(planes, 0)
    return noise


def _poisson_noise(mean: Tensor, generator: torch.Generator) -> Tensor:
    """Poisson noise of pictures (N, 1, Y, X); on a processor, of those that are bright all over, ten times as fast.

    There it is normal noise with the skewness of Poisson noise (Cornish and Fisher, 1938).
    """
    if mean.device.type != "cpu":
        return torch.poisson(mean, generator=generator) - mean
    bright = mean.amin(dim=(1, 2, 3)) > BRIGHT
    noise = torch.randn(mean.shape, generator=generator)
    noise = mean.sqrt() * noise + (noise.square() - 1) / 6
    noise[~bright] = torch.poisson(mean[~bright], generator=generator) - mean[~bright]
    return noise


def wide_field(
    truth: Tensor,
    generator: torch.Generator,
    photons: tuple[float, float] = PHOTONS,
    sigma: tuple[float, float] = SIGMA,
) -> tuple[Tensor, Tensor]:
    """What a wide-field microscope sees of a super-resolved image: blurred, half the pixels, shot noise.

    A Gaussian point spread function, 2x2 binning, and Poisson noise without read noise, which is what
    was measured of W2S. Beyond its border the ground truth is taken as mirrored: a margin would be truer for
    the outermost two or three pixels of the frame, but they are no truer at the border of a whole
    image, and the crop stays the one that was drawn.

    Parameters
    ----------
    truth : Tensor
        float32, (N, 1, 2Y, 2X), from 0 to about 1.
    generator : torch.Generator
        Source of the randomness, on the ground truth's device.
    photons : tuple of float
        Least and most photo-electrons a pixel in the mean, drawn evenly in their logarithm.
    sigma : tuple of float
        Least and largest width of the point spread function, in pixels of the ground truth.

    Returns
    -------
    noisy : Tensor
        float32, (N, 1, Y, X), photo-electrons.
    truth : Tensor
        float32, (N, 1, 2Y, 2X), photo-electrons per pixel of `noisy`: blurred and averaged over 2x2
        it is what `noisy` has as its mean.

    Raises
    ------
    ValueError
        If a side is odd, or not longer than the point spread function reaches.
    """
    if truth.shape[2] % 2 or truth.shape[3] % 2 or min(truth.shape[2:]) <= REACH:
        raise ValueError(
            f"scale 2: expected clean crops with even sides of more than {REACH} pixels, found {tuple(truth.shape[2:])}"
        )

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((len(truth), 1, 1, 1), generator=generator, device=truth.device)

    dose = uniform(math.log(photons[0]), math.log(photons[1])).exp()
    background = uniform(*BACKGROUND)
    light = truth / truth.mean(dim=(2, 3), keepdim=True).clamp(min=DARKEST)
    mean = dose * ((1 - background) * light + background)
    expected = functional.avg_pool2d(correlate(mean, uniform(*sigma), False, REACH), 2)
    return torch.poisson(expected, generator=generator), mean


def validation_movies(
    images: list[Clean], planes: int, seed: int
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Movies of clean images, `MOVIES` of each, the same whenever they are asked for.

    Parameters
    ----------
    images : list of Clean
        What is filmed.
    planes : int
        That a network is given.
    seed : int
        As of `validation_pairs`.

    Yields
    ------
    number : int
        Of the image.
    noisy, truth : ndarray
        (planes, Y, X), what the network is given, and (Y, X), float32, photo-electrons.
    """
    for i, image in enumerate(images):
        some = image.planes[image.around(len(image.planes) // 2, 2 * reach(planes) + 1)]
        y, x = ((side - min(side, FILMED)) // 2 for side in some.shape[1:])
        clean = some[None, :, y : y + FILMED, x : x + FILMED]
        for take in range(MOVIES):
            generator = torch.Generator(clean.device).manual_seed((seed << 20) + MOVIES * i + take)
            noisy, truth = degrade(
                clean, generator, dose=DOSES[1][take % len(DOSES[1])], cameras=Cameras(planes=planes)
            )
            yield i, noisy[0].cpu().numpy(), truth[0, 0].cpu().numpy()


def validation_pairs(
    images: list[Tensor], scale: int, seed: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The middle plane of each clean image and a photograph of it, the same whenever it is asked for.

    Parameters
    ----------
    images : list of Tensor
        float32, (P, scale * Y, scale * X), as `read_clean` gives them; of larger ones than `LARGEST`
        pixels of the photograph the middle is taken.
    scale : int
        As `degrade` takes it. The doses are those of `DOSES` in turn.
    seed : int
        Of the noise; that of each image is independent of the others.

    Returns
    -------
    list of tuple of ndarray
        noisy (Y, X) and ground truth (scale * Y, scale * X), float32, photo-electrons per pixel of the noisy one.
    """
    pairs = []
    for i, planes in enumerate(images):
        plane = planes[len(planes) // 2]
        sides = [min(side // scale, LARGEST) * scale for side in plane.shape]
        y, x = ((full - side) // 2 for full, side in zip(plane.shape, sides, strict=True))
        crop = plane[None, None, y : y + sides[0], x : x + sides[1]]
        generator = torch.Generator(plane.device).manual_seed((seed << 20) + i)
        noisy, truth = degrade(crop, generator, scale, dose=DOSES[scale][i % len(DOSES[scale])])
        pairs.append((noisy[0, 0].cpu().numpy(), truth[0, 0].cpu().numpy()))
    return pairs
