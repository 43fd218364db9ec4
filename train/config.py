"""The whole configuration of a training run: one flat frozen dataclass."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

from .declare import MANY, option, option_of

# Those of `quietfield.network.unet`, written again (and held equal by a test): the command line is read without torch.
BLOCKS, NORMS, SKIPS = ("plain", "residual"), ("none", "batch"), ("concatenated", "added")

NETWORK, DATA, NOISE, AUGMENTATION = "network", "data", "noise", "augmentation"
OBJECTIVE, OPTIMISATION, RUN = "objective", "optimisation", "run"

# Options of a resumed run that may change; all others decide what its steps compute.
CHANGEABLE = ("steps", "epochs", "validate_every", "montage_every", "patience")


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes; saved with its checkpoints.

    The help of each field says what it is: `python -m train fit --help` prints all of them.

    Raises
    ------
    ValueError
        If a value is not allowed, or two do not go together.
    """

    channels: tuple[int, ...] = option(
        (64, 64, 128, 256),
        NETWORK,
        "Channels of each level of the U-Net, finest level first; two levels or more.",
        bounds=(1, MANY),
    )
    unshuffle: int = option(
        2, NETWORK, "Fold squares of this many pixels a side into channels before the first level.", bounds=(1, 16)
    )
    block: str = option("residual", NETWORK, "Kind of convolution block in each level.", choices=BLOCKS)
    norm: str = option("none", NETWORK, "Normalisation layer in each block.", choices=NORMS)
    residual: bool = option(
        False, NETWORK, "Add the input to the output, so that the convolutions learn the difference."
    )
    attention: bool = option(False, NETWORK, "Add self-attention in windows at the deepest level.")
    dropout: float = option(
        0.0, NETWORK, "Probability of dropping a channel of the deepest level; 0 is off.", bounds=(0, 0.99)
    )
    scale: int = option(
        1, NETWORK, "Pixels of the output for one of the input, along a side; 2 trains super-resolution.", bounds=(1, 2)
    )
    skips: str = option("concatenated", NETWORK, "How skip connections join the expanding path.", choices=SKIPS)
    planes: int = option(
        1,
        NETWORK,
        "Planes of a stack that the network is given at once, an odd number; the one in the middle is denoised.",
        bounds=(1, 99),
    )
    biases: bool = option(
        False, NETWORK, "Let the convolutions learn a bias. Without biases, scaling the input scales the output alike."
    )
    normalisation: str = option(
        "plane",
        NETWORK,
        "Statistics that bring the input into network units: standard deviation of the plane, estimated noise of the "
        "plane, or mean and standard deviation of the training set.",
        choices=("plane", "noise", "dataset"),
    )

    frames: str = option(
        "random",
        DATA,
        "Frames of a stack that has one ground truth to train on: random ones of all, or the first.",
        choices=("first", "random"),
    )
    image_channels: tuple[int, ...] = option(
        (), DATA, "Channels of the files to train on, counted from 0; none given are all.", bounds=(0, MANY)
    )
    average: int = option(1, DATA, "Number of frames that are averaged into one noisy image.", bounds=(1, 400))
    target: str = option(
        "mean",
        DATA,
        "Ground truth of W2S: the mean of 400 frames, or the SIM reconstruction.",
        choices=("mean", "sim"),
    )
    match: bool = option(
        True, DATA, "Fit the intensities of each ground truth to its noisy image by least squares (gain and offset)."
    )
    split: str = option(
        "auto",
        DATA,
        "Official keeps the fields 81 and above for testing, as W2S has it; fields uses all. Auto is official for the "
        "images of W2S, which are told by what they show.",
        choices=("auto", "official", "fields"),
    )
    exclude: tuple[int, ...] = option(
        (1, 2), DATA, "Fields of view of W2S to leave out of training and validation.", bounds=(0, MANY)
    )
    validation: float = option(0.1, DATA, "Share of the fields of view used for validation.", bounds=(0, 0.9))

    redraw: float = option(
        0.0, NOISE, "Share of the crops that get synthetic noise, added to their ground truth.", bounds=(0, 1)
    )
    levels: tuple[float, float] = option(
        (1.0, 1.0),
        NOISE,
        "Range of the noise level of these crops, as a number of averaged frames (1 16: from one frame to the mean of "
        "16); drawn log-uniformly.",
        bounds=(0, MANY),
    )
    synthetic: float = option(
        0.0, NOISE, "Share of each batch that is clean images with synthetic noise; needs --clean.", bounds=(0, 1)
    )
    photons: tuple[float, float] = option(
        (3.0, 500.0),
        NOISE,
        "Range of the photo-electrons of the brightest pixel of a clean image (scale 2: of the mean); drawn "
        "log-uniformly.",
        bounds=(0, MANY),
    )
    read_noise: float = option(3.0, NOISE, "Largest synthetic read noise, in electrons.", bounds=(0, MANY))
    correlated: float = option(
        0.25, NOISE, "Share of the clean crops whose noise is correlated between neighbouring pixels.", bounds=(0, 1)
    )
    origins: str = option(
        "blur",
        NOISE,
        "What makes noise correlated: blur, or any of power-law spectra, blur, slow scans, interpolation, demosaicing, "
        "median and mean filters, deconvolution, and JPEG.",
        choices=("blur", "any"),
    )
    additive: float = option(
        0.0, NOISE, "Share of the clean crops whose noise does not grow with the signal.", bounds=(0, 1)
    )
    rows: float = option(0.1, NOISE, "Share of the clean crops with row noise.", bounds=(0, 1))
    smooth: float = option(
        0.0, NOISE, "Share of the clean crops that are blurred before noise is added.", bounds=(0, 1)
    )
    multiplied: float = option(
        0.0, NOISE, "Share of the clean crops with the noise of an electron-multiplying camera (EMCCD).", bounds=(0, 1)
    )
    fields: float = option(
        0.0,
        NOISE,
        "Share of the clean crops that are smooth light alone, and of those that are seen behind such light.",
        bounds=(0, 0.5),
    )
    freed: bool = option(
        False, NOISE, "Blur clean images and take half their pixels, so that they have less noise of their own."
    )
    decentred: float = option(
        0.0,
        NOISE,
        "Share of the crops of each batch that lie far from the centre of their normalisation, as beside bright "
        "objects: by up to 30 times their noise.",
        bounds=(0, 1),
    )
    phantoms: int = option(0, NOISE, "Number of numerical phantoms added to the clean images.", bounds=(0, 10000))

    flips: bool = option(True, AUGMENTATION, "Mirror crops at random.")
    turns: bool = option(True, AUGMENTATION, "Rotate crops at random, by multiples of 90 degrees.")
    elastic: float = option(
        0.0, AUGMENTATION, "Largest shift of a random elastic deformation, in pixels; 0 is off.", bounds=(0, 100)
    )
    gain: float = option(
        0.0, AUGMENTATION, "Spread of a random intensity gain (0.2: 0.8 to 1.2); 0 is off.", bounds=(0, 0.99)
    )
    offset: float = option(
        0.0, AUGMENTATION, "Spread of a random intensity offset, in standard deviations; 0 is off.", bounds=(0, MANY)
    )

    learn: str = option(
        "truth",
        OBJECTIVE,
        "What to learn from: the ground truth; or noisy images alone, by predicting masked pixels (noise2void), the "
        "next frame or plane (noise2noise), neighbouring pixels (neighbours: Neighbor2Neighbor), or the image behind "
        "added noise (recorrupted: Recorrupted-to-Recorrupted).",
        choices=("truth", "noise2void", "noise2noise", "neighbours", "recorrupted"),
    )
    loss: str = option(
        "mse",
        OBJECTIVE,
        "Difference from the ground truth: mse, l1, charbonnier, log (of each crop's mse), ssim, ms-ssim or "
        "perceptual, or two of them as mse+ssim.",
    )
    mix: float = option(0.1, OBJECTIVE, "Weight of the second loss; the first has the rest.", bounds=(0, 1))
    balance: float = option(
        0.0,
        OBJECTIVE,
        "Divide the errors of each crop by this power of its noise: at 0 noisy crops count most, at 1 all count alike.",
        bounds=(0, 1),
    )
    regions: int = option(
        0,
        OBJECTIVE,
        "Side in pixels of the regions whose noise --balance divides by; 0 takes that of the whole crop.",
        bounds=(0, 1024),
    )
    calm: float = option(
        0.0,
        OBJECTIVE,
        "Weight of a further loss: structure of 2 to 8 pixels where the ground truth has none; 0 is off.",
        bounds=(0, 1000),
    )
    spots: float = option(
        0.02,
        OBJECTIVE,
        "Share of the pixels to predict with noise2void; fewer are taken if more than a fifth would be masked.",
        bounds=(1e-6, 0.5),
    )
    mask: tuple[int, int] = option(
        (0, 0),
        OBJECTIVE,
        "Neighbours that noise2void masks on each side of a pixel, along Y and along X, for correlated noise; "
        "'train noise' recommends values.",
        bounds=(0, MANY),
    )
    agreement: float = option(
        1.0,
        OBJECTIVE,
        "Weight of the term with which neighbours corrects for the difference between neighbouring pixels.",
        bounds=(0, MANY),
    )

    steps: int = option(5500, OPTIMISATION, "Number of optimiser steps.", bounds=(1, MANY))
    epochs: int = option(
        0, OPTIMISATION, "Passes over all training images, in place of --steps; 0 is off.", bounds=(0, MANY)
    )
    batch: int = option(16, OPTIMISATION, "Crops in a batch.", bounds=(1, MANY))
    accumulate: int = option(1, OPTIMISATION, "Batches whose gradients are summed for one step.", bounds=(1, MANY))
    crop: int = option(128, OPTIMISATION, "Side of a crop in pixels; 0 takes whole images.", bounds=(0, MANY))
    optimiser: str = option(
        "muon",
        OPTIMISATION,
        "Optimiser; muon is for the convolutions, with AdamW for all other parameters.",
        choices=("adam", "adamw", "muon"),
    )
    lr: float = option(2e-3, OPTIMISATION, "Peak learning rate.", bounds=(0, 1))
    weight_decay: float = option(1e-4, OPTIMISATION, "Weight decay.", bounds=(0, 1))
    schedule: str = option(
        "cosine",
        OPTIMISATION,
        "Course of the learning rate; cosine ends at zero, plateau halves the rate when validation stops improving.",
        choices=("cosine", "constant", "one-cycle", "cyclic", "plateau"),
    )
    warmup: int = option(
        200, OPTIMISATION, "Steps over which the learning rate first rises linearly.", bounds=(0, MANY)
    )
    clip: float = option(0.0, OPTIMISATION, "Largest norm of the gradient; 0 is off.", bounds=(0, MANY))
    ema: float = option(
        0.998,
        OPTIMISATION,
        "Decay of the moving average of the weights, which is validated and exported; 0 is off.",
        bounds=(0, 0.999999),
    )

    precision: str = option(
        "auto",
        RUN,
        "Precision of the network; auto takes bfloat16 if the hardware has it.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    patience: int = option(
        0, RUN, "Validations without improvement after which the run stops; 0 is off.", bounds=(0, MANY)
    )
    validate_every: int = option(
        0,
        RUN,
        "Steps between validations; each writes a log line and a checkpoint. 0 validates by the clock: after half a "
        "minute, then more and more rarely; every 1000 steps where that decides something (plateau, patience).",
        bounds=(0, MANY),
    )
    montage_every: int = option(5, RUN, "Validations between pictures of validation images.", bounds=(1, MANY))
    seed: int = option(
        0, RUN, "Seed of the split, initial weights, crops, augmentation and synthetic noise.", bounds=(0, 2**22)
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if isinstance(field.default, tuple):  # files and people write lists
                found = getattr(self, field.name)
                if not isinstance(found, (tuple, list)):
                    raise ValueError(f"{field.name}: expected a list of numbers, found {found!r}")
                object.__setattr__(self, field.name, tuple(found))
            option_of(field).check(field.name, getattr(self, field.name))
        if len(self.channels) < 2 or min(self.channels) < 1:
            raise ValueError(f"channels: expected two or more positive numbers, a level each, found {self.channels}")
        if len(self.mask) != 2 or min(self.mask) < 0:
            raise ValueError(f"mask: expected two numbers from 0, pixels along Y and along X, found {self.mask}")
        for name in ("photons", "levels"):
            found = getattr(self, name)
            if len(found) != 2 or not 0 < found[0] <= found[1]:
                raise ValueError(f"{name}: expected two positive numbers, least and most, found {found}")
        if self.planes % 2 == 0:
            raise ValueError(f"planes: expected an odd number, found {self.planes}")
        given = [n for n in ("redraw", "synthetic", "balance", "calm", "elastic", "gain", "offset") if getattr(self, n)]
        if not self.supervised and (given or self.scale > 1):
            raise ValueError(
                f"learn {self.learn}: expected what goes without a ground truth and leaves the noise as it is, found "
                f"{', '.join(given or ['scale'])}: leave that out, or give --learn truth"
            )

    @property
    def decisive(self) -> bool:
        """Whether validations decide what is computed, or for how long."""
        return self.schedule == "plateau" or self.patience > 0

    @property
    def supervised(self) -> bool:
        """Whether there is a ground truth to learn from."""
        return self.learn == "truth"

    @property
    def successive(self) -> bool:
        """Whether the frame that follows is learnt from."""
        return self.learn == "noise2noise"

    @property
    def network(self) -> dict[str, Any]:
        """The arguments of `quietfield.network.unet.UNet`."""
        from quietfield.network.model import ARGUMENTS

        return {name: getattr(self, name) for name in ARGUMENTS}


def from_record(record: dict[str, Any]) -> Config:
    """The configuration that was saved with a run; fields that it does not know have their defaults."""
    known = {f.name for f in dataclasses.fields(Config)}
    return Config(**{name: value for name, value in record.items() if name in known})


def check_name(name: str) -> None:
    """Hold that the configuration has a field of this name.

    Raises
    ------
    ValueError
        If it has none; the message says which one is near.
    """
    names = [f.name for f in dataclasses.fields(Config)]
    if name not in names:
        near = difflib.get_close_matches(name.replace("-", "_"), names, n=1)
        advice = f"write {near[0]}" if near else "see 'recipes pairs --toml' for all options"
        raise ValueError(f"{name}: expected an option of the configuration, found none: {advice}")
