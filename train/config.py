"""The whole configuration of a training run: one flat frozen dataclass, and a few recipes by name."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from typing import Any

from quietfield.network.model import ARGUMENTS
from quietfield.network.unet import BLOCKS, NORMS, SKIPS


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; saved with its checkpoints.

    Attributes
    ----------
    channels
        Width of each level of the network, finest first; as many levels as numbers.
    unshuffle, block, norm, residual, attention, dropout, scale, skips
        The network besides (`quietfield.network.unet.UNet`); scale 2 trains joint denoising and super-resolution.
    biases
        Whether the convolutions learn a bias. Without, the network is homogeneous: f(a x) = a f(x).
    normalisation
        "plane", "noise" or "dataset" (`quietfield.network.normalise`).
    frames, average
        "first" frame of a stack or a "random" one, or the mean of `average` random ones (2 to 16: avg2 to avg16).
    target
        Truth of W2S: "mean" of 400 frames, or the "sim" reconstruction.
    match
        Map each truth onto its frame by least squares, so that the answer is in the units of the input.
    split
        "official": W2S fields 1 to 80 to learn from, 81 and on for `evaluate` alone; "fields": all of them.
    exclude
        Fields of view to leave out of training and validation.
    validation
        Share of the fields of view kept for validation.
    redraw
        Share of the crops whose noise is drawn anew from the truth; the rest are real frames.
    levels
        Least and most frames whose mean such a crop is like, drawn evenly in the logarithm (1 16: avg1 to avg16).
    synthetic
        Share of each batch that is clean images with drawn noise (`train.synthetic`).
    photons, read_noise, correlated, rows
        Of that noise: least and most photo-electrons (of the brightest pixel, if the image has no noise of its own
        that would not be little beside; for scale 2 in the mean), most read noise in electrons, shares of the crops
        with blurred noise and with rows.
    smooth
        Share of the clean crops that are blurred before their noise is drawn.
    multiplied
        Share of the clean crops whose camera multiplies electrons (an EMCCD), which makes its noise more skewed.
    phantoms
        How many numerical phantoms join the clean images, each as often drawn as one of their files.
    flips, turns
        Mirror crops, turn them by quarters.
    elastic
        Furthest shift of an elastic deformation, in pixels; 0 is off.
    learn
        From what: "truth"; or without one, from noisy images alone: "noise2void" (hidden pixels), "noise2noise"
        (the next frame of the same scene, or plane of a stack), "neighbours" (Neighbor2Neighbor: a pixel from the
        one beside it), or "recorrupted" (noise drawn like that which is there).
    spots, mask
        Of "noise2void": share of the pixels that are asked for (fewer, where more than a fifth would be hidden), and
        how many to each side along Y and along X the rectangle reaches that is hidden with them (structured
        Noise2Void), as `train noise` advises.
    agreement
        Of "neighbours": weight of the term that makes up for neighbours not showing the very same.
    gain, offset
        Spread of a random intensity gain (0.2: times 0.8 to 1.2) and offset (in standard deviations); 0 is off.
    steps, epochs
        Optimiser steps; or, if `epochs` is not 0, as many as bring every training image so often.
    batch, accumulate, crop
        Crops a pass, passes a step, side of a crop in pixels; crop 0 takes whole images.
    optimiser, lr, weight_decay
        "adam", "adamw", or "muon" for the convolutions (`train.optimiser`); peak rate, decay.
    schedule, warmup
        "cosine" to zero, "constant", "one-cycle", "cyclic" or "plateau"; steps of linear warm-up.
    clip
        Longest gradient; longer ones are shortened. 0 is off.
    ema
        Decay of the moving average of the weights, which is what is validated and shipped; 0 is off.
    loss, mix
        "mse", "l1", "charbonnier", "ssim", "ms-ssim", "perceptual", or two as "mse+ssim": (1 - mix) * the first
        plus mix * the second.
    balance
        Errors are divided by this power of the crop's noise before the loss: 0 counts them as they are, so that
        the noisiest crops decide, 1 in units of the noise.
    precision
        "float32", "bfloat16" or "float16" (autocast), or "auto": bfloat16 where the processor has it.
    patience
        Validations without a gain before the run stops early; 0 is off.
    validate_every, montage_every
        Steps between validations, log lines and checkpoints; validations between montages.
    seed
        Of the split, the initial weights, the crops, the augmentation and the noise.
    """

    channels: tuple[int, ...] = (64, 64, 128, 256)
    unshuffle: int = 2
    block: str = "residual"
    norm: str = "none"
    residual: bool = False
    attention: bool = False
    dropout: float = 0.0
    scale: int = 1
    skips: str = "concatenated"
    biases: bool = False
    normalisation: str = "plane"
    frames: str = "first"
    average: int = 1
    target: str = "mean"
    match: bool = True
    split: str = "official"
    exclude: tuple[int, ...] = (1, 2)
    validation: float = 0.1
    redraw: float = 0.0
    levels: tuple[float, float] = (1.0, 1.0)
    synthetic: float = 0.0
    photons: tuple[float, float] = (3.0, 500.0)
    read_noise: float = 3.0
    correlated: float = 0.25
    rows: float = 0.1
    smooth: float = 0.0
    multiplied: float = 0.0
    phantoms: int = 0
    learn: str = "truth"
    spots: float = 0.02
    mask: tuple[int, int] = (0, 0)
    agreement: float = 1.0
    flips: bool = True
    turns: bool = True
    elastic: float = 0.0
    gain: float = 0.0
    offset: float = 0.0
    steps: int = 5500
    epochs: int = 0
    batch: int = 16
    accumulate: int = 1
    crop: int = 128
    optimiser: str = "muon"
    lr: float = 2e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup: int = 200
    clip: float = 0.0
    ema: float = 0.998
    loss: str = "mse"
    mix: float = 0.1
    balance: float = 0.0
    precision: str = "auto"
    patience: int = 0
    validate_every: int = 1000
    montage_every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if (found := getattr(self, name)) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}, found {found!r}")
        for name, low, high in BOUNDS:
            if not low <= (found := getattr(self, name)) <= high:
                raise ValueError(f"{name}: expected {low:g} to {high:g}, found {found:g}")
        if len(self.channels) < 2 or min(self.channels) < 1:
            raise ValueError(f"channels: expected two or more positive numbers, a level each, found {self.channels}")
        if len(self.mask) != 2 or min(self.mask) < 0:
            raise ValueError(f"mask: expected two numbers from 0, pixels along Y and along X, found {self.mask}")
        given = [n for n in ("redraw", "synthetic", "balance", "elastic", "gain", "offset") if getattr(self, n)]
        if self.learn != "truth" and (given or self.scale > 1):
            raise ValueError(
                f"learn {self.learn}: expected what goes without a truth and leaves the noise as it is, found "
                f"{', '.join(given or ['scale'])}: leave that out, or give --learn truth"
            )
        for name in ("photons", "levels"):
            found = getattr(self, name)
            if len(found) != 2 or not 0 < found[0] <= found[1]:
                raise ValueError(f"{name}: expected two positive numbers, least and most, found {found}")

    @property
    def network(self) -> dict[str, Any]:
        """The arguments of `quietfield.network.unet.UNet`."""
        return {name: getattr(self, name) for name in ARGUMENTS}


CHOICES: dict[str, tuple[str, ...]] = {
    "block": BLOCKS,
    "norm": NORMS,
    "skips": SKIPS,
    "normalisation": ("plane", "noise", "dataset"),
    "frames": ("first", "random"),
    "target": ("mean", "sim"),
    "learn": ("truth", "noise2void", "noise2noise", "neighbours", "recorrupted"),
    "split": ("official", "fields"),
    "optimiser": ("adam", "adamw", "muon"),
    "schedule": ("cosine", "constant", "one-cycle", "cyclic", "plateau"),
    "precision": ("auto", "float32", "bfloat16", "float16"),
}
MANY = 1e9
BOUNDS = (
    ("unshuffle", 1, 16), ("dropout", 0, 0.99), ("scale", 1, 2),
    ("average", 1, 400), ("validation", 0, 0.9), ("redraw", 0, 1), ("synthetic", 0, 1), ("read_noise", 0, MANY),
    ("correlated", 0, 1), ("rows", 0, 1), ("smooth", 0, 1), ("multiplied", 0, 1), ("phantoms", 0, 10000),
    ("spots", 1e-6, 0.5), ("agreement", 0, MANY),
    ("elastic", 0, 100), ("gain", 0, 0.99), ("offset", 0, MANY), ("steps", 1, MANY), ("epochs", 0, MANY),
    ("batch", 1, MANY), ("accumulate", 1, MANY), ("crop", 0, MANY), ("lr", 0, 1), ("weight_decay", 0, 1),
    ("warmup", 0, MANY), ("clip", 0, MANY), ("ema", 0, 0.999999), ("mix", 0, 1), ("balance", 0, 1),
    ("patience", 0, MANY), ("validate_every", 1, MANY), ("montage_every", 1, MANY), ("seed", 0, 2**22),
)  # fmt: skip

# What a run that is resumed may change; all else decides what its steps compute.
CHANGEABLE = ("steps", "epochs", "validate_every", "montage_every", "patience")

# What networks were like before the shipped one, and the recipes below that were measured with it.
PLAIN: dict[str, Any] = {"unshuffle": 1, "block": "plain", "residual": True, "biases": True}
# What the shipped networks have in common.
LARGE: dict[str, Any] = {
    "channels": (64, 80, 160, 320), "steps": 8000, "warmup": 300, "ema": 0.999, "validate_every": 800,
}  # fmt: skip
RECIPES: dict[str, tuple[str, Config]] = {
    "pairs": ("from pairs of one kind: for a processor, where it learns most in half an hour", Config()),
    "shipped": (
        "the network in resources/, for images like W2S: minutes on a GPU (with --compile), hours on a processor",
        Config(**LARGE, redraw=0.5, batch=32, crop=256),
    ),
    "mixture": (
        "the network in resources/beyond, for all other images: noise of many levels, clean images of other "
        "microscopes and phantoms; give --clean, and on a processor --channels 64 64 128 256 --batch 16 --initial "
        "with a checkpoint of the recipe 'pairs'",
        Config(
            **LARGE, synthetic=0.5, redraw=0.5, levels=(1.0, 400.0), photons=(3.0, 2000.0), smooth=0.1, multiplied=0.2,
            phantoms=24, balance=0.4, batch=128,
        ),
    ),
    "recorrupted": (
        "without a truth: noise is drawn like that of each image, and the image predicted behind it; white noise",
        Config(learn="recorrupted", channels=(32, 32, 64), steps=1500, batch=8, ema=0.99, validate_every=250),
    ),
    "corrected": (
        "without a truth: what the recipe 'recorrupted' learnt, corrected by hidden pixels (Noise2Void), which need no "
        "model of the noise; white noise; give --initial with its checkpoint",
        Config(
            learn="noise2void", channels=(32, 32, 64), steps=2500, batch=8, ema=0.995, lr=1e-3, warmup=50, spots=0.06,
            validate_every=500,
        ),
    ),
    "noise2void": (
        "without a truth: hidden pixels are predicted from those around (N2V2); for noise that neighbours share give "
        "--mask as 'train noise' advises",
        Config(learn="noise2void", channels=(32, 64, 128), steps=3000, lr=1e-3, optimiser="adam", validate_every=500),
    ),
    "noise2noise": (
        "without a truth: the next frame of the same scene, or plane of a stack, is predicted",
        Config(learn="noise2noise", channels=(32, 64, 128), steps=3000, lr=1e-3, optimiser="adam", validate_every=500),
    ),
    "neighbours": (
        "without a truth: a pixel is predicted from the one beside it (Neighbor2Neighbor); white noise",
        Config(learn="neighbours", channels=(32, 64, 128), steps=3000, lr=1e-3, optimiser="adam", validate_every=500),
    ),
    "report": (
        "the original student report's U-Net to the letter: 64 to 512 channels, batch norm, Adam, MSE, 100 epochs",
        Config(
            **{**PLAIN, "residual": False}, channels=(64, 128, 256, 512), norm="batch", normalisation="dataset",
            validation=0.2, flips=False, turns=False, epochs=100, batch=2, accumulate=4, crop=0, optimiser="adam",
            lr=1e-3, weight_decay=0.0, schedule="constant", warmup=0, ema=0.0, validate_every=24, match=True,
        ),
    ),
    "super-resolution": (
        "denoise and double the pixels at once; from a folder of clean images, or W2S with --target sim",
        Config(
            **PLAIN, channels=(16, 32, 64, 128, 256), scale=2, synthetic=1.0, photons=(0.6, 16.0), split="fields",
            exclude=(), steps=3000, validate_every=250, validation=0.25,
        ),
    ),
    "quick": (
        "a small network for a first look, minutes on a laptop",
        Config(channels=(32, 32, 64), steps=500, batch=8, ema=0.99, warmup=50, validate_every=100),
    ),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser one option for each field of `Config`, and `--recipe`."""
    parser.add_argument("--recipe", choices=RECIPES, help="what the other options change; default pairs")
    fields = parser.add_argument_group("configuration (defaults: those of the recipe 'pairs')")
    for field in dataclasses.fields(Config):
        option = "--" + field.name.replace("_", "-")
        default = f"default: {option_of(field.name, field.default)}"
        if isinstance(field.default, bool):
            fields.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=default)
        elif isinstance(field.default, tuple):
            fields.add_argument(option, type=type(field.default[0]), nargs="*", metavar="N", help=default)
        else:
            fields.add_argument(option, type=type(field.default), choices=CHOICES.get(field.name), help=default)


def configuration(arguments: argparse.Namespace) -> Config:
    """The recipe's configuration with the fields that the command line sets.

    Raises
    ------
    ValueError
        If a value is out of bounds.
    """
    return dataclasses.replace(RECIPES[arguments.recipe or "pairs"][1], **changes(arguments))


def changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields that the command line sets; with steps, a recipe's epochs do not count."""
    given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(Config)}
    if given["steps"] is not None and given["epochs"] is None:
        given["epochs"] = 0
    return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if v is not None}


def from_record(record: dict[str, Any]) -> Config:
    """The configuration that was saved with a run; fields that it does not know have their defaults."""
    known = {f.name for f in dataclasses.fields(Config)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k in known}
    return Config(**values)


def option_of(name: str, value: Any) -> str:
    """A field as it is written on the command line."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return " ".join([f"--{option}", *map(str, value if isinstance(value, tuple) else [value])])


def recipes() -> str:
    """Every recipe, and where it differs from the first."""
    lines = []
    for name, (text, config) in RECIPES.items():
        lines.append(f"{name}: {text}")
        changed = [
            f"  {option_of(f.name, getattr(config, f.name))}"
            for f in dataclasses.fields(Config)
            if name == "pairs" or getattr(config, f.name) != f.default
        ]
        lines += changed
    return "\n".join(lines)
