"""How the learning rate goes: torch's schedulers, by name."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, OneCycleLR, ReduceLROnPlateau

from ..config import Config

MONITOR, LOSS, LEFT = "validation_si_psnr", "validation_loss", "validation_noise_left"


def monitored(config: Config) -> tuple[str, str]:
    """What tells the best step, and whether its "max" or "min" does; without a ground truth no metric does."""
    return (MONITOR, "max") if config.supervised else (LOSS, "min")


def warm_up(config: Config, step: int) -> float:
    """Share of the peak rate that a linear warm-up has reached."""
    return min(1.0, (step + 1) / max(1, config.warmup))


def cosine(config: Config, steps: int, step: int) -> float:
    """Share of the peak rate: linear warm-up, then a cosine that ends at zero after the last step."""
    return warm_up(config, step) * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


def build_schedule(config: Config, optimiser: Optimizer, steps: int) -> dict[str, Any]:
    """A scheduler, in the form that Lightning wants.

    Parameters
    ----------
    config : Config
        Its `schedule`, `lr` and `warmup`.
    optimiser : Optimizer
        What to steer.
    steps : int
        Optimiser steps of the whole run.
    """
    if config.schedule == "plateau":
        # Stepped by the validation itself, so that a checkpoint holds what it decided; Lightning only saves it.
        name, mode = monitored(config)
        scheduler = ReduceLROnPlateau(optimiser, mode=mode, factor=0.5, patience=2)  # type: ignore[arg-type]
        return {"scheduler": scheduler, "monitor": name, "interval": "epoch", "frequency": 1 << 30}
    return {"scheduler": _by_step(config, optimiser, steps), "interval": "step"}


def _by_step(config: Config, optimiser: Optimizer, steps: int) -> LambdaLR | OneCycleLR | CyclicLR:
    if config.schedule == "one-cycle":
        # One more than there are steps: Lightning asks for the rate after the last, too.
        return OneCycleLR(optimiser, config.lr, total_steps=steps + 1, cycle_momentum=False)
    if config.schedule == "cyclic":
        half = max(1, steps // 10)  # five triangles
        return CyclicLR(optimiser, config.lr / 10, config.lr, step_size_up=half, cycle_momentum=False)
    if config.schedule == "constant":
        return LambdaLR(optimiser, lambda step: warm_up(config, step))
    return LambdaLR(optimiser, lambda step: cosine(config, steps, step))
