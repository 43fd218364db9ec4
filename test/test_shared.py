"""Noise that neighbouring pixels share, smooth light, truths without noise of their own, and regions off the centre."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from train.config import Config
from train.data.clean import Clean, freed
from train.data.light import lit, smooth_light
from train.data.shared import ORIGINS, Origin, compressed, deconvolved, demosaiced, scanned, shared_noise, spectral
from train.data.synthetic import Cameras, degrade
from train.learn.objectives import LEAST_NOISE, balanced, calm_loss
from train.learn.units import FURTHEST, decentred, telling
from train.measure.calm import fine


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def white(count: int = 8, side: int = 128) -> Tensor:
    return torch.randn(count, 1, side, side, generator=generator())


def lag(noise: Tensor, along: int) -> float:
    """Correlation of neighbours along an axis."""
    n = noise - noise.mean(dim=(2, 3), keepdim=True)
    one, other = n.narrow(along, 1, n.shape[along] - 1), n.narrow(along, 0, n.shape[along] - 1)
    return float((one * other).mean() / n.square().mean())


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_origin_makes_noise_of_noise(origin: Origin) -> None:
    drawn = [origin(white(), random(seed)) for seed in range(4)]
    for noise in drawn:
        assert noise.shape == (8, 1, 128, 128)
        assert torch.isfinite(noise).all()
        assert abs(float(noise.mean())) < 0.1 * float(noise.std())
    shared = max(abs(lag(noise, 3)) for noise in drawn)
    assert shared > (0.02 if origin is compressed else 0.15)
    assert torch.equal(drawn[0], origin(white(), random(0))), "the same from the same seed"


def test_a_slow_scan_blurs_along_x_alone() -> None:
    noise = scanned(white(), random())
    assert lag(noise, 3) > 0.3
    assert abs(lag(noise, 2)) < 0.03


def test_power_laws_rise_towards_low_frequencies() -> None:
    noise = spectral(white(64), random())[:, 0]
    power = torch.fft.fft2(noise).abs().square().mean(0).numpy()
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    low, middle, high = (
        power[(frequency > a) & (frequency < b)].mean() for a, b in ((0, 0.03), (0.1, 0.2), (0.4, 0.5))
    )
    assert low > 3 * middle > 9 * high


def test_a_colour_camera_measures_a_part_of_the_pixels() -> None:
    noise = torch.zeros(1, 1, 8, 8)
    noise[..., 2, 2] = 1
    for seed in range(4):
        seen = demosaiced(noise, random(seed))[0, 0]
        assert float(seen[2, 2]) == 1
        assert float(seen[2, 3]) in (0.25, 0.5)


def test_a_share_of_the_crops_has_shared_noise_as_strong_as_before() -> None:
    noise = white(200, 32) * torch.linspace(0.5, 2, 200).view(-1, 1, 1, 1)
    found = shared_noise(noise, 0.4, random())
    changed = (found != noise).flatten(1).any(1)
    assert 0.3 < float(changed.float().mean()) < 0.5
    assert torch.allclose(found.std(dim=(2, 3)), noise.std(dim=(2, 3)), rtol=1e-4)
    assert torch.equal(shared_noise(noise, 0.0, random()), noise)


def test_smooth_light_has_no_fine_structure() -> None:
    light = smooth_light(torch.zeros(16, 1, 128, 128), generator(), random())
    assert float(light.min()) > 0
    assert light.amax(dim=(2, 3)).tolist() == 16 * [[1.0]]
    flat = [float(image.std()) < 1e-6 for image in light]
    assert 0 < sum(flat) < 12, "some are of one brightness"
    for image in light[:, 0].double().numpy():
        assert fine(image)[8:-8, 8:-8].std() < 0.1 * max(image.std(), 1e-3)


def test_light_takes_the_place_of_crops_or_lies_behind_them() -> None:
    truth = torch.rand(300, 1, 16, 16, generator=generator())
    found = lit(truth, 0.2, generator(1), random())
    rough = torch.stack([image.diff(dim=1).std() for image in (found / truth.std())[:, 0]])
    kept = (found == truth).flatten(1).all(1)
    assert 0.5 < float(kept.float().mean()) < 0.7
    assert 0.12 < float((rough < 0.2 * rough[kept].mean()).float().mean()) < 0.4, "smooth, or hardly anything before it"
    assert torch.equal(lit(truth, 0.0, generator(1), random()), truth)


def test_freed_images_have_a_third_of_their_noise() -> None:
    structure = gaussian_filter(random().random((2, 256, 256)), (0, 6, 6))
    structure = (structure - structure.min()) / np.ptp(structure)
    noisy = torch.from_numpy(structure + 0.1 * random(1).standard_normal(structure.shape)).float()
    clean = torch.from_numpy(structure).float()
    (ours,), (theirs,) = freed([Clean("a", noisy)]), freed([Clean("a", clean)])
    assert ours.name == "a freed"
    assert ours.planes.shape == (2, 128, 128)
    own = float((ours.planes - theirs.planes).std()) / 0.1
    assert 0.2 < own < 0.35
    assert min(ours.most) > 5 * min(Clean("a", noisy).most), "more light may be drawn on them"


def test_additive_noise_is_as_strong_in_the_dark() -> None:
    truth = torch.ones(40, 1, 64, 64)
    truth[..., :32] = 0.05
    cameras = Cameras(photons=(100, 100), read_noise=0, correlated=0, rows=0, additive=1.0)
    noisy, mean = degrade(truth, generator(), cameras=cameras)
    noise = noisy - mean
    assert float(noise[..., :32].std()) == pytest.approx(float(noise[..., 32:].std()), rel=0.05)
    assert float((noise.square().mean() / mean.mean()).sqrt()) == pytest.approx(1, rel=0.05)


def test_cameras_draw_the_same_from_the_same_seed() -> None:
    truth = torch.rand(12, 1, 32, 32, generator=generator())
    cameras = Cameras(origins="any", correlated=0.8, additive=0.3, fields=0.2)
    one, other = (degrade(truth, generator(5), cameras=cameras) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_crops_that_show_nothing_of_their_ground_truth_weigh_nothing() -> None:
    x = torch.randn(3, 1, 32, 32, generator=generator(2))
    target = torch.stack([0.1 * x[0], x[1] + 1e6, -x[2]])
    for found, given in zip(telling(x, target), (x, target), strict=True):
        assert torch.equal(found[[0, 2]], given[[0, 2]])
        assert not found[1].any()


def test_deconvolution_raises_the_middle_of_the_spectrum() -> None:
    found = deconvolved(torch.randn(60, 1, 64, 64, generator=generator()), random())
    frequency = torch.fft.fftfreq(64)
    far = (frequency[:, None].square() + frequency.square()).sqrt()
    power = torch.fft.fft2(found).abs().square().mean(dim=(0, 1))
    middle, slow = float(power[(far > 0.1) & (far < 0.4)].mean()), float(power[far < 0.03].mean())
    assert middle > 2 * slow
    skewness = found.pow(3).mean(dim=(1, 2, 3)) / found.std(dim=(1, 2, 3)).pow(3)
    assert float(skewness.min()) > -0.5
    assert float(skewness.max()) > 0.5, "as an iterated method leaves it"


def test_what_a_median_filter_takes_away_stays() -> None:
    spikes = torch.rand(300, 1, 32, 32, generator=generator(3))
    noise = (spikes < 0.005).float() - (spikes > 0.995).float()
    found = shared_noise(noise, 1.0, np.random.default_rng(0))
    assert float(found.abs().max()) < 50
    assert torch.allclose(found.std(dim=(2, 3)), noise.std(dim=(2, 3)), rtol=0.01)


def test_single_counts_are_not_made_points_of_light() -> None:
    counts = torch.poisson(torch.full((60, 1, 32, 32), 0.05), generator=generator(3)) - 0.05
    assert torch.equal(shared_noise(counts, 1.0, np.random.default_rng(0)), counts)
    many = torch.poisson(torch.full((60, 1, 32, 32), 10.0), generator=generator(3)) - 10
    assert (shared_noise(many, 1.0, np.random.default_rng(0)) != many).flatten(1).any(dim=1).all()


def test_crops_lie_off_the_centre_by_so_many_times_their_noise() -> None:
    target = torch.zeros(400, 1, 16, 16)
    x = target + 0.5 * torch.randn(target.shape, generator=generator())
    moved, truth = decentred(x, target, 0.5, generator(1))
    shift = truth[:, 0, 0, 0]
    assert torch.allclose(moved - truth, x - target, atol=1e-5)
    assert 0.4 < float((shift == 0).float().mean()) < 0.6
    far = shift[shift != 0].abs() / 0.5
    assert 0.9 < float(far.min()) < 2
    assert 0.8 * FURTHEST < float(far.max()) < 1.1 * FURTHEST
    assert 0.3 < float((shift < 0).float().sum() / (shift != 0).float().sum()) < 0.7


def test_errors_count_in_units_of_the_noise_around_them() -> None:
    target = torch.zeros(1, 1, 64, 64)
    spread = torch.where(torch.arange(64) < 32, 1.0, 0.1).expand(1, 1, 64, 64)
    x = spread * torch.randn(target.shape, generator=generator())
    y, truth = balanced(target + 0.3, x, target, 1.0, 9)
    error = (y - truth)[0, 0]
    assert float(error[:, 8:24].mean()) == pytest.approx(0.3, rel=0.1)
    assert float(error[:, 40:56].mean()) == pytest.approx(3, rel=0.1)
    still, _ = balanced(target + 0.3, torch.where(torch.arange(64) < 32, x, 0 * x), target, 1.0, 9)
    noise = float((x[..., :32].square().mean() / 2).sqrt())
    assert float(still[0, 0, :, 50:].mean()) == pytest.approx(0.3 / (LEAST_NOISE * noise), rel=0.01), (
        "not without bound"
    )


def test_what_is_invented_counts_where_the_ground_truth_is_calm() -> None:
    column = torch.arange(128).float()
    lines = torch.sin(2 * torch.pi * column / 5).expand(1, 1, 128, 128)  # in the middle of 2 to 8 pixels
    slow = torch.sin(2 * torch.pi * column / 64).expand(1, 1, 128, 128)
    left = (column < 64).float()
    noise = 0.5 * torch.randn(lines.shape, generator=generator())

    def loss(y: torch.Tensor, target: torch.Tensor) -> float:
        return float(calm_loss(y, target + noise, target))

    assert loss(slow, slow) == 0
    made = loss(slow + 0.1 * lines, slow)
    assert made == pytest.approx(0.1**2 / 2 / 0.5, rel=0.5), "about its power, in the noise"
    assert loss(slow + 0.2 * lines, slow) == pytest.approx(4 * made, rel=1e-3)
    assert loss(1.1 * slow, slow) < 0.1 * made, "slow errors are not invented"
    assert loss(1.1 * lines, lines) == 0, "structure is there"
    assert loss(left * lines + 0.1 * lines, left * lines) == pytest.approx(made / 2, rel=0.3)


def test_the_configuration_asks_for_all_of_it() -> None:
    config = Config(origins="any", additive=0.2, fields=0.15, freed=True, decentred=0.3, balance=0.6, regions=17)
    assert config.origins == "any"
    with pytest.raises(ValueError, match="fields: expected"):
        Config(fields=0.6)
    with pytest.raises(ValueError, match="origins: expected"):
        Config(origins="some")
