"""Losses by name, alone or two mixed; all take the answer and the ground truth in network units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from quietfield.front import SHIPPED
from quietfield.network.model import find_model, load_model

Loss = Callable[[Tensor, Tensor], Tensor]

FEATURE_LEVELS = 3  # of the encoder that the perceptual loss looks through
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights of the scales, Wang et al. (2003)


def build_loss(name: str, mix: float = 0.1) -> Loss:
    """The loss of a configuration.

    Parameters
    ----------
    name : str
        One of `LOSSES`, or two as "mse+ssim": (1 - mix) times the first plus `mix` times the second.
    mix : float
        Share of the second.

    Returns
    -------
    callable
        Takes answer and ground truth, float32, (N, 1, Y, X), and gives a scalar.

    Raises
    ------
    ValueError
        If a name is not known, or there are more than two.
    """
    names = name.split("+")
    if len(names) > 2 or any(n not in LOSSES for n in names):
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, or two as 'mse+ssim', found {name!r}")
    losses = [LOSSES[n]() for n in names]
    if len(losses) == 1:
        return losses[0]
    return lambda y, target: (1 - mix) * losses[0](y, target) + mix * losses[1](y, target)


def charbonnier(y: Tensor, target: Tensor, softness: float = 1e-3) -> Tensor:
    """The mean of sqrt(d^2 + softness^2): an L1 that is smooth at zero (Charbonnier et al., 1994)."""
    return ((y - target).square() + softness**2).sqrt().mean()


def logarithmic(y: Tensor, target: Tensor, softness: float = 1e-3) -> Tensor:
    """The mean of the logarithm of each crop's mean squared error: what lowers it by a decibel counts alike in all.

    Of errors in the noise, as `balance` 1 gives them, those below `softness` count less and less.
    """
    return torch.log1p((y - target).square().mean(dim=(1, 2, 3)) / softness).mean()


def ssim(y: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM, with each ground truth's own max - min as range."""
    value = structural_similarity_index_measure(*_scaled(y, target), data_range=1.0)
    return 1 - _tensor(value)


def ms_ssim(y: Tensor, target: Tensor) -> Tensor:
    """1 - multi-scale SSIM, of as many of the five scales as the crops have room for."""
    side, window = min(target.shape[-2:]), 11
    scales = [n for n in range(1, 6) if min(side >> (n - 1), side // max(1, n - 1) ** 2) >= window]
    if not scales:
        raise ValueError(f"ms-ssim: expected crops of at least {window} pixels a side, found {side}: raise --crop")
    betas = BETAS[: scales[-1]]
    betas = tuple(b / sum(betas) for b in betas)
    value = multiscale_structural_similarity_index_measure(*_scaled(y, target), data_range=1.0, betas=betas)
    return 1 - _tensor(value)


def _tensor(value: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    return value[0] if isinstance(value, tuple) else value


def _scaled(y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in units in which each ground truth runs from 0 to 1."""
    low, high = target.amin(dim=(2, 3), keepdim=True), target.amax(dim=(2, 3), keepdim=True)
    span = (high - low).clamp(min=1e-6)
    return (y - low) / span, (target - low) / span


class Perceptual:
    """Mean squared difference of what the shipped network's encoder sees in the answer and in the ground truth.

    After Johnson et al. (2016), whose VGG features come from photographs and need a download; these come
    from micrographs and are installed with the package. Each level counts alike: its difference is divided by the
    mean square of the ground truth's features.
    """

    def __init__(self, folder: Path | None = None) -> None:
        network = load_model(folder or find_model(list(SHIPPED))).network
        self.unshuffle = network.unshuffle
        self.levels = network.down[:FEATURE_LEVELS].eval().requires_grad_(False)

    def __call__(self, y: Tensor, target: Tensor) -> Tensor:
        """The loss; float32 scalar."""
        self.levels.to(y.device)
        total = torch.zeros((), device=y.device)
        a, b = (functional.pixel_unshuffle(t, self.unshuffle) for t in (y, target))
        for i, level in enumerate(self.levels):
            if i > 0:
                a, b = functional.max_pool2d(a, 2), functional.max_pool2d(b, 2)
            a, b = level(a), level(b)
            total = total + (a - b).square().mean() / b.square().mean().clamp(min=1e-12)
        return total / len(self.levels)


LOSSES: dict[str, Callable[[], Loss]] = {
    "mse": lambda: nn.functional.mse_loss,
    "l1": lambda: nn.functional.l1_loss,
    "charbonnier": lambda: charbonnier,
    "log": lambda: logarithmic,
    "ssim": lambda: ssim,
    "ms-ssim": lambda: ms_ssim,
    "perceptual": Perceptual,
}
