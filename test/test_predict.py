"""Tiled equals untiled, gains and offsets survive, and running out of memory is not the end."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from denoiser.model import Model
from denoiser.normalise import Normalisation
from denoiser.predict import Denoiser, fill_invalid
from denoiser.unet import UNet


def noisy_plane(shape: tuple[int, int] = (333, 517)) -> np.ndarray:
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    light = 4 + 12 * np.exp(-((np.hypot(yy - 150, xx - 250) - 90) ** 2) / 300)
    return 103.4 + 13.4 * np.random.default_rng(0).poisson(light)


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.ptp(b))


@pytest.mark.parametrize("tile", [128, 256])
def test_tiled_equals_untiled(shipped: Model, tile: int) -> None:
    plane = noisy_plane()[None]
    whole = Denoiser(shipped.network, shipped.normalisation, tile=1024)(plane)
    tiled = Denoiser(shipped.network, shipped.normalisation, tile=tile)(plane)
    assert relative_error(tiled, whole) < 1e-4


def test_tiled_equals_untiled_on_a_real_image(shipped: Model, data: Path) -> None:
    plane = tifffile.imread(data / "hagen-raw16" / "hagen_0.tif")[None]
    whole = Denoiser(shipped.network, shipped.normalisation, tile=2048)(plane)
    tiled = Denoiser(shipped.network, shipped.normalisation, tile=256)(plane)
    assert relative_error(tiled, whole) < 1e-4


@pytest.mark.parametrize("gain", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_gain_and_offset_survive(denoiser: Denoiser, gain: float, offset: float) -> None:
    plane = noisy_plane()[None]
    plain = denoiser(plane)
    assert relative_error(denoiser(gain * plane + offset), gain * plain.astype(np.float64) + offset) < 1e-3


def test_a_real_frame_survives_gain_and_offset(denoiser: Denoiser, data: Path) -> None:
    planes = tifffile.imread(data / "w2s-raw16" / "w2s_noisy_0.tiff").astype(np.float64)
    plain = denoiser(planes)
    for gain, offset in [(0.1, 0.0), (0.1, 1000.0), (100.0, 0.0), (100.0, 1000.0)]:
        assert relative_error(denoiser(gain * planes + offset), gain * plain.astype(np.float64) + offset) < 1e-3


def test_planes_do_not_know_each_other(denoiser: Denoiser) -> None:
    planes = np.stack([noisy_plane((64, 80)), 50 * noisy_plane((64, 80)).T.reshape(64, 80), np.zeros((64, 80))])
    together = denoiser(planes)
    for plane, answer in zip(planes, together, strict=True):
        assert np.allclose(denoiser(plane[None])[0], answer, rtol=1e-4)
    assert not together[2].any()


def test_intensities_survive(denoiser: Denoiser) -> None:
    plane = noisy_plane() - 500
    answer = denoiser(plane[None])[0]
    assert answer.dtype == np.float32
    assert answer.mean() == pytest.approx(plane.mean(), abs=0.01 * np.ptp(plane))
    assert answer.max() < 0, "negative values stay negative"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_invalid_pixels_are_filled_and_hurt_nobody(denoiser: Denoiser, value: float) -> None:
    plane = noisy_plane((96, 96))
    broken = plane.copy()
    broken[40:42, 50] = value
    answer, plain = denoiser(broken[None]), denoiser(plane[None])
    assert np.isfinite(answer).all()
    far = np.ones((96, 96), bool)
    far[25:57, 35:66] = False
    assert relative_error(answer[0][far], plain[0][far]) < 0.05
    assert not denoiser(np.full((1, 9, 9), value)).any()


def test_fill_leaves_valid_pixels_alone() -> None:
    planes = np.array([[[1.0, np.nan], [3.0, 5.0]]])
    assert np.array_equal(fill_invalid(planes), [[[1.0, 3.0], [3.0, 5.0]]])
    assert np.isnan(planes[0, 0, 1]), "the caller's array is the caller's"


class Hungry(UNet):
    """Runs out of memory on any input wider than `limit`."""

    limit = 300

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] > self.limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory (pretended)")
        return super().forward(x)


def test_out_of_memory_halves_the_tile_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    network = Hungry((4, 8))
    plane = noisy_plane()[None]
    hungry = Denoiser(network, Normalisation(), tile=1024)
    answer = hungry(plane)
    assert hungry.tile == 256
    assert "tile 1024 -> 512" in caplog.text
    assert "tile 512 -> 256" in caplog.text
    network.limit = 10**6
    assert relative_error(answer, Denoiser(network, Normalisation())(plane)) < 1e-4


def test_out_of_memory_on_many_planes_takes_them_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = UNet((4, 8))
    planes = np.stack([noisy_plane((40, 50)), 2 * noisy_plane((40, 50))])
    expected = Denoiser(network, Normalisation())(planes)
    forward = UNet.forward

    def only_one(self: UNet, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory (pretended)")
        return forward(self, x)

    monkeypatch.setattr(UNet, "forward", only_one)
    assert np.allclose(Denoiser(network, Normalisation())(planes), expected, rtol=1e-5)


def test_a_pooling_grid_that_does_not_divide_the_tile() -> None:
    torch.manual_seed(0)
    network = UNet((4, 8), 3)
    plane = noisy_plane()[None]
    assert (
        relative_error(Denoiser(network, Normalisation(), tile=128)(plane), Denoiser(network, Normalisation())(plane))
        < 1e-4
    )


def test_out_of_memory_at_every_tile_is_raised() -> None:
    network = Hungry((4, 8))
    network.limit = 10
    with pytest.raises(torch.cuda.OutOfMemoryError):
        Denoiser(network, Normalisation())(noisy_plane()[None])


def test_half_precision_that_overflows_is_done_again_in_float32() -> None:
    torch.manual_seed(0)
    network = UNet((4, 8))
    with torch.no_grad():
        network.out.weight.mul_(1e6)
    plane = noisy_plane((64, 64))[None]
    plain = Denoiser(network, Normalisation())(plane)
    half = Denoiser(network, Normalisation(), autocast=torch.float16)(plane)
    assert np.array_equal(half, plain)
