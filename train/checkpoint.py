"""What a run leaves behind: written whole, and read again."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from quietfield.network.model import ARGUMENTS, load_model, save_tensors
from quietfield.network.normalise import Normalisation
from quietfield.network.unet import UNet

from .callbacks import BEST, CHECKPOINT
from .config import CHANGEABLE, Config, from_record
from .module import build
from .options import written


class WholeFiles(TorchCheckpointIO):
    """Has Lightning write its checkpoints by `write_checkpoint`.

    (Lightning writes where the system keeps temporary files, and from there over the file, if that is another disk.)
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write what a run is to go on from."""
        write_checkpoint(checkpoint, Path(path))


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all: beside the one that it then replaces.

    Raises
    ------
    OSError
        If it cannot be written; what is there stays.
    """
    try:
        save_tensors(checkpoint, path)
    except OSError as error:
        raise OSError(
            f"{path}: expected to write a checkpoint, found no way to ({error.strerror}); the one before, if "
            "there is one, is as it was: make room on the disk, then go on with --resume"
        ) from error


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
        best = path.with_name(BEST)
        advice = "give the checkpoint.ckpt or best.ckpt of a run"
        if best != path and best.is_file():
            advice = f"give {best}, or train on from it with --initial {best} and another --out"
        raise ValueError(
            f"{path}: expected a checkpoint of 'fit', found another or damaged file ({type(error).__name__}): {advice}"
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
    """The network of a model folder, or of a checkpoint, with its averaged weights if the run averaged them."""
    if path.is_dir():
        return load_model(path).network
    state = load_checkpoint(path)
    network = build(from_record(state["run"]["config"]))
    network.load_state_dict({k.removeprefix("network."): v for k, v in state["state_dict"].items()})
    return network


def architecture(path: Path) -> dict[str, Any]:
    """The arguments of `UNet` of a model folder or a checkpoint; what an old record lacks is as `UNet` has it."""
    if not path.is_dir():
        return from_record(load_checkpoint(path)["run"]["config"]).network
    usual = {name: one.default for name, one in inspect.signature(UNet).parameters.items() if name in ARGUMENTS}
    found = {**usual, **load_model(path).record["architecture"]}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k in ARGUMENTS}


def like(config: Config, path: Path, given: Collection[str]) -> Config:
    """The configuration with the network of a checkpoint or model folder, and with its normalisation.

    Parameters
    ----------
    config : Config
        What else to train.
    path : Path
        The weights to start from.
    given : collection of str
        Fields that stay, as the command line sets them.
    """
    if path.is_dir():
        model = load_model(path)
        biases = any(bool(p.any()) for name, p in model.network.named_parameters() if name.endswith("bias"))
        theirs: dict[str, Any] = {"normalisation": model.normalisation.kind, "biases": biases}
    else:
        saved = from_record(load_checkpoint(path)["run"]["config"])
        theirs = {"normalisation": saved.normalisation, "biases": saved.biases}
    theirs |= {name: value for name, value in architecture(path).items() if name in config.network}
    if config.planes > 1 and theirs["planes"] == 1:  # it may start from a network for single planes
        del theirs["planes"]
    return dataclasses.replace(config, **{name: value for name, value in theirs.items() if name not in given})


def checkpoint_of(network: UNet, run: dict[str, Any]) -> dict[str, Any]:
    """What is saved of a network that no run goes on with: its weights, and the record of its run."""
    return {"state_dict": {f"network.{name}": value.cpu() for name, value in network.state_dict().items()}, "run": run}


def resumed(out: Path, changes: dict[str, Any], base: tuple[str, Config] | None = None) -> Config:
    """The configuration that was saved with a run, with the changes that a command line makes.

    Raises
    ------
    ValueError
        If there is no checkpoint, or the run is not of the recipe or file that is named (`train.recipes.base`).
    """
    saved = from_record(load_checkpoint(out / CHECKPOINT)["run"]["config"])
    config = dataclasses.replace(saved, **changes)
    if base and (name := _unlike(config, dataclasses.replace(base[1], **changes))):
        raise ValueError(
            f"{out}: a run with {written(name, getattr(saved, name))} is to be resumed, which the {base[0]} "
            "has not: leave it out, and the run's own configuration is taken"
        )
    return config


def check_resumable(path: Path, run: dict[str, Any], config: Config, split: dict[str, list[str]]) -> None:
    """Hold that a run goes on as it began: with the same configuration but for `CHANGEABLE`, on the same images.

    Parameters
    ----------
    path : Path
        The checkpoint.
    run : dict
        What is saved in it of the run.
    config : Config
        What is asked for now.
    split : dict
        What is learnt from and validated on now (`train.data.pairs.Images.split`).

    Raises
    ------
    ValueError
        If it does not; it names what differs.
    """
    saved = from_record(run["config"])
    if name := _unlike(saved, config):
        own, asked = (written(name, getattr(c, name)) for c in (saved, config))
        raise ValueError(
            f"{path}: a run with {own} is to be resumed, found {asked}: leave that out, or begin another run with "
            f"--initial {path} and another --out"
        )
    for part, names in split.items():
        before = run.get(part, names)
        if list(before) != names:
            other = sorted({*before} ^ {*names})
            raise ValueError(
                f"{path}: expected the {part.replace('_', ' ')} that the run began with ({len(before)}), found others "
                f"({len(names)}; {', '.join(other[:5])}): give the same images, or begin another run with --initial"
            )


def _unlike(one: Config, other: Config) -> str | None:
    """A field in which two configurations of one run differ that must not."""
    names = (f.name for f in dataclasses.fields(Config) if f.name not in CHANGEABLE)
    return next((name for name in names if getattr(one, name) != getattr(other, name)), None)
