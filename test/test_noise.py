"""Noise is drawn as a camera would, and found again: from frames, from an image, and in real files."""

import doctest
import math
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from torch import Tensor

import quietfield.noise.camera as camera_module
from quietfield.noise.blindspots import BlindSpots
from quietfield.noise.camera import (
    W2S_CAMERA,
    Camera,
    average_frames,
    correlate,
    expose,
    expose_array,
    multiplied,
    poisson_frame,
    row_noise,
)
from quietfield.noise.diagnosis import Diagnosis, diagnose, glance
from quietfield.noise.transfer import fit_line, photon_transfer, transfer_of_frames, transfer_of_images
from train import pictures
from train.learn.selfsupervised import noise2void_loss
from train.noise import report

GAINS, READ_ELECTRONS = (0.5, 13.4), (0.0, 3.0)
OFFSET = 103.4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene(gain: float, side: int = 256) -> Tensor:
    """Smooth blobs of 2 to about 60 photo-electrons, (Y, X)."""
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    blobs = (1 + torch.sin(x / 23)) * (1 + torch.cos(y / 31))
    return OFFSET + gain * (2 + 15 * blobs)


def frames(count: int, camera: Camera, side: int = 256, seed: int = 0) -> NDArray[np.float32]:
    mean = scene(camera.gain, side).expand(count, side, side)
    return expose(mean, camera.gain, camera.offset, camera.read_noise, generator(seed)).numpy()


def moments(x: Tensor) -> tuple[float, float, float]:
    d = x.double() - x.double().mean()
    return float(x.double().mean()), float((d**2).mean()), float((d**3).mean())


# Drawn


def test_a_frame_has_the_camera_s_moments() -> None:
    """Mean, variance g**2 n + r**2 and third moment g**3 n of n = 9 photo-electrons."""
    gain, read, photons = 13.4, 20.0, 9.0
    frame = expose(torch.full((1000, 1000), OFFSET + gain * photons), gain, OFFSET, read, generator())
    mean, variance, third = moments(frame)
    assert mean == pytest.approx(OFFSET + gain * photons, abs=0.2)
    assert variance == pytest.approx(gain**2 * photons + read**2, rel=0.01)
    assert third == pytest.approx(gain**3 * photons, rel=0.05)


def test_the_cameras_in_numpy_and_in_torch_are_one() -> None:
    """Of one mean: equal mean, variance and third moment; without read noise, whole photo-electrons."""
    camera, photons = Camera(13.4, OFFSET, 20.0), 9.0
    shape = (1000, 1000)
    mean = torch.full(shape, OFFSET + camera.gain * photons)
    drawn = moments(expose(mean, camera.gain, camera.offset, camera.read_noise, generator()))
    array = expose_array(np.full(shape, photons), camera, np.random.default_rng(0))
    assert (array.shape, array.dtype) == (shape, np.float64)
    for ours, theirs, share in zip(moments(torch.from_numpy(array)), drawn, (0.001, 0.01, 0.05), strict=True):
        assert ours == pytest.approx(theirs, rel=share)
    counts = expose_array(np.full(shape, photons), Camera(2.0, 100.0), np.random.default_rng(0))
    assert not ((counts - 100) % 2).any()
    assert doctest.testmod(camera_module) == (0, 2)


def test_a_camera_for_each_crop_and_darkness_below_the_offset() -> None:
    mean = torch.full((2, 1, 300, 300), 100.0)
    gain, offset, read = (torch.tensor(v).view(2, 1, 1, 1) for v in ([1.0, 10.0], [0.0, 200.0], [0.0, 5.0]))
    first, second = expose(mean, gain, offset, read, generator())
    assert float(first.var()) == pytest.approx(100, rel=0.03)
    assert float(second.mean()) == pytest.approx(200, abs=0.1)
    assert float(second.var()) == pytest.approx(25, rel=0.03)


def test_poisson_frames_are_exposures_without_read_noise_and_follow_from_the_seed() -> None:
    mean = scene(13.4)
    one = poisson_frame(mean, 13.4, OFFSET, generator(1))
    assert torch.equal(one, expose(mean, 13.4, OFFSET, 0.0, generator(1)))
    assert not torch.equal(one, poisson_frame(mean, 13.4, OFFSET, generator(2)))
    steps = (one - OFFSET) / 13.4
    assert torch.allclose(steps, steps.round(), atol=1e-4)


@pytest.mark.parametrize("count", [1, 4, 16])
def test_an_average_is_distributed_as_the_mean_of_its_frames(count: int) -> None:
    camera = Camera(13.4, OFFSET, 10.0)
    mean = torch.full((300, 300), OFFSET + 13.4 * 8)
    drawn = average_frames(mean, count, camera, generator(1))
    stack = expose(mean.expand(count, 300, 300), camera.gain, camera.offset, camera.read_noise, generator(2))
    for found, expected, slack in zip(moments(drawn), moments(stack.mean(dim=0)), (0.003, 0.03, 0.4), strict=True):
        assert found == pytest.approx(expected, rel=slack)


def test_multiplied_electrons_have_the_moments_of_an_emccd() -> None:
    """Mean, variance and third moment of a sum of a Poisson number of exponential ones, in units of half the gain."""
    for rate in (0.3, 4.0, 60.0):
        frame = multiplied(torch.full((1500, 1500), rate), generator()).double()
        assert float(frame.mean()) == pytest.approx(rate, rel=0.01)
        assert float(frame.var()) == pytest.approx(rate, rel=0.02)
        assert float(((frame - rate) ** 3).mean()) == pytest.approx(1.5 * rate, rel=0.1)
    assert not bool(multiplied(torch.zeros(64), generator()).any()), "no light, no signal"


def test_correlated_noise_keeps_its_variance_or_its_mean_as_asked() -> None:
    white = torch.randn((3, 1, 400, 400), generator=generator())
    sigma = torch.tensor([0.0, 0.6, 1.0]).view(3, 1, 1, 1)
    kept = correlate(white, sigma)[..., 4:-4, 4:-4]
    assert torch.allclose(kept[0], white[0, :, 4:-4, 4:-4], atol=1e-6)
    assert kept.var(dim=(1, 2, 3)).tolist() == pytest.approx(3 * [1.0], rel=0.03)
    for noise, s in zip(kept[1:, 0], (0.6, 1.0), strict=True):
        taps = np.exp(-((np.arange(-4, 5) / s) ** 2) / 2)
        expected = (taps[1:] * taps[:-1]).sum() / (taps**2).sum()
        assert float((noise[1:] * noise[:-1]).mean() / noise.var()) == pytest.approx(expected, abs=0.02)
        assert float((noise[:, 1:] * noise[:, :-1]).mean() / noise.var()) == pytest.approx(expected, abs=0.02)
    assert torch.allclose(correlate(torch.ones(2, 1, 20, 20), 0.8, keep_variance=False), torch.ones(()), atol=1e-6)


def test_row_noise_is_one_number_a_row() -> None:
    noise = row_noise(torch.zeros(50, 1, 200, 30), 3.0, generator())
    assert noise.shape == (50, 1, 200, 1)
    assert float(noise.std()) == pytest.approx(3, rel=0.03)


# Found again


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("read", READ_ELECTRONS)
def test_frames_tell_gain_offset_and_read_noise(gain: float, read: float) -> None:
    found = transfer_of_frames(frames(24, Camera(gain, OFFSET, gain * read)))
    assert found.camera is not None
    assert found.read_noise_known == (read > 0)
    assert found.camera.gain == pytest.approx(gain, rel=0.02)
    assert found.camera.offset == pytest.approx(OFFSET, abs=1.0 * gain)
    assert found.camera.read_noise == pytest.approx(gain * read, abs=0.3 * gain)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("read", READ_ELECTRONS)
def test_one_image_tells_the_gain_and_with_a_dark_frame_the_read_noise(gain: float, read: float) -> None:
    image = frames(1, Camera(gain, OFFSET, gain * read), side=512)
    found = transfer_of_images(image, offset=OFFSET).camera
    assert found is not None
    assert found.gain == pytest.approx(gain, rel=0.05)
    assert found.read_noise == pytest.approx(gain * read, abs=0.7 * gain)
    alone = transfer_of_images(image)
    assert alone.camera is not None
    assert not alone.read_noise_known
    assert alone.camera.offset == pytest.approx(OFFSET - gain * read**2, abs=0.8 * gain)


def test_four_frames_are_enough_for_the_gain() -> None:
    found = diagnose(frames(4, W2S_CAMERA, side=512))
    assert found.repeated
    assert found.transfer.camera is not None
    assert found.transfer.camera.gain == pytest.approx(W2S_CAMERA.gain, rel=0.03)
    assert found.transfer.camera.offset == pytest.approx(W2S_CAMERA.offset, abs=13.4)


def test_noise_that_does_not_grow_has_no_gain() -> None:
    stack = scene(10).numpy() + np.random.default_rng(0).normal(0, 7, (8, 256, 256))
    for found in (diagnose(stack), diagnose(stack[0])):
        assert found.transfer.camera is None
        assert math.sqrt(found.transfer.variance.mean()) == pytest.approx(7, rel=0.02)
        assert re.search(r"does not grow with the signal: standard deviation (7|6\.9)", found.text())
    with pytest.raises(ValueError, match="expected a variance that grows with the mean"):
        photon_transfer(scene(10).numpy(), scene(10).numpy())


def test_the_line_passes_over_points_that_are_far_off() -> None:
    mean = np.linspace(100, 500, 40)
    variance = 13.4 * (mean - 90) * np.random.default_rng(0).normal(1, 0.02, 40)
    variance[-3:] *= 4
    slope, intercept, _ = fit_line(mean, variance)
    assert slope == pytest.approx(13.4, rel=0.03)
    assert -intercept / slope == pytest.approx(90, abs=3)


# Is it white?


def test_white_noise_is_called_white_and_frames_are_told_from_channels() -> None:
    stack = frames(8, W2S_CAMERA)
    found = diagnose(stack)
    assert found.repeated
    assert found.white
    assert max(abs(v) for v in found.lags) < 0.01
    channels = np.stack([np.roll(plane, 40 * i, axis=1) for i, plane in enumerate(stack[:3])])
    apart = diagnose(channels)
    assert not apart.repeated
    assert apart.white
    assert abs(apart.lags[2]) < 0.03
    assert math.isnan(diagnose(stack[0]).lags[2])
    assert diagnose(np.random.default_rng(0).normal(100, 3, (5, 64, 64))).repeated  # dark frames


@pytest.mark.parametrize("count", [1, 8])
def test_correlation_is_found_in_the_direction_that_it_has(count: int) -> None:
    """A noise that is the sum of two neighbours in x: correlation 1/2, and none beyond."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 20, (count, 256, 257))
    found = diagnose(scene(13.4).numpy() + noise[..., 1:] + noise[..., :-1])
    assert found.lags[0] == pytest.approx(0.5, abs=0.03)
    assert found.lags[1] == pytest.approx(0.0, abs=0.03)
    assert not found.white
    assert "NOT white" in found.text()


def test_correlation_along_the_frames_is_found() -> None:
    noise = np.random.default_rng(0).normal(0, 20, (33, 128, 128))
    found = diagnose(scene(13.4, 128).numpy() + noise[1:] + noise[:-1], repeated=True)
    assert found.lags[2] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("axis", [1, 2])
def test_the_share_of_rows_and_of_columns_is_found(count: int, axis: int) -> None:
    """Patterns of standard deviation 10 beside noise of 20: a quarter of its power."""
    random = np.random.default_rng(0)
    pattern = random.normal(0, 10, (count, 256, 1) if axis == 1 else (count, 1, 256))
    found = diagnose(scene(13.4).numpy() + random.normal(0, 20, (count, 256, 256)) + pattern)
    shares = (found.correlation.rows, found.correlation.columns)[:: 1 if axis == 1 else -1]
    assert shares[0] == pytest.approx(0.25, abs=0.07)
    assert abs(shares[1]) < 0.005
    assert not found.white
    reaches = (found.mask().reach_x, found.mask().reach_y)[:: 1 if axis == 1 else -1]
    assert reaches == (16, 0)
    far = found.correlation.map()[8, 16] if axis == 1 else found.correlation.map()[16, 8]
    assert far == pytest.approx(0.2, abs=0.05)  # of the whole: 0.25 of 1.25


@pytest.mark.parametrize(("sigma", "reach"), [(0.5, 1), (0.8, 2), (1.2, 3), (1.6, 4)])
def test_blurred_noise_is_told_from_one_image_and_the_mask_reaches_as_far(sigma: float, reach: int) -> None:
    """At a reach the correlation is more than 0.1, and beyond it less."""
    noise = correlate(20 * torch.randn((1, 1, 512, 512), generator=generator()), sigma)[0, 0]
    found = diagnose((scene(13.4, 512) + noise).numpy())
    taps = np.exp(-((np.arange(-40, 41) / sigma) ** 2) / 2)
    expected = [(taps[k:] * taps[:-k]).sum() / (taps**2).sum() for k in range(1, 9)]
    assert found.correlation.along_x.tolist() == pytest.approx(expected, abs=0.05)
    assert found.correlation.along_y.tolist() == pytest.approx(expected, abs=0.05)
    assert (found.mask().reach_y, found.mask().reach_x) == (reach, reach)
    assert max(abs(found.correlation.rows), abs(found.correlation.columns)) < 0.01
    if sigma < 1:
        assert found.noise == pytest.approx(20, rel=0.05)
    else:  # of what is blurred so far, hardly anything is left by the differences
        assert found.noise < 20
        assert "noise: standard deviation roughly" in found.text()


def test_the_gain_is_that_of_the_noise_before_the_differences() -> None:
    """They leave a third of this noise's power, so that the slope alone would be a third of the gain."""
    mean = scene(13.4, 512)[None, None]
    noise = correlate(expose(mean, 13.4, OFFSET, 0, generator()) - mean, 0.5)
    found = diagnose((mean + noise)[0, 0].numpy())
    assert found.transfer.camera is not None
    assert found.transfer.camera.gain == pytest.approx(13.4, rel=0.07)
    assert found.transfer.camera.offset == pytest.approx(OFFSET, abs=15)


def test_the_mask_of_white_noise_hides_the_pixel_alone() -> None:
    for stack in (frames(1, W2S_CAMERA), frames(4, W2S_CAMERA), frames(1, W2S_CAMERA, side=20)):
        assert diagnose(stack).mask() == BlindSpots()


def test_a_mask_hides_few_pixels_and_leaves_some_of_a_small_image() -> None:
    noise = row_noise(torch.zeros(1, 1, 24, 24), 30.0, generator())
    image = scene(13.4, 24) + torch.randn((1, 1, 24, 24), generator=generator(1)) + noise
    mask = diagnose(image[0, 0].numpy()).mask()
    assert (mask.reach_y, mask.reach_x) == (0, 11)
    assert mask.share * (2 * mask.reach_x + 1) <= 0.2
    assert float(noise2void_loss(lambda z: z, image, mask, generator())) > 0


def test_correlation_along_a_stack_of_many_scenes_is_found() -> None:
    """Each plane shows another part of the scene; every second plane's noise is in the next, too."""
    noise = np.random.default_rng(0).normal(0, 20, (7, 128, 128))
    scenes = np.stack([np.roll(scene(13.4, 128).numpy(), 40 * i, axis=1) for i in range(6)])
    found = diagnose(scenes + noise[1:] + noise[:-1])
    assert found.repeats == 0
    assert found.lags[2] == pytest.approx(0.5, abs=0.03)
    assert max(abs(lag) for lag in found.lags[:2]) < 0.02


@pytest.mark.parametrize("kind", ["white", "blurred", "rows"])
def test_the_share_of_planes_that_show_one_scene_is_found_whatever_the_noise(kind: str) -> None:
    """Three planes of one scene, then two of another: three of four neighbours."""
    noise = 20 * torch.randn((5, 1, 128, 128), generator=generator())
    if kind == "blurred":
        noise = correlate(noise, 0.8)
    if kind == "rows":
        noise = noise + row_noise(noise, 15.0, generator(1))
    planes = scene(13.4, 128) + noise[:, 0]
    planes[3:] = planes[3:].roll(60, dims=2)
    found = diagnose(planes.numpy())
    assert found.repeats == 0.75
    assert not found.repeated
    assert "75 % of neighbouring planes show one scene" in found.text()


def test_a_glance_is_at_the_middle_of_the_first_planes() -> None:
    planes = np.zeros((9, 600, 700))
    planes[:4, 172:428, 222:478] = frames(4, W2S_CAMERA)
    found = glance(planes)
    assert found is not None
    assert found.shape == (4, 256, 256)
    assert found.transfer.camera is not None
    assert found.transfer.camera.gain == pytest.approx(13.4, rel=0.05)
    planes[1, 300, 300], planes[2, 300, 300] = np.nan, 1e39
    few = glance(planes)
    assert few is not None
    assert few.shape == (2, 256, 256)
    assert all("\n" not in line for line in few.brief())


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 15, 400), (1, 16, 16), (4, 33, 90), (2, 64, 64)])
def test_a_glance_never_fails(shape: tuple[int, ...]) -> None:
    """Nothing is said of small, constant and invalid planes, and of other odd ones only what is finite."""
    noise = np.random.default_rng(0).normal(size=shape)
    nothing = (np.zeros(shape), np.full(shape, 7.0), np.full(shape, np.nan), 1e200 * noise, 1e-310 * noise)
    assert not any(glance(planes) for planes in nothing)
    rows, columns, sparse = noise[:, :, :1] + 0 * noise, noise[:, :1] + 0 * noise, np.where(noise > 2.2, 1e30, 0)
    margin = np.where(np.arange(shape[2]) < shape[2] // 2, 0, noise)
    small = (noise.astype(np.float16), noise > 0, (99 + 9 * noise).astype(np.uint8), (9e17 + 1e17 * noise).astype(int))
    for planes in (noise, 1e30 * noise, 1e-30 * noise, noise + 1e15, rows, columns, sparse, margin, *small):
        found = glance(planes)
        if min(shape[1:]) < 16:
            assert found is None
        elif found:
            assert np.isfinite([found.noise, found.contrast, *found.lags[:2], *found.correlation.map().ravel()]).all()
            assert found.brief()
            assert found.text()


def test_a_margin_of_zeros_is_no_noise() -> None:
    image = frames(1, W2S_CAMERA)[0]
    image[:, :160] = 0
    found = diagnose(image)
    assert max(abs(lag) for lag in found.lags[:2]) < 0.03


def test_what_cannot_be_diagnosed_is_named(tmp_path: Path) -> None:
    for stack, message in (
        (np.zeros((8, 8)), r"16 pixels a side or more, found \(8, 8\)"),
        (np.full((20, 20), np.nan), "found 400 of 400 that are not"),
    ):
        with pytest.raises(ValueError, match=message):
            diagnose(stack)
    with pytest.raises(ValueError, match="at least 3 frames of one scene, found 2"):
        diagnose(np.zeros((2, 20, 20)), repeated=True)
    np.save(tmp_path / "x.npy", np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"x\.npy: noise: expected planes"):
        report(tmp_path / "x.npy")


def test_a_report_of_a_file_and_its_plot(tmp_path: Path) -> None:
    stack = frames(5, W2S_CAMERA, side=64)
    np.save(tmp_path / "x.npy", stack)
    tifffile.imwrite(tmp_path / "x.tif", stack, photometric="minisblack")
    first, second = (report(tmp_path / f"x.{s}", tmp_path / f"{s}.png") for s in ("npy", "tif"))
    assert first.splitlines()[1:] == second.splitlines()[1:]
    assert "the first 5 of 5 planes" in first
    assert (tmp_path / "npy.png").read_bytes()[:4] == b"\x89PNG"


def test_a_constant_stack_has_a_diagnosis_and_a_plot(tmp_path: Path) -> None:
    found: Diagnosis = diagnose(np.full((4, 20, 20), 7.0))
    assert found.transfer.camera is None
    assert "standard deviation 0" in found.text()
    pictures.noise(found, tmp_path / "x.png")


# Real files


@pytest.mark.parametrize("index", [0, 1])
def test_the_gain_of_w2s_is_found_in_its_raw_frames(data: Path, index: int) -> None:
    """13.4 was measured against the mean of 400 frames; here each plane is by itself."""
    stack = tifffile.imread(data / "w2s-raw16" / f"w2s_noisy_{index}.tiff")
    found = diagnose(stack)
    assert not found.repeated
    assert found.white
    for camera in (found.transfer.camera, *(transfer_of_images(plane[None]).camera for plane in stack)):
        assert camera is not None
        assert camera.gain == pytest.approx(13.4, rel=0.1)
        assert camera.offset == pytest.approx(103.4, abs=2)


def test_real_row_noise_is_found(data: Path) -> None:
    for path in sorted((data / "zebrafish-rownoise").glob("*.tif"))[:2]:
        found = diagnose(tifffile.imread(path))
        assert found.correlation.rows > 0.3
        assert abs(found.correlation.columns) < 0.01
        assert abs(found.lags[1]) < 0.02
        assert (found.mask().reach_y, found.mask().reach_x) == (0, 16)


def test_the_noise_of_a_confocal_is_shared_along_its_lines_alone(data: Path) -> None:
    for path in sorted((data / "hagen-raw16").glob("*.tif*")):
        found = diagnose(tifffile.imread(path))
        assert found.lags[0] == pytest.approx(0.27, abs=0.03)
        assert abs(found.lags[1]) < 0.01
        assert (found.mask().reach_y, found.mask().reach_x) == (0, 1)
