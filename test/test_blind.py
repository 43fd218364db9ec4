"""Learning without a truth: each loss, the noise that is drawn, and the way from a folder to a network."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from torch import Tensor

from demo.simulate import GAIN, OFFSET, simulate_field
from quietfield.network.predict import Denoiser
from quietfield.noise.blindspots import BlindSpots
from quietfield.noise.model import NoiseModel, skewed_noise, skewness
from train.checkpoint import load_checkpoint, load_network, run_normalisation
from train.config import Config
from train.data.noisy import find_noisy
from train.data.sources import find_images
from train.export import export
from train.fit import fit
from train.learn.objectives import Batch, build_objective, noise_like
from train.learn.selfsupervised import neighbour_loss, noise2void_loss, recorrupted_loss
from train.measure.metrics import si_psnr
from train.recipes import RECIPES

from training import TINY  # isort: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(x: Tensor) -> Tensor:
    return x


def test_a_hidden_pixel_is_not_seen() -> None:
    """The network that gives what it is shown errs by all of the noise, for what is shown are other pixels' medians."""
    noise = torch.randn((4, 1, 64, 64), generator=generator())
    loss = noise2void_loss(same, noise, BlindSpots(0.05), generator(1))
    assert 0.95 < float(loss) < 1.25


@pytest.mark.parametrize(
    ("spots", "shape"), [(BlindSpots(0.05, 0, 3), (1, 1, 1, 64)), (BlindSpots(0.05, 3, 0), (1, 1, 64, 1))]
)
def test_noise_of_whole_rows_is_hidden_by_a_mask_along_them(spots: BlindSpots, shape: tuple[int, ...]) -> None:
    rows = torch.randn((1, 1, 64, 1) if spots.reach_x else (1, 1, 1, 64), generator=generator())
    z = rows.expand(1, 1, 64, 64) + 0.01 * torch.randn((1, 1, 64, 64), generator=generator(2))
    with_mask, without = (
        float(noise2void_loss(same, z, s, generator(1)))
        for s in (spots, dataclasses.replace(spots, reach_y=0, reach_x=0))
    )
    assert with_mask > 1.3 * without


@pytest.mark.parametrize("spots", [BlindSpots(0.02), BlindSpots(0.02, 0, 4), BlindSpots(0.01, 2, 1)])
def test_nothing_is_seen_of_what_is_hidden(spots: BlindSpots) -> None:
    """Neither of the pixels that are asked for, nor of those in the rectangles around them."""
    z = torch.randn((2, 1, 48, 48), generator=generator())
    asked = spots.draw(z, generator(1))
    hidden = torch.zeros_like(asked)
    for n, _, y, x in asked.nonzero().tolist():
        top, left = max(0, y - spots.reach_y), max(0, x - spots.reach_x)
        hidden[n, :, top : y + spots.reach_y + 1, left : x + spots.reach_x + 1] = True
    shown = spots.hide(z, asked)
    assert torch.equal(shown[~hidden], z[~hidden])
    other = spots.hide(torch.where(hidden, 100 + z, z), asked)
    if spots.pixels == 1:  # others that are near, or mirrored at the ends, are among the pixels of a median
        hidden &= _near(asked) == 1
        hidden, shown, other = (part[..., 4:-4, 4:-4] for part in (hidden, shown, other))
    assert hidden.sum() > 20
    assert torch.allclose(shown[hidden], other[hidden])
    assert float(shown[hidden].std()) < 0.7, "what is shown is smoother than the image"


def test_large_masks_hide_a_fifth_of_an_image_at_most() -> None:
    shown = []

    def network(x: Tensor) -> Tensor:
        shown.append(x)
        return x

    z = torch.randn((8, 1, 64, 64), generator=generator())
    config = dataclasses.replace(RECIPES["noise2void"][1], mask=(3, 3))
    build_objective(config)(network, Batch(z, z, z, torch.zeros(8, 3)), generator(1))
    assert 0.1 < float((shown[0] != z).float().mean()) < 0.22


def _near(asked: Tensor) -> Tensor:
    """How many are asked for in the 5x5 pixels around each."""
    return torch.nn.functional.conv2d(asked.float(), torch.ones(1, 1, 5, 5), padding=4)[..., 2:-2, 2:-2]


def test_a_mask_that_leaves_nothing_is_said() -> None:
    z = torch.zeros((1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"expected images larger than the mask of 1 x 9 pixels .*found \(8, 8\)"):
        noise2void_loss(same, z, BlindSpots(0.5, 0, 4), generator())
    with pytest.raises(ValueError, match="expected pixels to mask, found none: raise the share"):
        noise2void_loss(same, z, BlindSpots(1e-9), generator())


def test_a_long_mask_fits_a_low_image() -> None:
    """The validated rows of a stack are few; a mask along them needs the columns alone."""
    z = torch.randn((1, 1, 32, 64), generator=generator())
    assert torch.isfinite(noise2void_loss(same, z, BlindSpots(0.02, 0, 16), generator(1)))


def test_neighbours_tell_a_flat_image_and_not_each_other() -> None:
    noise = torch.randn((4, 1, 64, 64), generator=generator())
    assert float(neighbour_loss(same, noise, generator(1), 0.0)) == pytest.approx(2, rel=0.05)
    assert float(neighbour_loss(lambda x: 0 * x, noise, generator(1), 0.0)) == pytest.approx(1, rel=0.05)


def test_redrawn_noise_asks_for_the_clean_image() -> None:
    """Of all factors the best is the one for twice the noise: signal / (signal + 2 noise)."""
    clean, noise, again = (torch.randn((8, 1, 64, 64), generator=generator(i)) for i in range(3))
    losses = {
        a: float(recorrupted_loss(lambda x, a=a: a * x, clean + noise, again)) for a in (0.0, 0.2, 1 / 3, 0.45, 1.0)
    }
    assert min(losses, key=lambda a: losses[a]) == 1 / 3


@pytest.mark.parametrize("unit", [0.0, 2.0, 30.0])
def test_drawn_noise_has_the_moments_that_are_asked_for(unit: float) -> None:
    drawn = skewed_noise(torch.full((1, 1, 512, 512), 100.0), torch.tensor(unit), generator())
    assert float(drawn.mean()) == pytest.approx(0, abs=0.1)
    assert float(drawn.var()) == pytest.approx(100, rel=0.03)
    assert float((drawn**3).mean()) == pytest.approx(unit * 100, abs=60, rel=0.1)


def test_the_model_of_an_image_is_that_of_its_camera() -> None:
    noisy, _ = simulate_field(1, side=512)
    model = NoiseModel.of(noisy[None])
    assert model.slope == pytest.approx(GAIN, rel=0.1)
    assert model.skew == pytest.approx(1, abs=0.3)
    dark = torch.full((1, 1, 8, 8), -1e6)
    camera = torch.tensor([[model.slope, -model.intercept / model.slope, model.skew]])
    assert float(noise_like(dark, camera, generator()).abs().max()) == 0, "where there is no light there is no noise"
    white = np.random.default_rng(0).normal(500, 5, (1, 256, 256))
    model = NoiseModel.of(white)
    assert (model.slope, model.skew) == (0, 0)
    assert model.intercept == pytest.approx(25, rel=0.05)
    assert skewness(white, 0.0) == 0


def test_multiplied_electrons_are_told_from_poisson_noise() -> None:
    """Behind an electron multiplier the third moment is half as much again (exponential gain for each electron)."""
    random = np.random.default_rng(0)
    light = 2 + 10 * np.hypot(*np.mgrid[-1:1:512j, -1:1:512j])
    electrons = random.poisson(light)
    multiplied = np.where(electrons > 0, random.gamma(np.maximum(electrons, 1e-9), 5.0), 0.0)
    assert NoiseModel.of(multiplied[None]).skew == pytest.approx(1.5, abs=0.25)
    assert NoiseModel.of(7.0 * random.poisson(light)[None]).skew == pytest.approx(1.0, abs=0.2)


def folder(tmp_path: Path, count: int, name: str = "{:03}_0.tif", planes: int = 1) -> Path:
    for i in range(count):
        frames = np.stack([simulate_field(7 * i + p, side=96)[0] for p in range(planes)])
        tifffile.imwrite(tmp_path / name.format(i + 3), frames[0] if planes == 1 else frames, photometric="minisblack")
    return tmp_path


BLIND = dataclasses.replace(TINY, learn="recorrupted", crop=48)


def test_a_folder_of_noisy_images_is_split_by_fields_and_the_test_fields_left_out(tmp_path: Path) -> None:
    for fov in (1, 3, 4, 5, 6, 7, 8, 81, 99):
        for channel in (0, 1):
            tifffile.imwrite(tmp_path / f"{fov:03}_{channel}.tif", simulate_field(fov, side=96)[0])
    everything = find_noisy(tmp_path, BLIND)
    used = {pair.field for pair in (*everything.training, *everything.validation)}
    assert {"001", "081", "099"} <= used, "names alone make no images of W2S"
    images = find_noisy(tmp_path, dataclasses.replace(BLIND, split="official"))
    fields = [{pair.field for pair in part} for part in (images.training, images.validation)]
    assert fields[0] | fields[1] <= {"003", "004", "005", "006", "007", "008"}, (
        "001 is excluded, 081 and 099 are to test on"
    )
    assert not fields[0] & fields[1]
    assert all(np.isfinite(pair.gain) for pair in images.training)


def test_the_truth_of_pairs_is_not_opened(tmp_path: Path) -> None:
    for name in ("noisy", "clean"):
        (tmp_path / name).mkdir()
    folder(tmp_path / "noisy", 6)
    for path in (tmp_path / "noisy").iterdir():
        (tmp_path / "clean" / path.name).write_bytes(f"no image {path.name}".encode())
    assert len(find_images(tmp_path, BLIND).training) == 5


def test_one_stack_is_parted_by_its_rows(tmp_path: Path) -> None:
    path = folder(tmp_path, 1, planes=3) / "003_0.tif"
    images = find_noisy(path, BLIND)
    assert images.training[0].frames.shape == (3, 64, 96)
    assert images.validation[0].frames.shape == (3, 32, 96)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((96, 96), np.uint16), "x.tif: expected an image to learn from, found the same value everywhere"),
        (
            np.arange(60 * 60, dtype=np.uint16).reshape(60, 60),
            r"x: expected at least 64 x 32 pixels .*found 60 x 60",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_named(tmp_path: Path, image: np.ndarray, words: str) -> None:  # type: ignore[type-arg]
    tifffile.imwrite(tmp_path / "x.tif", image)
    with pytest.raises(ValueError, match=words):
        find_noisy(tmp_path / "x.tif", BLIND)


def test_what_does_not_go_without_a_truth_is_said() -> None:
    with pytest.raises(
        ValueError, match=r"learn neighbours: expected what goes without a ground truth .*found redraw, elastic"
    ):
        Config(learn="neighbours", redraw=0.5, elastic=3.0)
    with pytest.raises(ValueError, match="mask: expected 0 or more, found -1"):
        Config(mask=(1, -1))
    with pytest.raises(ValueError, match="mask: expected two numbers"):
        Config(mask=(1,))


def test_every_way_is_a_recipe() -> None:
    assert {config.learn for _, config in RECIPES.values()} == {
        "truth", "recorrupted", "noise2void", "noise2noise", "neighbours",
    }  # fmt: skip


@pytest.mark.parametrize("learn", ["recorrupted", "noise2void", "noise2noise", "neighbours"])
def test_it_denoises_what_it_never_saw_the_truth_of(tmp_path: Path, learn: str) -> None:
    """A small network for a few seconds: better than the frame by decibels, resumed and exported like any other."""
    noisy, truth = simulate_field(3, side=96)
    random = np.random.default_rng(1)
    again = [OFFSET + GAIN * random.poisson((truth - OFFSET) / GAIN) for _ in range(3)]
    frames = np.stack([noisy, *again]).astype(np.float32)
    tifffile.imwrite(tmp_path / "stack.tif", frames, photometric="minisblack")
    config = dataclasses.replace(
        TINY,
        learn=learn,
        steps=120,
        lr=3e-3,
        optimiser="adam",
        validate_every=60,
        spots=0.05,
        mask=(0, 1) if learn == "noise2void" else (0, 0),
    )
    images = find_images(tmp_path / "stack.tif", config)
    checkpoint = fit(config, images, tmp_path / "run")
    log = (tmp_path / "run" / "log.csv").read_text()
    assert "validation_loss" in log
    assert "si_psnr" not in log, "without a truth there is no figure of quality"
    assert (tmp_path / "run" / "curve.png").is_file()
    network = load_network(checkpoint)
    answer = Denoiser(network, run_normalisation(load_checkpoint(checkpoint)["run"]))(noisy[None])[0]
    assert si_psnr(truth, answer) > si_psnr(truth, noisy.astype(np.float64)) + 2
    export(checkpoint, tmp_path / "model", "blind")
    assert "NaN" not in (tmp_path / "model" / "model.json").read_text()


def test_single_images_have_no_next_frame(tmp_path: Path) -> None:
    config = dataclasses.replace(BLIND, learn="noise2noise")
    words = r"expected frames that follow each other, found images that do not show the same, as 00"
    with pytest.raises(ValueError, match=words):
        find_noisy(folder(tmp_path, 4), config)
    with pytest.raises(ValueError, match=r"expected frames that follow each other, found one image"):
        find_noisy(next(tmp_path.glob("**/*.tif")), config)


def test_single_images_of_one_scene_follow_each_other_by_their_names(tmp_path: Path) -> None:
    truth = simulate_field(3, side=96)[1]
    frames = np.random.default_rng(0).poisson(truth[None] / 20, (11, 96, 96)).astype(np.uint16)
    for number, frame in enumerate(frames):
        tifffile.imwrite(tmp_path / f"t{number}.tif", frame)
    config = dataclasses.replace(BLIND, learn="noise2noise")
    (pair,) = find_noisy(tmp_path, config).training
    assert np.array_equal(pair.frames, frames[:, : pair.frames.shape[1]]), "t2 comes before t10"
    stack = frames[:3, ::-1]
    tifffile.imwrite(tmp_path / "stack.ome.tif", stack, metadata={"axes": "TYX"}, photometric="minisblack")
    left_out: list[str] = []
    (pair,) = find_noisy(tmp_path, config, left_out=left_out).training
    assert len(pair.frames) == 3
    assert len(left_out) == 11
    assert "found one image: leave it out" in left_out[0]
    with pytest.raises(ValueError, match=r"t0: expected frames that follow each other, found one image: leave it out"):
        find_noisy(tmp_path, config)


def test_frames_of_several_fields_follow_each_other_in_their_own_field(tmp_path: Path) -> None:
    for field in range(3):
        (tmp_path / f"pos{field}").mkdir()
        truth = simulate_field(field, side=96)[1] if field else np.full((96, 96), 800.0)
        for t in range(2):
            frame = np.random.default_rng(10 * field + t).poisson(truth / 8).astype(np.uint16)
            tifffile.imwrite(tmp_path / f"pos{field}" / f"t{t}.tif", frame)
    left_out: list[str] = []
    images = find_noisy(tmp_path, dataclasses.replace(BLIND, learn="noise2noise"), "pos*/t*.tif", left_out)
    assert sorted(pair.field for pair in (*images.training, *images.validation)) == ["1", "2"]
    assert all(len(pair.frames) == 2 for pair in images.training)
    assert "do not show the same, as 0/0 and 0/1" in left_out[0]


def test_planes_without_names_are_said_to_be_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    frames = np.stack([simulate_field(i, side=96)[0] for i in range(2)])
    tifffile.imwrite(tmp_path / "unnamed.tif", frames, photometric="minisblack")
    find_noisy(tmp_path / "unnamed.tif", BLIND)
    assert "unnamed.tif: its axes have no names: 2 planes are taken for frames that follow each other" in caplog.text
    caplog.clear()
    tifffile.imwrite(tmp_path / "named.ome.tif", frames, metadata={"axes": "TYX"}, photometric="minisblack")
    images = find_noisy(tmp_path / "named.ome.tif", BLIND)
    assert images.training[0].frames.shape == (2, 64, 96)
    assert "have no names" not in caplog.text


def test_channels_are_never_frames_of_each_other(tmp_path: Path) -> None:
    stack = np.stack([[simulate_field(10 * t + c, side=96)[0] for c in range(2)] for t in range(3)])
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TCYX"}, photometric="minisblack")
    images = find_noisy(tmp_path / "a.ome.tif", dataclasses.replace(BLIND, learn="noise2noise"))
    assert [pair.name for pair in images.training] == ["a.ome c0", "a.ome c1"]
    for channel, pair in enumerate(images.training):
        assert np.array_equal(pair.frames, stack[:, channel, :64])


def test_row_noise_is_refused_where_pixels_have_to_be_independent(tmp_path: Path) -> None:
    noisy = simulate_field(3, side=128)[0].astype(np.float32)
    rows = np.random.default_rng(0).normal(0, noisy.std(), (128, 1))
    tifffile.imwrite(tmp_path / "rows.tif", (noisy + rows).astype(np.float32))
    with pytest.raises(ValueError, match=r"recorrupted expected white noise, .*: give --recipe noise2void --mask 0 16"):
        find_noisy(tmp_path / "rows.tif", BLIND)
    assert find_noisy(tmp_path / "rows.tif", dataclasses.replace(BLIND, learn="noise2void", mask=(0, 16))).training
