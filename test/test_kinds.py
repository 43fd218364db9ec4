"""What a microscope adds does not spoil the rest of an image, and the specimen is not taken for it; kind by kind.

`make kinds` measures all of them, with more cases.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

import quietfield
from compare.bench import OUTSIDE, Bench, Limit, ratio, rms, slope
from compare.kinds import KINDS, table, text_of
from compare.kinds import Row as Value
from compare.scenes import (
    GAIN,
    OFFSET,
    Mask,
    Scene,
    cells,
    exposed,
    grating,
    grid,
    grown,
    pixels,
    places,
    rotated_frame,
    spots,
)

ROOT = Path(__file__).resolve().parents[1]
SIDE = 128
Y, X = grid(SIDE)
CORE = (slice(8, -8), slice(8, -8))
Counts = NDArray[np.uint16]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(quietfield.load(device="cpu"))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return exposed(cells(1, SIDE), 2)


@pytest.fixture(scope="module")
def plain(bench: Bench, scene: Scene) -> NDArray[np.float64]:
    return bench(scene.counts)


def _hot(share: float, value: float | None = None, excess: float = 0) -> Callable[[Counts], tuple[NDArray, Mask]]:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[CORE] = pixels(np.random.default_rng(3), mask[CORE].shape, share)
    return lambda image: (np.where(mask, image + excess if value is None else value, image), mask)


def _salt_and_pepper(image: Counts) -> tuple[NDArray, Mask]:
    values = np.where(np.random.default_rng(4).random(image.shape) < 0.5, 0, 65535)
    return np.where(mask := _hot(0.01)(image)[1], values, image), mask


def _squares(image: Counts) -> tuple[NDArray, Mask]:
    mask = np.zeros(image.shape, bool)
    for y, x in np.random.default_rng(5).integers(8, SIDE - 10, (12, 2)):
        mask[y : y + 2, x : x + 2] = True
    return image + 3000.0 * mask, mask


def _of(mask: Mask, value: float) -> Callable[[Counts], tuple[NDArray, Mask]]:
    return lambda image: (np.where(mask, value, image), mask)


REPLACED = {
    "hot pixels, 0.1 %": _hot(1e-3, excess=1000),
    "hot pixels, 1 %": _hot(1e-2, excess=10000),
    "hot pixels, up to 1e7": _hot(1e-3, value=1e7),
    "dead pixels": _hot(1e-3, value=0),
    "salt and pepper": _salt_and_pepper,
    "squares of four": _squares,
    "a dead column": _of(X == 71, 0),
    "a bright row": lambda image: (image + 300.0 * (Y == 40), Y == 40),
}
KEPT = {
    "a black border": _of((Y < 20) | (SIDE - 30 <= X), 0),
    "a white border": _of(X < 25, 65535),
    "a border of the background's value": _of(Y < 30, 114),
    "a black corner": _of(Y + 0.7 * X < 45, 0),
    "a black frame": _of(rotated_frame(SIDE, 20), 0),
    "a frame of NaN": _of(rotated_frame(SIDE, 20), np.nan),
    "a border of NaN": _of(Y < 25, np.nan),
    "infinite columns": _of(SIDE - 12 <= X, np.inf),
    "holes of NaN": _of(pixels(np.random.default_rng(6), (SIDE, SIDE), 0.01), np.nan),
    "a scale bar": _of((abs(Y - 115) < 3) & (abs(X - 95) < 20), 65535),
}


@pytest.mark.parametrize("name", REPLACED)
def test_outliers_are_replaced_and_the_rest_is_as_without(name: str, bench: Bench, scene: Scene, plain: Counts) -> None:
    image, mask = REPLACED[name](scene.counts)
    answer = bench(image.astype(np.float32))
    assert ratio(answer, plain, scene.truth, ~mask) <= OUTSIDE.high
    assert rms((answer - scene.truth)[mask]) < 0.6 * scene.noise
    assert bench.found() == mask.sum()
    assert any("isolated outliers" in words for _, words in bench.report.lines())


@pytest.mark.parametrize("name", KEPT)
def test_what_is_no_measurement_stays_and_the_rest_is_as_without(
    name: str, bench: Bench, scene: Scene, plain: Counts
) -> None:
    image, mask = KEPT[name](scene.counts)
    answer = bench(image.astype(np.float32))
    assert np.array_equal(answer[mask], image[mask], equal_nan=True)
    assert np.isfinite(answer[~mask]).all()
    assert ratio(answer, plain, scene.truth, ~mask) <= OUTSIDE.high


def test_a_border_does_not_depend_on_the_offset(bench: Bench, scene: Scene, plain: Counts) -> None:
    mask = Y + 0.7 * X < 45
    answer = bench(np.where(mask, 0, scene.counts + 3000).astype(np.uint16)) - 3000
    assert ratio(answer, plain, scene.truth, ~mask) <= OUTSIDE.high


def test_what_is_saturated_stays_so(bench: Bench) -> None:
    scene = exposed(cells(7, SIDE, bright=100) + 9000 * np.exp(-((Y - 60) ** 2 + (X - 70) ** 2) / 200), 8)
    image = scene.counts.clip(0, 4095)
    answer = bench(image)
    assert (answer[ndimage.binary_erosion(image == 4095, np.ones((5, 5)))] == 4095).all()
    far = ~grown(image == 4095, 3)
    assert ratio(answer, bench(scene.counts), scene.truth, far) <= OUTSIDE.high


def test_hot_pixels_no_brighter_than_noise_are_told_by_a_stack(bench: Bench) -> None:
    light = np.repeat(cells(9, 64)[None], 12, 0)
    scene, hot = exposed(light, 10), np.zeros((64, 64), bool)
    hot[[20, 33, 50], [30, 11, 45]] = True
    answer = bench(scene.plus(6 * scene.noise * hot).counts, "TYX")
    assert abs((answer - scene.truth).mean(axis=0)[hot].mean()) < 0.1 * 6 * scene.noise


@pytest.mark.parametrize("photons", [20, 100, 500])
@pytest.mark.parametrize("size", [2.0, 3.0])
def test_dense_texture_is_not_taken_for_noise(photons: float, size: float, bench: Bench) -> None:
    grain = ndimage.gaussian_filter(np.random.default_rng(21).standard_normal((256, 256)), size, mode="wrap")
    scene = exposed(photons * (1 + 0.3 * grain / grain.std()).clip(0.05), 22)
    assert slope(bench(scene.counts), scene.truth) == pytest.approx(1, abs=0.06)


def _beads(photons: float, sigma: float) -> tuple[NDArray[np.int64], Scene]:
    at = places(np.random.default_rng(11), 160, 21)
    light = 2 + spots(160, at, np.full(len(at), photons), sigma)
    return np.rint(at).astype(int), exposed(light, 12)


def _fluxes(image: NDArray[np.generic], corners: NDArray[np.int64]) -> NDArray[np.float64]:
    electrons = (image - OFFSET) / GAIN - 2
    return np.array([electrons[y - 4 : y + 5, x - 4 : x + 5].sum() for y, x in corners])


@pytest.mark.parametrize("sigma", [1.0, 1.3])
@pytest.mark.parametrize("photons", [100, 1000, 10000])
def test_beads_keep_their_light_and_their_number(photons: float, sigma: float, bench: Bench) -> None:
    corners, scene = _beads(photons, sigma)
    answer = bench(scene.counts)
    after, before = _fluxes(answer, corners), _fluxes(scene.counts, corners)
    assert bench.found() == 0
    assert after.sum() / before.sum() == pytest.approx(1, abs=0.08 if photons < 1000 else 0.05)
    assert (after > photons / 2).sum() >= 0.95 * (before > photons / 2).sum()
    assert photons < 1000 or after / before == pytest.approx(np.ones(len(before)), abs=0.06)


@pytest.mark.parametrize("mean", [0.01, 0.03, 0.1, 0.3, 1, 3, 10])
def test_the_mean_of_a_plane_is_kept(mean: float, bench: Bench) -> None:
    light = cells(13, SIDE)
    image = np.random.default_rng(14).poisson(mean * light / light.mean()).astype(np.uint8)
    assert bench(image).mean() == pytest.approx(image.mean(), rel=0.005)
    assert bench.found() == 0


def test_single_counts_are_no_outliers(bench: Bench) -> None:
    image = np.random.default_rng(15).poisson(0.03, (SIDE, SIDE)).clip(0, 1).astype(np.uint8)
    assert bench(image).sum() == pytest.approx(image.sum(), rel=0.005)
    assert bench.found() == 0


@pytest.mark.parametrize("height", [40, 250])
def test_lines_one_pixel_wide_keep_their_light(height: float, bench: Bench) -> None:
    mask = X % 32 == 16
    scene = exposed(4 + height * mask.astype(float), 16)
    answer = bench(scene.counts)
    assert (answer.sum() - scene.truth.min() * answer.size) == pytest.approx(
        scene.counts.sum() - scene.truth.min() * answer.size, rel=0.05
    )
    assert (answer - scene.truth.min())[mask].mean() > 0.5 * GAIN * height
    assert bench.found() == 0


@pytest.mark.parametrize("edge", ["sharp", "gradual"])
@pytest.mark.parametrize("bright", [300, 3000])
def test_a_dim_half_is_denoised_as_if_it_were_alone(bright: float, edge: str, bench: Bench) -> None:
    light = bright * ((X < 60).astype(float) if edge == "sharp" else 1 / (1 + np.exp((X - 50) / 5)))
    scene = exposed(cells(17, SIDE) + light, 18)
    first = int(np.flatnonzero((light < 1).all(axis=0))[0])
    error = (bench(scene.noisy) - scene.truth)[:, first:]
    alone = bench(scene.noisy[:, first:]) - scene.truth[:, first:]
    assert rms(error) <= OUTSIDE.high * rms(alone)


@pytest.mark.parametrize("bright", [1000, 10000])
def test_debris_does_not_spoil_what_is_far_from_it(bright: float, bench: Bench) -> None:
    distance, dim = np.hypot(Y - 90, X - 90), cells(17, SIDE)
    scene = exposed(dim + ndimage.gaussian_filter(bright * (distance < 14.0), 1.3), 18)
    other = exposed(dim, 18)
    far = distance > 35
    error, usual = (rms((bench(s.noisy) - s.truth)[far]) for s in (scene, other))
    assert error <= OUTSIDE.high * usual


def test_a_vignette_is_not_torn(bench: Bench) -> None:
    y, x = grid(256)
    shade = np.exp(-((y - 100) ** 2 + (x - 100) ** 2) / 2 / 75**2)
    scene = exposed(1 + 40 * cells(151) * shade, 153)
    corner = (slice(168, None), slice(168, None))
    alone = rms(bench(scene.noisy[corner]) - scene.truth[corner])
    assert rms((bench(scene.noisy) - scene.truth)[corner]) <= OUTSIDE.high * alone


def test_a_bright_specimen_is_denoised_as_well_as_one_of_a_third_of_its_light(bench: Bench) -> None:
    left = []
    for bright in (30, 100):
        scene = exposed(cells(5, SIDE, bright=bright), 8)
        left.append(rms(bench(scene.noisy) - scene.truth) / scene.noise)
    assert left[1] <= OUTSIDE.high * left[0]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_offsets_of_rows_and_columns_fall_tenfold(axis: int, strength: float, bench: Bench, scene: Scene) -> None:
    drawn = strength * scene.noise * np.random.default_rng(21).standard_normal(SIDE)
    answer = bench(scene.plus(np.broadcast_to(drawn[:, None] if axis == 0 else drawn, scene.light.shape)).counts)
    left = (answer - scene.truth).mean(axis=1 - axis)
    assert abs(np.polyfit(drawn, left, 1)[0]) <= 0.1


@pytest.mark.parametrize("degrees", [0, 3, 20])
@pytest.mark.parametrize("period", [5, 6, 8, 12])
def test_gratings_stay(period: float, degrees: float, bench: Bench) -> None:
    scene = exposed(grating(period, degrees, 0.75, side=SIDE), 22)
    assert slope(bench(scene.counts), scene.truth) == pytest.approx(1, abs=0.07)


def test_lines_of_kymographs_sarcomeres_and_channels_stay(bench: Bench) -> None:
    at = np.array([9.0, 17, 22, 31, 38, 46, 55])
    lines = (30 * np.exp(-((np.arange(64) - at[:, None]) ** 2) / 2 / 1.2**2)).sum(axis=0)
    sarcomeres = (20 + 15 * np.sin(2 * np.pi * X / 9)) * (0.4 + 0.6 * (np.sin(Y / 9) > 0))
    walls = 4 + 25 * ((X % 30) < 12)
    for light in (np.tile(3 + lines, (256, 1)), sarcomeres, walls):
        scenes = [exposed(light, seed) for seed in (23, 24, 25)]
        assert np.mean([slope(bench(one.counts), one.truth) for one in scenes]) == pytest.approx(1, abs=0.05)


def test_classes_of_brightness_keep_their_means(bench: Bench) -> None:
    light = cells(24, SIDE)
    scene = exposed(30 * light / light.mean(), 25)
    answer = bench(scene.noisy)
    for chosen in np.array_split(np.argsort(light.ravel()), 10):
        got, had = ((image.ravel()[chosen] - OFFSET).mean() for image in (answer, scene.noisy))
        assert got == pytest.approx(had, rel=0.03)


@pytest.mark.parametrize("beginning", ["blank", "dark"])
@pytest.mark.parametrize("first", [3, 5])
def test_a_stack_may_begin_blank_or_in_the_dark(first: int, beginning: str, bench: Bench) -> None:
    count, side = 14, 64
    scene = exposed(np.repeat(cells(26, side)[None], count, 0), 27)
    dark = exposed(np.full((first, side, side), 0.3), 28).counts
    still = bench(scene.counts, "TYX")[first:]
    assert bench.together() == 1
    answer = bench(np.concatenate([dark if beginning == "dark" else 0 * dark, scene.counts[first:]]), "TYX")[first:]
    assert bench.together() == 1
    assert ratio(answer, still, scene.truth[first:], np.ones(still.shape, bool)) <= OUTSIDE.high


def test_row_noise_in_the_second_channel_alone(bench: Bench) -> None:
    count, side = 4, SIDE
    one, two = (exposed(np.repeat(cells(seed, side)[None], count, 0), seed) for seed in (29, 30))
    drawn = two.noise * np.random.default_rng(31).standard_normal((count, side, 1))
    striped = two.plus(np.broadcast_to(drawn, two.light.shape))
    answer = bench(np.stack([one.counts, striped.counts], 1), "TCYX")
    assert np.array_equal(answer[:, 0], bench(one.counts, "TYX"))
    left = (answer[:, 1] - two.truth).mean(axis=2)
    assert abs(np.polyfit(drawn.ravel(), left.ravel(), 1)[0]) <= 0.1


def test_every_kind_has_its_values_and_limits() -> None:
    """Those of the file that the documentation quotes are the cases of the code."""
    with (ROOT / "docs" / "kinds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(dict.fromkeys(row["kind"] for row in rows)) == list(KINDS)
    assert list(rows[0]) == ["kind", "case", "measure", "value", "limit"]
    assert len({(row["kind"], row["case"], row["measure"]) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("limit", "words", "well", "ill"),
    [
        (Limit(high=1.3), "at most 1.3", 1.3, 1.31),
        (Limit(low=0.95), "at least 0.95", 0.95, 0.9),
        (Limit(0.95, 1.05), "0.95 to 1.05", 1.0, 1.06),
        (Limit(0, 0), "0", 0.0, 1.0),
    ],
)
def test_limits(limit: Limit, words: str, well: float, ill: float) -> None:
    assert str(limit) == words
    assert limit.holds(well)
    assert not limit.holds(ill)
    assert not limit.holds(float("nan"))


def test_the_table_says_what_fails() -> None:
    rows = [Value("a", "b", "c", 1.0, OUTSIDE), Value("a", "d", "c", float("nan"), OUTSIDE)]
    first, second = table(rows, {("a", "b", "c"): "2"}).splitlines()[2:]
    assert first == "| a | b | c | 2 | 1 | at most 1.3 | yes |"
    assert second == "| a | d | c |  | fails | at most 1.3 | NO |"
    assert text_of(0.123456) == "0.1235"


def test_an_image_that_cannot_be_denoised_fails_and_the_rest_goes_on(bench: Bench) -> None:
    other = Bench(bench.model)
    assert np.isnan(other(np.full((16, 16), 1e9) + 1e-3 * np.random.default_rng(0).random((16, 16)), "XX")).all()
    assert len(other.failed) == 1
