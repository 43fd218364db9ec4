"""Noise, augmentation and losses stay on the device of the crops, and never wait for it.

The "meta" device stands in for a GPU: a tensor that is made on the CPU does not go with those on it, and
whatever asks for a value (`.item()`, `float()`, `.cpu().numpy()`, a mask that picks) is an error. Noise2Void
picks the pixels that it asks for, and those that stand alone; so that part is not among these.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from quietfield.adapt.tune import _crops, _Gains
from quietfield.network.normalise import Normalisation
from quietfield.network.unet import UNet
from quietfield.noise import camera
from quietfield.noise.blindspots import BlindSpots
from train.config import Config
from train.data.shared import ORIGINS, Origin
from train.data.stream import Crops, expose
from train.learn.losses import LOSSES, build_loss
from train.learn.objectives import Batch, balanced, build_objective, calm_loss
from train.learn.units import decentred, normalised

EVERYTHING = {"flips": True, "turns": True, "elastic": 5.0, "gain": 0.2, "offset": 0.3, "synthetic": 0.5}
SIDE = 32


def generator(*_: object) -> torch.Generator:
    return torch.Generator().manual_seed(0)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, device="meta")


def crops(scale: int) -> Crops:
    large = ones(2, 1, scale * SIDE, scale * SIDE)
    return Crops(3, ones(2, 1, SIDE, SIDE), large, ones(2, 3), large, ones(2))


X = ones(2, 1, SIDE, SIDE)


EVERY_NOISE = {"origins": "any", "correlated": 0.9, "additive": 0.3, "fields": 0.3, "multiplied": 0.3, "rows": 0.5}


@pytest.mark.parametrize(
    ("scale", "changes"),
    [(1, {"redraw": 0.5, "levels": (1.0, 16.0), "smooth": 0.5}), (1, EVERY_NOISE), (2, {})],
)
def test_what_a_step_is_given_is_drawn_on_the_device(
    scale: int, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.data.stream._generator", generator)  # there is none of the stand-in
    config = Config(scale=scale, **EVERYTHING, **changes)  # type: ignore[arg-type]
    noisy, truth = expose(crops(scale), config)
    assert (noisy.device.type, truth.device.type) == ("meta", "meta")
    assert truth.shape == (4, 1, scale * SIDE, scale * SIDE)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: camera.expose(X, ones(2, 1, 1, 1), 3.0, 1.0, generator()),
        lambda: camera.average_frames(X, 4, camera.W2S_CAMERA, generator()),
        lambda: camera.correlate(X, 1.0),
        lambda: camera.row_noise(X, ones(2, 1, 1, 1), generator()),
    ],
    ids=["expose", "average_frames", "correlate", "row_noise"],
)
def test_noise_is_drawn_on_the_device(draw: Callable[[], Tensor]) -> None:
    assert draw().device.type == "meta"


@pytest.mark.parametrize("origin", ORIGINS)
def test_noise_is_shared_on_the_device(origin: Origin) -> None:
    assert origin(X, np.random.default_rng(0)).device.type == "meta"


@pytest.mark.parametrize("learn", ["noise2noise", "neighbours", "recorrupted"])
def test_what_is_learnt_without_a_truth_is_drawn_on_the_device(learn: str) -> None:
    loss = build_objective(Config(learn=learn))(lambda x: x, Batch(X, X, X, ones(2, 3)), generator())
    assert loss.device.type == "meta"


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_stay_on_the_device(loss: str) -> None:
    large = ones(2, 1, 64, 64)
    assert build_loss(f"{loss}+mse")(large, large).device.type == "meta"


@pytest.mark.parametrize("kind", ["plane", "noise", "dataset"])
def test_crops_are_normalised_on_the_device(kind: str) -> None:
    x, target = normalised(X, X, Normalisation(kind, 1.0, 2.0) if kind == "dataset" else Normalisation(kind))
    assert {t.device.type for t in balanced(x, x, target, 0.4)} == {"meta"}
    assert {t.device.type for t in balanced(x, x, target, 0.4, 9)} == {"meta"}
    assert calm_loss(x, x, target).device.type == "meta"
    assert {t.device.type for t in decentred(x, target, 0.4, generator())} == {"meta"}


def test_a_network_is_tuned_on_its_device() -> None:
    """Where to look is drawn on the CPU, so that every device sees the same."""
    spots = BlindSpots(0.02, 1, 2)
    asked = spots.draw(X, generator())
    gains = _Gains(UNet((2, 4)).to("meta"))
    crops, never = _crops(X, asked, generator())
    gains(spots.hide(crops, spots.draw(crops, generator()) & ~never)).mean().backward()
    assert {number.grad.device.type for number in gains.numbers.values() if number.grad is not None} == {"meta"}
    assert all(number.grad is not None for number in gains.numbers.values())
    assert gains.baked().out.weight.device.type == "meta"
