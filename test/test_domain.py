"""What a network was trained on, in figures, and what lies outside."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from demo.simulate import simulate_field
from quietfield.network.domain import TRAITS, Domain, traits
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.pipeline import denoise_file
from quietfield.repair.corrections import corrected


def field(seed: int = 0) -> NDArray[np.float64]:
    return simulate_field(seed, side=128)[0].astype(np.float64)


KNOWN = Domain.of(field(seed) for seed in range(40))


def test_traits_follow_no_gain_and_no_offset() -> None:
    expected = traits(field())
    assert set(expected) == set(TRAITS)
    assert traits(7.5 * field() + 1e4) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("sigma", "low", "high"), [(0.0, -0.02, 0.02), (0.6, 0.3, 0.7)])
def test_white_noise_has_no_correlation(sigma: float, low: float, high: float) -> None:
    noise = np.random.default_rng(0).standard_normal((256, 256))
    along_x = ndimage.gaussian_filter1d(noise, sigma, axis=1) if sigma else noise
    found = traits(along_x)
    assert low < found["correlation_x"] < high
    assert abs(found["correlation_y"]) < 0.02


@pytest.mark.parametrize("plane", [np.full((64, 64), 3.0), np.zeros((0, 5)), np.ones((3, 400)), np.zeros((40, 40))])
def test_nothing_is_said_of_constant_and_tiny_planes(plane: NDArray[np.float64]) -> None:
    assert traits(plane) == {}
    assert KNOWN.outside(plane) == []


def test_an_image_like_those_is_inside() -> None:
    assert KNOWN.outside(field(99)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: ndimage.gaussian_filter(x, 4), "so little noise that structure may be smoothed needlessly"),
        (
            lambda x: np.random.default_rng(0).standard_normal(x.shape),
            "noise is so strong that fine structure may be lost",
        ),
        (lambda x: ndimage.gaussian_filter1d(x, 0.7, axis=1), "share their noise along X: some of it may be left"),
        (lambda x: ndimage.gaussian_filter1d(x, 0.7, axis=0), "share their noise along Y: some of it may be left"),
        (lambda x: x + 9 * np.random.default_rng(0).standard_normal((128, 1)), "rows differ by more than noise"),
        (lambda x: x + 9 * np.random.default_rng(0).standard_normal(128), "columns differ by more than noise"),
        (
            lambda x: x + 900 * np.kron(np.eye(64), np.ones((2, 2))),
            "very fine structure, or noise that neighbouring pixels share: it may be smeared",
        ),
        (
            lambda x: np.minimum(x, np.percentile(x, 90)),
            "much is saturated: the brightest structures stay cut off",
        ),
    ],
)
def test_what_is_unlike_is_said(change: object, words: str) -> None:
    assert callable(change)
    assert re.search(words, "; ".join(KNOWN.outside(change(field()))))


def experts() -> Denoiser:
    general = Denoiser(UNet((4, 8)), Normalisation(), name="other")
    return Denoiser(UNet((4, 8)), Normalisation(), name="expert", domain=KNOWN, general=general)


def test_images_beyond_the_domain_are_for_the_other_network() -> None:
    smooth = ndimage.gaussian_filter(field(), 4)
    chosen, unlike = experts().suited(field()[None])
    assert (chosen.name, unlike) == ("expert", [])
    chosen, unlike = experts().suited(smooth[None])
    assert (chosen.name, unlike) == ("other", []), "which has no domain that it could be outside of"
    # Most planes decide; a blank one does not.
    blank = np.zeros_like(smooth)
    assert experts().suited(np.stack([blank, field(), field(3), smooth]))[0].name == "expert"
    assert experts().suited(np.stack([smooth, smooth, smooth, field()]))[0].name == "other"


def test_an_image_beyond_every_domain_is_told() -> None:
    alone = Denoiser(UNet((4, 8)), Normalisation(), name="alone", domain=KNOWN)
    chosen, unlike = alone.suited(ndimage.gaussian_filter(field(), 4)[None])
    assert chosen is alone
    assert any("smoothed needlessly" in words for words in unlike)


def test_a_file_is_denoised_by_the_network_that_suits_it(tmp_path: Path) -> None:
    denoiser = experts()
    assert denoiser.general
    for name, image, expert in (
        ("like", field(), denoiser),
        ("unlike", ndimage.gaussian_filter(field(), 4), denoiser.general),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tif", image.astype(np.float32))
        report = denoise_file(denoiser, tmp_path / f"{name}.tif", tmp_path / "answer.tif")
        assert report.plan.network == expert.name
        noisy = image.astype(np.float32)
        assert np.array_equal(tifffile.imread(tmp_path / "answer.tif"), corrected(expert(noisy[None])[0], noisy))


def test_a_network_without_a_domain_says_nothing() -> None:
    assert Domain({}).outside(field()) == []
    assert Domain.of([np.zeros((64, 64))]) == Domain({})
