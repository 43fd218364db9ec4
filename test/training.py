"""What the tests of training share: a small configuration, and images to train it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from demo.simulate import GAIN, OFFSET, simulate_field
from train.config import Config
from train.data.pairs import Images, Pair

TINY = Config(
    channels=(16, 32),
    unshuffle=2,
    steps=40,
    batch=8,
    crop=48,
    optimiser="adamw",
    lr=1e-2,
    warmup=5,
    ema=0.9,
    precision="float32",
    validate_every=10,
)


def pair(seed: int = 0) -> Pair:
    """A simulated field of 96² and its truth."""
    noisy, truth = simulate_field(seed, side=96)
    return Pair(f"{seed:03}_0", f"{seed:03}", noisy[None], truth.astype(np.float32), GAIN, OFFSET)


def images(training: tuple[int, ...] = (1,), validation: tuple[int, ...] = (2,)) -> Images:
    """Simulated fields by their seeds."""
    return Images([pair(i) for i in training], [pair(i) for i in validation])


def weights(path: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint would be exported with."""
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state
