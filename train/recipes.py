"""The named configurations."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from .config import Config
from .files import read_toml
from .options import add_options, changes, written
from .origin import is_run, run_config

# What networks were like before the shipped one, and the recipes below that were measured with it.
PLAIN: dict[str, Any] = {"unshuffle": 1, "block": "plain", "residual": True, "biases": True}
# What the shipped networks have in common.
LARGE: dict[str, Any] = {
    "channels": (64, 80, 160, 320), "steps": 8000, "warmup": 300, "ema": 0.999,
}  # fmt: skip
# What the general network learns from: every noise, and ground truths with little noise of their own.
ANY_IMAGE: dict[str, Any] = {
    "synthetic": 0.7, "redraw": 0.5, "levels": (1.0, 100.0), "photons": (0.5, 30000.0), "correlated": 0.3,
    "origins": "any", "additive": 0.2, "fields": 0.2, "multiplied": 0.2, "freed": True, "decentred": 0.1,
    "phantoms": 240, "balance": 0.5, "regions": 17, "calm": 4.0,
}  # fmt: skip
FINETUNING = 5.0  # minutes, if nothing is said
RECIPES: dict[str, tuple[str, Config]] = {
    "pairs": ("from pairs of one kind: on a processor, the best that half an hour of training gives", Config()),
    "shipped": (
        "the network in resources/, for images like W2S: minutes on a GPU (with --compile), hours on a processor",
        Config(**LARGE, redraw=0.5, batch=32, crop=256),
    ),
    "general": (
        "a general network, for all images but those like W2S: noise of every level and origin on clean images of "
        "other microscopes, phantoms and smooth light; give --clean, and on a processor rather take 'further'",
        Config(**LARGE, **ANY_IMAGE, batch=128),
    ),
    "further": (
        "the same from the network in resources/general (whose own recipe is in its model.json), hours on a processor: "
        "give --clean and --initial with its folder, or another checkpoint of that network",
        Config(
            **{**LARGE, "warmup": 100}, **ANY_IMAGE, batch=32,
            lr=6e-5, skips="added",
        ),
    ),
    "stack": (
        "a network for movies and stacks, which sees 17 planes that follow each other and denoises the one in the "
        "middle: synthetic movies of clean images; give a folder of these as --data, and --initial resources/general",
        Config(
            **{**LARGE, "ema": 0.998},
            **{**ANY_IMAGE, "synthetic": 1.0, "redraw": 0.0, "levels": (1.0, 1.0), "photons": (1.0, 1000.0),
               "correlated": 0.2, "fields": 0.05, "multiplied": 0.1, "additive": 0.1, "decentred": 0.0,
               "phantoms": 120, "balance": 1.0, "regions": 0, "calm": 0.0},
            loss="log", planes=9, crop=112, batch=16, lr=2e-3, skips="added",
        ),
    ),
    "finetune": (
        "a network that is there, made to suit your own pairs in minutes: what 'fit --finetune' takes; a quarter of "
        "the crops are phantoms with synthetic noise, so that it forgets little",
        Config(
            steps=600, warmup=20, batch=16, lr=1e-4, ema=0.99, patience=3, redraw=0.25, synthetic=0.25, phantoms=40,
            photons=(0.5, 30000.0), correlated=0.2, origins="any", balance=0.5,
        ),
    ),
    "recorrupted": (
        "without ground truth: each image gets synthetic noise like its own, and is predicted behind it; for "
        "white noise",
        Config(learn="recorrupted", channels=(32, 32, 64), steps=1500, batch=8, ema=0.99),
    ),
    "corrected": (
        "without ground truth: what the recipe 'recorrupted' learnt, corrected by masked pixels (Noise2Void), which "
        "need no model of the noise; white noise; give --initial with its checkpoint",
        Config(
            learn="noise2void", channels=(32, 32, 64), steps=2500, batch=8, ema=0.995, lr=1e-3, warmup=50, spots=0.06,
        ),
    ),
    "noise2void": (
        "without ground truth: masked pixels are predicted from those around (N2V2); for noise that neighbours share "
        "give --mask as 'train noise' advises",
        Config(learn="noise2void", channels=(32, 64, 128), steps=3000, lr=1e-3, optimiser="adam"),
    ),
    "noise2noise": (
        "without ground truth: the next frame of the same scene, or plane of a stack, is predicted",
        Config(learn="noise2noise", channels=(32, 64, 128), steps=3000, lr=1e-3, optimiser="adam"),
    ),
    "neighbours": (
        "without ground truth: a pixel is predicted from the one beside it (Neighbor2Neighbor); white noise",
        Config(learn="neighbours", channels=(32, 64, 128), steps=3000, lr=1e-3, optimiser="adam"),
    ),
    "report": (
        "the original student report's U-Net to the letter: 64 to 512 channels, batch norm, Adam, MSE, 100 epochs",
        Config(
            **{**PLAIN, "residual": False}, channels=(64, 128, 256, 512), norm="batch", normalisation="dataset",
            validation=0.2, flips=False, turns=False, epochs=100, batch=2, accumulate=4, crop=0, optimiser="adam",
            lr=1e-3, weight_decay=0.0, schedule="constant", warmup=0, ema=0.0, match=True,
        ),
    ),
    "super-resolution": (
        "denoise and double the pixels at once; from a folder of clean images, or W2S with --target sim",
        Config(
            **PLAIN, channels=(16, 32, 64, 128, 256), scale=2, synthetic=1.0, photons=(0.6, 16.0), steps=3000,
            validation=0.25,
        ),
    ),
    "quick": (
        "a small network for a first look, minutes on a laptop",
        Config(channels=(32, 32, 64), steps=500, batch=8, ema=0.99, warmup=50),
    ),
}  # fmt: skip


def recipes(only: str | None = None) -> str:
    """Every recipe, or one, and where it differs from the first."""
    lines = []
    for name, (text, config) in ({only: recipe(only)} if only else RECIPES).items():
        lines.append(f"{name}: {text}")
        changed = [
            f"  {written(f.name, getattr(config, f.name))}"
            for f in dataclasses.fields(Config)
            if name == "pairs" or getattr(config, f.name) != f.default
        ]
        lines += changed
    return "\n".join(lines)


def recipe(name: str) -> tuple[str, Config]:
    """What a recipe is for, and its configuration.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe: expected one of {', '.join(RECIPES)}, found {name!r}")
    return RECIPES[name]


def finetuning(config: Config) -> Config:
    """The recipe 'finetune', learning as another configuration does.

    Without a ground truth there are no crops with synthetic noise.
    """
    gentle = RECIPES["finetune"][1]
    if config.supervised:
        return gentle
    return dataclasses.replace(
        gentle, learn=config.learn, mask=config.mask, spots=config.spots, batch=config.batch, redraw=0.0, synthetic=0.0,
        phantoms=0, balance=0.0,
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser `--recipe`, `--config`, and an option for each field of `Config`."""
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--recipe", choices=RECIPES, metavar="NAME",
        help="named configuration to start from (default pairs; 'recipes' lists all); the options below change it",
    )  # fmt: skip
    start.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="file to start from instead: TOML, as 'recipes NAME --toml' writes it, or the run.json of a run",
    )
    add_options(parser)


def base(arguments: argparse.Namespace) -> tuple[str, Config] | None:
    """What the command line starts from, and its configuration; None if it does not say.

    Raises
    ------
    ValueError
        If it is a file with a mistake.
    """
    if arguments.config is not None:
        read = run_config if is_run(arguments.config) else read_toml
        return f"file {arguments.config}", read(arguments.config)
    return (f"recipe {arguments.recipe}", RECIPES[arguments.recipe][1]) if arguments.recipe else None


def configuration(arguments: argparse.Namespace) -> Config:
    """The configuration of the recipe or file, with the fields that the command line sets.

    Raises
    ------
    ValueError
        If a value is out of bounds.
    """
    _, config = base(arguments) or ("", Config())
    if getattr(arguments, "finetune", None) is not None and arguments.config is None:
        config = finetuning(config)
    return dataclasses.replace(config, **changes(arguments))
