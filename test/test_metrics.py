"""The figures against cases worked out by hand and against the peers' published ones."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from denoiser.metrics import affine_fit, psnr, si_psnr, ssim


def test_si_psnr_by_hand() -> None:
    """truth (0, 0, 2, 2): g = (-1, -1, 1, 1), range 2. prediction (0, 2, 2, 4): p = (-2, 0, 0, 2).

    a = sum(gp) / sum(pp) = 4 / 8 = 1/2; a p = (-1, 0, 0, 1); mse = (0 + 1 + 1 + 0) / 4 = 1/2;
    PSNR = 10 log10(4 / (1/2)) = 10 log10 8 = 9.0309 dB.
    """
    truth, prediction = np.array([[0, 0], [2, 2]]), np.array([[0, 2], [2, 4]])
    assert si_psnr(truth, prediction) == pytest.approx(9.0309, abs=1e-4)


def test_psnr_by_hand() -> None:
    assert psnr(np.array([0.0, 10.0]), np.array([1.0, 9.0]), 10) == pytest.approx(20.0)
    assert psnr(np.array([0.0, 10.0]), np.array([0.0, 10.0]), 10) == np.inf


def test_no_affine_change_alters_a_figure() -> None:
    random = np.random.default_rng(0)
    truth = random.gamma(2, 50, (32, 32))
    prediction = truth + random.normal(0, 20, truth.shape)
    for figure in (si_psnr, ssim):
        assert figure(truth, 13.4 * prediction + 103) == pytest.approx(figure(truth, prediction), abs=1e-9)


def test_affine_fit_is_least_squares() -> None:
    random = np.random.default_rng(0)
    truth, prediction = random.random((8, 9)), random.random((8, 9))
    slope, intercept = np.polyfit(prediction.ravel(), truth.ravel(), 1)
    assert np.allclose(affine_fit(truth, prediction), slope * prediction + intercept)


def test_a_constant_prediction_has_a_figure_and_a_constant_truth_has_none() -> None:
    ramp = np.arange(64.0).reshape(8, 8)
    assert np.isfinite(si_psnr(ramp, np.ones((8, 8))))
    with pytest.raises(ValueError, match="truth is constant"):
        si_psnr(np.ones((8, 8)), ramp)
    with pytest.raises(ValueError, match=r"\(8, 8\) and prediction \(4, 4\)"):
        si_psnr(ramp, np.ones((4, 4)))


def test_agrees_with_the_published_figures_of_the_noisy_images(data: Path) -> None:
    with (data / "w2s" / "peers_081_100.csv").open(newline="") as file:
        for row in list(csv.DictReader(file))[::12]:
            name = f"{row['fov']}_{row['channel']}.tif"
            truth, noisy = (tifffile.imread(data / "w2s" / kind / name) for kind in ("clean", "noisy"))
            assert si_psnr(truth, noisy) == pytest.approx(float(row["noisy_si_psnr"]), abs=1e-3)
            assert ssim(truth, noisy) == pytest.approx(float(row["noisy_ssim"]), abs=1e-3)
