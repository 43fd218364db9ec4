"""Batch number i is the same whoever draws it; the noise of a share of the crops is drawn anew."""

import dataclasses
from itertools import islice

import pytest
import torch

from demo.simulate import GAIN, simulate_field
from train.images.clean import Clean
from train.stream import Stream, expose, loader

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
