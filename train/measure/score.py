"""How well a network restores one image of a run, through the very pipeline that denoises files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.network.predict import Denoiser

from ..data.pairs import Pair
from .metrics import si_psnr


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
    """

    frame: NDArray[Any]
    answer: NDArray[Any]
    truth: NDArray[Any] | None
    quality: float
    loss: float


def score(denoiser: Denoiser, pair: Pair) -> Score:
    """Restore the first frame of a pair and compare it with the ground truth."""
    frame, truth = np.asarray(pair.frames[0], np.float64), np.asarray(pair.truth, np.float64)
    answer = denoiser(frame[None])[0]
    _, scale = denoiser.normalisation.statistics(frame[None])
    loss = float(((answer - truth) ** 2).mean()) / max(float(scale[0, 0, 0]) ** 2, 1e-30)
    return Score(frame, answer, truth, si_psnr(truth, answer), loss)
