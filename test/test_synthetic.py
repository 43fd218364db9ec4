"""Clean images are read from any axes, held out by file, and photographed with known noise."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from train.synthetic import HELD_OUT_EVERY, degrade, draw_clean, read_clean


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
    with pytest.raises(ValueError, match=r"expected clean \.tif images, found none"):
        read_clean(tmp_path)


def test_crops_follow_from_the_seed(folder: Path) -> None:
    images = read_clean(folder)
    first, again, other = (draw_clean(images, 6, 32, generator(s)) for s in (1, 1, 2))
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


def test_the_same_seed_gives_the_same_noise() -> None:
    truth = torch.rand(4, 1, 32, 32)
    assert torch.equal(degrade(truth, generator(3))[0], degrade(truth, generator(3))[0])
