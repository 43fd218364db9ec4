"""On the real test images, the shipped network is as good as the texts say."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile

from compare.sets import cases
from quietfield.network.model import Model
from quietfield.network.predict import Denoiser
from train.measure.cases import RAW, W2S, w2s_cases
from train.measure.evaluate import Result, evaluate
from train.measure.metrics import si_psnr
from train.measure.reports import write_csv
from train.measure.results import mean, of_set

ROOT = Path(__file__).resolve().parents[1]
BARS = {W2S: 32.3, RAW: 35.2}  # mean SI-PSNR (dB) that the networks must reach
COLUMNS = ("noisy_si_psnr", "noisy_ssim", "si_psnr", "ssim")


@pytest.fixture(scope="session")
def results(shipped: Model, data: Path) -> list[Result]:
    return evaluate(Denoiser.of(shipped), w2s_cases(data), micro=False)


@pytest.mark.parametrize(("name", "count", "noisy"), [(W2S, 60, 18.80), (RAW, 6, 20.53)])
def test_the_images_are_the_ones_that_the_peers_were_measured_on(
    results: list[Result], name: str, count: int, noisy: float
) -> None:
    assert sum(r.set == name for r in results) == count
    assert mean(of_set(results, name), *COLUMNS)[0] == pytest.approx(noisy, abs=0.005)


@pytest.mark.parametrize("name", [W2S, RAW])
def test_the_bar_is_passed(results: list[Result], name: str) -> None:
    assert mean(of_set(results, name), *COLUMNS)[2] >= BARS[name]


def test_it_beats_the_published_peers_on_the_test_fields(results: list[Result], data: Path) -> None:
    with (data / "w2s" / "peers_081_100.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    *_, quality, similarity = mean(of_set(results, W2S), *COLUMNS)
    for peer in ("vst_bm3d", "n2n_unet_fmd"):
        assert quality > sum(float(r[f"{peer}_si_psnr"]) for r in rows) / len(rows) + 0.7
        assert similarity > sum(float(r[f"{peer}_ssim"]) for r in rows) / len(rows)


def test_no_image_gets_worse(results: list[Result]) -> None:
    for r in results:
        assert r.si_psnr > r.noisy_si_psnr + 5, r
        assert r.ssim > r.noisy_ssim, r


def test_the_image_decides_which_network_denoises_it(shipped: Model, data: Path) -> None:
    """Those of W2S the first, but for one raw plane; those of other microscopes and other cameras the other."""
    denoiser = Denoiser.of(shipped)
    firsts: dict[str, list[bool]] = {}
    for case in cases(data):
        firsts.setdefault(case.set, []).append(denoiser.suited(case.noisy[None])[0] is denoiser)
    assert all(firsts["W2S 081-100"])
    assert sum(firsts["w2s-raw16"]) >= 5
    others = ("FMD confocal", "FLIM two-photon", "clean, 5 photons", "clean, 20 photons", "clean, 320 photons")
    assert not any(first for name in others for first in firsts[name])


def test_nothing_is_smeared_of_an_image_without_noise(shipped: Model, data: Path) -> None:
    """Means of 400 frames of the validation fields.

    They have noise of their own: one frame has 18.80 dB, so 400 have 44.8 dB, and so has who takes all of it away.
    """
    denoiser, agreement = Denoiser.of(shipped), []
    for fov, channel in itertools.product((11, 23, 27, 53, 55, 57, 72, 80), range(3)):
        mean = tifffile.imread(data / "w2s" / "clean" / f"{fov:03}_{channel}.tif").astype(np.float64)
        answer = denoiser.suited(mean[None])[0](mean[None])[0]
        agreement.append(si_psnr(mean, answer))
    assert np.mean(agreement) >= 44, agreement


def test_the_figures_that_the_texts_quote_are_these(results: list[Result]) -> None:
    """docs/evaluation.csv, which test_docs.py holds the texts against."""
    with (ROOT / "docs" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in (W2S, RAW):
        chosen = [row for row in rows if row["set"] == name]
        kept = [np.mean([float(row[column]) for row in chosen]) for column in COLUMNS]
        # The last digit may differ with the processor.
        assert mean(of_set(results, name), *COLUMNS) == pytest.approx(kept, abs=0.011)


def test_per_image_values_are_written(results: list[Result], tmp_path: Path) -> None:
    write_csv(results, tmp_path / "x.csv")
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 67
