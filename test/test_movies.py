"""Synthetic movies, what a network for stacks is given of them, and that it can be trained on them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from demo.simulate import simulate_field
from quietfield.adapt.stacks import of_stack
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import StandardisedUNet, UNet, own_plane
from quietfield.network.window import merged, reach, slots
from train.checkpoint import like, load_network
from train.config import Config
from train.data.clean import Clean, draw_clean
from train.data.movies import MARGIN, Shares, filmed, seen
from train.data.phantoms import phantoms
from train.data.sources import find_images
from train.data.stream import Stream, expose
from train.data.synthetic import Cameras, degrade
from train.fit import fit, load_initial
from train.recipes import RECIPES

from training import TINY, weights  # isort: skip

NOTHING = Shares(0, 0, 0, 0, 0, 0, 0, 0)
PLANES = 9


def crops(count: int = 12, side: int = 64) -> torch.Tensor:
    clean, _ = draw_clean(phantoms(4, 3), count, side, torch.Generator().manual_seed(1), planes=2 * reach(PLANES) + 1)
    return clean


def test_far_planes_are_seen_as_means() -> None:
    assert reach(PLANES) == 8
    assert [list(slot) for slot in slots(PLANES)][5:] == [[1], [2], [3, 4], [5, 6, 7, 8]]
    assert [list(slot) for slot in slots(PLANES)][:4] == [[-8, -7, -6, -5], [-4, -3], [-2], [-1]]
    window = [None if i < 3 else np.full((2, 2), i) for i in range(17)]
    found = [None if plane is None else float(plane[0, 0]) for plane in merged(window, PLANES)]
    assert found == [3.0, 4.5, 6.0, 7.0, 8.0, 9.0, 10.0, 11.5, 14.5]
    assert merged([None] * 8 + window[8:], PLANES)[:4] == [None] * 4


def test_movies_show_the_clean_crops() -> None:
    clean = crops()
    movie = filmed(clean, np.random.default_rng(0), NOTHING)
    assert movie.shape == (12, 17, 64 - 2 * MARGIN, 64 - 2 * MARGIN)
    inner = clean[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    own = (own_plane(movie) - own_plane(inner)).abs().amax(dim=(1, 2, 3))
    assert (own == 0).any(), "some stand still, or lie on the pixels"
    still = (movie == movie[:, :1]).flatten(1).all(dim=1)
    assert 0 < still.sum() < 12
    assert torch.equal(movie[still], inner[still])


def test_a_drift_goes_where_it_says() -> None:
    yy, xx = np.mgrid[:64, :64]
    dot = torch.from_numpy(np.exp(-((yy - 32) ** 2 + (xx - 32) ** 2) / 18)).float()
    movie = filmed(dot.expand(40, 17, 64, 64), np.random.default_rng(2), NOTHING).double()
    weight = movie / movie.sum(dim=(2, 3), keepdim=True)
    rows = torch.arange(48, dtype=torch.float64)
    centre = torch.stack([(weight.sum(dim=3) * rows).sum(dim=2), (weight.sum(dim=2) * rows).sum(dim=2)], dim=2)
    near = centre[:, 6:11] - centre[:, 8:9]  # two planes on either side stay in the picture
    straight = (near[:, 0] + near[:, 4]).abs().amax(dim=1) < 0.05
    moving = near[:, 4].norm(dim=1) > 0.2
    assert (straight & moving).any(), "some drift at one speed"
    assert (~straight & moving).any(), "others do not"
    assert near[straight].norm(dim=2).max() < 6.2, "at most three pixels a plane"


@pytest.mark.parametrize("share", [{"unrelated": 1.0}, {"cut": 1.0}, {"layer": 1.0}])
def test_what_is_asked_for_changes_the_neighbours(share: dict[str, float]) -> None:
    plain, other = (
        filmed(crops(), np.random.default_rng(4), dataclasses.replace(NOTHING, **values)) for values in ({}, share)
    )
    assert not torch.equal(plain, other)
    assert bool((other >= 0).all())
    if "layer" not in share:
        assert torch.equal(own_plane(plain), own_plane(other)), "the plane to denoise stays"


def test_spots_and_cells_come_and_go() -> None:
    blank = torch.zeros(30, 17, 64, 64)
    movie = filmed(blank, np.random.default_rng(0), dataclasses.replace(NOTHING, spots=1.0))
    assert (movie.amax(dim=(1, 2, 3)) > 0.05).all()
    brightest, second = movie.flatten(2).topk(2, dim=1).values.unbind(dim=1)
    assert ((brightest > 0.05) & (brightest > 5 * second)).any(), "some are there in one plane alone"


def test_planes_are_given_with_the_noise_of_their_means() -> None:
    flat = torch.full((24, 17, 48, 48), 0.5)
    cameras = Cameras(photons=(100, 100), read_noise=0, correlated=0, rows=0, planes=PLANES)
    light, frames = seen(flat, PLANES, np.random.default_rng(0))
    assert frames.flatten(1).amax(dim=0).tolist() == [4, 2, 1, 1, 1, 1, 1, 2, 4]
    assert (frames == 0).any(), "some movies begin or end near by"
    assert torch.equal(light[frames[..., 0, 0] > 0].unique(), torch.tensor([0.5]))
    noisy, truth = degrade(flat, torch.Generator().manual_seed(0), cameras=cameras)
    assert noisy.shape == (24, 9, 32, 32)
    assert truth.shape == (24, 1, 32, 32)
    ends = (frames == 0).flatten(1).any(dim=1)
    assert 0 < ends.sum() < 24
    whole = [
        i for i in range(24) if float((noisy[i].std(dim=(1, 2)) > 0).all()) and noisy[i, 1].std() < noisy[i, 2].std()
    ]
    ratio = torch.stack([noisy[i].var(dim=(1, 2)) / noisy[i, 4].var() for i in whole]).median(dim=0).values
    assert ratio.tolist() == pytest.approx([1 / 4, 1 / 2, 1, 1, 1, 1, 1, 1 / 2, 1 / 4], rel=0.15)


def test_real_movies_are_told_from_stacks_of_other_things() -> None:
    random = np.random.default_rng(0)
    plane = simulate_field(1, side=64)[1]
    movie = Clean("movie", torch.from_numpy(np.stack([np.roll(plane, i, 0) for i in range(8)])).float())
    others = Clean("others", torch.from_numpy(random.random((8, 64, 64))).float())
    assert movie.moves
    assert not others.moves
    assert movie.around(1, 9) == [3, 2, 1, 0, 1, 2, 3, 4, 5], "to and fro"
    assert movie.around(7, 3) == [6, 7, 6]
    assert others.around(1, 3) == [1, 1, 1]


def test_a_network_for_stacks_begins_as_the_one_for_planes(tmp_path: Path, tiny_model: Path) -> None:
    config = like(dataclasses.replace(TINY, planes=PLANES), tiny_model, ())
    assert config.planes == PLANES
    network = UNet(**config.network).eval()
    load_initial(network, tiny_model, config)
    one = torch.rand(2, 1, 32, 48)
    with torch.inference_mode():
        answer = network(one.expand(-1, PLANES, -1, -1))
        assert torch.allclose(answer, load_network(tiny_model).eval()(one), atol=1e-6)


def stack_denoiser() -> Denoiser:
    torch.manual_seed(0)
    network = UNet((4, 8), 2, "residual", residual=False, planes=PLANES)
    for name, value in network.named_parameters():
        if name.endswith("bias"):
            value.data.zero_()
    return Denoiser(network, Normalisation())


def test_a_stack_is_denoised_whatever_its_scale_and_its_tiles() -> None:
    stack = np.stack([simulate_field(i, side=80)[0] for i in range(5)]).astype(np.float64)
    denoiser = stack_denoiser()
    answer = of_stack(denoiser, stack)
    assert answer.shape == stack.shape
    assert np.allclose(of_stack(denoiser, 3 * stack + 50), 3 * answer + 50, rtol=1e-4)
    tiled = stack_denoiser()
    tiled.tile = 16
    assert np.abs(of_stack(tiled, stack) - answer).max() < 1e-4 * np.ptp(answer)
    changed = stack.copy()
    changed[4] += 100
    assert not np.allclose(of_stack(denoiser, changed)[0], answer[0]), "a plane that is four away counts"


def test_packages_standardise_by_the_plane_in_the_middle() -> None:
    torch.manual_seed(0)
    network = StandardisedUNet((4, 8), 2, planes=3).eval()
    x = 100 + 20 * torch.rand(1, 3, 32, 32)
    denoiser = Denoiser(UNet((4, 8), 2, planes=3), Normalisation())
    denoiser.network.load_state_dict(network.state_dict())
    with torch.inference_mode():
        assert np.allclose(denoiser.of_inputs([*x[0].numpy()]), network(x)[0, 0].numpy(), rtol=1e-4)


def test_an_even_number_of_planes_is_none() -> None:
    with pytest.raises(ValueError, match="expected an odd number of planes, found planes=4"):
        UNet((4, 8), planes=4)
    with pytest.raises(ValueError, match="planes: expected an odd number, found 4"):
        Config(planes=4)


def test_a_network_for_stacks_is_trained_on_clean_images(tmp_path: Path) -> None:
    for i in range(4):
        tifffile.imwrite(tmp_path / f"{i}.tif", simulate_field(i, side=96)[1].astype(np.float32))
    config = dataclasses.replace(
        RECIPES["stack"][1], channels=(8, 16), batch=4, crop=32, steps=4, phantoms=1, freed=False, validate_every=4,
        validation=0.5, precision="float32",
    )  # fmt: skip
    images = find_images(tmp_path, config)
    assert all(pair.frames.shape == (PLANES, 80, 80) for pair in images.validation)
    noisy, truth = expose(Stream(images, config).draw(0), config)
    assert noisy.shape == (4, PLANES, 32, 32)
    assert truth.shape == (4, 1, 32, 32)
    checkpoint = fit(config, images, tmp_path / "run")
    assert weights(checkpoint)["network.down.0.short.weight"].shape[1] == (9 + 3) * 4 + 3, "planes and averages"
    with pytest.raises(
        ValueError, match=r"planes 9: expected to learn from movies of clean images, found .* --recipe stack"
    ):
        fit(dataclasses.replace(config, synthetic=0.5), images, tmp_path / "other")
