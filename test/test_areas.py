"""Areas of one value that are no measurement: borders, saturated and burnt-in ones; never noise or the specimen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from compare.scenes import cells, exposed, grid, places, rotated_frame, soft_text, spots, text
from quietfield.repair.areas import _opened, find_areas
from quietfield.repair.repair import Findings, Repair

SIDE = 128
SCENE = exposed(cells(1, SIDE), 2)
Y, X = grid(SIDE)
EDGE = np.minimum(np.minimum(Y, X), np.minimum(SIDE - 1 - Y, SIDE - 1 - X))
BORDERS = {
    "rows": Y < 20,
    "two sides": (Y < 11) | (SIDE - 16 <= X),
    "3 pixels": X < 3,
    "3 pixels all round": EDGE < 3,
    "40 % of the width": 0.4 * SIDE > X,
    "60 % of the height": 0.6 * SIDE > Y,
    "a corner": Y + 0.6 * X < 50,
}


def found(plane: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Pixels of all areas."""
    return np.any([np.zeros(plane.shape, bool), *(area.mask for area in find_areas(plane))], axis=0)


@pytest.mark.parametrize("name", BORDERS)
@pytest.mark.parametrize("value", [0, 113, 65535])
def test_a_constant_border_is_found_and_nothing_else(name: str, value: int) -> None:
    mask = BORDERS[name]
    plane = np.where(mask, value, SCENE.counts)
    areas = find_areas(plane)
    assert [area.value for area in areas] == [value]
    assert areas[0].border or (value, name) == (65535, "a corner"), "no side of the plane is all white"
    assert areas[0].sharp
    assert areas[0].mask[mask].all()
    beside = areas[0].mask & ~mask
    assert beside.sum() <= 0.01 * SIDE * SIDE, "pixels beside it that have its value by chance"


def test_a_small_picture_in_a_large_frame_is_found() -> None:
    mask = 0.9 * SIDE > Y
    assert np.array_equal(found(np.where(mask, 0, SCENE.counts)), mask)


@pytest.mark.parametrize("mask", [X < 2, EDGE < 2, SIDE - 2 <= Y], ids=["left", "all round", "below"])
def test_a_border_of_two_pixels_is_found(mask: NDArray[np.bool_]) -> None:
    assert np.array_equal(found(np.where(mask, 0, SCENE.counts)), mask)


@pytest.mark.parametrize("mask", [X < 1, EDGE < 1, SIDE - 1 <= Y], ids=["left", "all round", "below"])
@pytest.mark.parametrize("value", [0, 255])
def test_a_border_of_a_single_pixel_is_found_and_kept(mask: NDArray[np.bool_], value: int) -> None:
    for counts in (SCENE.counts.clip(0, 250), np.random.default_rng(0).poisson(3 + cells(1, SIDE))):
        plane = np.where(mask, value, counts)
        (area,) = (area for area in find_areas(plane) if area.border)
        assert np.array_equal(area.mask, mask)
        repaired = Repair()(plane, findings := Findings())
        assert np.array_equal(repaired.restored(np.full((SIDE, SIDE), -1.0)) >= 0, mask)
        assert not findings.bright + findings.dark


def test_an_empty_row_of_few_photons_is_no_border() -> None:
    plane = np.random.default_rng(0).poisson(0.05, (SIDE, SIDE))
    plane[0] = 0
    assert not find_areas(plane)


@pytest.mark.parametrize("side", [2, 3, 5, 9])
def test_what_squares_cover_is_inside(side: int) -> None:
    mask = np.zeros((40, 40), bool)
    mask[5 : 5 + side, 20 : 20 + 2 * side] = True
    opened = _opened(mask, side)
    assert np.array_equal(opened, mask)


@pytest.mark.parametrize("degrees", [12, 30, 45])
def test_a_turned_frame_is_found(degrees: float) -> None:
    mask = rotated_frame(SIDE, degrees)
    got = found(np.where(mask, 0, SCENE.counts))
    assert not (got & ~mask).any()
    assert (mask & ~got).sum() <= 0.01 * mask.sum()


@pytest.mark.parametrize("degrees", [3, 7])
def test_the_thin_ends_of_a_frame_that_is_little_turned_are_found(degrees: float) -> None:
    mask = rotated_frame(256, degrees)
    plane = np.where(mask, 0, exposed(cells(1), 2).counts)
    assert np.array_equal(found(plane), mask)


def test_the_words_for_borders() -> None:
    plane = np.where(BORDERS["two sides"], 0, SCENE.counts)
    assert find_areas(plane)[0].words() == "a constant border of 11 rows and 16 columns (value 0)"
    plane = np.where(BORDERS["a corner"], 0, SCENE.counts)
    assert find_areas(plane)[0].words() == "a constant border of 13 % of the plane (value 0)"


def test_saturated_cells_are_no_border_and_stay_in_sight() -> None:
    light = cells(3, SIDE, bright=100) + 9000 * np.exp(-((Y - 60) ** 2 + (X - 70) ** 2) / 200)
    plane = exposed(light, 4).counts.clip(0, 4095)
    areas = find_areas(plane)
    assert [(area.value, area.border, area.brightest, area.sharp) for area in areas] == [(4095, False, True, False)]
    assert (plane[areas[0].mask] == 4095).all()


def test_a_scale_bar_ends_in_a_step() -> None:
    bar = (abs(Y - 110) < 3) & (abs(X - 90) < 25)
    for value in (65535, 255):
        (area,) = find_areas(np.where(bar, value, SCENE.counts.clip(0, 250)))
        assert (area.border, area.brightest, area.sharp) == (False, True, True)
        assert np.array_equal(area.mask, bar)


def test_letters_are_found() -> None:
    word = text(SIDE, "SCALE", (20, 10), 3)
    assert np.array_equal(found(np.where(word, 65535, SCENE.counts)), word)


def test_letters_of_two_pixels_are_found() -> None:
    word = text(SIDE, "SCALE", (20, 10), 2)
    assert np.array_equal(found(np.where(word, 65535, SCENE.counts)), word)


@pytest.mark.parametrize(
    ("quarters", "value"),
    [*((quarters, value) for quarters in (7, 10, 11, 14) for value in (65535, 4095)), (10, 255), (14, 255)],
)
def test_letters_with_soft_edges_are_found(quarters: int, value: int) -> None:
    word = soft_text(SIDE, "SCALE"[: 120 // (7 * quarters // 4)], (20, 10), quarters)
    plane = np.rint(SCENE.counts + word * (value - SCENE.counts.astype(np.float64)))
    got = found(plane)
    assert got[word >= 0.5].all()
    assert got[word > 0].mean() > 0.9
    assert (got & (word == 0)).sum() <= 0.01 * got.sum()
    assert [area.sharp for area in find_areas(plane)] == [True]


def test_a_bar_with_soft_edges_is_found_beside_saturated_cells() -> None:
    bar = np.clip(np.minimum(6.3 - abs(Y - 110), 30.7 - abs(X - 60)), 0, 1)
    cell = 9000 * np.exp(-((Y - 40) ** 2 + (X - 70) ** 2) / 200)
    plane = np.where(bar > 0, 110 + bar * (4095 - 110), exposed(cells(3, SIDE) + cell, 4).counts.clip(0, 4095))
    got = np.any([area.mask for area in find_areas(plane) if area.sharp], axis=0)
    assert got[bar > 0].all()


@pytest.mark.parametrize("over", [1.2, 1.5, 3.0, 10.0])
@pytest.mark.parametrize("most", [65535, 4095, 255])
def test_saturated_points_of_light_are_not_burnt_in(over: float, most: int) -> None:
    at = places(np.random.default_rng(71), SIDE, 21)
    light = spots(SIDE, at, np.full(len(at), over * most / 1.7 * 2 * np.pi), 1.0)
    plane = exposed(cells(3, SIDE) + light, 4).counts.clip(0, most)
    assert not any(area.sharp for area in find_areas(plane))


@pytest.mark.parametrize("mean", [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 1000])
def test_noise_has_no_areas(mean: float) -> None:
    """Nearly all pixels are 0 at the low end, and still each of them is a measurement."""
    for seed, shape in enumerate([(16, 200), (96, 96), (200, 160)]):
        random = np.random.default_rng(seed)
        counts = random.poisson(mean, shape)
        gained = random.gamma(np.maximum(counts, 1)) * (counts > 0)
        read = random.standard_normal(shape)
        for plane in (
            counts,
            counts.clip(0, 255).astype(np.uint8),
            np.rint(100 + 2 * counts + 3 * read),
            np.rint(100 + 10 * gained + 3 * read),
            np.rint(random.normal(mean, mean**0.5, shape)),
            random.normal(mean, mean**0.5, shape),
        ):
            assert not find_areas(plane)


@pytest.mark.parametrize("steps", [1, 4, 16])
def test_a_smooth_picture_in_few_steps_has_none(steps: float) -> None:
    assert not find_areas(np.rint(steps * (3 + np.sin(Y / 20) * np.cos(X / 25))))


def test_a_dark_background_without_noise_is_none() -> None:
    """Counts of photons, clipped below: zero is what is measured there."""
    counts = np.random.default_rng(0).poisson(cells(5, SIDE) - 2.4)
    assert not find_areas(counts.astype(np.uint16))


@pytest.mark.parametrize(("gain", "offset"), [(1e-3, 0), (3.5, -500), (-2, 10), (4, 1e7), (2.0**-70, 0), (2.0**60, 0)])
def test_gain_and_offset_change_nothing_of_what_is_found(gain: float, offset: float) -> None:
    bar = (abs(Y - 100) < 3) & (abs(X - 90) < 25)
    plane = np.where(bar, 300, np.where(BORDERS["a corner"], 0, SCENE.counts)).astype(np.float64)
    mask = found(plane)
    assert mask.sum() > 300
    assert np.array_equal(found(gain * plane + offset), mask)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", ">u2", "uint32", "float16", "float32", "float64"])
def test_any_type_of_numbers(dtype: str) -> None:
    plane = np.where(BORDERS["a corner"], 0, SCENE.counts.clip(0, 250)).astype(dtype)
    assert np.array_equal(found(plane), BORDERS["a corner"])


@pytest.mark.parametrize("shape", [(n, m) for n in range(1, 8) for m in (1, 2, 5, 7)])
def test_tiny_planes(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for plane in (random.poisson(1, shape), random.normal(1e7, 1, shape), np.full(shape, np.nan), np.zeros(shape)):
        repaired = Repair()(plane, Findings())
        assert np.isfinite(repaired.plane).all()
        answer = repaired.restored(np.ones(shape, np.float32))
        assert answer.shape == shape
        assert np.array_equal(np.isnan(answer), np.isnan(plane))


@pytest.mark.parametrize("value", [0, 5, 1e7, -1e30, np.nan, np.inf])
def test_a_plane_of_one_value_has_none_and_stays(value: float) -> None:
    plane = np.full((64, 64), value)
    assert not find_areas(plane)
    repaired = Repair()(plane)
    if np.isfinite(value):
        assert np.array_equal(repaired.plane, plane)
    else:
        assert np.array_equal(repaired.restored(np.ones((64, 64), np.float32)), plane, equal_nan=True)


def test_invalid_pixels_stay_or_are_filled_in() -> None:
    plane = np.where(BORDERS["rows"], np.nan, SCENE.noisy)
    plane[60, 60] = np.inf
    answer = np.ones((SIDE, SIDE), np.float32)
    kept = Repair()(plane, findings := Findings())
    assert np.array_equal(np.isfinite(kept.restored(answer)), np.isfinite(plane))
    assert np.isfinite(kept.plane).all()
    assert findings.invalid == 20 * SIDE + 1
    assert np.isfinite(Repair(fill_invalid=True)(plane).restored(answer)).all()


def test_a_border_of_zeros_beside_invalid_pixels_is_put_back() -> None:
    plane = np.where(BORDERS["rows"], 0, SCENE.noisy)
    plane[:, -9:] = np.nan
    restored = Repair()(plane).restored(np.ones((SIDE, SIDE), np.float32))
    assert (restored[:20, :-9] == 0).all()
    assert np.isnan(restored[:, -9:]).all()
    assert (restored[20:, :-9] == 1).all()


def test_what_is_kept_is_enlarged_with_an_answer_that_is() -> None:
    repaired = Repair()(np.where(BORDERS["rows"], 0, SCENE.counts))
    restored = repaired.restored(np.ones((2 * SIDE, 2 * SIDE), np.float32))
    assert not restored[:40].any()
    assert restored[40:].all()
