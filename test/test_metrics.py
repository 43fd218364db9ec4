"""The figures against cases worked out by hand and against the peers' published ones."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from train.measure.metrics import affine_fit, micro_ssim, psnr, psnr_affine, rmse, si_psnr, ssim, st_snr


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
    for figure in (si_psnr, ssim, psnr_affine):
        assert figure(truth, 13.4 * prediction + 103) == pytest.approx(figure(truth, prediction), abs=1e-9)


def test_affine_fit_is_least_squares() -> None:
    random = np.random.default_rng(0)
    truth, prediction = random.random((8, 9)), random.random((8, 9))
    slope, intercept = np.polyfit(prediction.ravel(), truth.ravel(), 1)
    assert np.allclose(affine_fit(truth, prediction), slope * prediction + intercept)


def test_a_constant_prediction_has_a_figure_and_a_constant_truth_has_none() -> None:
    ramp = np.arange(64.0).reshape(8, 8)
    assert np.isfinite(si_psnr(ramp, np.ones((8, 8))))
    with pytest.raises(ValueError, match="ground truth is constant"):
        si_psnr(np.ones((8, 8)), ramp)
    with pytest.raises(ValueError, match=r"\(8, 8\) and prediction \(4, 4\)"):
        si_psnr(ramp, np.ones((4, 4)))


def test_rmse_by_hand() -> None:
    """Differences 3, 0, 0, 4 of small integers that would wrap: sqrt(25 / 4) = 2.5."""
    truth, prediction = np.array([[3, 9], [9, 0]], np.uint8), np.array([[6, 9], [9, 4]], np.uint8)
    assert rmse(truth, prediction) == 2.5
    assert rmse(prediction, truth) == 2.5
    with pytest.raises(ValueError, match=r"ground truth \(2, 2\) and prediction \(4,\)"):
        rmse(truth, prediction.ravel())


def test_psnr_after_the_fit_is_scikit_image_s_of_the_fitted() -> None:
    from skimage.metrics import peak_signal_noise_ratio

    random = np.random.default_rng(0)
    truth = random.gamma(2, 50, (32, 32))
    prediction = 0.1 * truth + random.normal(0, 2, truth.shape) - 7
    fitted = np.polyval(np.polyfit(prediction.ravel(), truth.ravel(), 1), prediction)
    expected = peak_signal_noise_ratio(truth, fitted, data_range=truth.max() - truth.min())
    assert psnr_affine(truth, prediction) == pytest.approx(expected)
    assert si_psnr(truth, prediction) == pytest.approx(expected)


def test_micro_ssim_ignores_background_and_gain_and_falls_with_noise() -> None:
    pytest.importorskip("microssim")
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    truth = 100 + 200 * np.exp(-((x - 30) ** 2 + (y - 36) ** 2) / 200)
    little, much = (truth + random.normal(0, s, truth.shape) for s in (2, 20))
    assert micro_ssim(truth, truth) == pytest.approx(1, abs=1e-6)
    assert micro_ssim(truth, 3 * little - 50) == pytest.approx(micro_ssim(truth, little), abs=0.01)
    assert 1 > micro_ssim(truth, little) > micro_ssim(truth, much) + 0.1


def test_micro_ssim_of_a_stack_shares_its_factor() -> None:
    """Planes that differ in gain only are alike one by one, and are not as a stack."""
    pytest.importorskip("microssim")
    random = np.random.default_rng(0)
    truth = random.gamma(2, 50, (2, 32, 32))
    prediction = truth * np.array([1.0, 4.0])[:, None, None]
    alone = [micro_ssim(t, p) for t, p in zip(truth, prediction, strict=True)]
    assert min(alone) > 0.999
    assert micro_ssim(truth, prediction) < 0.9


def test_micro_ssim_takes_flat_backgrounds_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("microssim")
    y, x = np.mgrid[:64, :64]
    truth = np.where((x > 40) & (y > 40), 1000.3, 100.1) * np.ones((2, 1, 1))
    assert micro_ssim(truth, truth + 0.1) == pytest.approx(1, abs=1e-3)
    assert capfd.readouterr() == ("", "")


def test_micro_ssim_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "microssim", None)
    with pytest.raises(ValueError, match="pip install microssim"):
        micro_ssim(np.arange(144.0).reshape(12, 12), np.ones((12, 12)))


def test_st_snr_by_hand() -> None:
    """truth: frames (10, 0) and (10, 0); prediction: (9, 1) and (9, 0).

    Frames: 100 / 2 and 100 / 1, that is 16.9897 and 20 dB, mean 18.4949. Traces: 200 / 2, that is 20 dB, and
    one without signal, left out. Half of the one and half of the other are 19.2474 dB.
    """
    truth = np.array([[[10, 0]], [[10, 0]]])
    assert st_snr(truth, np.array([[[9, 1]], [[9, 0]]])) == pytest.approx(19.2474, abs=1e-4)
    assert st_snr(truth, truth) == np.inf


def test_st_snr_is_the_loop_that_its_definition_asks_for() -> None:
    random = np.random.default_rng(0)
    truth = random.gamma(2, 50, (4, 5, 6))
    prediction = truth + random.normal(0, 9, truth.shape)

    def snr(y: np.ndarray, x: np.ndarray) -> float:
        return float(10 * np.log10((y**2).sum() / ((y - x) ** 2).sum()))

    frames = [snr(truth[t], prediction[t]) for t in range(4)]
    traces = [snr(truth[:, y, x], prediction[:, y, x]) for y in range(5) for x in range(6)]
    assert st_snr(truth, prediction) == pytest.approx((np.mean(frames) + np.mean(traces)) / 2)
    assert st_snr(truth, prediction + 50) < st_snr(truth, prediction) - 3
    with pytest.raises(ValueError, match=r"expected a stack \(T, Y, X\), found \(5, 6\)"):
        st_snr(truth[0], prediction[0])


def test_agrees_with_the_published_figures_of_the_noisy_images(data: Path) -> None:
    with (data / "w2s" / "peers_081_100.csv").open(newline="") as file:
        for row in list(csv.DictReader(file))[::12]:
            name = f"{row['fov']}_{row['channel']}.tif"
            truth, noisy = (tifffile.imread(data / "w2s" / kind / name) for kind in ("clean", "noisy"))
            assert si_psnr(truth, noisy) == pytest.approx(float(row["noisy_si_psnr"]), abs=1e-3)
            assert ssim(truth, noisy) == pytest.approx(float(row["noisy_ssim"]), abs=1e-3)
