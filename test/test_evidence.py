"""Pairs are held against what their images show."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from demo.simulate import simulate_field
from train.config import Config
from train.data.evidence import doubts, look, look_at, shared
from train.data.pairs import Pair
from train.data.sources import find_images
from train.pictures import preview


def pair(shift: tuple[int, int] = (0, 0), seed: int = 0) -> Pair:
    noisy, truth = simulate_field(seed, side=128)
    truth = np.roll(truth, (-shift[0], -shift[1]), (0, 1))
    return Pair(f"{seed}", f"{seed}", noisy[None], truth.astype(np.float32), 2.0, 100.0)


def exchanged(one: Pair) -> Pair:
    assert one.truth is not None
    return Pair(one.name, one.field, one.truth[None], one.frames[0].astype(np.float32), 2.0, 100.0)


def test_good_pairs_raise_no_doubts() -> None:
    looks = look_at([pair(seed=i) for i in range(3)])
    assert len(looks) == 3
    assert all(one.agreement > 0.9 and one.shift == (0, 0) and one.noise[0] > 3 * one.noise[1] for one in looks)
    assert doubts(looks) == []


def test_pairs_that_lie_apart_are_measured() -> None:
    one = look(pair(shift=(3, -2)))
    assert one.shift == pytest.approx((3, -2), abs=0.3)
    (words,) = doubts([one])
    assert words.startswith("1 of 1 pairs lie apart, as 0, whose noisy image lies +3")
    assert "+0.0 in X" in doubts([replace(one, shift=(3.0, -0.01))])[0]
    assert "register them" in words


def test_pairs_of_other_scenes_and_exchanged_ones_are_told() -> None:
    wrong = [Pair("a", "a", pair(seed=i).frames, pair(seed=i + 9).truth, 2.0, 100.0) for i in range(3)]
    assert any("do not show the same, as a (correlation" in words for words in doubts(look_at(wrong)))
    (words,) = doubts(look_at([exchanged(pair(seed=i)) for i in range(3)]))
    assert words.startswith("the ground truths have more noise than the noisy images: if the two are exchanged")


def test_saturated_images_are_told() -> None:
    one = pair()
    cut = np.minimum(one.frames, np.percentile(one.frames, 97))
    (words,) = doubts([look(Pair("a", "a", cut, one.truth, 2.0, 100.0))])
    assert words.startswith("1 of 1 noisy images are saturated, as a (3.")


def test_ground_truths_that_are_cut_off_or_masks_are_told() -> None:
    one = pair()
    truth = one.ground_truth
    (words,) = doubts([look(replace(one, truth=np.minimum(truth, np.percentile(truth, 97))))])
    assert words.startswith("1 of 1 ground truths are saturated, as 0 (3.")
    mask = (truth > np.percentile(truth, 85)).astype(np.float32)
    assert [words[:46] for words in doubts([look(replace(one, truth=mask))])] == [
        "1 of 1 ground truths have one value over most "
    ]


def test_inverted_ground_truths_are_told(tmp_path: Path) -> None:
    for kind in ("noisy", "gt"):
        (tmp_path / kind).mkdir()
    for seed in range(2):
        noisy, truth = simulate_field(seed, side=128)
        tifffile.imwrite(tmp_path / "noisy" / f"{seed}.tif", noisy)
        tifffile.imwrite(tmp_path / "gt" / f"{seed}.tif", truth.max() - truth)
    images = find_images(tmp_path, Config(crop=64))
    (words,) = doubts(look_at(images.training))
    assert "bright where their noisy images are dark" in words
    assert all(np.corrcoef(p.frames[0].ravel(), p.ground_truth.ravel())[0, 1] > 0.5 for p in images.training)


def test_a_scene_on_both_sides_of_the_split_is_told() -> None:
    one, same, other = pair(), replace(pair(), name="later", field="later"), pair(seed=5)
    noise = np.random.default_rng(0).normal(0, 1, one.ground_truth.shape)
    same = replace(same, truth=(same.ground_truth + noise).astype(np.float32))
    (words,) = shared([one, other], [same])
    assert words.startswith("later is validated on and 0 is trained on, and both show the same")
    assert shared([one], [other]) == []
    assert shared([one], [one]) == [], "one field, parted by its rows"


def test_constant_images_say_nothing() -> None:
    one = look(Pair("a", "a", np.ones((1, 64, 64)), np.ones((64, 64), np.float32), math.nan, math.nan))
    assert (one.shift, one.agreement) == ((0, 0), 0)


def test_the_preview_is_drawn(tmp_path: Path) -> None:
    preview(look_at([pair(), pair(shift=(4, 0), seed=1)]), tmp_path / "preview.png")
    assert (tmp_path / "preview.png").read_bytes()[:4] == b"\x89PNG"


def test_noisy_images_are_no_clean_ones(tmp_path: Path) -> None:
    for i in range(6):
        tifffile.imwrite(tmp_path / f"{i}.tif", simulate_field(i, side=96)[0])
    config = Config(synthetic=1.0, crop=32, validation=0.4)
    with pytest.raises(ValueError, match=r"expected clean images, found 2 of 2 with much noise, as .\.tif: learn from"):
        find_images(tmp_path, config)
    assert find_images(tmp_path, config, patterns=("", "*.tif")).clean, "who says so is believed"


def test_the_real_pairs_raise_no_doubts(data: Path) -> None:
    for folder in ("w2s", "fmd-extra"):
        images = find_images(data / folder, Config(crop=32, validation=0.2))
        assert doubts(look_at(images.training, 3)) == []


def test_noisy_images_that_are_their_own_ground_truth_are_told() -> None:
    frame = pair().frames
    same = Pair("a", "a", frame, 2 * frame[0].astype(np.float32) + 5, 2.0, 100.0)
    assert doubts([look(same)])[0].startswith("1 of 1 noisy images are their own ground truth, as a: nothing can be")


def test_filtered_copies_and_edges_are_no_ground_truths() -> None:
    one = pair()
    frame = one.frames[0].astype(np.float32)
    for copy in (
        ndimage.gaussian_filter(frame, 1.5),
        ndimage.median_filter(frame, 5),
        ndimage.uniform_filter(frame, 3),
    ):
        assert [words[:60] for words in doubts([look(replace(one, truth=copy))])] == [
            "1 of 1 ground truths have the noise of their own noisy images"[:60]
        ]


def test_edge_maps_are_no_ground_truths_and_means_of_frames_are() -> None:
    random = np.random.default_rng(0)
    spots = 2e4 * ndimage.gaussian_filter((random.random((192, 192)) < 0.001).astype(float), 5) + 5
    frames = random.poisson(spots, (2, 192, 192)).astype(np.float32)
    one = Pair("a", "a", frames, frames.mean(axis=0), 1.0, 0.0)
    assert doubts([look(one)]) == [], "a mean of frames may hold the frame itself"
    edges = ndimage.gaussian_gradient_magnitude(spots, 1).astype(np.float32)
    (words,) = doubts([look(replace(one, truth=edges))])
    assert words.startswith("1 of 1 ground truths do not show the detail of their noisy images, as of a: edges")


def test_planes_that_show_different_things_have_no_common_ground_truth() -> None:
    scenes = [pair(seed=i) for i in range(3)]
    frames = np.concatenate([one.frames for one in scenes])
    projection = np.max([one.ground_truth for one in scenes], axis=0)
    (words,) = doubts([look(Pair("a", "a", frames, projection, 2.0, 100.0))])
    assert words.startswith("1 of 1 images have planes that differ by more than noise, as a, and one ground truth")
    still = np.random.default_rng(0).poisson(scenes[0].ground_truth / 20, (3, 128, 128))
    assert doubts([look(replace(scenes[0], frames=still))]) == []


def test_masks_are_not_said_to_be_inverted() -> None:
    one = pair()
    dark = (one.ground_truth < np.percentile(one.ground_truth, 85)).astype(np.float32)
    (words,) = doubts([look(replace(one, truth=-dark, inverted=True))])
    assert "one value over most of their area" in words
