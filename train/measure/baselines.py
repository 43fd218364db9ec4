"""What a run is set beside on its validation images: the noisy input as it is, and the shipped network."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.front import SHIPPED
from quietfield.network.model import ModelError, find_model, load_model
from quietfield.network.predict import Denoiser

from ..data.pairs import Pair
from .evaluate import enlarge
from .metrics import si_psnr

log = logging.getLogger(__name__)

NOISY, SHIPPED_NETWORK, START, OURS = "noisy input", "shipped network", "network before", "this network"

TELLING = 0.005  # dB: a smaller difference is none

Array = NDArray[Any]


@cache
def shipped_network(device: str) -> Denoiser | None:
    """The shipped networks on a device; None where there are none."""
    try:
        return Denoiser.of(load_model(find_model(list(SHIPPED))), device)
    except ModelError as error:
        log.debug("no shipped network to compare with: %s", error)
        return None


class Baselines:
    """Restores validation images as the shipped network does, and measures that and the noisy input.

    Parameters
    ----------
    device : str
        Where to compute.
    pairs : sequence of Pair
        The images to look at.
    seconds : float
        That the shipped network may take for all of them; it is not measured if the first of them tells that it
        takes more.

    Attributes
    ----------
    spent : float
        Seconds that all this took.
    """

    def __init__(self, device: str, pairs: Sequence[Pair], seconds: float) -> None:
        self.pixels, self.seconds, self.spent = sum(pair.frames[0].size for pair in pairs), seconds, 0.0
        self.slow = False
        self.denoiser = shipped_network(device) if all(pair.scale == 1 for pair in pairs) else None
        if self.denoiser and pairs:
            small = np.asarray(pairs[0].frames[0][:64, :64], np.float64)
            self.denoiser.suited(small[None])[0](small[None])  # the first call takes longer

    def look(
        self, frame: Array, truth: Array | None, shown: bool, whole: Array | None = None
    ) -> tuple[float, float, Array | None]:
        """SI-PSNR in dB of the noisy input and of the shipped network's answer, NaN if unknown, and that answer.

        What is shown is restored even if all of the images would take too long. Of rows of a frame, the whole frame
        tells which of the shipped networks suits it, as for whoever denoises the file.
        """
        before, answer = time.monotonic(), None
        if self.denoiser and (shown or not self.slow):
            answer = self.denoiser.suited((frame if whole is None else whole)[None])[0](frame[None])[0]
            needed = (time.monotonic() - before) * self.pixels / frame.size
            if not self.spent and needed > self.seconds:
                log.info("the shipped network is in the montage alone: it takes %.0f s for all images", needed)
                self.slow = True
        noisy = shipped = math.nan
        if truth is not None:
            noisy = si_psnr(truth, enlarge(frame[None], truth.shape[0] // frame.shape[0])[0])
            shipped = math.nan if answer is None else si_psnr(truth, answer)
        self.spent += time.monotonic() - before
        return noisy, shipped, answer


def verdict(quality: float, baselines: dict[str, float], images: int) -> tuple[str, str]:
    """What a run has come to in one line, and a warning if that is behind what it began with, or no better.

    Parameters
    ----------
    quality : float
        Mean SI-PSNR in dB of the validation images.
    baselines : dict
        Those of the baselines, by their names.
    images : int
        Number of the images.
    """
    parts = [f"{name} {value:.2f} dB" for name, value in {**baselines, OURS: quality}.items()]
    line = f"SI-PSNR of {images} validation image{'s' * (images != 1)}: {', '.join(parts)}"
    if quality < baselines.get(NOISY, -math.inf):
        return line, (
            f"this network is behind its input ({quality:.2f} dB, found {baselines[NOISY]:.2f} dB without it): train "
            "longer, look at montage-*.png, or check that each ground truth is that of its noisy image"
        )
    if is_behind(quality, baselines):
        return line, (
            f"this network is behind the one that it started from ({quality:.2f} dB, found {baselines[START]:.2f} dB): "
            "keep that one, or give more images, or a lower --lr"
        )
    if not gains(quality, baselines):
        return line, "this network is no better than the one that it started from: keep that one, or give more images"
    return line, ""


def gains(quality: float, baselines: dict[str, float]) -> bool:
    """Whether answers are better than those of the network before by as much as two decimals show."""
    return round(quality, 2) > round(baselines.get(START, -math.inf), 2) if START in baselines else True


def is_behind(quality: float, baselines: dict[str, float]) -> bool:
    """Whether answers are further from the ground truth than the input is, or those of the network before."""
    return quality < max(baselines.get(name, -math.inf) for name in (NOISY, START)) - TELLING
