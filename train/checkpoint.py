"""What a run leaves behind, read again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from denoiser.model import ARGUMENTS
from denoiser.normalise import Normalisation
from denoiser.unet import UNet
from train.callbacks import CHECKPOINT
from train.config import Config, from_record
from train.module import build


def load_checkpoint(path: Path, config: Config | None = None) -> dict[str, Any]:
    """Read a checkpoint, and hold that it is one of this configuration's network.

    Raises
    ------
    ValueError
        If it is missing, damaged, or of another network.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a checkpoint, found no file: train first, or give the right folder")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = from_record(state["run"]["config"])
    except Exception as error:  # damaged bytes make the unpickler raise anything
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise ValueError(
            f"{path}: expected a checkpoint of 'train fit', found another or damaged file ({reason})"
        ) from error
    for name in (*ARGUMENTS, "biases", "normalisation") if config else ():
        theirs, ours = getattr(found, name), getattr(config, name)
        if theirs != ours:
            raise ValueError(f"{path}: expected {name}={ours}, found {theirs}: resume with the run's own")
    return state


def run_normalisation(run: dict[str, Any]) -> Normalisation:
    """The normalisation of a checkpoint's run."""
    return Normalisation(**run["normalisation"])


def load_network(path: Path) -> UNet:
    """The network of a checkpoint, with its averaged weights if the run averaged them."""
    state = load_checkpoint(path)
    network = build(from_record(state["run"]["config"]))
    network.load_state_dict({k.removeprefix("network."): v for k, v in state["state_dict"].items()})
    return network


def resumed(out: Path, changes: dict[str, Any]) -> Config:
    """The configuration that was saved with a run, with the changes that a command line makes."""
    saved = from_record(load_checkpoint(out / CHECKPOINT)["run"]["config"])
    return dataclasses.replace(saved, **changes)
