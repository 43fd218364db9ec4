"""Train the learned baselines, each on the same crops of W2S for the same time.

The command is `python -m compare.peers [BASELINE ...]`. The time is the processor's, not the clock's, so that what
else the machine does takes nothing from a baseline; the learning rate falls along a cosine of the time that is used.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from compare.dncnn import DnCNN
from compare.results import slug
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.config import Config
from train.data.pairs import Images
from train.data.sources import find_images
from train.data.stream import Stream, expose
from train.fit import choose_precision
from train.learn.losses import build_loss
from train.learn.optimiser import build_optimiser
from train.learn.schedule import warm_up
from train.learn.units import normalised
from train.measure.metrics import si_psnr
from train.module import build
from train.recipes import PLAIN, RECIPES

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
PEERS, MINUTES = ROOT / "runs" / "peers", 12.0
NORMALISATION = Normalisation("plane")
BATCH = 4
STANDARD = Config(
    **PLAIN, channels=(32, 64, 128, 256), batch=BATCH, optimiser="adam", lr=1e-3, weight_decay=0.0, warmup=50, ema=0.0
)
DNCNN, BRIEF = "DnCNN", "our recipe for pairs, as briefly"
CONFIGS = {
    DNCNN: STANDARD,
    "the report's U-Net": dataclasses.replace(
        STANDARD, channels=RECIPES["report"][1].channels, norm="batch", residual=False
    ),
    "plain residual U-Net": STANDARD,
    BRIEF: dataclasses.replace(RECIPES["pairs"][1], batch=BATCH),
}


def network_of(name: str) -> nn.Module:
    """A baseline's network, untrained."""
    return DnCNN() if name == DNCNN else build(CONFIGS[name])


def train(network: nn.Module, config: Config, images: Images, minutes: float) -> tuple[nn.Module, int]:
    """Train for so many minutes of processor time.

    Returns
    -------
    network : nn.Module
        The averaged one, if the configuration averages; else that which was given.
    steps : int
    """
    optimiser, loss = build_optimiser(config, network), build_loss(config.loss)
    average = None
    if config.ema:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema))  # type: ignore[no-untyped-call]
    half = choose_precision(config.precision, "cpu") == "bf16-mixed"
    network.train()
    started, step = time.process_time(), 0
    for crops in Stream(images, config):
        share = (time.process_time() - started) / (60 * minutes)
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = config.lr * warm_up(config.warmup, step) * 0.5 * (1 + math.cos(math.pi * share))
        x, target = normalised(*expose(crops, config), NORMALISATION)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = network(x.contiguous(memory_format=torch.channels_last))
        error = loss(y.float(), target)
        optimiser.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if average:
            average.update_parameters(network)
        step += 1
        if step % 100 == 0:
            log.info("step %d, %.0f %% of the time, loss %.4f", step, 100 * share, error.item())
    return (average.module if average else network).eval(), step


def denoiser_of(network: nn.Module) -> Denoiser:
    """A baseline's network in the pipeline that is ours."""
    return Denoiser(network, NORMALISATION)  # type: ignore[arg-type]


def validate(network: nn.Module, images: Images) -> float:
    """Mean SI-PSNR of the validation fields, in dB."""
    denoise = denoiser_of(network)
    return float(np.mean([si_psnr(p.ground_truth, denoise(np.asarray(p.frames[:1]))[0]) for p in images.validation]))


def save(path: Path, network: nn.Module, **record: Any) -> None:
    """The weights, and how they came about."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"weights": network.state_dict(), **record}, path)


def load(name: str, folder: Path) -> tuple[nn.Module, str]:
    """A trained baseline, and how it was trained, in words.

    Raises
    ------
    ValueError
        If it is not there.
    """
    path = folder / f"{slug(name)}.pt"
    if not path.is_file():
        raise ValueError(f"{path}: expected a trained baseline, found no file: python -m compare.peers {name!r}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = network_of(name)
    network.load_state_dict(state["weights"])
    trained = f"python -m compare.peers {name!r} --minutes {state['minutes']:g}"
    return network, f"{trained}: {state['steps']} steps, {state['si_psnr']:.2f} dB on the validation fields"


def main() -> int:
    """Train those that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "peers", nargs="*", metavar="BASELINE", help=f"of: {', '.join(map(repr, CONFIGS))}; default: all"
    )
    parser.add_argument("--data", type=Path, required=True, help="the test images")
    parser.add_argument("--out", type=Path, default=PEERS, metavar="DIR", help="gets the weights")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of processor time for each (default 12)")
    arguments = parser.parse_args()
    if unknown := set(arguments.peers) - set(CONFIGS):
        parser.error(f"expected baselines of {[*CONFIGS]}, found {sorted(unknown)}")
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    for name in arguments.peers or CONFIGS:
        config = CONFIGS[name]
        images = find_images(arguments.data / "w2s", config)
        torch.manual_seed(config.seed)
        network = network_of(name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network, steps = train(network, config, images, arguments.minutes)
        quality = validate(network, images)
        log.info("%s: %d steps, validation %.2f dB", name, steps, quality)
        path = arguments.out / f"{slug(name)}.pt"
        save(path, network, steps=steps, minutes=arguments.minutes, si_psnr=quality)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
