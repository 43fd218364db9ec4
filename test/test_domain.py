"""What a network was trained on, in figures, and what lies outside."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from demo.simulate import simulate_field
from denoiser.domain import TRAITS, Domain, traits


def field(seed: int = 0) -> NDArray[np.float64]:
    return simulate_field(seed, side=128)[0].astype(np.float64)


KNOWN = Domain.of(field(seed) for seed in range(12))


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
        (lambda x: ndimage.gaussian_filter(x, 4), "noise .of the contrast. .*: it may be smoothed needlessly"),
        (lambda x: np.random.default_rng(0).standard_normal(x.shape), "noise .*: fine structure may be lost"),
        (lambda x: ndimage.gaussian_filter1d(x, 0.7, axis=1), "correlation of the noise in X .*: noise may be left"),
        (lambda x: ndimage.gaussian_filter1d(x, 0.7, axis=0), "correlation of the noise in Y .*: noise may be left"),
        (
            lambda x: np.minimum(x, np.percentile(x, 90)),
            "saturated pixels 0.1.*: the brightest structures stay cut off",
        ),
    ],
)
def test_what_is_unlike_is_said(change: object, words: str) -> None:
    assert callable(change)
    assert re.search(words, "; ".join(KNOWN.outside(change(field()))))


def test_a_network_without_a_domain_says_nothing() -> None:
    assert Domain({}).outside(field()) == []
    assert Domain.of([np.zeros((64, 64))]) == Domain({})
