"""Train a network: one loop that reads from top to bottom."""

from __future__ import annotations

import copy
import csv
import dataclasses
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from denoiser.device import choose_device
from denoiser.metrics import si_psnr
from denoiser.model import load_model
from denoiser.normalise import Normalisation
from denoiser.predict import Denoiser
from denoiser.unet import UNet
from train.config import Config
from train.data import Pair, draw_batch
from train.optimiser import Muon
from train.synthetic import degrade, draw_clean
from train.workers import Workers, join

log = logging.getLogger(__name__)

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": nn.functional.mse_loss,
    # Each crop's own PSNR (up to sign and factor), so that a decibel counts the same in each.
    "log-mse": lambda y, target: ((y - target) ** 2).mean(dim=(1, 2, 3)).add(1e-4).log().mean(),
}
ALONE = Workers()


def fit(
    config: Config,
    training: list[Pair],
    validation: list[Pair],
    out: Path,
    resume: bool = False,
    max_minutes: float = math.inf,
    initial: Path | None = None,
    clean: list[Tensor] | None = None,
) -> Path:
    """Train, validate, and write checkpoints and a log; the last checkpoint is what to export.

    Parameters
    ----------
    config : Config
        What to train. A resumed run may change `steps` (the cosine then ends there) but not the
        network.
    training, validation : list of Pair
        Images to learn from, and images to measure on (mean SI-PSNR of whole images).
    out : Path
        Folder for `checkpoint.pt` and `log.csv`.
    resume : bool
        Go on from `out/checkpoint.pt`.
    max_minutes : float
        Stop, with a checkpoint, after this much wall time; resume to go on.
    initial : Path, optional
        Checkpoint whose averaged weights to start from, or model folder; of the same network.
    clean : list of Tensor, optional
        Clean images for the share `config.synthetic` of each batch.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    ValueError
        If the loss is not finite (the checkpoint before stays), there is no checkpoint to resume
        from, it or `initial` is of another network, or the processes cannot share the batch evenly.
    """
    device = choose_device()
    workers = join(device)
    if config.batch % workers.count:
        raise ValueError(f"batch: expected a multiple of the {workers.count} processes, found {config.batch}")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    normalisation = fit_normalisation(config.normalisation, training)
    network: UNet = build(dataclasses.asdict(config)).to(device)
    if initial is not None:
        load_initial(network, initial)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(config, network)
    average = copy.deepcopy(network)
    path, step, seconds = out / "checkpoint.pt", 0, 0.0
    if resume:
        state = load_checkpoint(path, config)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, seconds = state["step"], state["seconds"]
        log.info("resumed at step %d", step)

    precision = autocast_dtype(config.precision, device)
    log.info(
        "device %s, autocast %s, process %d of %d with %d threads",
        *(device, precision, workers.rank + 1, workers.count, torch.get_num_threads()),
    )
    start, losses, synthetic = time.monotonic(), [], round(config.synthetic * config.batch)
    while step < config.steps:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(config, step)
        # A step's crops follow from its number alone, whoever computes them and however often it was resumed.
        generator = torch.Generator().manual_seed((config.seed << 40) + step)
        crops = draw_batch(training, config.batch - synthetic, config.crop, config.redraw, generator)
        if synthetic:
            drawn = degrade(draw_clean(clean or [], synthetic, config.crop, generator), generator)
            crops = torch.cat([crops[0], drawn[0]]), torch.cat([crops[1], drawn[1]])
        noisy, truth = (t[workers.rank :: workers.count] for t in crops)
        x, target = (t.to(device) for t in normalised(noisy, truth, normalisation))
        with torch.autocast(device.type, precision, enabled=precision is not None):
            y = network(x)
        loss = LOSSES[config.loss](y.float(), target)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        workers.average_gradients(network)
        optimiser.step()
        step += 1
        update_average(average, network, min(config.ema, (1 + step) / (10 + step)))

        elapsed = time.monotonic() - start
        # What each process has to say; the first one's clock decides for all.
        everyone = workers.gather(torch.tensor([[float(loss.detach()), elapsed]]))
        losses.append(float(everyone[:, 0].mean()))
        if not math.isfinite(losses[-1]):
            raise ValueError(f"step {step}: the loss is {losses[-1]}; the last good checkpoint is {path}")

        finished = step == config.steps or float(everyone[0, 1]) > 60 * max_minutes
        if step % config.validate_every == 0 or finished:
            quality = validate(average, normalisation, validation, device, workers)
            row = {
                "step": step,
                "minutes": round((seconds + elapsed) / 60, 2),
                "lr": learning_rate(config, step - 1),
                "loss": float(np.mean(losses)),
                "validation_si_psnr": quality,
            }
            losses = []
            if workers.rank == 0:
                append_row(out / "log.csv", row)
                log.info("  ".join(f"{k} {v:.5g}" for k, v in row.items()))
                state = {
                    "config": dataclasses.asdict(config),
                    "normalisation": dataclasses.asdict(normalisation),
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "seconds": seconds + elapsed,
                    "validation_si_psnr": quality,
                    "validation_fovs": sorted({p.fov for p in validation}),
                    "training_fovs": sorted({p.fov for p in training}),
                    "device": str(device),
                }
                save_checkpoint(path, state)
        if finished:
            break
    return path


def build(config: dict[str, Any]) -> UNet:
    """The network of a configuration, or of a checkpoint's."""
    network = UNet(tuple(config["channels"]), config["unshuffle"])
    if not config.get("biases", True):
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.requires_grad_(False).zero_()
    return network


def build_optimiser(config: Config, network: UNet) -> torch.optim.Optimizer:
    """The optimiser by its name."""
    if config.optimiser == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    if config.optimiser == "muon":
        return Muon(network, config.lr, config.weight_decay)
    raise ValueError(f"optimiser: expected adamw or muon, found {config.optimiser!r}")


def load_initial(network: UNet, path: Path) -> None:
    """Start from the averaged weights of a checkpoint, or from those of a model folder."""
    weights = load_model(path).network.state_dict() if path.is_dir() else load_checkpoint(path)["average"]
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        found = str(error).splitlines()[-1].strip()
        raise ValueError(f"{path}: expected weights of the network that is to be trained: {found}") from error


def fit_normalisation(kind: str, training: list[Pair]) -> Normalisation:
    """The data set's own mean and standard deviation for the kind "dataset"; else just the kind."""
    if kind != "dataset":
        return Normalisation(kind)
    pixels = torch.cat([p.noisy.flatten() for p in training]).double()
    return Normalisation(kind, float(pixels.mean()), float(pixels.std()))


def normalised(noisy: Tensor, truth: Tensor, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    """Both in network units, by the statistics of the noisy crop, which is all there is in use."""
    statistics = normalisation.statistics(noisy[:, 0].numpy())
    centre, scale = (torch.from_numpy(s).float()[:, None] for s in statistics)
    scale = torch.where(scale > 0, scale, 1.0)
    return (noisy - centre) / scale, (truth - centre) / scale


def learning_rate(config: Config, step: int) -> float:
    """Linear warm-up, then a cosine that ends at zero after the last step."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.lr * min(1.0, (step + 1) / config.warmup) * cosine


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights by (1 - decay) of the way to the present ones."""
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def validate(
    network: UNet,
    normalisation: Normalisation,
    pairs: list[Pair],
    device: torch.device,
    workers: Workers = ALONE,
    gain: float = 1.0,
    offset: float = 0.0,
) -> float:
    """Mean SI-PSNR of whole images, through the very pipeline of the container; the workers share them.

    `gain` and `offset` change the frames first, as another camera would; a network that follows
    them gives the same figure.
    """
    denoise = Denoiser(copy.deepcopy(network), normalisation, device)
    mine = torch.zeros(1, len(pairs), dtype=torch.float64)
    for i in range(workers.rank, len(pairs), workers.count):
        answer = denoise(gain * pairs[i].noisy.double().numpy()[None] + offset)[0]
        mine[0, i] = si_psnr(pairs[i].truth.numpy(), answer)
    return float(workers.gather(mine).sum() / len(pairs))


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """What to compute in: bfloat16 only where the hardware has it, unless it was asked for."""
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision: expected auto, float32 or bfloat16, found {precision!r}")
    if precision == "auto":
        fast = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return torch.bfloat16 if fast else None
    return torch.bfloat16 if precision == "bfloat16" else None


def load_checkpoint(path: Path, config: Config | None = None) -> dict[str, Any]:
    """Read a checkpoint, and hold that it is one of this configuration's network."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a checkpoint to resume from, found no file")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    for name in ("channels", "unshuffle", "normalisation") if config else ():
        found, expected = state["config"][name], getattr(config, name)
        if found != expected:
            raise ValueError(f"{path}: expected {name}={expected}, found {found}: resume with the run's own")
    return state


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write whole or not at all."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a line to a CSV file, with a header if it is the first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
