"""Pixels that are no measurement are filled with the picture beside them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from compare.scenes import grid, pixels, rotated_frame
from quietfield.repair.fill import filled

SIDE = 96
Y, X = grid(SIDE)
MASKS = {
    "a border": Y < 20,
    "most of it": X > 10,
    "a turned frame": rotated_frame(SIDE, 15),
    "a hole": (abs(Y - 40) < 12) & (abs(X - 60) < 9),
    "single pixels": pixels(np.random.default_rng(0), (SIDE, SIDE), 0.02),
    "a corner": Y + X < 70,
    "all round": np.minimum(np.minimum(Y, X), np.minimum(SIDE - 1 - Y, SIDE - 1 - X)) < 3,
}


def noise(seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(50, 4, (SIDE, SIDE))


@pytest.mark.parametrize("name", MASKS)
def test_what_fills_is_the_picture_and_nothing_else_changes(name: str) -> None:
    mask, plane = MASKS[name], noise()
    spoilt = np.where(mask, np.nan, plane)
    result = filled(spoilt, mask)
    assert np.array_equal(result[~mask], plane[~mask])
    assert np.isin(result[mask], plane[~mask]).all(), "every value is one of a pixel that is not masked"
    assert np.array_equal(np.isnan(spoilt), mask), "the plane itself is left alone"


@pytest.mark.parametrize("name", ["a border", "a turned frame", "a hole", "a corner"])
def test_the_noise_goes_on(name: str) -> None:
    """A smooth filling would tell the network that there is no noise."""
    mask, plane = MASKS[name], noise()
    result = filled(plane, mask)
    assert result[mask].std() == pytest.approx(4, rel=0.15)
    assert np.diff(result, axis=1)[mask[:, 1:]].std() == pytest.approx(4 * 2**0.5, rel=0.2)


def test_a_border_is_the_mirror_image() -> None:
    plane = noise()
    result = filled(plane, Y < 20)
    assert np.array_equal(result[:20], plane[39:19:-1])
    assert np.array_equal(filled(plane.T, Y.T < 20), result.T)


def test_a_ramp_goes_on_without_a_step() -> None:
    ramp = X * 3.0
    result = filled(np.where(X < 30, 1e9, ramp), X < 30)
    assert abs(np.diff(result, axis=1)).max() == 3


@pytest.mark.parametrize("place", [(0, 0), (40, 50), (95, 3)])
def test_a_single_pixel_that_is_left_fills_the_plane(place: tuple[int, int]) -> None:
    mask = np.ones((SIDE, SIDE), bool)
    mask[place] = False
    plane = noise()
    assert (filled(plane, mask) == plane[place]).all()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_the_type_of_the_numbers_stays(dtype: str) -> None:
    plane = noise().astype(dtype)
    assert filled(plane, MASKS["a hole"]).dtype == plane.dtype


@pytest.mark.parametrize(("gain", "offset"), [(2.0, 0.0), (-3.0, 100.0), (0.5, 1e7)])
def test_gain_and_offset_go_through(gain: float, offset: float) -> None:
    mask, plane = MASKS["a turned frame"], np.rint(noise())
    assert np.array_equal(filled(gain * plane + offset, mask), gain * filled(plane, mask) + offset)


def test_without_a_mask_nothing_happens() -> None:
    assert np.array_equal(filled(noise(), np.zeros((SIDE, SIDE), bool)), noise())


@pytest.mark.parametrize("shape", [(n, m) for n in (1, 2, 3, 7) for m in (1, 2, 7)])
def test_tiny_planes(shape: tuple[int, int]) -> None:
    plane = np.arange(float(np.prod(shape))).reshape(shape)
    mask = plane > 0
    assert (filled(plane, mask) == 0).all()
