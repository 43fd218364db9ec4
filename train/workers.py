"""Several processes that train one network together, each on its own share of every batch."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Workers:
    """This process's place among `count`; one process alone needs no launcher and sends nothing."""

    rank: int = 0
    count: int = 1

    def average_gradients(self, network: nn.Module) -> None:
        """Replace each gradient by its mean over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view(gradient.shape))

    def gather(self, values: Tensor) -> Tensor:
        """Every process's values, (N, ...) to (count * N, ...): row i of process r lands at i * count + r."""
        if self.count == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.count)]
        distributed.all_gather(parts, values)
        return torch.stack(parts, dim=1).flatten(0, 1)


def join(device: torch.device) -> Workers:
    """Join the processes that `python -m torch.distributed.run` started, if it did.

    Raises
    ------
    ValueError
        On another device than the CPU, where several processes were never tried.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Workers()
    if device.type != "cpu":
        raise ValueError(f"several processes: expected the CPU, found {device}: start one process")
    distributed.init_process_group("gloo")
    return Workers(distributed.get_rank(), distributed.get_world_size())
