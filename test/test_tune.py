"""A network is tuned to a plane by hidden pixels of it: only where it gets surely better, and it is left as it was."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from demo.simulate import simulate_field
from quietfield.adapt import plan, tune
from quietfield.network.model import load_model
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.noise.blindspots import BlindSpots

GENERAL = Path(__file__).resolve().parents[1] / "resources" / "general"
WHITE = BlindSpots()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops that a test has the time for."""
    monkeypatch.setattr(tune, "CROP", 64)
    monkeypatch.setattr(tune, "BATCH", 2)
    monkeypatch.setattr(tune, "RATE", 5e-3)


def constant(residual: bool = False) -> Denoiser:
    """Gives the plane's mean, or adds nothing to the plane."""
    network = UNet((2, 2), residual=residual)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return Denoiser(network, Normalisation())


def noise(side: int = 64, planes: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal((planes, side, side))


def error(denoiser: Denoiser, noisy: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(((denoiser(noisy)[0] - truth) ** 2).mean())


@pytest.mark.usefixtures("small")
def test_a_network_out_of_tune_is_mended() -> None:
    """The answers of the shipped network are made a fifth too weak; the plane's own noise tells."""
    field, truth = simulate_field(4, side=192)
    noisy = field[None].astype(np.float64)
    network = load_model(GENERAL).network
    with torch.no_grad():
        network.out.weight *= 0.8
    weights = copy.deepcopy(network.state_dict())
    weak = Denoiser(network, Normalisation())
    found = tune.tune(weak, noisy, WHITE, 300)
    assert found.better
    assert str(found).startswith(f"the network is fine-tuned: in {found.steps} steps it learnt to")
    assert error(found.denoiser, noisy, truth) < 0.9 * error(weak, noisy, truth)
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
    again = tune.tune(weak, noisy, WHITE, 300)
    assert np.array_equal(again.denoiser(noisy), found.denoiser(noisy)), "the same seed gives the same network"


def test_where_nothing_is_to_be_learnt_the_network_stays() -> None:
    mean = constant()
    found = tune.tune(mean, noise(planes=2), WHITE, 60)
    assert (found.denoiser, found.steps) == (mean, 0)
    assert "stays as it is: in 0 steps it learnt to predict masked pixels 0.00 % better, which may be chance" in str(
        found
    )


def test_what_is_kept_back_is_not_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tune._crops

    def all_kept(z: torch.Tensor, never: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        crops, no = kept(z, never, generator)
        assert 0 < float(no.float().mean()) < 0.2
        return crops, torch.ones_like(no)

    monkeypatch.setattr(tune, "_crops", all_kept)
    with pytest.raises(FloatingPointError, match="the error of the hidden pixels became nan"):
        tune.tune(constant(), noise(), WHITE, 60)


@pytest.mark.parametrize(
    ("side", "spots", "seconds", "words"),
    [
        (16, BlindSpots(0.02, 0, 3), 60, "planes of 16 x 16 pixels are too small for the mask"),
        (64, BlindSpots(1e-9), 60, "no pixel is left that could be kept back"),
        (64, WHITE, 0, "no time is left"),
        (64, WHITE, 1e-6, "1e-06 seconds are too short"),
    ],
)
def test_what_cannot_be_tuned_to_is_said(side: int, spots: BlindSpots, seconds: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tune.tune(constant(), noise(side), spots, seconds)


def test_a_task_that_is_not_to_denoise_is_left() -> None:
    """Where hardly any noise is taken out, what masked pixels are missed by is the image."""
    with pytest.raises(ValueError, match="masked pixels are missed by more than"):
        tune.tune(constant(residual=True), noise(), WHITE, 60)


@pytest.mark.parametrize("failure", [torch.OutOfMemoryError("CUDA out of memory\nmore"), FloatingPointError("nan")])
def test_a_failure_leaves_the_network_as_it_was(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(plan, "tune", fail)
    denoiser = constant()
    tuned = plan.Plan(plan.Steps(denoiser, eightfold=True), tuning=60.0).tuned(noise())
    assert tuned.adapted == (f"the network is not fine-tuned: {str(failure).splitlines()[0]}",)
    assert tuned.steps.denoiser is denoiser
    assert tuned.steps.eightfold


def test_memory_is_asked_for_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "available", lambda: 100 << 20)
    tuned = plan.Plan(plan.Steps(constant()), tuning=60.0).tuned(noise())
    assert tuned.adapted[0].endswith("is not fine-tuned: about 256 MiB of memory are needed, found 100 MiB")
