"""Adapt a network to the very images that it is to denoise."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoiser.noise.model import NoiseModel
from denoiser.predict import Denoiser, fill_invalid

log = logging.getLogger(__name__)

PLANES = 8  # of a stack that are learnt from
LARGEST, SMALLEST = 512, 96  # side in pixels of what of a plane is learnt from, and of what is too small to be
CROP, BATCH = 128, 4
RATE, WARMUP = 1e-4, 10
STEPS = 120  # more bring nothing
SQUARE, HELD_OUT = 32, 4  # every fourth square of so many pixels a side is not learnt from, but judged by
STRENGTH = 0.5  # of the noise that is added to see how the answer follows
DRAWS = 4  # of noise, for the judgement
LEAST_GAIN = 0.05  # dB that a network must seem better than the one that is there


@dataclass(frozen=True)
class Sample:
    """A plane to learn from.

    Attributes
    ----------
    z : Tensor
        (1, 1, Y, X), in network units.
    clean : Tensor
        What the network made of it, to draw noise on.
    spread : float
        Intensity units in a network unit.
    centre : float
        What is 0 there, intensity units.
    model : NoiseModel
        Of its noise, intensity units.
    """

    z: Tensor
    clean: Tensor
    centre: float
    spread: float
    model: NoiseModel

    def draw(self, generator: torch.Generator) -> Tensor:
        """Noise like that in it, in network units."""
        return self.model.draw(self.clean * self.spread + self.centre, generator) / self.spread

    @property
    def power(self) -> float:
        """Mean variance of the noise, network units."""
        return float(self.model.variance(self.clean * self.spread + self.centre).mean()) / self.spread**2
