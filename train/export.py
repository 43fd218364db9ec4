"""Turn a run's checkpoint into a model folder that `inference.py` loads."""

from __future__ import annotations

import datetime
import platform
import subprocess
from pathlib import Path

import torch

from denoiser.model import save_model
from train.fit import build, load_checkpoint


def export(checkpoint: Path, folder: Path, name: str, autocast: str | None, note: str = "") -> None:
    """Write the averaged weights of a checkpoint and the record of how they came about."""
    state = load_checkpoint(checkpoint)
    config = state["config"]
    network = build(config)
    network.load_state_dict(state["average"])
    record = {
        "name": name,
        "architecture": {
            "network": "denoiser.unet.UNet",
            "channels": config["channels"],
            "unshuffle": config["unshuffle"],
            "parameters": sum(p.numel() for p in network.parameters()),
            "halo": network.halo,
        },
        "autocast": autocast,
        "training": {
            "data": "W2S (Zhou et al. 2020), 8-bit pairs of one widefield frame and the mean of 400"
            + ("; clean images of other microscopes with drawn noise" if config.get("synthetic") else ""),
            "note": note,
            "config": config,
            "steps": state["step"],
            "minutes": round(state["seconds"] / 60, 1),
            "training_fovs": state["training_fovs"],
            "validation_fovs": state["validation_fovs"],
            "validation_si_psnr": round(state["validation_si_psnr"], 3),
            "device": state["device"],
            "torch": torch.__version__,
            "python": platform.python_version(),
            "commit": _commit(),
            "exported": datetime.date.today().isoformat(),
        },
    }
    save_model(folder, network, state["normalisation"], record)


def _commit() -> str:
    """The commit of the code, with a plus where the working tree differs from it."""
    result = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or "unknown"
