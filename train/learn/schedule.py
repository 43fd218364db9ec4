"""How the learning rate goes: torch's schedulers, by name."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, OneCycleLR, ReduceLROnPlateau

from ..config import Config
from ..timetable import Timetable

POINTS = 1000  # of a course that is fitted to a time
MONITOR, LOSS, LEFT = "validation_si_psnr", "validation_loss", "validation_noise_left"


def monitored(config: Config) -> tuple[str, str]:
    """What tells the best step, and whether its "max" or "min" does; without a ground truth no metric does."""
    return (MONITOR, "max") if config.supervised else (LOSS, "min")


def warm_up(steps: float, step: float) -> float:
    """Share of the peak rate that a linear warm-up of so many steps has reached."""
    return min(1.0, (step + 1) / max(1, steps))


def cosine(steps: int, step: float) -> float:
    """Share of the peak rate: a cosine that ends at zero after the last step."""
    return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


def build_schedule(config: Config, optimiser: Optimizer, plan: Timetable) -> dict[str, Any]:
    """A scheduler, in the form that Lightning wants.

    Parameters
    ----------
    config : Config
        Its `schedule`, `lr` and `warmup`.
    optimiser : Optimizer
        What to steer.
    plan : Timetable
        Of the whole run.
    """
    if config.schedule == "plateau":
        # Stepped by the validation itself, so that a checkpoint holds what it decided; Lightning only saves it.
        name, mode = monitored(config)
        scheduler = ReduceLROnPlateau(optimiser, mode=mode, factor=0.5, patience=2)  # type: ignore[arg-type]
        return {"scheduler": scheduler, "monitor": name, "interval": "epoch", "frequency": 1 << 30}
    return {"scheduler": _by_step(config, optimiser, plan), "interval": "step"}


def _by_step(config: Config, optimiser: Optimizer, plan: Timetable) -> LambdaLR | OneCycleLR | CyclicLR:
    def share(step: int) -> float:
        at = plan.position(step)
        risen = warm_up(plan.warmup(config.warmup), at)
        return risen if config.schedule == "constant" else risen * cosine(plan.steps, at)

    if config.schedule in ("cosine", "constant"):
        return LambdaLR(optimiser, share)
    if not plan.timed:
        return _of_torch(config, optimiser, plan.steps)
    shares = _course(config)
    return LambdaLR(optimiser, lambda step: shares[min(POINTS, round(POINTS * plan.position(step) / plan.steps))])


def _of_torch(config: Config, optimiser: Optimizer, steps: int) -> OneCycleLR | CyclicLR:
    if config.schedule == "one-cycle":
        # One more than there are steps: Lightning asks for the rate after the last, too.
        return OneCycleLR(optimiser, config.lr, total_steps=steps + 1, cycle_momentum=False)
    half = max(1, steps // 10)  # five triangles
    return CyclicLR(optimiser, config.lr / 10, config.lr, step_size_up=half, cycle_momentum=False)


def _course(config: Config) -> list[float]:
    """Shares of the peak rate at `POINTS` places of a run, and at its end, as torch's own schedulers have them."""
    optimiser = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, shares = _of_torch(dataclasses.replace(config, lr=1.0), optimiser, POINTS), []
    for point in range(POINTS + 1):
        shares.append(float(optimiser.param_groups[0]["lr"]))
        optimiser.step()
        if point < POINTS:
            scheduler.step()
    return shares
