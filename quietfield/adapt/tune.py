"""Tune a network to the planes that it is to denoise, by pixels of them that are hidden from it.

One gain for each channel is learnt (GainTuning; Mohan et al., 2021): some hundred numbers, too few to learn the noise
of a plane by heart. What is hidden with a pixel is what shares its noise, so that noise cannot be predicted. Some of
the pixels are never learnt from: they tell when to stop, and whether anything was gained. The surest gain is taken, not
the largest: a network that goes on gets better at filling holes, and in the end worse at an image without.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from quietfield.network.normalise import normalise
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.noise.blindspots import BlindSpots

CROP, BATCH = 128, 4
RATE = 1e-3
STEPS, BETWEEN = 20, 10  # at most, and between looks at the pixels that were kept back
MARGIN = 2  # pixels by which a mask is widened
SETS = 4  # of pixels that are kept back, in all planes together
MISSED = 1.5  # power of the errors of hidden pixels, in that of what the network takes out as noise, at most
SURE = 3.0  # standard errors by which they must be predicted better


@dataclass(frozen=True)
class Tuned:
    """How tuning went.

    Attributes
    ----------
    denoiser : Denoiser
        With the tuned network, or the one that was given, where nothing is surely gained.
    steps : int
        After which the pixels that were kept back were most surely predicted better; 0 if never.
    gain : float
        Share by which their squared error fell until then.
    sure : float
        The same in its standard error.
    """

    denoiser: Denoiser
    steps: int
    gain: float
    sure: float

    @property
    def better(self) -> bool:
        """Whether the tuned network is used."""
        return self.sure > SURE

    def __str__(self) -> str:
        change = f"in {self.steps} steps it learnt to predict masked pixels {100 * self.gain:.2f} % better"
        if self.better:
            return f"the network is fine-tuned: {change}"
        return f"the network stays as it is: {change}, which may be chance"


def tune(denoiser: Denoiser, planes: NDArray[np.float64], spots: BlindSpots, seconds: float, seed: int = 0) -> Tuned:
    """Tune the gains of a denoiser's channels.

    Parameters
    ----------
    denoiser : Denoiser
        Is left as it is.
    planes : ndarray
        (N, Y, X), intensity units, finite; a few of them.
    spots : BlindSpots
        What is hidden: as far as the noise of the planes is shared.
    seconds : float
        Wall time; the same planes and seed give the same network unless it ends first.
    seed : int
        Of crops and masked pixels.

    Raises
    ------
    ValueError
        If planes or time are too small; or masked pixels can hardly be predicted at all.
    FloatingPointError
        If an error is not finite.
    torch.OutOfMemoryError
        If the device's memory does not suffice.
    """
    if seconds <= 0:
        raise ValueError("no time is left")
    end = time.monotonic() + seconds
    spots = _wider(spots)
    if min(planes.shape[1:]) <= 4 * max(spots.reach_y, spots.reach_x) + 4:
        raise ValueError(f"planes of {planes.shape[1]} x {planes.shape[2]} pixels are too small for the mask")
    generator = torch.Generator().manual_seed(seed)
    z = torch.from_numpy(normalise(planes, *denoiser.normalisation.statistics(planes)))[:, None].to(denoiser.device)
    kept = [spots.draw(z, generator) for _ in range(-(-SETS // len(z)))]
    if not bool((never := torch.stack(kept).any(dim=0)).any()):
        raise ValueError("no pixel is left that could be kept back")
    gains = _Gains(denoiser.network)
    optimiser = torch.optim.Adam(gains.numbers.values(), lr=RATE)
    began = time.monotonic()
    before = _look(gains, z, kept, spots)
    looking, longest = time.monotonic() - began, 0.0
    if float(before.mean()) > MISSED * _taken_out(gains, z):
        raise ValueError(f"masked pixels are missed by more than {MISSED:g} times the noise's power: by structure")
    best, chosen, step = Tuned(denoiser, 0, 0.0, 0.0), denoiser.network, 0
    while step < STEPS and time.monotonic() + longest + 2 * looking < end:
        for _ in range(BETWEEN):
            began = time.monotonic()
            crops, no = _crops(z, never, generator)
            _learn(gains, optimiser, crops, spots.draw(crops, generator) & ~no, spots)
            step += 1
            longest = max(longest, time.monotonic() - began)
            if time.monotonic() + longest + looking > end:
                break
        found = Tuned(denoiser, step, *_compared(before, _look(gains, z, kept, spots)))
        if not found.sure > best.sure:
            break
        best, chosen = found, gains.baked()
    if not step:
        raise ValueError(f"{seconds:.2g} seconds are too short")
    return replace(best, denoiser=denoiser.by(chosen)) if best.better else best


def _compared(before: Tensor, after: Tensor) -> tuple[float, float]:
    """By what share squared errors fell in the mean, and the same in its standard error."""
    fall = before - after
    spread = float(fall.std()) / math.sqrt(len(fall))
    return float(fall.mean() / before.mean()), float(fall.mean()) / spread if spread > 0 else 0.0


def _wider(spots: BlindSpots) -> BlindSpots:
    """Spots that surely hide what shares noise, of which a single image does not tell all."""
    y, x = (reach + MARGIN if reach else 0 for reach in (spots.reach_y, spots.reach_x))
    return BlindSpots(spots.share, y, x).sparse()


class _Gains:
    """A network whose convolutions' channels are each multiplied by a number, 1 at first."""

    def __init__(self, network: UNet, numbers: dict[str, Tensor] | None = None) -> None:
        self.network = network
        self.weights = {n: p.detach() for n, p in network.named_parameters()}
        self.numbers = numbers or {
            f"{name}.weight": torch.ones((len(part.weight), 1, 1, 1), device=part.weight.device, requires_grad=True)
            for name, part in network.named_modules()
            if isinstance(part, nn.Conv2d)
        }

    def __call__(self, x: Tensor) -> Tensor:
        answer: Tensor = functional_call(self.network, self._multiplied(), x)
        return answer

    def _multiplied(self) -> dict[str, Tensor]:
        return self.weights | {name: self.weights[name] * number for name, number in self.numbers.items()}

    def baked(self) -> UNet:
        """A network of its own with the weights multiplied."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._multiplied(), strict=False)
        return network


def _crops(z: Tensor, never: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Crops of the planes, anywhere, and of what is never to be learnt from."""
    sides = [min(CROP, side) for side in z.shape[2:]]
    where = []
    for _ in range(BATCH):
        plane, y, x = (
            int(torch.randint(n, (), generator=generator))
            for n in (len(z), z.shape[2] - sides[0] + 1, z.shape[3] - sides[1] + 1)
        )
        where.append((slice(plane, plane + 1), slice(None), slice(y, y + sides[0]), slice(x, x + sides[1])))
    return torch.cat([z[part] for part in where]), torch.cat([never[part] for part in where])


def _learn(gains: _Gains, optimiser: torch.optim.Optimizer, z: Tensor, asked: Tensor, spots: BlindSpots) -> None:
    """One step."""
    error = spots.errors(gains, z, asked).square().mean()
    if not bool(torch.isfinite(error)):
        raise FloatingPointError(f"the error of the hidden pixels became {error.item()}")
    optimiser.zero_grad()
    error.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


@torch.inference_mode()
def _look(gains: _Gains, z: Tensor, kept: list[Tensor], spots: BlindSpots) -> Tensor:
    """Squared errors of the pixels that are kept back, plane by plane to spare memory."""
    each = [spots.errors(gains, plane[None], asked[None]) for s in kept for plane, asked in zip(z, s, strict=True)]
    return torch.cat(each).square().double()


@torch.inference_mode()
def _taken_out(gains: _Gains, z: Tensor) -> float:
    """Power of what the network takes out of the planes."""
    return float(torch.stack([(gains(plane[None]) - plane).square().mean() for plane in z]).double().mean())
