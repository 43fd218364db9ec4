"""The whole configuration of a training run: one flat frozen dataclass."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; saved with its checkpoints.

    Attributes
    ----------
    channels, unshuffle
        The network (`denoiser.unet.UNet`).
    biases
        Whether the convolutions learn a bias. Without, the network is homogeneous: f(a x) = a f(x).
    normalisation
        "plane", "noise" or "dataset" (`denoiser.normalise`).
    steps, batch, crop
        Optimiser steps, crops a step, side of a crop in pixels.
    optimiser
        "adamw", or "muon" for the convolutions (`train.optimiser`).
    lr, weight_decay, warmup
        Peak rate and decay; steps of linear warm-up before the cosine decay to zero.
    ema
        Decay of the moving average of the weights, which is what is validated and shipped.
    redraw
        Share of the crops whose noise is drawn anew from the truth; the rest are real frames.
    synthetic
        Share of each batch that is clean images with drawn noise (`train.synthetic`).
    loss
        "mse", or "log-mse": the mean of the crops' log MSE, which is their mean PSNR.
    precision
        "float32", "bfloat16" (autocast), or "auto": bfloat16 where the processor has it.
    validation
        Share of the fields of view kept for validation.
    validate_every
        Steps between validations, log lines and checkpoints.
    seed
        Of the split, the initial weights, the crops and the noise.
    """

    channels: tuple[int, ...] = (16, 32, 96, 192, 256)
    unshuffle: int = 1
    biases: bool = True
    normalisation: str = "plane"
    steps: int = 9500
    batch: int = 16
    crop: int = 128
    optimiser: str = "muon"
    lr: float = 2e-3
    weight_decay: float = 1e-4
    warmup: int = 200
    ema: float = 0.998
    redraw: float = 0.0
    synthetic: float = 0.0
    loss: str = "mse"
    precision: str = "auto"
    validation: float = 0.1
    validate_every: int = 1000
    seed: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser one option for each field of `Config`."""
    for field in dataclasses.fields(Config):
        option = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            action = argparse.BooleanOptionalAction
            parser.add_argument(option, action=action, default=None, help=f"default {field.default}")
        elif isinstance(field.default, tuple):
            parser.add_argument(option, type=int, nargs="+", metavar="N", help=f"default {field.default}")
        else:
            parser.add_argument(option, type=type(field.default), help=f"default {field.default}")


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields that the command line sets."""
    given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(Config)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if v is not None}
