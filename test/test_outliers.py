"""Isolated outliers are found by the image's own noise; noise and specimen are not taken for them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from compare.scenes import cells, exposed, grid, pixels, places, spots
from quietfield.repair.outliers import find_outliers, replaced
from quietfield.repair.repair import Findings, Repair

SCENE = exposed(cells(1, 128), 2)
MIDDLE = (slice(4, -4), slice(4, -4))
NOISES = {
    "Poisson": lambda r, mean, shape: r.poisson(mean, shape),
    "Gaussian": lambda r, mean, shape: r.normal(mean, mean**0.5, shape),
    "camera": lambda r, mean, shape: np.rint(100 + 2 * (r.poisson(mean, shape) + 1.5 * r.standard_normal(shape))),
}


def hot(share: float, seed: int = 3) -> NDArray[np.bool_]:
    """Pixels by chance, not at the border."""
    found = np.zeros(SCENE.light.shape, bool)
    found[MIDDLE] = pixels(np.random.default_rng(seed), found[MIDDLE].shape, share)
    return found


@pytest.mark.parametrize(
    ("excess", "share"),
    [
        *((excess, share) for excess in (100, 1000, 10000) for share in (1e-4, 1e-3)),
        *((excess, 1e-2) for excess in (100, 300, 1000, 10000)),
    ],
)
def test_hot_pixels_are_found_and_nothing_else(excess: float, share: float) -> None:
    assert np.array_equal(find_outliers(SCENE.plus(excess * hot(share)).counts), hot(share))


@pytest.mark.parametrize("value", [0, 4095, 65535])
def test_dead_and_stuck_pixels_are_found_and_nothing_else(value: int) -> None:
    bright = exposed(cells(1, 128, bright=3), 2).counts
    assert np.array_equal(find_outliers(np.where(hot(2e-3), value, bright)), hot(2e-3))


def test_outliers_of_both_signs_do_not_hide_each_other() -> None:
    some = hot(0.02)
    values = np.where(np.random.default_rng(4).random(some.shape) < 0.5, 0, 65535)
    assert np.array_equal(find_outliers(np.where(some, values, SCENE.counts)), some)


def test_a_square_of_four_is_found() -> None:
    plane = SCENE.noisy.copy()
    plane[40:42, 60:62] += 3000
    assert np.argwhere(find_outliers(plane)).tolist() == [[40, 60], [40, 61], [41, 60], [41, 61]]


def streaks(length: float, light: float, across: float) -> NDArray[np.float64]:
    """Straight streaks of any direction, so many counts for each pixel of their length; and how much they diffuse."""
    random = np.random.default_rng(3)
    along = np.linspace(-length / 2, length / 2, 100)
    at = []
    for place in places(random, 128, 32):
        angle = random.uniform(0, np.pi)
        at.append(place + along[:, None] * [np.sin(angle), np.cos(angle)])
    points = np.concatenate(at)
    return spots(128, points, np.full(len(points), light * length / 100), across)


@pytest.mark.parametrize("length", [4, 6, 8])
@pytest.mark.parametrize(("light", "across"), [(500, 0.05), (2000, 0.2), (4000, 0.2)])
def test_tracks_of_cosmic_rays_are_found(length: float, light: float, across: float) -> None:
    added = streaks(length, light, across)
    found = find_outliers(SCENE.plus(added).counts)
    assert added[found].sum() > 0.75 * added.sum()
    assert not found[added < 1].any()


@pytest.mark.parametrize("length", [2, 4, 8])
@pytest.mark.parametrize("light", [30, 300, 3000, 30000])
@pytest.mark.parametrize("across", [0.7, 1.0])
def test_short_filaments_are_no_tracks(length: float, light: float, across: float) -> None:
    assert not find_outliers(exposed(2 + streaks(length, light, across), 6).counts).any()


@pytest.mark.parametrize("place", [(0, 50), (127, 50), (50, 0), (1, 50), (50, 126), (0, 0), (127, 127), (0, 127)])
def test_a_hot_pixel_at_the_border_is_found(place: tuple[int, int]) -> None:
    plane = SCENE.noisy.copy()
    plane[place] += 1000
    assert np.argwhere(find_outliers(plane)).tolist() == [list(place)]


@pytest.mark.parametrize("place", [(1, 1), (126, 1), (1, 126), (126, 126)])
def test_a_hot_pixel_beside_the_corner_is_found(place: tuple[int, int]) -> None:
    plane = SCENE.noisy.copy()
    plane[place] += 1000
    assert np.argwhere(find_outliers(plane)).tolist() == [list(place)]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("value", [0.0, 400.0])
def test_a_dead_and_a_bright_line_are_found_whole(axis: int, value: float) -> None:
    plane = SCENE.noisy.copy()
    np.moveaxis(plane, axis, 0)[57] = value + (plane.mean(axis=axis) - 110 if value else 0)
    found = np.moveaxis(find_outliers(plane), axis, 0)
    assert found[57].all()
    assert not np.delete(found, 57, axis=0).any()


@pytest.mark.parametrize("mean", [0.001, 0.01, 0.1, 1, 10, 100, 1000])
@pytest.mark.parametrize("name", NOISES)
def test_noise_has_no_outliers(name: str, mean: float) -> None:
    for seed, shape in enumerate([(16, 200), (96, 96), (200, 160)]):
        assert not find_outliers(NOISES[name](np.random.default_rng(seed), mean, shape)).any()


def multiplied(mean: float, seed: int, gain: float = 10) -> NDArray[np.float64]:
    """Counts of an EMCCD: each photo-electron is multiplied by chance."""
    random = np.random.default_rng(seed)
    electrons = random.poisson(mean, (128, 128))
    gained = random.gamma(np.maximum(electrons, 1)) * (electrons > 0)
    return np.rint(100 + gain * gained + 3 * random.standard_normal(electrons.shape))


@pytest.mark.parametrize("mean", [0.1, 1, 10, 1000])
def test_the_noise_of_an_emccd_has_no_outliers(mean: float) -> None:
    assert not any(find_outliers(multiplied(mean, seed)).any() for seed in range(3))


@pytest.mark.parametrize("gain", [5, 10, 20, 40])
@pytest.mark.parametrize("mean", [0.001, 0.003, 0.01, 0.03])
def test_single_photons_of_an_emccd_are_no_outliers(mean: float, gain: float) -> None:
    assert not any(find_outliers(multiplied(mean, seed, gain)).any() for seed in range(6))


def test_hot_pixels_far_above_the_noise_are_outliers_where_there_is_no_light() -> None:
    plane = np.rint(np.random.default_rng(2).normal(100, 3, (128, 128))) + 200.0 * hot(1e-3)
    assert np.array_equal(find_outliers(plane), hot(1e-3))


@pytest.mark.parametrize("photons", [30, 100, 1000, 10000])
@pytest.mark.parametrize("sigma", [1.0, 1.3])
@pytest.mark.parametrize("background", [0.05, 2.0, 50.0])
def test_points_of_light_are_no_outliers(photons: float, sigma: float, background: float) -> None:
    at = places(np.random.default_rng(5), 160, 19)
    scene = exposed(background + spots(160, at, np.full(len(at), float(photons)), sigma), 6)
    assert not find_outliers(scene.counts).any()


@pytest.mark.parametrize("height", [20, 40, 250])
def test_lines_one_pixel_wide_are_no_outliers(height: float) -> None:
    y, x = grid(128)
    for mask in (x % 32 == 16, y % 32 == 16, (x - y) % 40 == 0, (2 * x + y) % 90 == 0):
        found = find_outliers(exposed(4 + height * mask.astype(float), 7).counts)
        assert not found[8:-8, 8:-8].any()


@pytest.mark.xfail(strict=True, reason="its noise is too little above the background's to tell it from a bad column")
def test_dim_lines_one_pixel_wide_are_no_bad_columns() -> None:
    _, x = grid(128)
    assert not any(find_outliers(exposed(4 + 10.0 * (x % 32 == 16), seed).counts).any() for seed in range(8))


@pytest.mark.parametrize("degrees", [10, 20, 35, 55, 110, 160])
@pytest.mark.parametrize("height", [80, 250, 2000])
def test_lines_one_pixel_wide_of_any_direction_are_no_outliers(degrees: float, height: float) -> None:
    y, x = grid(128)
    across = x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))
    broad = max(abs(np.cos(np.deg2rad(degrees))), abs(np.sin(np.deg2rad(degrees))))
    line = np.abs((across % 50) - 25) < 0.5 * broad
    assert not find_outliers(exposed(4 + height * line.astype(float), 7).counts).any()


def test_oblique_lines_have_no_outliers_at_the_border() -> None:
    y, x = grid(128)
    assert not find_outliers(exposed(20 + 250 * ((y - 2 * x) % 90 == 0).astype(float), 7).counts).any()


@pytest.mark.parametrize(
    ("gain", "offset"),
    [
        *((1e-3, 0), (3.7, -500), (1e4, 1e7), (0.5, 1e7), (1e-12, 0), (1e12, 1)),
        *((1e-20, 0), (1e20, 0)),
    ],
)
def test_gain_and_offset_change_nothing_of_what_is_found(gain: float, offset: float) -> None:
    plane = np.where(hot(3e-3), 0, SCENE.noisy)
    plane[hot(2e-3, seed=9)] += 900
    found = find_outliers(plane)
    assert found.sum() > 60
    assert np.array_equal(find_outliers(gain * plane + offset), found)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64"])
def test_any_type_of_numbers(dtype: str) -> None:
    plane = np.random.default_rng(0).poisson(20, (64, 64))
    plane[20, 30], plane[40, 11] = 250, 255
    assert np.argwhere(find_outliers(plane.astype(dtype))).tolist() == [[20, 30], [40, 11]]


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8"])
def test_either_order_of_bytes(dtype: str) -> None:
    plane = SCENE.plus(1000 * hot(1e-3)).counts.astype(dtype)
    assert np.array_equal(find_outliers(plane), hot(1e-3))


@pytest.mark.parametrize("shape", [(n, m) for n in (1, 2, 3, 7) for m in (1, 5, 7, 40)])
def test_of_tiny_planes_nothing_is_said(shape: tuple[int, int]) -> None:
    plane = np.full(shape, 3.0)
    plane[0, 0] = 1e6
    assert not find_outliers(plane).any()


@pytest.mark.parametrize("value", [0, 7, 1e7, -1e30])
@pytest.mark.parametrize("shape", [(8, 8), (9, 64), (100, 100)])
def test_a_constant_plane_has_none(value: float, shape: tuple[int, int]) -> None:
    assert not find_outliers(np.full(shape, value)).any()


def test_replaced_is_the_median_of_the_neighbours() -> None:
    plane = np.arange(49.0).reshape(7, 7)
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = mask[0, 0] = True
    plane[mask] = 1e9
    result = replaced(plane, mask)
    assert result[3, 3] == 24
    assert 1 <= result[0, 0] <= 8
    assert np.array_equal(result[~mask], plane[~mask])
    assert plane[3, 3] == 1e9, "the plane itself is left alone"


def test_replaced_fills_a_large_area_from_its_edge() -> None:
    plane = np.full((40, 40), 5.0)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    plane[mask] = -1e9
    assert (replaced(plane, mask) == 5).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_plane_without_any_number_stays(bad: float) -> None:
    plane = np.full((32, 32), bad)
    repaired = Repair()(plane, findings := Findings())
    assert np.isfinite(repaired.plane).all()
    assert np.array_equal(repaired.restored(np.zeros((32, 32), np.float32)), plane, equal_nan=True)
    assert (findings.invalid, findings.bright, findings.dark) == (32 * 32, 0, 0)


@pytest.mark.parametrize(("outliers", "shown", "answered"), [("auto", 115, 1), ("keep", 115, 5000), ("off", 5000, 1)])
def test_outliers_are_replaced_kept_or_left(outliers: str, shown: float, answered: float) -> None:
    plane = np.random.default_rng(0).normal(115, 3, (64, 64))
    plane[30, 31] = 5000
    repaired = Repair(outliers)(plane)
    assert repaired.plane[30, 31] == pytest.approx(shown, abs=6)
    assert repaired.restored(np.ones((64, 64), np.float32))[30, 31] == answered


def test_an_unknown_choice_is_named() -> None:
    with pytest.raises(ValueError, match="outliers: expected auto, keep, off, found 'yes'"):
        Repair("yes")


@pytest.mark.parametrize(("ring", "peak"), [(1.9, 3000), (2.1, 300), (2.1, 1000), (2.4, 1000), (2.6, 10000)])
def test_points_of_a_real_optic_are_no_outliers(ring: float, peak: float) -> None:
    """Airy patterns, by the radius of their first dark ring in pixels: sharper than a Gaussian of one pixel."""
    y, x = grid(128)
    light = np.full((128, 128), 3.0)
    for cy, cx in np.random.default_rng(4).uniform(8, 120, (12, 2)):
        r = np.maximum(np.hypot(y - cy, x - cx), 1e-6) * 3.8317 / ring
        light += peak * (2 * special.j1(r) / r) ** 2
    assert not find_outliers(exposed(light, 5).counts).any()
