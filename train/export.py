"""Turn a run's checkpoint into a model folder that `inference.py` loads."""

from __future__ import annotations

import datetime
import logging
import math
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from quietfield.adapt.plan import Adaptation
from quietfield.network.model import RECORD, ModelError, load_model, save_model
from quietfield.network.unet import UNet
from quietfield.whole import whole_folder

from .checkpoint import load_checkpoint, load_network
from .config import from_record
from .learn.schedule import MONITOR
from .measure.baselines import NOISY, SHIPPED_NETWORK, START

log = logging.getLogger(__name__)

GENERAL, STACK = "general", "stack"  # folders inside a model's, for images that it does not know, and for stacks
SPLIT = ("training_fields", "validation_fields", "clean_images", "validation_clean_images")


def export(
    checkpoint: Path,
    folder: Path,
    name: str,
    *,
    autocast: str | None = None,
    note: str = "",
    blend: tuple[Path, float] | None = None,
    general: Path | None = None,
    stack: Path | None = None,
    adapt: str = "off",
    overwrite: bool = False,
) -> None:
    """Write the weights of a checkpoint and the record of how they came about.

    Parameters
    ----------
    checkpoint : Path
        Its averaged weights are taken, if the run averaged them.
    folder : Path
        Gets `model.json` and `weights.pt`.
    name, note : str
        Of the network; what the record should say of earlier stages.
    autocast : str, optional
        "float16" or "bfloat16" for half precision on CUDA.
    blend : (Path, float), optional
        A checkpoint or model folder that this one was started from, and its share in the weights: a network that was
        trained on with other images and its forerunner, averaged, keep most of what each is good at (Wortsman et al.,
        2022).
    general : Path, optional
        Model folder for images outside of the domain of this one; it is copied into `folder`. Without, of a network
        that was fine-tuned, the one that it was made of.
    stack : Path, optional
        Model folder of a network for planes that follow each other; it is copied into `folder`, too.
    adapt : str
        What `inference.py` does to suit each file unless it is told otherwise (`quietfield.adapt.plan.Adaptation.of`).
    overwrite : bool
        Replace the model that is in `folder`.

    Raises
    ------
    ModelError
        If there is no model in `general` or `stack`, or of another scale.
    ValueError
        If a checkpoint cannot be read, the two are not of one network, or there is a model in `folder`.
    OSError
        If the model cannot be written; the one before stays.
    """
    Adaptation.of(adapt)
    if (folder / RECORD).exists() and not overwrite:
        raise ValueError(f"{folder}: expected no model here, found one: give --overwrite, or another --model")
    run = load_checkpoint(checkpoint)["run"]
    network = load_network(checkpoint)
    if blend:
        forerunner, share = blend
        if not forerunner.is_dir():
            load_checkpoint(forerunner, from_record(run["config"]))
        average(network, load_network(forerunner), share)
        note = f"{note} {share:g} of the weights are those of a forerunner".strip()
    record = {**_record(run, network), "name": name, "autocast": autocast, "adapt": adapt}
    if blend:
        record["training"].pop(MONITOR, None)  # it was another network's
    record["training"]["note"] = note
    general = general or _forerunner(run)
    _warn(run)
    others = {role: other for role, other in ((GENERAL, general), (STACK, stack)) if other}
    for other in others.values():
        if (found := load_model(other).network.scale) != network.scale:
            raise ModelError(f"{other}: expected a network of scale {network.scale}, found {found}")
    try:
        with whole_folder(folder, RECORD) as part:
            for role, other in others.items():
                _copy(other, part / role)
            save_model(part, network, run["normalisation"], {**record, **{role: role for role in others}})
    except OSError as error:
        raise OSError(
            f"{folder}: expected to write a model, found no way to ({error.strerror}); the one before, if there is "
            "one, is as it was: make room on the disk, or name another folder with --model"
        ) from error
    log.info("%s: the model", folder)


def _forerunner(run: dict[str, Any]) -> Path | None:
    """The model folder that a fine-tuned network was made of, for images that it does not know."""
    if not run.get("finetuned"):
        return None
    folder = Path(run["initial"])
    while folder.is_file():  # itself of a run that was fine-tuned
        folder = Path(load_checkpoint(folder)["run"].get("initial", ""))
    if (folder / RECORD).is_file():
        return folder
    log.warning("%s: no model folder to take along for other images: name one with --general", folder)
    return None


def _warn(run: dict[str, Any]) -> None:
    """Say if the network is no better than one that there was before."""
    ours, baselines = run[MONITOR], run.get("baselines", {})
    for name in (NOISY, SHIPPED_NETWORK, START):
        if round(ours, 2) <= round(baselines.get(name, -math.inf), 2):
            log.warning(
                "this network is no better than the %s on its validation images: %.2f dB, found %.2f dB",
                name, ours, baselines[name],
            )  # fmt: skip


def _copy(model: Path, folder: Path) -> None:
    """Copy all files of a model; unlike `shutil.copytree`, stop at the first that cannot be written."""
    for path in [path for path in model.rglob("*") if path.is_file()]:
        copy = folder / path.relative_to(model)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _record(run: dict[str, Any], network: UNet) -> dict[str, Any]:
    """What a model folder says of how its weights came about."""
    return {
        "name": "",
        "architecture": {
            "network": "quietfield.network.unet.UNet",
            **{k: list(v) if isinstance(v, tuple) else v for k, v in from_record(run["config"]).network.items()},
            "parameters": sum(p.numel() for p in network.parameters()),
            "halo": network.halo,
        },
        "autocast": None,
        "adapt": "off",
        "domain": run.get("domain", {}),
        "training": {
            "data": run["source"],
            "note": "",
            "config": run["config"],
            "steps": run["step"],
            "minutes": round(run["seconds"] / 60, 1),
            **{name: run.get(name, []) for name in SPLIT},
            **({"patterns": run["patterns"]} if any(run.get("patterns", ())) else {}),
            **({} if math.isnan(run[MONITOR]) else {MONITOR: round(run[MONITOR], 3)}),
            "device": run["device"],
            "torch": run.get("torch", torch.__version__),
            "python": run.get("python", platform.python_version()),
            "commit": _commit(),
            "exported": datetime.date.today().isoformat(),
        },
    }


@torch.no_grad()
def average(network: UNet, other: UNet, share: float) -> None:
    """Move the weights of a network towards those of another, by a share of the way from 0 to 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"blend: expected a share from 0 to 1, found {share:g}")
    ours, theirs = network.state_dict(), other.state_dict()
    if [(key, value.shape) for key, value in ours.items()] != [(key, value.shape) for key, value in theirs.items()]:
        raise ValueError(
            "blend: expected weights of the same network, found another one's: give one it was started from"
        )
    for key, value in ours.items():
        if value.is_floating_point():
            value.lerp_(theirs[key], share)


def _commit() -> str:
    """The commit of the code, with a plus where the working tree differs from it."""
    result = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or "unknown"
