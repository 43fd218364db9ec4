"""Every switch of the augmentation moves frame and truth alike, and does nothing when it is off."""

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from train.config import Config
from train.data.augment import augment, deform, displacement, orient, pixels, walk

OFF = Config(flips=False, turns=False)
SWITCHES = [{"flips": True}, {"turns": True}, {"elastic": 6.0}, {"gain": 0.3}, {"offset": 0.5}]
ALL = {k: v for switch in SWITCHES for k, v in switch.items()}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(count: int = 16, side: int = 32) -> Tensor:
    return torch.rand(count, 1, side, side, generator=generator(9)) + 1


def run(noisy: Tensor, truth: Tensor, seed: int = 0, **switches: object) -> tuple[Tensor, Tensor]:
    return augment(noisy, truth, dataclasses.replace(OFF, **switches), generator(seed))  # type: ignore[arg-type]


@pytest.mark.parametrize("switches", [*SWITCHES, ALL], ids=lambda s: "+".join(s))
def test_a_switch_moves_frame_and_truth_alike_and_changes_something(switches: dict[str, object]) -> None:
    image = crops()
    noisy, truth = run(image, image.clone(), **switches)
    assert torch.equal(noisy, truth)
    assert noisy.shape == image.shape
    assert float((noisy != image).float().mean()) > 0.3
    again, other = (run(image, image, seed, **switches)[0] for seed in (0, 1))
    assert torch.equal(noisy, again)
    assert not torch.equal(noisy, other)


def test_off_is_off() -> None:
    image, state = crops(), generator()
    noisy, truth = augment(image, 2 * image, OFF, state)
    assert torch.equal(noisy, image)
    assert torch.equal(truth, 2 * image)
    assert torch.equal(state.get_state(), generator().get_state())


@pytest.mark.parametrize("shape", [(6, 6), (4, 6)])
def test_what_is_read_turned_is_as_if_it_were_turned(shape: tuple[int, int]) -> None:
    image = torch.rand(2, 1, *shape, generator=generator())
    large = functional.pad(image, (2, 5, 3, 1), value=-1.0)  # a window whose upper left corner is (3, 2)
    stride, start = large.shape[3], 3 * large.shape[3] + 2
    for turns in range(0, 4, 1 if shape[0] == shape[1] else 2):
        for mirrored in (0, 1):
            expected = torch.rot90(image, turns, (2, 3)).flip(3) if mirrored else torch.rot90(image, turns, (2, 3))
            assert torch.equal(orient(image, 2 * [turns], 2 * [mirrored]), expected)
            first, down, right = walk(turns, mirrored, shape, stride)
            ways = torch.tensor([[start + first + i * large[0].numel(), down, right] for i in range(2)])
            assert torch.equal(large.flatten()[pixels(ways, shape)], expected)


def test_flips_and_turns_give_all_eight_orientations_and_no_other() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    expected = set()
    for turns in range(4):
        for mirrored in (image, image.transpose(2, 3)):
            expected.add(tuple(torch.rot90(mirrored, turns, (2, 3)).flatten().tolist()))
    for switches, count in (({"flips": True, "turns": True}, 8), ({"flips": True}, 2), ({"turns": True}, 4)):
        noisy, _ = run(image.expand(200, 1, 3, 3), image.expand(200, 1, 3, 3), **switches)
        found = {tuple(crop.flatten().tolist()) for crop in noisy}
        assert len(found) == count
        assert found <= expected


@pytest.mark.parametrize("scale", [1, 2])
def test_a_truth_twice_as_large_stays_the_enlargement_of_its_frame(scale: int) -> None:
    image = crops()

    def enlarge(x: Tensor) -> Tensor:
        return x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)

    noisy, truth = run(image, enlarge(image), flips=True, turns=True, gain=0.3, offset=0.5)
    assert torch.equal(truth, enlarge(noisy))


def test_elastic_bends_a_truth_twice_as_large_as_its_frame() -> None:
    """A smooth image: binned after bending it is what bending the binned one gives, but for the bilinear's error."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    truth = (torch.sin(y / 9) * torch.cos(x / 7)).expand(4, 1, 128, 128)
    image = functional.avg_pool2d(truth, 2)
    noisy, bent = run(image, truth, elastic=5.0)
    error = (functional.avg_pool2d(bent, 2) - noisy)[..., 8:-8, 8:-8].abs().max()
    assert float((noisy - image).abs().max()) > 0.2
    assert float(error) < 0.03


def test_elastic_shifts_as_far_as_asked_for_and_smoothly() -> None:
    """The coordinates themselves as images: what they come back as, less what they were, are the shifts."""
    side, furthest = 96, 5.0
    field = displacement((64, side, side), furthest, generator())
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    middle = slice(8, -8)  # beyond the edge the coordinates are mirrored
    shifts = [(deform(c.expand(64, 1, side, side), field) - c)[:, 0, middle, middle] for c in (y, x)]
    lengths = torch.hypot(*shifts).amax(dim=(1, 2))
    assert 0.8 * furthest < float(lengths.max()) < furthest + 1e-3
    assert float(lengths.min()) < 0.2 * furthest
    assert max(float(s.diff(dim=d).abs().max()) for s in shifts for d in (1, 2)) < 0.8  # nothing folds over


def test_gain_and_offset_keep_to_their_ranges() -> None:
    image = crops(500)
    truth = image + 1
    noisy, moved = run(image, truth, gain=0.2)
    factor = (noisy / image)[:, 0, 0, 0]
    assert 0.8 <= float(factor.min()) < 0.82
    assert 1.18 < float(factor.max()) <= 1.2
    assert torch.allclose(moved / truth, factor.view(-1, 1, 1, 1))
    noisy, moved = run(image, truth, offset=2.0)
    shift = ((noisy - image) / image.std(dim=(1, 2, 3), correction=0, keepdim=True))[:, 0, 0, 0]
    assert -2.001 < float(shift.min()) < -1.9
    assert 1.9 < float(shift.max()) < 2.001
    assert torch.allclose(moved - truth, noisy - image, atol=1e-5)


def test_images_that_are_not_square_keep_their_shape() -> None:
    image = torch.rand(8, 1, 16, 24)
    noisy, truth = run(image, image, flips=True, turns=True, elastic=2.0)
    assert noisy.shape == truth.shape == image.shape
    assert torch.equal(noisy, truth)


def test_a_truth_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"found frame \(2, 1, 8, 8\) and ground truth \(2, 1, 16, 12\)"):
        run(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 16, 12))
