"""Losses agree with independent implementations, and each prefers the better answer."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from train.learn.losses import LOSSES, build_loss, charbonnier, ms_ssim, ssim


def images(seed: int = 0, side: int = 128) -> tuple[Tensor, Tensor, Tensor]:
    """A smooth truth, and a better and a worse answer."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2, 1, side // 8, side // 8, generator=generator)
    truth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    noise = torch.randn(truth.shape, generator=generator)
    return truth, truth + 0.1 * noise, truth + 0.5 * noise


@pytest.mark.parametrize("name", [*LOSSES, "mse+ssim", "l1+perceptual"])
def test_the_better_answer_costs_less_and_the_truth_nothing(name: str) -> None:
    loss, (truth, better, worse) = build_loss(name), images()
    assert float(loss(better, truth)) < 0.9 * float(loss(worse, truth))
    assert float(loss(truth, truth)) == pytest.approx(0, abs=2e-3)
    answer = worse.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(answer, truth), answer)
    assert bool(torch.isfinite(gradient).all())
    moved = worse - 1e-2 * gradient / gradient.norm() * worse.norm()
    assert float(loss(moved, truth)) < float(loss(worse, truth))


def test_ssim_agrees_with_scikit_image() -> None:
    truth, answer, _ = images(1)
    expected = []
    for t, y in zip(truth[:, 0].double().numpy(), answer[:, 0].double().numpy(), strict=True):
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": np.ptp(t)}
        low = t.min()
        _, everywhere = structural_similarity(t - low, y - low, full=True, **options)
        expected.append(everywhere.mean())
    assert 1 - float(ssim(answer, truth)) == pytest.approx(np.mean(expected), abs=2e-4)


def test_charbonnier_is_l1_far_away_and_smooth_at_zero() -> None:
    x = torch.tensor([3.0, -4.0])
    assert float(charbonnier(x, torch.zeros(2))) == pytest.approx(3.5, abs=1e-3)
    assert float(charbonnier(torch.zeros(2), torch.zeros(2))) == pytest.approx(1e-3)


def test_mixes_weigh_as_they_are_told() -> None:
    truth, answer, _ = images(2)
    mse, one = (float(build_loss(n)(answer, truth)) for n in ("mse", "l1"))
    assert float(build_loss("mse+l1", 0.25)(answer, truth)) == pytest.approx(0.75 * mse + 0.25 * one)


@pytest.mark.parametrize("side", [11, 24, 48, 128, 192])
def test_ms_ssim_takes_the_scales_that_fit(side: int) -> None:
    truth, answer, _ = images(3, 192)
    value = float(ms_ssim(answer[..., :side, :side], truth[..., :side, :side]))
    assert 0 < value < 1


def test_wrong_losses_are_named() -> None:
    for name in ("mae", "mse+", "mse+ssim+l1"):
        with pytest.raises(ValueError, match="loss: expected one of mse, l1"):
            build_loss(name)
    with pytest.raises(ValueError, match=r"expected crops of at least 11 pixels a side, found 8: raise --crop"):
        ms_ssim(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8))
