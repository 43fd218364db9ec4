"""Clean images are read from any axes, held out by file, and photographed with known noise."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from train.data.clean import HELD_OUT_EVERY, OWN_NOISE, Clean, draw_clean, read_clean, read_named, split_clean
from train.data.synthetic import BACKGROUND, DOSES, LARGEST, PHOTONS, Cameras, degrade, validation_pairs


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for i in range(8):
        shape = [(40, 50), (3, 40, 50), (40, 50, 3), (5, 2, 33, 34)][i % 4]
        tifffile.imwrite(
            tmp_path / f"{i}.tif", random.integers(100, 4000, shape).astype(np.uint16), photometric="minisblack"
        )
    return tmp_path


def test_planes_of_any_axes_are_scaled(folder: Path) -> None:
    shapes = [tuple(i.shape) for i in read_clean(folder)]
    assert shapes == 2 * [(3, 40, 50), (3, 40, 50), (10, 33, 34)]
    for planes in read_clean(folder):
        assert float(planes.min()) == 0
        assert 1 <= float(planes.max()) < 1.1


def test_held_out_files_are_never_trained_on(folder: Path) -> None:
    held_out, training = read_clean(folder, held_out=True), read_clean(folder)
    assert (len(held_out), len(training)) == (8 // HELD_OUT_EVERY, 8 - 8 // HELD_OUT_EVERY)
    for a in held_out:
        assert not any(a.shape[1:] == b.shape[1:] and torch.equal(a[0], b[0]) for b in training)


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected clean \.tif, .*\.png, .*\.npy images, found none$"):
        read_clean(tmp_path)
    np.save(tmp_path / "one.npy", np.eye(9))
    with pytest.raises(ValueError, match=r"found none besides the first of every 4"):
        read_clean(tmp_path)


def test_png_and_npy_are_read_as_tiff_is(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 60000, (30, 40, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tiff", image[..., 0])
    (tmp_path / "._a.tiff").write_bytes(b"what macOS writes beside a file")
    np.save(tmp_path / "b.npy", image[..., 0])
    Image.fromarray(image[..., 0]).save(tmp_path / "c.png")
    alpha = np.dstack([(image >> 8).astype(np.uint8), np.full((30, 40), 255, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "d.png")
    a, b, c, d = read_named(tmp_path, held_out=True) + read_named(tmp_path)
    assert [i.name for i in (a, b, c, d)] == ["a.tiff", "b.npy", "c.png", "d.png"]
    assert torch.equal(a.planes, b.planes)
    assert torch.equal(a.planes, c.planes)
    assert d.planes.shape == (3, 30, 40), "transparency is no channel"
    assert torch.allclose(a.planes, d.planes[:1], atol=0.01)


@pytest.mark.parametrize("name", ["x.tif", "x.png", "x.npy"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not an image")
    with pytest.raises(ValueError, match=rf"{name}: expected a clean image, found a damaged file"):
        read_clean(tmp_path, held_out=True)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((9, 9), np.nan), "found NaN or infinite"),
        (np.ones(9), r"found float64 of shape \(9,\)"),
        (np.ones((9, 9), np.complex64), "found complex64"),
    ],
    ids=["nan", "line", "complex"],
)
def test_what_is_no_clean_image_is_named(tmp_path: Path, image: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "x.npy", image)
    with pytest.raises(ValueError, match=rf"x\.npy: expected .*{reason}"):
        read_clean(tmp_path, held_out=True)


def test_super_resolved_images_are_binned_unless_they_are_the_truth(tmp_path: Path) -> None:
    (tmp_path / "biosr-mt").mkdir()
    image = np.random.default_rng(0).integers(0, 4000, (22, 26)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "biosr-mt" / "cell.tif", image)
    fine, coarse = (read_clean(tmp_path, held_out=True, scale=s)[0][0].numpy() for s in (2, 1))
    binned = image.reshape(11, 2, 13, 2).mean(axis=(1, 3))
    assert fine.shape == (22, 26)
    assert np.corrcoef(fine.ravel(), image.ravel())[0, 1] > 0.9999
    assert np.corrcoef(coarse.ravel(), binned.ravel())[0, 1] > 0.9999


def test_whole_files_are_split_and_the_held_out_ones_are_in_neither(folder: Path) -> None:
    training, validation = split_clean(folder, 0.34, seed=0)
    names = [i.name for i in training + validation]
    assert (len(training), len(validation)) == (4, 2)
    assert sorted(names) == sorted(i.name for i in read_named(folder))
    assert not set(names) & {i.name for i in read_named(folder, held_out=True)}
    assert [i.name for i in split_clean(folder, 0.34, seed=0)[1]] == [i.name for i in validation]
    assert len({tuple(i.name for i in split_clean(folder, 0.34, seed=s)[1]) for s in range(9)}) > 3
    assert [len(part) for part in split_clean(folder, 0, seed=0)] == [6, 0]
    assert [len(part) for part in split_clean(folder, 0.01, seed=0)] == [5, 1]


def test_a_folder_too_small_to_split_is_named(tmp_path: Path) -> None:
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", np.eye(9))
    with pytest.raises(ValueError, match=r"expected more clean files than the 1 to validate on, found 1 besides"):
        split_clean(tmp_path, 0.1, seed=0)


def test_no_image_as_large_as_a_crop(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"at least 64 x 64 pixels, found \[\(33, 34\), \(40, 50\)\]"):
        draw_clean(read_named(folder), 1, 64, generator())


def test_crops_follow_from_the_seed(folder: Path) -> None:
    images = read_named(folder)
    first, again, other = (draw_clean(images, 6, 32, generator(s))[0] for s in (1, 1, 2))
    assert first.shape == (6, 1, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_noise_has_the_truth_as_its_mean_and_grows_with_it() -> None:
    """White Poisson noise and more: never less than the photons ask for, but where it is blurred."""
    truth = torch.full((400, 1, 32, 32), 0.5)
    noisy, mean = degrade(truth, generator())
    error = noisy - mean
    spread = error.std(dim=(1, 2, 3))
    assert float((error.mean(dim=(1, 2, 3)) / spread * 32).abs().mean()) < 2
    photons = mean.mean(dim=(1, 2, 3))
    assert 1 < float(photons.min()) < 4
    assert 200 < float(photons.max()) < 600
    assert float((spread > 0.95 * photons.sqrt()).float().mean()) == pytest.approx(0.8, abs=0.1)
    neighbours = (error[..., 1:] * error[..., :-1]).mean(dim=(1, 2, 3)) / spread**2
    assert float((neighbours > 0.2).float().mean()) == pytest.approx(0.28, abs=0.1)


@pytest.mark.parametrize("photons", [100.0, 1000.0])
def test_an_image_with_noise_of_its_own_is_good_for_little_light(photons: float) -> None:
    """It was photographed with so many photo-electrons: what is drawn must be the greater part of the noise."""
    light = gaussian_filter(np.random.default_rng(0).random((256, 256)), 6)
    light = (light - light.min()) / np.ptp(light)
    noisy = np.random.default_rng(1).poisson(photons * (light + BACKGROUND[0])) / photons - BACKGROUND[0]
    planes = torch.from_numpy(np.stack([noisy, light])).float().clamp(min=0)
    own, none = Clean("both", planes).most
    assert own == pytest.approx(photons / OWN_NOISE**2, rel=0.2)
    assert none > 1e6

    crops, most = draw_clean([Clean("both", planes[:1])], 50, 64, generator())
    assert torch.equal(most, torch.full((50,), own))
    _, mean = degrade(crops, generator(), cameras=Cameras(photons=(1.0, 1000.0)), most=most)
    brightest = (mean.amax(dim=(1, 2, 3)) - mean.amin(dim=(1, 2, 3))) / (
        crops.amax(dim=(1, 2, 3)) - crops.amin(dim=(1, 2, 3))
    )
    assert 0.7 * own < float(brightest.max()) <= 1.01 * own


def test_a_share_of_the_crops_is_smooth() -> None:
    truth = torch.rand((200, 1, 32, 32), generator=generator(1))
    _, mean = degrade(truth, generator(), cameras=Cameras(smooth=0.3))
    light = mean / mean.mean(dim=(1, 2, 3), keepdim=True)
    neighbours = (light.diff(dim=3).square().mean(dim=(1, 2, 3)) / light.var(dim=(1, 2, 3))).sqrt()
    assert float((neighbours < 1.2).float().mean()) == pytest.approx(0.3, abs=0.1)


def test_a_share_of_the_cameras_multiplies_electrons() -> None:
    truth = torch.full((400, 1, 48, 48), 0.5)
    found = []
    for share in (0.0, 0.5, 1.0):
        cameras = Cameras(photons=(20, 20), read_noise=0, correlated=0, rows=0, multiplied=share)
        noisy, mean = degrade(truth, generator(), cameras=cameras)
        found.append(float(((noisy - mean).double() ** 3).mean() / mean.double().mean()))
        assert float((noisy - mean).var()) == pytest.approx(float(mean.mean()), rel=0.05)
    assert found == pytest.approx([1.0, 1.25, 1.5], abs=0.15)


def test_the_same_seed_gives_the_same_noise() -> None:
    truth = torch.rand(4, 1, 32, 32)
    assert torch.equal(degrade(truth, generator(3))[0], degrade(truth, generator(3))[0])


def test_the_noise_of_seeds_that_models_were_trained_with() -> None:
    """A record of what `scale=1` gave when the shipped models were trained: it must not drift."""
    noisy, mean = degrade(torch.linspace(0, 1, 16 * 24 * 24).view(16, 1, 24, 24), generator(5))
    found = [float(t) for x in (noisy, mean) for t in (x.mean(), x.std())]
    assert found == pytest.approx([68.92303, 71.34554, 68.94017, 70.93121], rel=1e-4)


def structures(count: int = 3, side: int = 96) -> torch.Tensor:
    """Sharp curves on black, from 0 to 1."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([((x + 9 * torch.sin(y / 7) + 5 * i) % 16 < 2).float() for i in range(count)])[:, None]


@pytest.mark.parametrize("sigma", [1.8, 2.6])
def test_the_wide_field_frame_is_the_truth_blurred_binned_and_counted(sigma: float) -> None:
    """Against scipy's Gaussian filter, with so much light that the noise is seen as what it is."""
    noisy, truth = degrade(structures(), generator(), 2, dose=1e4, sigma=sigma)
    assert (noisy.shape, truth.shape) == ((3, 1, 48, 48), (3, 1, 96, 96))
    assert torch.allclose(truth.mean(dim=(1, 2, 3)), torch.tensor(1e4), rtol=1e-4)
    for frame, image in zip(noisy[:, 0].numpy(), truth[:, 0].double().numpy(), strict=True):
        blurred = gaussian_filter(image, sigma, mode="mirror", radius=8)
        expected = blurred.reshape(48, 2, 48, 2).mean(axis=(1, 3))
        assert np.array_equal(frame, np.rint(frame)), "photo-electrons are whole"
        error = (frame - expected) / np.sqrt(expected)
        assert error.mean() == pytest.approx(0, abs=5 / 48)
        assert error.std() == pytest.approx(1, abs=0.06)
        assert abs((error[1:] * error[:-1]).mean()) < 0.1


def test_the_dose_of_a_wide_field_frame() -> None:
    _, truth = degrade(structures(1).expand(500, -1, -1, -1), generator(), 2)
    mean, darkest = truth.mean(dim=(1, 2, 3)), truth.amin(dim=(1, 2, 3))
    low, high = PHOTONS
    assert low <= float(mean.min()) < 1.1 * low
    assert 0.9 * high < float(mean.max()) < 1.001 * high
    assert float(mean.log().mean()) == pytest.approx(np.log(low * high) / 2, abs=0.15)
    shares = darkest / mean
    assert BACKGROUND[0] <= float(shares.min()) < float(shares.max()) <= BACKGROUND[1] + 1e-3


def test_an_empty_crop_is_background_alone() -> None:
    _, truth = degrade(torch.zeros(4, 1, 32, 32), generator(), 2, dose=4)
    assert float(truth.max()) <= 4 * BACKGROUND[1]
    assert torch.equal(truth.amin(dim=(1, 2, 3)), truth.amax(dim=(1, 2, 3)))


@pytest.mark.parametrize("shape", [(33, 32), (32, 33), (8, 32)], ids=str)
def test_crops_that_cannot_be_halved_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"scale 2: expected clean crops with even sides of more than 8 pixels"):
        degrade(torch.zeros(1, 1, *shape), generator(), 2)


@pytest.mark.parametrize("scale", [1, 2])
def test_validation_pairs_are_the_same_every_time(scale: int) -> None:
    side = scale * LARGEST
    images = [structures(3, 61)[:, 0], structures(1, side + 6)[:, 0], structures(2, 80)[:, 0]]
    pairs, again = (validation_pairs(images, scale, seed=1) for _ in range(2))
    other = validation_pairs(images, scale, seed=2)
    even = 61 // scale * scale
    assert [truth.shape for _, truth in pairs] == [(even, even), (side, side), (80, 80)]
    for i, ((noisy, truth), same, different) in enumerate(zip(pairs, again, other, strict=True)):
        assert noisy.dtype == truth.dtype == np.float32
        assert noisy.shape == tuple(s // scale for s in truth.shape)
        assert np.array_equal(noisy, same[0])
        assert np.array_equal(truth, same[1])
        assert not np.array_equal(noisy, different[0])
        dose = DOSES[scale][i % len(DOSES[scale])]
        assert (truth.mean() if scale == 2 else np.ptp(truth)) == pytest.approx(dose, rel=1e-3)


def test_the_noise_of_a_validation_image_does_not_depend_on_the_others() -> None:
    images = [structures(1, 64)[:, 0], structures(2, 64)[1:, 0]]
    assert np.array_equal(validation_pairs(images, 2, 0)[0][0], validation_pairs(images[:1], 2, 0)[0][0])
