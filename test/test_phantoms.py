"""Numerical phantoms: without noise, of all kinds, and a share of what a network learns from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from train.config import Config
from train.data.phantoms import PLANES, SIDE, STRUCTURES, mottle, phantom, phantoms
from train.data.sources import find_images
from train.data.stream import Stream, expose


def test_phantoms_follow_from_the_seed_and_their_number() -> None:
    two, three, other = phantoms(2, 0), phantoms(3, 0), phantoms(1, 1)
    assert [image.name for image in three] == ["phantom 0", "phantom 1", "phantom 2"]
    assert all(torch.equal(a.planes, b.planes) for a, b in zip(two, three, strict=False))
    assert not torch.equal(two[0].planes, two[1].planes)
    assert not torch.equal(two[0].planes, other[0].planes)
    assert two[0].most == [math.inf] * PLANES, "they are good for any light"


@pytest.mark.parametrize("seed", range(6))
def test_a_phantom_is_an_image_of_light(seed: int) -> None:
    image = phantom(np.random.default_rng(seed))
    assert image.shape == (SIDE, SIDE)
    assert np.isfinite(image).all()
    assert image.min() >= 0
    brightest = np.percentile(image, 99.9)
    assert brightest == pytest.approx(1, abs=0.01) or brightest > 2, "debris is brighter still"
    spectrum = np.abs(np.fft.fft2(image - image.mean())) ** 2
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    assert spectrum[frequency > 0.45].mean() < 0.05 * spectrum.mean(), "blurred by a lens: white noise would have 1"


def test_some_phantoms_lie_on_light_of_their_own() -> None:
    darkest = [phantom(np.random.default_rng(seed), 64).min() for seed in range(60)]
    assert 0.15 < np.mean(np.array(darkest) > 0.01) < 0.45
    assert min(darkest) == 0, "the others reach down to nothing"


@pytest.mark.parametrize("draw", STRUCTURES)
def test_a_structure_has_something_to_see(draw) -> None:  # type: ignore[no-untyped-def]
    for seed in range(5):
        image = draw(np.random.default_rng(seed), 64)
        assert image.shape == (64, 64)
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() > image.min()


def test_no_dense_texture_looks_like_noise_behind_a_filter() -> None:
    """So that a network can tell them apart: it is coarser. Labyrinths have nothing at low frequencies."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    labyrinths = 0
    for seed in range(60):
        image = mottle(np.random.default_rng(seed), SIDE)
        image = image - image.mean()
        for axis in (0, 1):
            assert (image * np.roll(image, 1, axis)).mean() / image.var() > 0.75, seed
        power = np.abs(np.fft.fft2(image)) ** 2
        rings = [power[(frequency > f) & (frequency <= f + 0.02)].mean() for f in np.arange(0, 0.4, 0.02)]
        labyrinths += rings[0] < 0.2 * max(rings)
    assert 1 < labyrinths < 16


def test_a_run_draws_noise_on_them(tmp_path: Path) -> None:
    for i in range(6):
        np.save(tmp_path / f"{i}.npy", np.random.default_rng(i).random((160, 160)))
    config = Config(synthetic=1.0, photons=(1.0, 1e6), phantoms=6, batch=64)
    images = find_images(tmp_path, config, patterns=("", "*.npy"))  # else they are taken for what they are
    assert len(images.clean) == 3 + 6
    assert all("phantom" not in pair.name for pair in images.validation), "they are to learn from alone"
    crops = Stream(images, config).draw(0)
    assert 0.5 < float(crops.most.isinf().float().mean()) < 0.85, "two thirds of the files"
    _, truth = expose(crops, config)
    brightest = truth.amax(dim=(1, 2, 3))
    assert float(brightest[crops.most.isinf()].max()) > 1e4, "they are good for any light,"
    assert float(brightest[crops.most.isfinite()].max()) < 10, "photographs of noise for hardly any"


@pytest.mark.parametrize("count", [-1, 10**6])
def test_a_number_that_cannot_be(count: int) -> None:
    with pytest.raises(ValueError, match="phantoms: expected 0 to 10000, found"):
        Config(phantoms=count)
