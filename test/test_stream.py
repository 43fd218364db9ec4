"""Batch number i is the same whoever draws it; the noise of a share of the crops is drawn anew."""

import dataclasses
from itertools import islice

import pytest
import torch

from demo.simulate import GAIN, simulate_field
from train.data.clean import Clean
from train.data.resident import Resident
from train.data.stream import Crops, Stream, cut, expose, loader

from training import TINY, images, pair  # isort: skip


def test_workers_draw_the_same_batches_in_the_same_order() -> None:
    data = images((1, 3, 4))
    expected = [Stream(data, TINY).draw(i) for i in range(5, 10)]
    for workers in (0, 2):
        drawn = list(islice(loader(data, TINY, 5, workers), 5))
        assert [b.index for b in drawn] == [5, 6, 7, 8, 9]
        for a, b in zip(drawn, expected, strict=True):
            assert torch.equal(a.noisy, b.noisy)
            assert torch.equal(a.truth, b.truth)
    assert not torch.equal(expected[0].noisy, expected[1].noisy)
    other = Stream(data, dataclasses.replace(TINY, seed=1)).draw(5)
    assert not torch.equal(other.noisy, expected[0].noisy)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(("synthetic", "crop"), [(0.0, 48), (0.5, 32), (1.0, 48), (0.0, 0)])
def test_crops_of_resident_images_are_those_that_the_stream_draws(scale: int, synthetic: float, crop: int) -> None:
    data = images((1, 3, 4))
    double = [p.truth.repeat(scale, 0).repeat(scale, 1) for p in data.training]
    training = [dataclasses.replace(p, truth=t, skew=1.5) for p, t in zip(data.training, double, strict=True)]
    random = torch.Generator().manual_seed(0)
    clean = [
        Clean(f"{side}", torch.rand(planes, side, 2 * side, generator=random)) for side, planes in ((96, 2), (130, 3))
    ]
    data = dataclasses.replace(data, training=training, clean=clean)
    config = dataclasses.replace(TINY, scale=scale, synthetic=synthetic, crop=crop)
    drawn, resident = Stream(data, config), Resident(data, torch.device("cpu"))
    for workers in (0, 2):
        for plan in islice(loader(data, config, 3, workers, planned=True), 3):
            crops, expected = cut(plan, resident, config), drawn.draw(plan.index)
            for part in dataclasses.fields(Crops):
                found, same = getattr(crops, part.name), getattr(expected, part.name)
                assert found == same if part.name == "index" else torch.equal(found, same), part.name


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
def test_a_share_of_the_noise_is_drawn_anew(share: float, low: int, high: int) -> None:
    config = dataclasses.replace(TINY, redraw=share, batch=200, flips=False, turns=False)
    crops = Stream(images(), config).draw(0)
    noisy, truth = expose(crops, config)
    assert torch.equal(truth, crops.truth)
    drawn = int((noisy != crops.noisy).flatten(1).any(dim=1).sum())
    assert low <= drawn <= high
    if share:
        errors = (noisy - truth)[(noisy != crops.noisy).flatten(1).any(dim=1)]
        photons = ((truth - pair(1).offset) / GAIN).mean()
        assert float(errors.var()) == pytest.approx(float(GAIN**2 * photons), rel=0.1)


def test_noise_is_redrawn_with_the_skewness_of_the_camera() -> None:
    config = dataclasses.replace(TINY, redraw=1.0, batch=400, flips=False, turns=False)
    for skew, expected in ((1.0, 1.0), (1.5, 1.5)):
        data = images()
        data.training[0] = dataclasses.replace(data.training[0], skew=skew)
        noisy, truth = expose(Stream(data, config).draw(0), config)
        light = (truth - pair(1).offset).clamp(min=0).double()
        third = ((noisy - truth).double() ** 3).mean() / (GAIN**2 * light.mean())
        assert float(third) == pytest.approx(expected, abs=0.1)
        assert float((noisy - truth).var()) == pytest.approx(float(GAIN * light.mean()), rel=0.1)


def test_redrawn_frames_are_like_the_mean_of_several() -> None:
    config = dataclasses.replace(TINY, redraw=1.0, levels=(4.0, 4.0), batch=200, flips=False, turns=False)
    noisy, truth = expose(Stream(images(), config).draw(0), config)
    photons = ((truth - pair(1).offset) / GAIN).mean()
    assert float((noisy - truth).var()) == pytest.approx(float(GAIN**2 * photons / 4), rel=0.1)
    config = dataclasses.replace(config, levels=(1.0, 400.0))
    noisy, truth = expose(Stream(images(), config).draw(0), config)
    spread = (noisy - truth).std(dim=(1, 2, 3))
    assert 10 < float(spread.max() / spread.min()) < 40, "a twentieth of the noise at most"


def test_no_truth_is_darker_than_no_light() -> None:
    data = images()
    data.training[0] = dataclasses.replace(data.training[0], offset=float(data.training[0].truth.max()))
    config = dataclasses.replace(TINY, redraw=1.0, levels=(1e6, 1e6), flips=False, turns=False)
    noisy, truth = expose(Stream(data, config).draw(0), config)
    assert float((noisy - truth).abs().max()) < 0.05 * float(truth.max())


def test_a_camera_that_is_not_known_keeps_its_frames() -> None:
    data = images()
    data.training[0] = dataclasses.replace(data.training[0], gain=float("nan"), offset=float("nan"))
    config = dataclasses.replace(TINY, redraw=1.0, flips=False, turns=False)
    crops = Stream(data, config).draw(0)
    assert torch.equal(expose(crops, config)[0], crops.noisy)


def test_clean_images_have_their_share_of_the_batch() -> None:
    truth = torch.from_numpy(simulate_field(7, side=96)[1]).float()[None] / 300
    data = dataclasses.replace(images(), clean=[Clean("seven", truth)])
    config = dataclasses.replace(TINY, synthetic=0.375)
    crops = Stream(data, config).draw(2)
    assert (len(crops.noisy), len(crops.clean)) == (5, 3)
    noisy, target = expose(crops, config)
    assert noisy.shape == target.shape == (8, 1, 48, 48)
    again, _ = expose(Stream(data, config).draw(2), config)
    assert torch.equal(noisy, again), "what a step sees follows from its number"
