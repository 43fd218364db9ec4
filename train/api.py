"""Training from Python: what `quietfield-train` does, as functions.

In a checkout the package is called `train` in place of `quietfield.train`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quietfield.machine import choose_device
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser

from .checkpoint import like
from .config import Config, check_name, from_record
from .data.prepare import prepare as _prepare
from .data.sources import find_images
from .export import export as _export
from .fit import Machine
from .fit import fit as _fit
from .measure.cases import find_cases
from .measure.evaluate import Result
from .measure.evaluate import evaluate as _evaluate
from .recipes import FINETUNING, finetuning
from .recipes import recipe as _recipe

__all__ = ["Config", "Machine", "Result", "evaluate", "export", "finetune", "fit", "prepare", "recipe"]

Folder = Path | str


def recipe(name: str, **changes: Any) -> Config:
    """A named configuration, with changes.

    Parameters
    ----------
    name : str
        As `quietfield-train recipes` lists them.
    **changes
        Fields of `Config`, such as `steps=500`.

    Raises
    ------
    ValueError
        If there is no such recipe or field, or a value is out of bounds.
    """
    for field in changes:
        check_name(field)
    return dataclasses.replace(_recipe(name)[1], **changes)


def prepare(data: Folder, config: Config | None = None, *, noisy: str = "", truth: str = "") -> str:
    """Say what a folder holds, and how it is split.

    Parameters
    ----------
    data : Path or str
        Folder of images, in any layout that `quietfield-train prepare` knows.
    config : Config, optional
        How to read and to split it; the defaults else.
    noisy, truth : str
        Patterns of the files below `data`, where their names do not tell.

    Returns
    -------
    str
        Text for people.

    Raises
    ------
    ValueError
        If the folder holds nothing that can be trained on.
    """
    return _prepare(Path(data), config or Config(), None, (noisy, truth))


def fit(
    data: Folder,
    out: Folder,
    config: Config | None = None,
    *,
    minutes: float = math.inf,
    clean: Folder | None = None,
    initial: Folder | None = None,
    noisy: str = "",
    truth: str = "",
    machine: Machine | None = None,
) -> Path:
    """Train a network.

    Parameters
    ----------
    data : Path or str
        Folder of images, or without a ground truth also a file.
    out : Path or str
        New folder for checkpoints, log and pictures.
    config : Config, optional
        What to train; the recipe 'pairs' else.
    minutes : float
        Time that the schedule is to fit; without, the steps of the configuration are made.
    clean : Path or str, optional
        Folder of clean images, for the share `config.synthetic`.
    initial : Path or str, optional
        Model folder or checkpoint to start from; the network is then that one's.
    noisy, truth : str
        Patterns of the files below `data`, where their names do not tell.
    machine : Machine, optional
        Where to compute.

    Returns
    -------
    Path
        The checkpoint, for `export`.

    Raises
    ------
    ValueError
        If the data cannot be trained on, or the loss grows without bounds.
    """
    config = config or Config()
    start = None if initial is None else Path(initial)
    if start is not None:
        config = like(config, start, ())
    images = find_images(Path(data), config, None if clean is None else Path(clean), None, patterns=(noisy, truth))
    timed = minutes < math.inf
    return _fit(config, images, Path(out), machine=machine, max_minutes=minutes, by_time=timed, initial=start)


def finetune(
    model: Folder, data: Folder, out: Folder, *, minutes: float = FINETUNING, noisy: str = "", truth: str = ""
) -> Path:
    """Make a network that is there suit one's own pairs, and stay close to what it was.

    Parameters
    ----------
    model : Path or str
        Model folder or checkpoint.
    data, out, minutes, noisy, truth
        As of `fit`.

    Returns
    -------
    Path
        The best checkpoint, for `export`, which then takes `model` along for images of other kinds.

    Raises
    ------
    ValueError
        As of `fit`.
    """
    config = like(finetuning(Config()), Path(model), ())
    images = find_images(Path(data), config, patterns=(noisy, truth))
    options: dict[str, Any] = {"max_minutes": minutes, "by_time": True, "initial": Path(model), "finetune": True}
    return _fit(config, images, Path(out), **options).with_name("best.ckpt")


def export(checkpoint: Folder, model: Folder, name: str = "U-Net", *, overwrite: bool = False) -> None:
    """Make a model folder of a checkpoint, for `quietfield.load` and `quietfield --model`.

    Parameters
    ----------
    checkpoint : Path or str
        What `fit` or `finetune` gives.
    model : Path or str
        Gets `model.json` and `weights.pt`.
    name : str
        Of the network.
    overwrite : bool
        Replace the model that is there.

    Raises
    ------
    ValueError
        If the checkpoint cannot be read, or a model is there.
    """
    _export(Path(checkpoint), Path(model), name, overwrite=overwrite)


def evaluate(
    model: Folder, data: Folder, on: str | None = None, *, noisy: str = "", truth: str = ""
) -> Sequence[Result]:
    """Measure a model on whole images.

    Parameters
    ----------
    model : Path or str
        Model folder.
    data : Path or str
        Folder of pairs.
    on : str, optional
        "test", "validation" or "all" fields of view; without, "test" where the split of the model has any, else
        "validation".
    noisy, truth : str
        Patterns of the files below `data`, where their names do not tell.

    Returns
    -------
    sequence of Result
        One for each image, with `si_psnr` and `noisy_si_psnr` in dB, `ssim` and others.

    Raises
    ------
    ValueError
        If there is nothing to measure on.
    """
    found = load_model(Path(model))
    run = found.record["training"]
    cases = find_cases(Path(data), from_record(run["config"]), on, (noisy, truth), run)
    return _evaluate(Denoiser.of(found, choose_device()), cases, micro=False, left_out=[])
