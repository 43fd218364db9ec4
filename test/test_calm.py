"""What is left of the noise, and what is invented, where the ground truth has no fine structure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from train.measure.calm import FINE, calm_regions, fine, measure_calm


def scene(side: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Smooth light whose left half has lines of four pixels, and white noise of spread 2 on it."""
    y, x = np.mgrid[:side, :side]
    truth = 100 + 20 * np.sin(y / 60) + 10 * np.sin(x * np.pi / 2) * (x < side / 2)
    return truth, truth + 2 * np.random.default_rng(0).standard_normal(truth.shape)


def test_calm_regions_have_no_lines() -> None:
    truth, _ = scene()
    calm = calm_regions(truth)
    assert calm.mean() == pytest.approx(0.25, abs=0.01)
    assert not calm[:, :64].any()


def test_all_of_the_noise_is_left_in_the_frame_itself() -> None:
    truth, frame = scene()
    found = measure_calm(truth, frame, frame)
    assert found.left == pytest.approx(1)
    # A Gaussian of two pixels takes little of white noise away from what is fine.
    assert found.invented == pytest.approx(0.98, abs=0.03)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_what_is_left_is_measured_in_the_noise(share: float) -> None:
    truth, frame = scene()
    assert measure_calm(truth, frame, truth + share * (frame - truth)).left == pytest.approx(share)


def test_a_perfect_answer_invents_nothing() -> None:
    truth, frame = scene()
    assert measure_calm(truth, frame, truth) == pytest.approx((0, 0), abs=1e-12)
    soft = 0.5 * truth
    assert measure_calm(truth, frame, soft).invented == pytest.approx(0, abs=1e-12), "nor does one that is too faint"


def test_slow_errors_are_left_and_not_invented() -> None:
    truth, frame = scene()
    found = measure_calm(truth, frame, truth + np.cos(np.mgrid[:128, :128][0] / 30))
    assert found.left > 0.2
    assert found.invented < 0.01


def test_filaments_that_are_not_there_are_invented() -> None:
    truth, frame = scene()
    drawn = truth + 3 * gaussian_filter((np.random.default_rng(1).random(truth.shape) < 0.02) * 20.0, 1.2)
    assert measure_calm(truth, frame, drawn).invented > 0.5


def test_without_noise_nothing_can_be_told() -> None:
    truth, _ = scene()
    assert np.isnan(measure_calm(truth, truth, truth)).all()


@pytest.mark.parametrize(("period", "kept"), [(2, 1.0), (8, 0.7), (32, 0.08)])
def test_fine_structure_has_periods_of_two_to_eight_pixels(period: float, kept: float) -> None:
    x = np.arange(512)[None].repeat(64, 0)
    wave = np.cos(2 * np.pi * x / period)
    inside = np.s_[:, 64:-64]
    assert fine(wave)[inside].std() / wave[inside].std() == pytest.approx(kept, abs=0.04)
    assert FINE == 2.0
