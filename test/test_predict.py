"""Tiled equals untiled, gains and offsets survive, and running out of memory is not the end."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from quietfield.network.model import Model
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser, fill_invalid
from quietfield.network.unet import UNet


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


def doubling(channels: tuple[int, ...] = (4, 8), **arguments: object) -> UNet:
    torch.manual_seed(0)
    return UNet(channels, scale=2, **arguments)


@pytest.mark.parametrize(
    "arguments", [{}, {"attention": True, "block": "residual"}, {"unshuffle": 2}, {"skips": "added"}], ids=str
)
def test_twice_the_pixels_tiled_equal_untiled(arguments: dict[str, object]) -> None:
    network = doubling((4, 8, 16), **arguments)
    plane = noisy_plane((133, 217))[None]
    whole = Denoiser(network, Normalisation())(plane)
    assert whole.shape == (1, 266, 434)
    tiled = Denoiser(network, Normalisation(), tile=32)(plane)
    assert relative_error(tiled, whole) < 1e-4


def test_twice_the_pixels_are_those_of_the_network_itself() -> None:
    network = doubling()
    planes = np.stack([noisy_plane((31, 40)), 3 * noisy_plane((31, 40)) - 500])
    answer = Denoiser(network, Normalisation())(planes)
    assert (answer.shape, answer.dtype) == ((2, 62, 80), np.float32)
    for plane, found in zip(planes, answer, strict=True):
        z = torch.from_numpy((plane - plane.mean()) / plane.std()).float()[None, None]
        with torch.no_grad():
            expected = network(z)[0, 0].numpy() * plane.std() + plane.mean()
        assert np.allclose(found, expected, rtol=1e-4)


def test_twice_the_pixels_keep_gain_offset_and_place() -> None:
    """A network that adds nothing gives the bicubic image: no shift, and the intensities of the input."""
    network = doubling()
    with torch.no_grad():
        network.out.weight.zero_()
        network.out.bias.zero_()
    y, x = np.mgrid[:40, :50]
    plane = 1000 + 7.0 * y - 3.0 * x
    answer = Denoiser(network, Normalisation())(plane[None])[0]
    fine_y, fine_x = (np.mgrid[:80, :100] + 0.5) / 2 - 0.5
    inside = (slice(8, -8), slice(8, -8))
    error = (answer - (1000 + 7.0 * fine_y - 3.0 * fine_x))[inside]
    # torch's bicubic (a = -0.75) is not exact on a ramp; a shift of half a fine pixel would be 1.75 here.
    assert np.abs(error).max() < 0.5
    assert abs(error.mean()) < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (17, 23)], ids=str)
def test_twice_the_pixels_of_any_plane(shape: tuple[int, int]) -> None:
    denoiser = Denoiser(doubling(), Normalisation())
    twice = (1, 2 * shape[0], 2 * shape[1])
    constant = denoiser(np.full((1, *shape), -3.5))
    assert constant.shape == twice
    assert (constant == np.float32(-3.5)).all()
    broken = np.random.default_rng(0).normal(100, 9, (1, *shape))
    broken[0, -1, -1] = np.nan
    answer = denoiser(broken)
    assert answer.shape == twice
    assert np.isfinite(answer).all()


def test_out_of_memory_with_twice_the_pixels() -> None:
    torch.manual_seed(0)
    network = Hungry((4, 8), scale=2)
    network.limit = 200
    plane = noisy_plane((150, 300))[None]
    hungry = Denoiser(network, Normalisation())
    answer = hungry(plane)
    assert hungry.tile < 300
    network.limit = 10**6
    assert relative_error(answer, Denoiser(network, Normalisation())(plane)) < 1e-4
