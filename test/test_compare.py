"""The peers do what they are named for, and their figures are kept and tabulated as they were measured."""

from pathlib import Path

import numpy as np
import pytest

from compare.__main__ import Row, choose, points, read, table, write
from compare.figure import draw
from compare.methods import METHODS, Method, noise_level, poisson_gaussian, stabilise, unstabilise
from compare.sets import PHOTONS, Case, cases, training_crops
from demo.simulate import GAIN, OFFSET, simulate_field
from denoiser.metrics import si_psnr
from train.images.split import W2S_TEST


def test_gain_and_offset_are_found_blindly() -> None:
    gain, intercept = poisson_gaussian(simulate_field(4)[0].astype(np.float64))
    assert gain == pytest.approx(GAIN, rel=0.15)
    assert -intercept / gain == pytest.approx(OFFSET, abs=15)


def test_the_noise_level_is_found_blindly() -> None:
    yy, xx = np.mgrid[:200, :200]
    image = 3.0 * yy + xx + 7 * np.random.default_rng(0).standard_normal((200, 200))
    assert noise_level(image) == pytest.approx(7, rel=0.03)


@pytest.mark.parametrize("photons", [3.0, 10.0, 100.0])
def test_anscombes_inverse_gives_the_mean_back(photons: float) -> None:
    """Exact and unbiased: of the mean of stabilised counts, not of the counts."""
    counts = np.random.default_rng(0).poisson(photons, 1_000_000).astype(np.float64)
    stable = stabilise(counts)
    assert stable.std() == pytest.approx(1, abs=0.05)
    assert unstabilise(np.array([stable.mean()]))[0] == pytest.approx(photons, rel=0.02)


@pytest.mark.parametrize("name", ["Gaussian filter", "median filter", "Wiener filter", "non-local means"])
def test_a_peer_lowers_the_noise(name: str) -> None:
    noisy, truth = (np.asarray(i[:128, :128], dtype=np.float64) for i in simulate_field(5))
    method = METHODS[name]
    answer = method.run(noisy, choose(method, [Case("", "", noisy, truth)]))
    assert answer.shape == noisy.shape
    assert si_psnr(truth, answer) > si_psnr(truth, noisy) + 2


def test_the_best_setting_is_chosen() -> None:
    truth = np.arange(100.0).reshape(10, 10)
    images = [Case("", "", truth + 1, truth)]
    wrong = np.random.default_rng(0).standard_normal((10, 10))
    assert choose(Method(lambda image, s: image + s * wrong, (3, 0.1, 2)), images) == 0.1


def test_figures_are_kept_as_measured(tmp_path: Path) -> None:
    rows = [Row("a", "1", 30.1234, 0.8, 0.5, 0.25), Row("b", "2", 20.0, 0.5, 1.0, 0.25)]
    write(tmp_path / "x.csv", "a method", 1.2, rows)
    assert read(tmp_path / "x.csv") == rows
    assert "'a method'; setting 1.2; numpy" in (tmp_path / "x.csv").read_text().splitlines()[0]


def test_the_table_shows_means_and_marks_the_best() -> None:
    mine = [Row("a", "1", 30.0, 0.8, 0.5, 0.25), Row("a", "2", 32.0, 0.6, 0.5, 0.25)]
    other = [Row("a", "1", 29.0, 0.9, 0.5, 0.25)]
    lines = table({"mine": mine, "other": other}).splitlines()
    assert lines[2:] == ["| mine | **31.00 / 0.700** | 0.5 |", "| other | 29.00 / 0.900 | 0.5 |"]


def test_the_figure_shows_every_method_where_it_was_measured(tmp_path: Path) -> None:
    rows = [Row("a", "1", 30.0, 0.8, 0.5, 0.25), Row("b", "1", 20.0, 0.8, 0.5, 0.75)]
    found = points({"noisy input": rows, "mine": rows, "other": rows[:1]})
    assert found == {"a": {"mine": (1.0, 30.0), "other": (0.5, 30.0)}, "b": {"mine": (1.0, 20.0)}}
    draw(found, ("mine",), tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_the_sets_are_whole_and_never_trained_on(data: Path) -> None:
    found = list(cases(data))
    count = {name: sum(c.set == name for c in found) for name in {c.set for c in found}}
    assert count["W2S 081-100"] == 60
    assert count["w2s-raw16"] == 6
    assert count["FMD confocal"] == 5
    assert count["FLIM two-photon"] == 4
    assert all(count[f"clean, {p} photons"] == count["clean, 5 photons"] > 5 for p in PHOTONS)
    assert not {int(c.image[:3]) for c in training_crops(data)} & set(W2S_TEST)
    for case in found:
        assert case.noisy.shape == case.truth.shape
        assert si_psnr(case.truth, case.noisy) > 10, (case.set, case.image)
