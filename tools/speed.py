"""Training and inference speed of several networks on the CPU, in one run: `python tools/speed.py`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from quietfield.machine import keep_memory
from quietfield.network.unet import UNet

NETWORKS = [
    ((64, 64, 128, 256), 2, "residual"),
    ((48, 96, 192, 256), 2, "residual"),
    ((48, 96, 192, 256), 2, "plain"),
    ((16, 32, 96, 192, 256), 1, "residual"),
    ((16, 32, 96, 192, 256), 1, "plain"),
    ((16, 32, 64, 128, 256), 1, "plain"),
]


def per_second(work: Callable[[], object], repeats: int) -> float:
    """Median rate of some repeats, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1 / sorted(times)[repeats // 2]


def main() -> None:
    keep_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("channels, unshuffle, block: parameters | steps/s (8 crops of 128², bfloat16) | MPix/s (1024², float32)")
    for channels, unshuffle, block in NETWORKS:
        network = UNet(channels, unshuffle, block)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(network.parameters())
        crops, plane = torch.randn(8, 1, 128, 128), torch.randn(1, 1, 1024, 1024)

        def step(network=network, crops=crops, optimiser=optimiser) -> None:
            with torch.autocast("cpu", torch.bfloat16):
                loss = (network(crops).float() - crops).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        def infer(network=network, plane=plane) -> None:
            with torch.inference_mode():
                network(plane)

        parameters = sum(p.numel() for p in network.parameters())
        rates = per_second(step, 11), per_second(infer, 5) * plane.numel() / 1e6
        print(f"{channels}, {unshuffle}, {block}: {parameters} | {rates[0]:.2f} | {rates[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
