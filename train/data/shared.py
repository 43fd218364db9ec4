"""Noise that neighbouring pixels share: what interpolation, filters, colour sensors and scanners make of noise.

Every origin takes noise (N, 1, Y, X). `shared_noise` gives what comes out the spread that it had, so that the dose
alone says how strong it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quietfield.noise.camera import correlate

# Of real wide-field images of a colour camera the spectrum rises towards low frequencies: power laws between these,
# from this frequency (cycles a pixel) on, and behind a low-pass filter with a cut-off between those.
POWER, LOWEST, CUT_OFF = (0.0, 1.4), 0.004, (0.175, 0.7)
TABLE = np.add.outer(np.arange(8), np.arange(8))  # frequency of a JPEG coefficient, roughly as its steps grow


def spectral(noise: Tensor, random: Generator) -> Tensor:
    """A power law towards low frequencies behind a low-pass filter, mostly alike along both axes."""
    count, _, height, width = noise.shape
    power = random.uniform(*POWER, count)
    cut = _log_uniform(random, CUT_OFF, count)
    unlike = np.where(random.random(count) < 0.3, _log_uniform(random, (0.7, 1.4), count), 1.0)
    exponent, cut_y, cut_x = (_each(noise, values) for values in (power / 2, cut * unlike, cut / unlike))
    y = torch.fft.fftfreq(height, device=noise.device).view(-1, 1)
    x = torch.fft.rfftfreq(width, device=noise.device).view(1, -1)
    shape = (y.square() + x.square()).sqrt().add(LOWEST).pow(-exponent)
    shape = shape * torch.exp(-((y / cut_y) ** 2) - (x / cut_x) ** 2)
    result: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) * shape, (height, width))
    return result


def blurred(noise: Tensor, random: Generator) -> Tensor:
    """A Gaussian of 0.3 to 1.3 pixels along one axis or both, often at most 0.5, as a shift by part of a pixel does."""
    wide, slight = (_log_uniform(random, (0.3, most), len(noise)) for most in (1.3, 0.5))
    width = _each(noise, np.where(random.random(len(noise)) < 0.4, slight, wide))
    if (way := random.random()) < 0.6:
        return correlate(noise, width, False, 5)
    kernel = torch.exp(-((torch.arange(-5, 6, device=noise.device) / width) ** 2) / 2)
    return _along_x(noise, kernel) if way < 0.8 else _along_x(noise.transpose(2, 3), kernel).transpose(2, 3)


def scanned(noise: Tensor, random: Generator) -> Tensor:
    """An amplifier that is slower than the scan: what it has just seen lasts along X."""
    lasting = _each(noise, random.uniform(0.2, 0.8, len(noise)))
    taps = torch.arange(8, device=noise.device)
    return _along_x(noise, functional.pad(lasting**taps, (7, 0)))


def interpolated(noise: Tensor, random: Generator) -> Tensor:
    """Turned, doubled or enlarged by less, bilinear or bicubic."""
    angle = random.uniform(-math.pi, math.pi) if random.random() < 0.5 else 0.0
    finer = random.choice((1.0, 2.0, random.uniform(1.0, 2.0)))
    cos, sin = math.cos(angle) / finer, math.sin(angle) / finer
    right, down = random.uniform(-1, 1, 2) / noise.shape[2:]  # by up to half a pixel
    theta = torch.tensor([[cos, -sin, right], [sin, cos, down]], dtype=torch.float32, device=noise.device)
    grid = functional.affine_grid(theta.expand(len(noise), 2, 3), list(noise.shape), align_corners=False)
    mode = "bilinear" if random.random() < 0.5 else "bicubic"
    return functional.grid_sample(noise, grid, mode=mode, padding_mode="reflection", align_corners=False)


def enlarged(noise: Tensor, random: Generator) -> Tensor:
    """Enlarged by up to twice with a long kernel (Lanczos, spline, Fourier): nothing is left of high frequencies."""
    height, width = noise.shape[2:]
    cut, soft = (_each(noise, random.uniform(low, high, len(noise))) for low, high in ((0.25, 0.45), (0.01, 0.06)))
    y = torch.fft.fftfreq(height, device=noise.device).abs().view(-1, 1)
    x = torch.fft.rfftfreq(width, device=noise.device).view(1, -1)
    passed = torch.sigmoid((cut - y) / soft) * torch.sigmoid((cut - x) / soft)
    result: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) * passed, (height, width))
    return result


def deconvolved(noise: Tensor, random: Generator) -> Tensor:
    """Behind a Wiener filter: what the optics pass best is raised, and by an iterated method bright more than dark."""
    count, _, height, width = noise.shape
    sigma, regular, skew = (
        _each(noise, values)
        for values in (
            _log_uniform(random, (0.8, 2.0), count),
            _log_uniform(random, (0.003, 0.1), count),
            random.uniform(0, 0.3, count) * (random.random(count) < 0.6),
        )
    )
    y = torch.fft.fftfreq(height, device=noise.device).view(-1, 1)
    x = torch.fft.rfftfreq(width, device=noise.device).view(1, -1)
    optics = torch.exp(-2 * (math.pi * sigma).square() * (y.square() + x.square()))
    found: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) * optics / (optics.square() + regular), (height, width))
    spread = found.std(dim=(2, 3), keepdim=True).clamp(min=1e-9)
    return found + skew * (found.square() / spread - spread)


def demosaiced(noise: Tensor, random: Generator) -> Tensor:
    """One colour of a Bayer pattern, red or green: every fourth or second pixel is measured, the others are means."""
    height, width = noise.shape[2:]
    y, x = torch.arange(height, device=noise.device)[:, None] % 2, torch.arange(width, device=noise.device) % 2
    if random.random() < 0.5:
        seen, kernel = (y == 0) & (x == 0), [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]
    else:
        seen, kernel = y == x, [[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]]
    weights = torch.tensor(kernel, device=noise.device)[None, None]
    return functional.conv2d(functional.pad(noise * seen, 4 * [1], mode="reflect"), weights)


def median(noise: Tensor, random: Generator) -> Tensor:
    """The median of 3x3 pixels."""
    padded = functional.pad(noise, 4 * [1], mode="reflect")
    patches = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    return patches.median(dim=-1).values


def mean(noise: Tensor, random: Generator) -> Tensor:
    """The mean of 2x2 or 3x3 pixels."""
    if random.random() < 0.5:
        return functional.avg_pool2d(functional.pad(noise, (0, 1, 0, 1), mode="reflect"), 2, 1)
    return functional.avg_pool2d(functional.pad(noise, 4 * [1], mode="reflect"), 3, 1)


def compressed(noise: Tensor, random: Generator) -> Tensor:
    """Stored as JPEG: fine frequencies of 8x8 pixels are rounded to coarse steps."""
    height, width = (side // 8 * 8 for side in noise.shape[2:])
    blocks = noise[..., :height, :width].unfold(2, 8, 8).unfold(3, 8, 8)
    rows = torch.arange(8, dtype=torch.float32)
    turn = torch.cos((2 * rows + 1) * rows[:, None] * math.pi / 16) / 2
    turn[0] /= math.sqrt(2)
    turn = turn.to(noise.device)
    spread = noise.std(dim=(2, 3), keepdim=True)[..., None, None]
    table = torch.from_numpy((0.3 + 0.25 * TABLE).astype(np.float32)).to(noise.device)
    step = spread * table * float(np.exp(random.uniform(-1.5, 0.5)))
    found = turn.T @ (torch.round(turn @ blocks @ turn.T / step) * step) @ turn
    result = noise.clone()
    result[..., :height, :width] = found.permute(0, 1, 2, 4, 3, 5).reshape(*noise.shape[:2], height, width)
    return result


Origin = Callable[[Tensor, Generator], Tensor]
LEAST = 0.1  # of the spread of noise, that is enough to be made as large again
SKEWED = 3.0  # noise that is more skewed consists of single counts: blurred, they would look like points of light
ORIGINS: dict[Origin, float] = {  # and how often one is drawn
    spectral: 0.25, blurred: 0.25, scanned: 0.06, interpolated: 0.12, enlarged: 0.08, demosaiced: 0.1, median: 0.06,
    mean: 0.04, compressed: 0.03, deconvolved: 0.06,
}  # fmt: skip


def shared_noise(noise: Tensor, share: float, random: Generator, planes: int = 1) -> Tensor:
    """A share of the crops' noise as one of the `ORIGINS` makes it, each of the spread that it had.

    What an origin leaves less than `LEAST` of stays as it is, and so does what is more `SKEWED`.

    Parameters
    ----------
    noise : Tensor
        float32, (N, 1, Y, X), sides of at least 16 pixels.
    share : float
        Of the crops.
    random : Generator
        Draws which, on the CPU, so that no device waits for it.
    planes : int
        How many crops that follow each other are planes of one movie: their noise is of one origin.

    Returns
    -------
    Tensor
        As large, and on the same device.
    """
    chances = np.array([*ORIGINS.values()])
    count = len(noise) // planes
    drawn = np.where(random.random(count) < share, random.choice(len(chances), count, p=chances / chances.sum()), -1)
    drawn = drawn.repeat(planes)
    result = noise.clone()
    for number, origin in enumerate(ORIGINS):
        if len(chosen := np.flatnonzero(drawn == number)):
            where = torch.from_numpy(chosen).to(noise.device)
            before = noise[where]
            after = origin(before, random)
            spread, left = (part.std(dim=(2, 3), keepdim=True) for part in (before, after))
            third = (before - before.mean(dim=(2, 3), keepdim=True)).pow(3).mean(dim=(2, 3), keepdim=True)
            # A median filter leaves nothing of dark noise, which cannot be given a spread any more.
            possible = (left > LEAST * spread) & (third <= SKEWED * spread.pow(3))
            result[where] = torch.where(possible, after * (spread / left), before)
    return result


def _log_uniform(random: Generator, bounds: tuple[float, float], count: int) -> NDArray[np.float64]:
    return np.exp(random.uniform(math.log(bounds[0]), math.log(bounds[1]), count))


def _each(like: Tensor, values: NDArray[np.float64]) -> Tensor:
    """A number for each crop, (N, 1, 1, 1), where the crops are."""
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1).to(like.device)


def _along_x(noise: Tensor, kernel: Tensor) -> Tensor:
    """Each crop convolved with its own kernel, (N, 1, 1, taps)."""
    reach = kernel.shape[-1] // 2
    image = functional.pad(noise.transpose(0, 1), (reach, reach, 0, 0), mode="reflect")
    return functional.conv2d(image, kernel, groups=len(noise)).transpose(0, 1)
