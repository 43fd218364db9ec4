"""Pairs are read whatever the layout, split by field of view, and cut so that each image comes once an epoch."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from demo.simulate import GAIN, OFFSET, simulate_field
from quietfield.noise.camera import poisson_frame
from train.config import Config
from train.data import w2s as published
from train.data.dataset import NumpyDataset
from train.data.layouts import Item, Layout, detect
from train.data.pairs import Pair, Sampling, draw_batch, read_pairs
from train.data.prepare import report, survey
from train.data.reading import _quiet
from train.data.split import split_fields

OWN = Config(match=False, frames="first")  # each truth in its own units


def pair(seed: int = 0, frames: int = 1, scale: int = 1, side: int = 64) -> Pair:
    """Each pixel of the truth tells the image and the place; the frame's number is added to its pixels."""
    ramp = np.arange((side * scale) ** 2, dtype=np.float32).reshape(side * scale, side * scale) + 1e5 * seed
    stack = np.stack([ramp[::scale, ::scale] + 1e-2 * 2**f for f in range(frames)])
    return Pair(f"{seed:03}_0", f"{seed:03}", stack, ramp, 2.0 + seed, 100.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Pairs named as W2S's are, of simulated fields; the truth in other units, as an 8-bit stretch leaves it."""
    for field in (*range(1, 13), *range(81, 84)):
        noisy, truth = simulate_field(field, side=96)
        for kind, image in (("noisy", noisy), ("clean", (0.1 * truth + 3).astype(np.float32))):
            (tmp_path / kind).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / kind / f"{field:03}_0.tif", image)
    return tmp_path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Stacks of six frames, and a reconstruction of twice the pixels."""
    for field in ("003", "004", "005"):
        (tmp_path / "raw" / field).mkdir(parents=True)
        random = np.random.default_rng(int(field))
        light = random.uniform(0, 40, (32, 32))
        np.save(
            tmp_path / "raw" / field / "wf_channel0.npy", (100 + 2 * random.poisson(light, (6, 32, 32))).astype("u2")
        )
        np.save(tmp_path / "raw" / field / "sim_channel0.npy", np.kron(light, np.ones((2, 2))).astype("f4"))
    return tmp_path


def stack_of(item: Item) -> np.ndarray:
    return np.load(item.files["noisy"])


def test_truths_are_brought_into_the_units_of_their_frames(tree: Path) -> None:
    pairs = read_pairs(detect(tree), ["005", "081"], Config())
    assert [(p.name, p.field, p.scale) for p in pairs] == [("005_0", "005", 1), ("081_0", "081", 1)]
    for p in pairs:
        noisy, truth = simulate_field(int(p.field), side=96)
        assert np.array_equal(p.frames, noisy[None])
        assert p.truth.dtype == np.float32
        assert np.abs(p.truth - truth).mean() < 0.01 * np.ptp(truth)
        assert p.gain == pytest.approx(GAIN, rel=0.15)
        assert p.offset == pytest.approx(OFFSET, abs=15)


def test_matching_is_numpys_line(tree: Path) -> None:
    (item,) = (i for i in detect(tree).items if i.name == "007_0")
    noisy, clean = (tifffile.imread(item.files[role]).astype(np.float64) for role in ("noisy", "truth"))
    line = np.polyval(np.polyfit(clean.ravel(), noisy.ravel(), 1), clean)
    (found,) = read_pairs(detect(tree), ["007"], Config())
    assert np.allclose(found.truth, line, rtol=1e-6)
    (own,) = read_pairs(detect(tree), ["007"], OWN)
    assert np.array_equal(own.truth, clean.astype(np.float32))


def test_raw_stacks_have_their_own_mean_as_truth(raw: Path) -> None:
    layout = detect(raw)
    for item, p in zip(layout.items, read_pairs(layout, layout.fields, OWN), strict=True):
        stack = stack_of(item)
        assert np.array_equal(p.frames, stack[:1])
        assert p.truth == pytest.approx(stack.mean(axis=0), rel=1e-6)


def test_frames_are_picked_as_configured(raw: Path) -> None:
    layout = detect(raw)
    stack = stack_of(layout.items[0])
    (four,) = read_pairs(layout, ["003"], dataclasses.replace(OWN, average=4))
    assert four.frames[0] == pytest.approx(stack[:4].mean(axis=0), rel=1e-6)
    (any_of,) = read_pairs(layout, ["003"], dataclasses.replace(OWN, frames="random", average=2))
    assert np.array_equal(any_of.frames, stack)
    assert not any_of.frames.flags.writeable, "mapped, not read"
    (one,) = read_pairs(layout, ["003"], dataclasses.replace(OWN, frames="random"))
    assert any_of.gain == pytest.approx(one.gain / 2), "the mean of two has half the variance"
    with pytest.raises(ValueError, match=r"wf_channel0\.npy: expected at least 8 frames to average, found 6"):
        read_pairs(layout, ["003"], dataclasses.replace(OWN, average=8))


@pytest.mark.parametrize("multiplies", [False, True])
def test_the_skewness_of_the_camera_is_found(tmp_path: Path, multiplies: bool) -> None:
    _, truth = simulate_field(3, side=384)
    mean = torch.from_numpy(truth.astype(np.float32))
    frame = poisson_frame(mean, GAIN, OFFSET, generator(), torch.tensor(multiplies)).numpy()
    for kind, image in (("noisy", frame), ("clean", truth)):
        (tmp_path / kind).mkdir()
        tifffile.imwrite(tmp_path / kind / "003_0.tif", image.astype(np.float32))
    (found,) = read_pairs(detect(tmp_path), ["003"], Config())
    assert found.gain == pytest.approx(GAIN, rel=0.1)
    assert found.skew == pytest.approx(1.5 if multiplies else 1.0, abs=0.2)


def test_the_sim_image_is_twice_as_large_and_matched_by_its_binned_pixels(raw: Path) -> None:
    layout = detect(raw)
    sim = Config(target="sim", frames="first")
    (p,) = read_pairs(layout, ["004"], sim)
    light = np.load(layout.items[1].files["sim"])
    assert p.scale == 2
    assert p.truth.shape == (64, 64)
    small = light.astype(np.float64).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    line = np.polyfit(small.ravel(), stack_of(layout.items[1])[0].astype(np.float64).ravel(), 1)
    assert np.allclose(p.truth, np.polyval(line, light), rtol=1e-5)
    assert np.polyval(line, 20) == pytest.approx(100 + 2 * 20, rel=0.03), "the camera that it was drawn with"


def test_normalised_w2s_is_read_as_it_is(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = {"avg1": random.normal(size=(32, 32)), "avg2": random.normal(size=(32, 32))}
    images |= {"avg400": random.normal(size=(32, 32)), "sim": random.normal(size=(64, 64))}
    for folder, image in images.items():
        (tmp_path / "normalized" / folder).mkdir(parents=True)
        np.save(tmp_path / "normalized" / folder / "003_1.npy", image)
    for average in (1, 2):
        for frames in ("first", "random"):
            config = dataclasses.replace(OWN, average=average, frames=frames)
            (p,) = read_pairs(detect(tmp_path, average), ["003"], config)
            assert np.array_equal(p.frames[0], images[f"avg{average}"])
            assert np.array_equal(p.truth, images["avg400"].astype(np.float32))
    (p,) = read_pairs(detect(tmp_path), ["003"], dataclasses.replace(OWN, target="sim"))
    assert np.array_equal(p.truth, images["sim"].astype(np.float32))


def test_noise_that_is_not_poisson_noise_has_no_camera(tree: Path) -> None:
    flat = np.random.default_rng(0).normal(100, 5, (96, 96)).astype(np.float32)
    tifffile.imwrite(tree / "noisy" / "005_0.tif", flat)
    tifffile.imwrite(tree / "clean" / "005_0.tif", np.full((96, 96), 7, np.uint8))
    (p,) = read_pairs(detect(tree), ["005"], Config())
    assert np.isnan([p.gain, p.offset]).all()
    assert np.allclose(p.truth, flat.mean()), "a constant truth is matched to the frame's mean"


def test_pairs_that_are_none_are_named(tree: Path) -> None:
    with pytest.raises(ValueError, match="expected pairs of the fields asked for, found 15 other fields of kind pairs"):
        read_pairs(detect(tree), ["099"], Config())
    clean, noisy = tree / "clean" / "007_0.tif", tree / "noisy" / "007_0.tif"
    whole = clean.read_bytes()
    for content, message in (
        (b"", r"clean/007_0\.tif: expected an image, found an empty file"),
        (whole[:99], r"clean/007_0\.tif: expected a TIFF, found something else or a damaged one"),
        (None, r"noisy/007_0\.tif: expected the ground truth of this name, found no file: add it, or remove this one"),
    ):
        clean.write_bytes(content) if content is not None else clean.unlink()
        with pytest.raises(ValueError, match=message):
            read_pairs(detect(tree), ["007"], Config())
    for shape in ((9, 9), (96, 192), (48, 48)):
        tifffile.imwrite(clean, np.zeros(shape, np.uint8))
        with pytest.raises(
            ValueError, match=rf"clean/007_0\.tif: expected a ground truth of .* found \({shape[0]}, {shape[1]}"
        ):
            read_pairs(detect(tree), ["007"], Config())
    tifffile.imwrite(clean, np.zeros((96, 96, 3), np.uint8), photometric="rgb")
    with pytest.raises(
        ValueError, match=r"clean/007_0\.tif: expected a ground truth of one plane, .* found CYX \(3, 96"
    ):
        read_pairs(detect(tree), ["007"], Config())
    clean.write_bytes(whole)
    noisy.unlink()
    with pytest.raises(ValueError, match=r"clean/007_0\.tif: expected a noisy image of this name"):
        read_pairs(detect(tree), ["007"], Config())
    assert len(read_pairs(detect(tree), ["008"], Config())) == 1, "other fields are not concerned"


def test_nan_in_a_truth_is_an_error_and_in_a_frame_is_filled(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    noisy, truth = simulate_field(7, side=96)
    holes = noisy.astype(np.float32)
    holes[3:5, 6] = np.nan
    tifffile.imwrite(tree / "noisy" / "007_0.tif", holes)
    (p,) = read_pairs(detect(tree), ["007"], Config())
    assert np.isfinite(p.frames).all()
    assert p.frames[0, 3, 6] == pytest.approx(np.nanmean(holes), rel=1e-5)
    assert "noisy/007_0.tif: 2 of 9216 pixels are not finite" in caplog.text
    truth = truth.astype(np.float32)
    truth[:12], truth[:, -9:], truth[50, 3] = np.nan, np.nan, np.nan
    tifffile.imwrite(tree / "clean" / "007_0.tif", truth)
    (p,) = read_pairs(detect(tree), ["007"], Config(match=False))
    assert np.array_equal(p.ground_truth, truth[12:, 4:-9]), "the largest part that is finite"
    assert np.array_equal(p.frames[0], noisy[12:, 4:-9].astype(np.float32))
    assert "of them usable" in (text := report(survey(detect(tree))))
    assert "pairs that cannot be trained on: 0" in text
    truth[::9] = np.nan
    tifffile.imwrite(tree / "clean" / "007_0.tif", truth)
    with pytest.raises(
        ValueError,
        match=r"clean/007_0\.tif: expected a ground truth without NaN, found .* and 8 x 87 pixels at most without them",
    ):
        read_pairs(detect(tree), ["007"], Config())


def w2s(fields: range, kind: str = "pairs") -> Layout:
    return Layout(
        kind, Path("w2s"), tuple(Item(f"{f:03}_{c}", f"{f:03}", c) for f in fields for c in range(3)), (), w2s=True
    )


def test_the_default_split_of_w2s_is_the_one_that_the_shipped_network_was_chosen_on(data: Path) -> None:
    split = split_fields(detect(data / "w2s"), Config())
    assert [int(f) for f in split.validation] == [11, 23, 27, 53, 55, 57, 72, 80]
    assert sorted(int(f) for f in split.training + split.validation) == list(range(3, 81))
    assert [int(f) for f in split.test] == list(published.TEST)


@pytest.mark.parametrize("seed", range(20))
def test_no_overlapping_fields_on_both_sides(seed: int) -> None:
    split = split_fields(w2s(range(1, 121)), Config(seed=seed))
    assert sorted(map(int, split.training + split.validation)) == list(range(3, 81))
    assert list(map(int, split.test)) == list(range(81, 121))
    assert 8 <= len(split.validation) <= 9
    for a, b in published.OVERLAPS:
        assert (f"{a:03}" in split.validation) == (f"{b:03}" in split.validation)


def test_all_fields_can_be_learned_from_and_some_left_out() -> None:
    fields = w2s(range(1, 90))
    said = split_fields(fields, Config()).summary(fields.fields)
    assert said.endswith("these are images of W2S: 9 kept for testing (--split), 2 left out (--exclude)")
    split = split_fields(w2s(range(70, 101)), Config(split="fields", exclude=(71, 99), validation=0.2))
    assert split.test == ()
    assert sorted(map(int, split.training + split.validation)) == [f for f in range(70, 101) if f not in (71, 99)]
    assert split_fields(w2s(range(70, 101)), Config(validation=0.0)).validation == ()


def test_the_official_split_is_of_w2s_alone() -> None:
    names = [f"{n}" for n in range(1, 101)]
    split = split_fields(Layout("pairs", Path("mine"), tuple(Item(n, n, 0) for n in names), ()), Config())
    assert sorted(split.training + split.validation) == sorted(names), "1, 2 and 81 are anybody's names"
    assert len(split.validation) == 10
    assert split.test == ()


def test_the_only_field_is_parted() -> None:
    split = split_fields(w2s(range(80, 101)), Config())
    assert split.training == split.validation == ("080",)
    assert split.alone


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        (range(81, 101), Config()),
        (range(36, 38), Config()),
        (range(1, 3), Config()),
    ],
)
def test_a_split_that_leaves_a_side_empty_is_refused(fields: range, config: Config) -> None:
    with pytest.raises(ValueError, match="w2s: expected fields of view to train and to validate on, found 0 and"):
        split_fields(w2s(fields), config)


@pytest.mark.parametrize("batch", [1, 3, 7, 16])
def test_each_image_comes_once_an_epoch(batch: int) -> None:
    pairs = [pair(i, side=8) for i in range(7)]
    drawn: list[int] = []
    for first in range(0, 210, batch):
        _, truth, _ = draw_batch(pairs, range(first, first + batch), Sampling(4), generator(first))
        drawn += [int(t.min() // 1e5) for t in truth]
    epochs = [tuple(drawn[i : i + 7]) for i in range(0, 203, 7)]
    assert all(sorted(e) == list(range(7)) for e in epochs)
    assert len(set(epochs)) > 20, "each in an order of its own"
    single = [int(draw_batch(pairs, range(k, k + 1), Sampling(4), generator())[1].min() // 1e5) for k in range(203)]
    assert single == drawn[:203], "whatever the batch"
    other = [
        int(draw_batch(pairs, range(k, k + 1), Sampling(4, seed=1), generator())[1].min() // 1e5) for k in range(203)
    ]
    assert other != single


@pytest.mark.parametrize("scale", [1, 2])
def test_windows_of_frame_and_truth_are_of_one_place(scale: int) -> None:
    pairs = [pair(i, scale=scale) for i in range(3)]
    noisy, truth, camera = draw_batch(pairs, range(64), Sampling(16), generator())
    assert (noisy.shape, truth.shape) == ((64, 1, 16, 16), (64, 1, 16 * scale, 16 * scale))
    assert noisy.dtype == truth.dtype == camera.dtype == torch.float32
    assert (noisy - truth[..., ::scale, ::scale]).abs().max() < 0.1
    corners = (truth[:, 0, 0, 0] % 1e5).int()
    y, x = corners // (64 * scale), corners % (64 * scale)
    assert (y % scale == 0).all()
    assert (x % scale == 0).all()
    assert min(len(y.unique()), len(x.unique())) > 25, "many places"
    assert torch.equal(camera[:, 0], 2 + (truth[:, 0, 0, 0] // 1e5).float())
    assert (camera[:, 1] == 100).all()


def test_windows_reach_every_edge_and_are_seeded() -> None:
    one = [pair(0, side=6)]
    _, truth, _ = draw_batch(one, range(400), Sampling(4), generator())
    corners = truth[:, 0, 0, 0].int()
    counts = torch.stack([(corners == 6 * y + x).sum() for y in range(3) for x in range(3)])
    assert counts.sum() == 400
    assert counts.min() > 20, "all nine places, about as often"
    assert torch.equal(truth, draw_batch(one, range(400), Sampling(4), generator())[1])
    assert not torch.equal(truth, draw_batch(one, range(400), Sampling(4), generator(1))[1])


def test_random_frames_are_drawn_and_averaged() -> None:
    one = [pair(0, frames=8, side=8)]

    def frames_of(**options: object) -> list[int]:
        """The powers of two that tell the frames, summed."""
        count = int(options.get("average", 1))  # type: ignore[call-overload]
        noisy, truth, _ = draw_batch(one, range(300), Sampling(8, **options), generator())  # type: ignore[arg-type]
        return [round(float(d) * 100 * count) for d in (noisy - truth)[:, 0, 0, 0]]

    assert set(frames_of()) == {1}
    assert set(frames_of(frames="first", average=3)) == {0b111}
    assert set(frames_of(frames="random")) == {2**f for f in range(8)}
    three = frames_of(frames="random", average=3)
    assert {n.bit_count() for n in three} == {3}, "none twice"
    assert len(set(three)) > 40, "of 56 triples"
    assert set(frames_of(frames="random", average=8)) == {255}


def test_whole_images_and_images_that_are_too_small() -> None:
    pairs = [pair(0, side=32), pair(1, side=48)]
    noisy, truth, _ = draw_batch(pairs[:1], range(2), Sampling(0), generator())
    assert torch.equal(truth, torch.from_numpy(pairs[0].truth).expand(2, 1, 32, 32))
    assert noisy.shape == truth.shape
    with pytest.raises(ValueError, match=r"expected whole images of one shape, found .*: set --crop, or --batch 1"):
        draw_batch(pairs, range(2), Sampling(0), generator())
    with pytest.raises(
        ValueError, match=r"000_0: expected an image of at least the crop's 40 pixels, found \(32, 32\)"
    ):
        draw_batch(pairs, range(2), Sampling(40), generator())
    with pytest.raises(ValueError, match=r"expected a ground truth [12] times as large, as of 00\d_0, found"):
        draw_batch([pairs[0], pair(1, scale=2, side=32)], range(2), Sampling(16), generator())


class Watched(np.ndarray):
    """Counts the pixels that are taken of it."""

    taken = 0

    def __getitem__(self, index: object) -> np.ndarray:
        piece = np.asarray(self)[index]  # type: ignore[index]
        Watched.taken += piece.size
        return piece


def test_only_the_windows_are_read_of_a_stack() -> None:
    source = pair(0, frames=16)
    watched = dataclasses.replace(source, frames=source.frames.view(Watched))
    draw_batch([watched], range(8), Sampling(16, frames="random", average=4), generator())
    assert Watched.taken == 8 * 4 * 16 * 16


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    """Stacks of eight frames that are all of one value, 2^f."""
    low, high = [], []
    for i in range(3):
        low.append(tmp_path / f"low{i}.npy")
        high.append(tmp_path / f"high{i}.npy")
        np.save(low[-1], np.broadcast_to((2 ** np.arange(8, dtype=np.uint16))[:, None, None], (8, 6, 5)))
        np.save(high[-1], np.full((6, 5), i, np.float64))
    return low, high


def test_numpy_data_set_gives_the_first_slice(files: tuple[list[Path], list[Path]]) -> None:
    items = NumpyDataset(*files)
    assert len(items) == 3
    low, high = items[2]
    assert low.shape == high.shape == (1, 6, 5)
    assert low.dtype == high.dtype == torch.float32
    assert (low == 1).all()
    assert (high == 2).all()
    assert torch.equal(items[-1][1], high)
    with pytest.raises(IndexError):
        items[3]


def test_numpy_data_set_averages_random_frames_by_seed_index_and_epoch(files: tuple[list[Path], list[Path]]) -> None:
    assert NumpyDataset(*files, average=3)[0][0] == pytest.approx(7 / 3)

    def sums(seed: int, epochs: int, average: int) -> list[int]:
        items = NumpyDataset(*files, frame="random", average=average, seed=seed)
        result = []
        for epoch in range(epochs):
            items.set_epoch(epoch)
            result += [round(float(items[i][0][0, 0, 0]) * average) for i in range(3)]
        return result

    assert set(sums(0, 40, 1)) == {2**f for f in range(8)}
    two = sums(0, 40, 2)
    assert {n.bit_count() for n in two} == {2}
    assert two == sums(0, 40, 2)
    assert two != sums(1, 40, 2)
    assert len(set(two)) > 20, "of 28 pairs"


def test_numpy_data_set_in_a_loader_with_channels_and_twice_the_pixels(tmp_path: Path) -> None:
    np.save(tmp_path / "low.npy", np.arange(4 * 2 * 3 * 3).reshape(4, 2, 3, 3))
    np.save(tmp_path / "high.npy", np.ones((2, 6, 6), np.int16))
    items = NumpyDataset([tmp_path / "low.npy"], [tmp_path / "high.npy"])
    low, high = next(iter(torch.utils.data.DataLoader(items, batch_size=1)))
    assert (low.shape, high.shape) == ((1, 2, 3, 3), (1, 2, 6, 6))
    assert torch.equal(low[0].flatten(), torch.arange(18.0))


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (
            (8, 6, 5),
            (7, 5),
            r"high\.npy: expected a ground truth of the frame's shape or twice that, found \(7, 5\) and \(6, 5\)",
        ),
        ((8, 2, 6, 5), (6, 5), r"high\.npy: expected 2 channels as in .*low\.npy, found 1"),
        ((2, 6, 5), (6, 5), r"low\.npy: expected at least 3 frames, found 2"),
    ],
)
def test_numpy_data_set_names_files_that_do_not_fit(
    tmp_path: Path, low: tuple[int, ...], high: tuple[int, ...], message: str
) -> None:
    for name, shape in (("low", low), ("high", high)):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape))
    with pytest.raises(ValueError, match=message):
        NumpyDataset([tmp_path / "low.npy"], [tmp_path / "high.npy"], average=3)[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: NumpyDataset([p], []), "expected as many files of low as of high resolution, found 1 and 0"),
        (lambda p: NumpyDataset([p], [p], "last"), "expected frame first or random .* found 'last' and 1"),
        (lambda p: NumpyDataset([p], [p])[0], r"nowhere\.npy: expected an image"),
    ],
)
def test_numpy_data_set_names_what_it_cannot_use(make: Callable[[Path], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Path("nowhere.npy"))


def test_threads_that_read_at_once_leave_the_log_as_it_was() -> None:
    """They leave in any order; each alone would have brought back the level that the other had set."""
    logger, one, other = logging.getLogger("quietfield.files"), _quiet(), _quiet()
    before = logger.level
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert logger.level == logging.WARNING
    other.__exit__(None, None, None)
    assert logger.level == before
