"""What is done to suit a file: stripes are taken out, the answers to eight turns averaged, within the time."""

import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from demo.simulate import simulate_field
from quietfield.adapt.ensemble import self_ensemble
from quietfield.adapt.plan import AUTO, OFF, Adaptation, Options, Plan, make_plan
from quietfield.adapt.probe import Probe
from quietfield.adapt.series import Series
from quietfield.adapt.stripes import stripes, without_stripes
from quietfield.files.arrays import ArrayStack
from quietfield.network.model import load_model
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.pipeline import denoise_file

RANDOM = np.random.default_rng(0)
SHIPPED = Path(__file__).resolve().parents[1] / "resources"


def field() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    noisy, truth = simulate_field(3, side=128)
    return noisy.astype(np.float64), truth


def denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(UNet((4, 8)), Normalisation(), name="random weights")


@pytest.mark.parametrize("across", [1, 2])
def test_stripes_are_found_as_they_were_added(across: int) -> None:
    noisy, truth = field()
    offsets = np.random.default_rng(1).normal(0, noisy.std(), 128)
    added = offsets[:, None] if across == 1 else offsets[None]
    found = stripes((noisy + added)[None], truth[None], across)[0].ravel()
    assert np.corrcoef(found, offsets)[0, 1] > 0.97
    cleaned = without_stripes((noisy + added)[None], truth[None], across == 1, across == 2)[0]
    assert (cleaned - noisy).std() < 0.35 * offsets.std(), "but for what changes slowly, which may be the image"


def test_without_stripes_hardly_anything_is_taken() -> None:
    noisy, truth = field()
    assert stripes(noisy[None], truth[None], 1).std() < 0.2 * (noisy - truth).std()
    assert np.array_equal(without_stripes(noisy[None], truth[None], False, False)[0], noisy)


def test_the_eight_answers_of_something_that_turns_with_the_image_are_one() -> None:
    planes = RANDOM.random((2, 20, 31))

    def double(x: NDArray[np.float64]) -> NDArray[np.float32]:
        return (2 * x).astype(np.float32)

    assert np.allclose(self_ensemble(double, planes), 2 * planes)  # type: ignore[arg-type]
    plain, mean = denoiser()(planes), self_ensemble(denoiser(), planes)
    assert mean.shape == plain.shape
    assert not np.allclose(mean, plain)
    assert np.allclose(self_ensemble(denoiser(), planes.swapaxes(1, 2)), mean.swapaxes(1, 2), atol=1e-5)


def decided(planes: NDArray[np.float64], how: str, pixels: int, network: Denoiser | None = None) -> Plan:
    series, options = Series("", (range(pixels // planes[0].size),), "Q"), Options(Adaptation.of(how), "off")
    stack, probe = ArrayStack(planes, "QYX").stack, Probe(planes, (0, 0), None)
    return make_plan(network or denoiser(), stack, series, probe, options)


def test_what_suits_a_file() -> None:
    noisy, _ = field()
    striped = noisy + RANDOM.normal(0, noisy.std(), (128, 1))
    plan = decided(striped[None], "auto", striped.size)
    assert (plan.steps.rows, plan.steps.columns, plan.steps.eightfold, plan.passes) == (True, False, False, 2)
    assert plan.adapted == ("the offsets of rows are taken out",)
    assert plan.tuned(striped[None]) is plan
    plan = decided(striped.T[None], "5", striped.size)
    assert (plan.steps.rows, plan.steps.columns, plan.steps.eightfold, plan.passes) == (False, True, True, 9)
    assert 0 < plan.tuning < 300
    assert len(plan.adapted) == 2
    for how, planes in (("auto", noisy[None]), ("off", striped[None])):
        plan = decided(planes, how, planes.size)
        assert (plan.steps.striped, plan.steps.eightfold, plan.adapted, plan.passes) == (False, False, (), 1)
        steps = plan.steps
        assert np.array_equal(steps.answer(steps.prepare(planes)), steps.denoiser(planes))


def test_a_plan_is_frozen_and_says_what_it_is() -> None:
    noisy, _ = field()
    plan = decided(noisy[None], "off", noisy.size)
    with pytest.raises(FrozenInstanceError):
        plan.tuning = 1.0  # type: ignore[misc]
    assert "neighbours='off: as asked'" in repr(plan)
    assert plan.network == "random weights"
    with pytest.raises(ValueError, match="neighbours: expected auto or off, found 'some'"):
        Options(neighbours="some")


@pytest.mark.parametrize(
    ("planes", "how", "pixels", "words"),
    [
        (np.full((1, 64, 64), 3.0), "auto", 4096, "not adapted: the planes are constant, or smaller than 16 pixels"),
        (RANDOM.random((2, 8, 300)), "1", 4800, "not adapted: the planes are constant, or smaller than 16 pixels"),
        (np.full((1, 64, 64), np.nan), "1", 4096, "not adapted: the planes are constant, or smaller than 16 pixels"),
        (
            RANDOM.random((1, 64, 64)) + RANDOM.random((1, 64, 1)),
            "auto",
            10**14,
            "share: .* minutes are needed, 10 given",
        ),
        (RANDOM.random((1, 64, 64)), "1", 10**12, "not test-time augmentation .* minutes are needed, 1 given"),
    ],
)
def test_where_nothing_can_be_done_it_is_said_and_left(
    planes: NDArray[np.float64], how: str, pixels: int, words: str
) -> None:
    plan = decided(planes, how, pixels)
    assert not plan.steps.striped
    assert not plan.steps.eightfold
    assert re.search(words, plan.adapted[0])
    assert len(plan.adapted) == 1 or re.search("not fine-tuned: no time is left", plan.adapted[1])


def test_how_far_is_told_by_a_word_or_minutes() -> None:
    assert Adaptation.of("off") == OFF
    assert Adaptation.of("auto") == Adaptation(AUTO, False)
    assert Adaptation.of("2.5") == Adaptation(2.5, True)
    for wrong in ("0", "-1", "nan", "inf", "always", ""):
        with pytest.raises(ValueError, match="expected auto, off, or minutes above 0"):
            Adaptation.of(wrong)


def test_a_striped_file_is_better_for_it_and_another_the_same(tmp_path: Path) -> None:
    """Through the pipeline, with the shipped networks."""
    noisy, truth = simulate_field(5, side=256)
    striped = noisy + 0.8 * (noisy - truth).std() * RANDOM.standard_normal((256, 1))
    shipped = Denoiser.of(load_model(SHIPPED))
    errors = {}
    for name, image in (("plain", noisy), ("striped", striped)):
        tifffile.imwrite(tmp_path / f"{name}.tif", image.astype(np.float32))
        for how in (OFF, Adaptation.of("auto")):
            report = denoise_file(shipped, tmp_path / f"{name}.tif", tmp_path / "answer.tif", Options(how))
            answer = tifffile.imread(tmp_path / "answer.tif").astype(np.float64)
            errors[name, how] = ((answer - truth) ** 2).mean()
            assert bool(report.plan.adapted) == (name == "striped" and how != OFF)
    assert errors["striped", Adaptation.of("auto")] < 0.8 * errors["striped", OFF]
    assert errors["plain", Adaptation.of("auto")] == errors["plain", OFF]


def test_a_network_that_doubles_the_pixels_is_left_alone() -> None:
    double = Denoiser(UNet((4, 8), scale=2), Normalisation())
    plan = decided(RANDOM.random((1, 32, 32)), "1", 1024, double)
    assert not plan.steps.striped
    assert plan.adapted == ("not adapted: the network changes the number of pixels",)


@pytest.mark.parametrize("period", [16, 24])
def test_channels_with_sharp_walls_are_no_stripes(period: int) -> None:
    walls = np.repeat(np.where(np.arange(256) % period < period // 2, 18.0, 6.0)[None], 256, axis=0)
    noisy = np.random.default_rng(3).poisson(walls) + np.random.default_rng(4).normal(0, 1.6, walls.shape)
    assert not decided(noisy[None], "auto", noisy.size).steps.striped
    offsets = noisy + np.random.default_rng(5).normal(0, 2, (256, 1))
    assert decided(offsets[None], "auto", noisy.size).steps.rows
