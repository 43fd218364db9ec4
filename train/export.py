"""Turn a run's checkpoint into a model folder that `inference.py` loads."""

from __future__ import annotations

import datetime
import platform
import subprocess
from pathlib import Path

import torch

from denoiser.model import save_model
from train.checkpoint import load_checkpoint, load_network
from train.config import from_record
from train.schedule import MONITOR

SPLIT = ("training_fields", "validation_fields", "clean_images", "validation_clean_images")


def export(checkpoint: Path, folder: Path, name: str, autocast: str | None = None, note: str = "") -> None:
    """Write the weights of a checkpoint (their average, if the run averaged) and the record of how they came about."""
    run = load_checkpoint(checkpoint)["run"]
    network = load_network(checkpoint)
    record = {
        "name": name,
        "architecture": {
            "network": "denoiser.unet.UNet",
            **{k: list(v) if isinstance(v, tuple) else v for k, v in from_record(run["config"]).network.items()},
            "parameters": sum(p.numel() for p in network.parameters()),
            "halo": network.halo,
        },
        "autocast": autocast,
        "domain": run.get("domain", {}),
        "training": {
            "data": run["source"],
            "note": note,
            "config": run["config"],
            "steps": run["step"],
            "minutes": round(run["seconds"] / 60, 1),
            **{name: run.get(name, []) for name in SPLIT},
            MONITOR: round(run[MONITOR], 3),
            "device": run["device"],
            "torch": torch.__version__,
            "python": platform.python_version(),
            "commit": _commit(),
            "exported": datetime.date.today().isoformat(),
        },
    }
    save_model(folder, network, run["normalisation"], record)


def _commit() -> str:
    """The commit of the code, with a plus where the working tree differs from it."""
    result = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or "unknown"
