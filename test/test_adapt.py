"""What is done to suit a file: stripes are taken out, the answers to eight turns averaged, within the time."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from demo.simulate import simulate_field
from quietfield.adapt.plan import AUTO, OFF, Adaptation, Adapted, adapt, self_ensemble, spend
from quietfield.network.model import load_model
from quietfield.network.normalise import Normalisation
from quietfield.pipeline import denoise_file
from quietfield.network.predict import Denoiser
from quietfield.adapt.stripes import stripes, without_stripes
from quietfield.network.unet import UNet

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


def decided(planes: NDArray[np.float64], how: str, pixels: int, passes: int = 1) -> tuple[Adapted, list[str]]:
    adapted, words = adapt(denoiser(), planes, pixels, Adaptation.of(how))
    return adapted, words + spend(adapted, planes, Adaptation.of(how), passes)


def test_what_suits_a_file() -> None:
    noisy, _ = field()
    striped = noisy + RANDOM.normal(0, noisy.std(), (128, 1))
    adapted, words = decided(striped[None], "auto", striped.size)
    assert (adapted.rows, adapted.columns, adapted.eightfold) == (True, False, False)
    assert words == ["the offsets of rows are taken out"]
    adapted, words = decided(striped.T[None], "5", striped.size)
    assert (adapted.rows, adapted.columns, adapted.eightfold) == (False, True, True)
    assert len(words) == 3
    for how, planes in (("auto", noisy[None]), ("off", striped[None])):
        adapted, words = decided(planes, how, planes.size)
        assert (adapted.striped, adapted.eightfold, words) == (False, False, [])
        assert np.array_equal(adapted.answer(adapted.prepare(planes)), adapted.denoiser(planes))


@pytest.mark.parametrize(
    ("planes", "how", "pixels", "words"),
    [
        (np.full((1, 64, 64), 3.0), "auto", 4096, "not adapted: no plane of 16 pixels"),
        (RANDOM.random((2, 8, 300)), "1", 4800, "not adapted: no plane of 16 pixels"),
        (np.full((1, 64, 64), np.nan), "1", 4096, "not adapted: no plane of 16 pixels"),
        (
            RANDOM.random((1, 64, 64)) + RANDOM.random((1, 64, 1)),
            "auto",
            10**14,
            "share: .* minutes are needed, 10 given",
        ),
        (RANDOM.random((1, 64, 64)), "1", 10**12, "not the mean of the answers .* minutes are needed, 1 given"),
    ],
)
def test_where_nothing_can_be_done_it_is_said_and_left(
    planes: NDArray[np.float64], how: str, pixels: int, words: str
) -> None:
    adapted, said = decided(planes, how, pixels)
    assert not adapted.striped
    assert not adapted.eightfold
    assert re.search(words, said[0])
    assert len(said) == 1 or re.search("not tuned: no time is left", said[1])


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
            report = denoise_file(shipped, tmp_path / f"{name}.tif", tmp_path / "answer.tif", adaptation=how)
            answer = tifffile.imread(tmp_path / "answer.tif").astype(np.float64)
            errors[name, how] = ((answer - truth) ** 2).mean()
            assert bool(report.adapted) == (name == "striped" and how != OFF)
    assert errors["striped", Adaptation.of("auto")] < 0.8 * errors["striped", OFF]
    assert errors["plain", Adaptation.of("auto")] == errors["plain", OFF]


def test_a_network_that_doubles_the_pixels_is_left_alone() -> None:
    double = Denoiser(UNet((4, 8), scale=2), Normalisation())
    adapted, words = adapt(double, RANDOM.random((1, 32, 32)), 1024, Adaptation.of("1"))
    assert not adapted.striped
    assert words == ["not adapted: the network changes the number of pixels"]
