"""How well a network restores one image of a run, through the very pipeline that denoises files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quietfield.network.predict import Denoiser

from ..data.pairs import Pair
from ..learn.objectives import Batch, Objective
from ..learn.selfsupervised import Network
from ..learn.units import normalised
from .calm import measure_calm
from .metrics import si_psnr

LOOKED_AT = 512  # pixels of a side that a self-supervised loss is measured on


@dataclass(frozen=True)
class Score:
    """A whole image, its answer, and what they are worth.

    Attributes
    ----------
    frame, answer, truth : ndarray
        (Y, X), (sY, sX) and (sY, sX), intensity units; the ground truth is None where there is none.
    quality : float
        SI-PSNR in dB; NaN without a ground truth.
    loss : float
        Mean squared error in network units, or the loss of a self-supervised objective.
    left : float
        Noise left in calm regions (`train.measure.calm`); NaN without a ground truth of the frame's pixels.
    """

    frame: NDArray[Any]
    answer: NDArray[Any]
    truth: NDArray[Any] | None
    quality: float
    loss: float
    left: float = math.nan


def score(denoiser: Denoiser, pair: Pair) -> Score:
    """Restore the first frame of a pair, or of a movie the one in the middle, and compare it with the ground truth."""
    several = denoiser.network.planes > 1
    frame = np.asarray(pair.frames[len(pair.frames) // 2 if several else 0], np.float64)
    truth = np.asarray(pair.ground_truth, np.float64)
    answer: NDArray[Any] = denoiser.of_inputs([*pair.frames]) if several else denoiser(frame[None])[0]
    _, scale = denoiser.normalisation.statistics(frame[None])
    loss = float(((answer - truth) ** 2).mean()) / max(float(scale[0, 0, 0]) ** 2, 1e-30)
    left = measure_calm(truth, frame, answer).left if frame.shape == truth.shape else math.nan
    return Score(frame, answer, truth, si_psnr(truth, answer), loss, left)


def blind_score(
    denoiser: Denoiser, pair: Pair, network: Network, objective: Objective, generator: torch.Generator
) -> Score:
    """Restore the middle of an image and give its self-supervised loss, which tells nothing of its quality."""
    device = denoiser.device
    grid = 2 * denoiser.network.multiple
    sides = pair.frames.shape[-2:]
    sizes = (min(side, LOOKED_AT) // grid * grid or side // 2 * 2 for side in sides)
    middle = tuple(slice((side - size) // 2, (side + size) // 2) for side, size in zip(sides, sizes, strict=True))
    frames = np.stack([pair.frames[0][middle], pair.frames[-1 if len(pair.frames) < 2 else 1][middle]])
    noisy, other = (torch.from_numpy(f.astype(np.float32))[None, None].to(device) for f in frames)
    camera = torch.tensor([[pair.gain, pair.offset, pair.skew]], device=device)
    x, target = normalised(noisy, other, denoiser.normalisation)
    loss = float(objective(network, Batch(noisy, x, target, camera), generator))
    return Score(frames[0], denoiser(frames[:1])[0], None, math.nan, loss)
