"""What a network took for noise is given back where it surely is structure: gratings and lines, never noise."""

import numpy as np
import pytest
from numpy.typing import NDArray

from compare.scenes import grating, grid, spots
from quietfield.repair.periodic import FINE, SMALLEST, with_lost_lines

SIDE = 128
NOISE = 4.0


def white(seed: int, shape: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.float64]:
    return NOISE * np.random.default_rng(seed).standard_normal(shape)


def flat(shape: tuple[int, int] = (SIDE, SIDE), value: float = 100.0) -> NDArray[np.float32]:
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (64, 300), (177, 91), (256, 256)])
def test_nothing_changes_where_the_residual_is_white_noise(shape: tuple[int, int]) -> None:
    for seed in range(10):
        answer = flat(shape)
        assert with_lost_lines(answer, answer + white(seed, shape)) is answer


def test_nothing_changes_where_noise_grows_with_the_signal() -> None:
    y, x = grid(SIDE)
    light = 5 + 200 * np.exp(-((y - 60) ** 2 + (x - 50) ** 2) / 800)
    for seed in range(10):
        answer = light.astype(np.float32)
        assert with_lost_lines(answer, np.random.default_rng(seed).poisson(light)) is answer


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("strength", [0.3, 1.0, 3.0])
def test_offsets_of_rows_and_columns_are_not_given_back(axis: int, strength: float) -> None:
    for seed in range(10):
        offsets = strength * NOISE * np.random.default_rng(100 + seed).standard_normal(SIDE)
        plane = 100 + white(seed) + (offsets[:, None] if axis == 0 else offsets[None])
        gained = with_lost_lines(flat(), plane) - 100
        left = np.polyfit(offsets, gained.mean(axis=1 - axis), 1)[0]
        assert abs(left) < 0.05


@pytest.mark.parametrize("period", [5, 6, 8, 12])
@pytest.mark.parametrize("degrees", [0, 1, 3, 10, 20, 45, 90])
@pytest.mark.parametrize("contrast", [0.25, 0.75])
def test_gratings_are_given_back(period: float, degrees: float, contrast: float) -> None:
    truth = grating(period, degrees, contrast, side=SIDE)
    gained = with_lost_lines(flat(value=20), truth + white(1))
    assert np.polyfit(truth.ravel(), gained.ravel(), 1)[0] == pytest.approx(1, abs=0.15)
    assert (gained - truth).std() < 0.5 * truth.std()


def test_a_grating_is_given_back_beside_offsets_of_rows() -> None:
    truth = grating(6, 30, 0.75, side=SIDE)
    offsets = NOISE * np.random.default_rng(7).standard_normal(SIDE)
    gained = with_lost_lines(flat(value=20), truth + white(1) + offsets[:, None])
    assert np.polyfit(truth.ravel(), gained.ravel(), 1)[0] == pytest.approx(1, abs=0.15)
    assert abs(np.polyfit(offsets, gained.mean(axis=1), 1)[0]) < 0.05


@pytest.mark.parametrize("period", [2, 3, 1 / (FINE + 0.02)])
def test_what_no_optic_passes_is_not_given_back(period: float) -> None:
    _, x = grid(SIDE)
    plane = 100 + white(2) + 5 * NOISE * np.cos(2 * np.pi * x / period)
    gained = with_lost_lines(flat(), plane) - 100
    assert gained.std() < 0.1 * NOISE


def test_a_single_line_all_across_is_given_back() -> None:
    _, x = grid(SIDE)
    line = 6 * NOISE * np.exp(-((x - 50) ** 2) / 2 / 1.5**2)
    gained = with_lost_lines(flat(), 100 + line + white(3)) - 100
    assert np.polyfit(line.ravel(), gained.ravel(), 1)[0] > 0.7


@pytest.mark.xfail(strict=True, reason="some harmonics of a grid of spots are given back without the others")
def test_spots_on_a_grid_do_not_get_rings() -> None:
    """Where a network lost a tenth of their light."""
    at = np.stack(np.meshgrid(np.arange(10, 120, 16.0), np.arange(10, 120, 16.0), indexing="ij"), -1).reshape(-1, 2)
    light = spots(SIDE, at, np.full(len(at), 1000 * NOISE), 1.2)
    dark = light < 0.01 * NOISE
    gained = with_lost_lines((100 + 0.9 * light).astype(np.float32), 100 + light + white(5)) - 100
    assert gained[dark].std() < 0.2 * NOISE


def test_gain_and_offset_go_through() -> None:
    plane = grating(8, 10, 0.5, side=SIDE) + white(4)
    once = with_lost_lines(flat(value=20), plane)
    twice = with_lost_lines(flat(value=2 * 20 - 7), 2 * plane - 7)
    assert twice == pytest.approx(2 * once - 7, abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (SMALLEST - 1, 500), (500, SMALLEST - 1)])
def test_small_planes_are_left_as_they_are(shape: tuple[int, int]) -> None:
    answer = flat(shape)
    assert with_lost_lines(answer, np.zeros(shape)) is answer


def test_an_answer_of_another_size_is_left_as_it_is() -> None:
    answer = flat((2 * SIDE, 2 * SIDE))
    assert with_lost_lines(answer, np.zeros((SIDE, SIDE))) is answer


def test_an_answer_without_a_residual_is_left_as_it_is() -> None:
    answer = grating(8, 10, 0.5, side=SIDE).astype(np.float32)
    assert with_lost_lines(answer, answer) is answer


@pytest.mark.parametrize("period", [5, 6, 8])
@pytest.mark.parametrize("degrees", [0, 1, 3, 90])
def test_the_rest_of_a_grating_that_was_kept_is_given_back(period: float, degrees: float) -> None:
    """A tenth of a weak one is a weak peak, and white noise beside it looks like offsets of rows."""
    truth = grating(period, degrees, 0.25, side=256)
    answer = (20 + 0.9 * (truth - 20)).astype(np.float32)
    gained = with_lost_lines(answer, truth + white(4, truth.shape))
    assert np.polyfit(truth.ravel(), gained.ravel(), 1)[0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("axis", [0, 1])
def test_offsets_beside_a_straight_edge_are_not_given_back(axis: int) -> None:
    """The answer has every frequency across it, and more of each than was lost."""
    y, x = grid(256)
    edge = 3000 / (1 + np.exp(-np.clip(((y, x)[axis] - 120) / 1.5, -50, 50)))
    offsets = 0.5 * NOISE * np.random.default_rng(8).standard_normal(256)
    lost = offsets[:, None] if axis == 0 else offsets[None]
    answer = (100 + edge).astype(np.float32)
    gained = with_lost_lines(answer, 100 + edge + lost + white(9, edge.shape)) - answer
    assert gained.std() < 0.02 * NOISE


def test_what_an_answer_invented_is_not_given_back() -> None:
    """A network's grid is in the answer, and as strong in the residual."""
    y, _ = grid(256)
    answer = (100 + 0.8 * np.cos(2 * np.pi * y / 16)).astype(np.float32) * np.ones((1, 256), np.float32)
    for seed in range(10):
        gained = with_lost_lines(answer, 100 + white(seed, answer.shape)) - answer
        assert gained.std() < 0.02 * NOISE


def test_a_patch_of_a_grating_does_not_ring_over_the_plane() -> None:
    y, x = grid(256)
    patch = (y > 80) & (y < 120) & (x > 60) & (x < 200)
    lost = 30 * NOISE * np.where(patch, np.cos(2 * np.pi * x / 6), 0)
    gained = with_lost_lines(flat((256, 256)), 100 + lost + white(5, (256, 256))) - 100
    assert np.polyfit(lost[patch], gained[patch], 1)[0] > 0.85
    assert gained[150:].std() < 0.05 * NOISE
