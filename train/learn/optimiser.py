"""The optimisers by name, and Muon for the convolutions behind the interface of one optimiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..config import Config


def build_optimiser(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a configuration."""
    if config.optimiser == "muon":
        return Muon(network, config.lr, config.weight_decay)
    kinds: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    trained = [p for p in network.parameters() if p.requires_grad]
    return kinds[config.optimiser](trained, lr=config.lr, weight_decay=config.weight_decay)  # type: ignore[call-arg]


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix of updates is made orthogonal (Jordan et al., 2024); AdamW elsewhere.

    A convolution's weights are a matrix of outputs by inputs and taps; all of its directions then
    learn at one pace. Each update has the root mean square that AdamW's has (Liu et al., 2025), so
    one `lr` and one `weight_decay` serve both. Biases, and convolutions from or to fewer than eight
    channels, are AdamW's.

    Parameters
    ----------
    network : nn.Module
        Its parameters are trained.
    lr, weight_decay : float
        Peak rate and decoupled decay.
    momentum : float
        Of Muon, Nesterov's form.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        parameters = [p for p in network.parameters() if p.requires_grad]
        matrices = [p for p in parameters if p.ndim == 4 and min(p.shape[:2]) >= 8]
        chosen = {id(p) for p in matrices}
        rest = [p for p in parameters if id(p) not in chosen]
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__([{"params": matrices, "muon": True}, {"params": rest, "muon": False}], defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient, which `closure` computes if it is given."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            updates = self._muon(trained, group["momentum"]) if group["muon"] else self._adam(trained)
            for p, update in zip(trained, updates, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"])
        return loss

    def _muon(self, trained: list[Tensor], momentum: float) -> list[Tensor]:
        updates: dict[int, Tensor] = {}
        # Those of one shape together: a GPU does not wait for the arithmetic but for being told of it.
        for shape in {p.shape for p in trained}:
            alike = [p for p in trained if p.shape == shape]
            directions = [_direction(p.grad, self.state[p], momentum) for p in alike if p.grad is not None]
            matrices = orthogonal(torch.stack(directions).flatten(2))
            scale = 0.2 * max(matrices.shape[1:]) ** 0.5
            updates |= {id(p): scale * m.view(shape) for p, m in zip(alike, matrices, strict=True)}
        return [updates[id(p)] for p in trained]

    def _adam(self, trained: list[Tensor]) -> list[Tensor]:
        return [_adam(p.grad, self.state[p]) for p in trained if p.grad is not None]


def has_bfloat16(device: str) -> bool:
    """Whether a kind of device ("cpu", "cuda", ...) is fast in bfloat16; processors without it are ten times slower."""
    return device != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _direction(gradient: Tensor, state: dict[str, Any], momentum: float) -> Tensor:
    if not state:
        state["momentum"] = torch.zeros_like(gradient)
    state["momentum"].lerp_(gradient, 1 - momentum)
    direction: Tensor = gradient.lerp(state["momentum"], momentum)
    return direction.contiguous()


def _adam(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    if not state:
        state.update(step=0, mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
    state["step"] += 1
    state["mean"].lerp_(gradient, 0.1)
    state["square"].lerp_(gradient.square(), 0.001)
    mean, square = state["mean"] / (1 - 0.9 ** state["step"]), state["square"] / (1 - 0.999 ** state["step"])
    update: Tensor = mean / (square.sqrt() + 1e-8)
    return update


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrices, (..., rows, columns), with all singular values about one: five steps of Newton and Schulz.

    The quintic's coefficients are those of Jordan et al. (2024), which trade exactness (values from
    0.7 to 1.2) for few steps. They are taken in bfloat16 where that is fast.
    """
    x = matrix.bfloat16() if has_bfloat16(matrix.device.type) else matrix
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    result: Tensor = (x.mT if tall else x).float()
    return result
