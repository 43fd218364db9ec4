"""Three ideas for calm regions, tried by short training: `calm_ideas.py DATA NETWORK [--steps N] [--ideas ...]`.

- band: a loss of what is left between 2 and 8 pixels where the ground truth has nothing there.
- told: the network is told of each crop how strong its noise is and how alike neighbours are in it, along Y and X, by
  the ground truth, which is more than any estimate can know. Features of each level are scaled and shifted by it.
- as is: neither.

All see the same crops of the recipe `further`. A line for each as `calm_ablation.py` has it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from calm_ablation import row, structure

from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.checkpoint import load_network
from train.data.sources import find_images
from train.data.stream import expose, loader
from train.learn.objectives import balanced, calm_loss
from train.learn.optimiser import Muon
from train.learn.units import decentred, normalised, telling
from train.recipes import RECIPES

PLANE = Normalisation("plane")
WEIGHT = 4.0  # of the band
IDEAS = ("as is", "band", "told")


class Told(nn.Module):
    """Scales and shifts features by what the noise is; at first by nothing."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.facts: Tensor | None = None
        blocks = [*network.down, *network.merge[1:]]  # type: ignore[misc]
        widths = [block.short.out_channels for block in blocks]
        self.layers = nn.ModuleList(nn.Linear(3, 2 * width, bias=False) for width in widths)
        for layer, block in zip(self.layers, blocks, strict=True):
            nn.init.zeros_(layer.weight)
            block.register_forward_hook(self._hook(layer))

    def _hook(self, layer: nn.Module) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def change(module: nn.Module, given: object, y: Tensor) -> Tensor:
            scale, shift = (10 * layer(self.facts))[..., None, None].chunk(2, dim=1)
            return y * (1 + scale) + shift

        return change


def facts_of(x: Tensor, target: Tensor) -> Tensor:
    """Of crops in network units, (N, 3): the noise in powers of 10, and its correlation along Y and X."""
    noise = x - target
    noise = noise - noise.mean(dim=(1, 2, 3), keepdim=True)
    power = noise.square().mean(dim=(1, 2, 3)).clamp(min=1e-6)
    y = (noise[:, :, 1:] * noise[:, :, :-1]).mean(dim=(1, 2, 3)) / power
    z = (noise[..., 1:] * noise[..., :-1]).mean(dim=(1, 2, 3)) / power
    return torch.stack([power.log10() / 2, y, z], dim=1)


def train(idea: str, data: Path, start: Path, steps: int) -> tuple[nn.Module, Told | None]:
    """The network after so many steps, averaged as training does it."""
    config = dataclasses.replace(RECIPES["further"][1], batch=32, phantoms=60)
    images = find_images(data / "w2s", config, data / "clean")
    network = load_network(start)
    told = Told(network) if idea == "told" else None
    whole = nn.ModuleList([network, *([told] if told else [])]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = Muon(whole, config.lr, config.weight_decay)
    mean = [p.detach().clone() for p in whole.parameters()]
    batches, began = iter(loader(images, config, 0, 0)), time.monotonic()
    for step in range(steps):
        torch.manual_seed((config.seed << 40) + step)
        noisy, truth = expose(next(batches), config)
        x, target = telling(*normalised(noisy, truth, PLANE))
        x, target = decentred(x, target, config.decentred, torch.Generator().manual_seed(step))
        if told:
            told.facts = facts_of(x, target)
        with torch.autocast("cpu", torch.bfloat16):
            y = network(x.contiguous(memory_format=torch.channels_last)).float()
        loss = functional.mse_loss(*balanced(y, x, target, config.balance, config.regions))
        if idea == "band":
            loss = loss + WEIGHT * calm_loss(y, x, target)
        rate = config.lr * min((step + 1) / 20, 0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for average, p in zip(mean, whole.parameters(), strict=True):
            average.lerp_(p.detach(), max(0.02, 1 / (step + 1)))
    with torch.no_grad():
        for average, p in zip(mean, whole.parameters(), strict=True):
            p.copy_(average)
    print(f"{idea}: {steps} steps in {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr, flush=True)
    return network.eval(), told


def measure(name: str, network: nn.Module, told: Told | None, truths: dict[str, list[Tensor]]) -> None:
    """Print a line."""
    denoise = Denoiser(network, PLANE)  # type: ignore[arg-type]

    def answer(noisy: np.ndarray, truth: np.ndarray) -> np.ndarray:
        if told:
            pair = (torch.from_numpy(np.asarray(image)[None, None]).float() for image in (noisy, truth))
            told.facts = facts_of(*normalised(*pair, PLANE))
        with torch.no_grad():
            return denoise(np.asarray(noisy, float)[None])[0].astype(float)

    print(row(name, answer, truths), flush=True)


def main() -> None:
    """Train each idea and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("network", type=Path, help="model folder or checkpoint to start from")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--ideas", nargs="+", default=IDEAS, choices=IDEAS)
    options = parser.parse_args()
    truths = structure(options.data)
    measure("start", load_network(options.network), None, truths)
    for idea in options.ideas:
        measure(idea, *train(idea, options.data, options.network, options.steps), truths)


if __name__ == "__main__":
    main()
