"""The cache changes no number, is made once, anew when its sources change, and whole or not at all."""

import dataclasses
import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

import train.data.cache
from train.config import Config
from train.data.cache import fingerprint, noisy_moments, open_cache
from train.data.frames import read_images
from train.data.layouts import detect
from train.data.pairs import Pair, read_pairs


@pytest.fixture(params=["uint16", "float64"])
def raw(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    for field in ("003", "004"):
        folder = tmp_path / "w2s" / "raw" / field
        folder.mkdir(parents=True)
        random = np.random.default_rng(int(field))
        light = random.uniform(0, 40, (32, 32))
        np.save(folder / "wf_channel0.npy", (100 + 2 * random.poisson(light, (6, 32, 32))).astype(request.param))
        np.save(folder / "sim_channel0.npy", np.kron(light, np.ones((2, 2))).astype("f4"))
    return tmp_path / "w2s"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        clean = random.integers(0, 255, (32, 32))
        for kind, image in (("noisy", random.poisson(clean).clip(0, 255)), ("clean", clean)):
            (tmp_path / "mine" / kind).mkdir(exist_ok=True, parents=True)
            tifffile.imwrite(tmp_path / "mine" / kind / f"{name}.tif", image.astype(np.uint8))
    return tmp_path / "mine"


def same(one: list[Pair], other: list[Pair]) -> None:
    assert [p.name for p in one] == [p.name for p in other]
    for a, b in zip(one, other, strict=True):
        assert a.frames.shape == b.frames.shape
        assert np.allclose(a.frames.astype(float), b.frames.astype(float), rtol=1e-6, atol=0)
        assert np.allclose(a.truth, b.truth, rtol=1e-6, atol=1e-6 * np.ptp(a.truth))
        assert [a.gain, a.offset] == pytest.approx([b.gain, b.offset], rel=1e-5)


@pytest.mark.parametrize("frames", ["first", "random"])
@pytest.mark.parametrize("target", ["mean", "sim"])
@pytest.mark.parametrize("average", [1, 4])
def test_numbers_are_the_same_with_and_without(
    raw: Path, tmp_path: Path, frames: str, target: str, average: int
) -> None:
    config, layout = Config(frames=frames, target=target, average=average), detect(raw)
    fly = read_pairs(layout, layout.fields, config)
    for _ in range(2):
        same(read_pairs(layout, layout.fields, config, tmp_path / "cache"), fly)


def test_whole_numbers_come_back_whole(tree: Path, tmp_path: Path) -> None:
    layout, config = detect(tree), Config()
    cache = open_cache(layout, config, tmp_path / "cache")
    for item in layout.items:
        (stored,), (source,) = cache.read(item, "pairs", config), read_images(item, "pairs", config)
        for ours, theirs in ((stored.frames, source.frames), (stored.truth, source.truth)):
            assert ours.dtype == theirs.dtype == np.uint8
            assert np.array_equal(ours, theirs)


def test_what_is_stored_is_normalised_by_all_pixels(tree: Path, tmp_path: Path) -> None:
    cache = open_cache(detect(tree), Config(), tmp_path / "cache")
    noisy = [np.load(path) for path in sorted(cache.folder.glob("*.noisy.npy"))]
    assert {image.dtype for image in noisy} == {np.dtype(np.float32)}
    assert np.mean(noisy) == pytest.approx(0, abs=1e-6)
    assert np.std(noisy) == pytest.approx(1, rel=1e-6)
    sources = [tifffile.imread(path) for path in sorted((tree / "noisy").iterdir())]
    assert (cache.mean, cache.std) == pytest.approx((np.mean(sources), np.std(sources)))


def test_it_is_made_once_and_anew_when_a_source_changes(
    tree: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    config, folder = Config(), tmp_path / "cache"
    stored = "stored 6 normalised images in"
    open_cache(detect(tree), config, folder)
    assert stored in caplog.text
    caplog.clear()
    index = open_cache(detect(tree), config, folder).folder / "index.json"
    made = index.stat().st_mtime_ns
    assert stored not in caplog.text
    assert "normalised images from" in caplog.text
    open_cache(detect(tree), dataclasses.replace(config, lr=1e-5, match=False), folder)
    assert index.stat().st_mtime_ns == made, "nothing that matters has changed"

    caplog.clear()
    image = tifffile.imread(tree / "clean" / "b.tif")
    tifffile.imwrite(tree / "clean" / "b.tif", image[::-1])
    status = (tree / "clean" / "b.tif").stat()
    os.utime(tree / "clean" / "b.tif", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert np.array_equal(read_pairs(detect(tree), ["b"], Config(match=False), folder)[0].truth, image[::-1])
    assert "the sources have changed since it was made: it is made anew" in caplog.text
    assert stored in caplog.text


def test_the_fingerprint_follows_names_sizes_times_and_what_is_picked(tree: Path) -> None:
    layout = detect(tree)
    marks = {fingerprint(layout, Config()), fingerprint(layout, Config(frames="first"))}
    marks |= {fingerprint(layout, Config(average=2)), fingerprint(layout, Config(target="sim"))}
    (tree / "noisy" / "a.tif").rename(tree / "noisy" / "z.tif")
    (tree / "clean" / "a.tif").rename(tree / "clean" / "z.tif")
    marks.add(fingerprint(detect(tree), Config()))
    assert len(marks) == 5
    moved = tree.rename(tree.with_name("elsewhere"))
    assert fingerprint(detect(moved), Config()) in marks, "the folder may be moved"


def test_a_full_disk_is_found_before_anything_is_written(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def full(folder: Path) -> int:
        asked.append(folder)
        return 2**14

    monkeypatch.setattr(train.data.cache, "disk_free", full)
    with pytest.raises(
        OSError,
        match=r"cache: the cache of normalised images needs 0\.0 MiB, found 0\.0 MiB free: .*--cache.*--no-cache",
    ):
        read_pairs(detect(tree), ["a"], Config(), tmp_path / "cache")
    assert asked == [tmp_path / "cache"]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("frames", ["first", "random"])
@pytest.mark.parametrize("target", ["mean", "sim"])
def test_the_room_asked_for_is_the_room_taken(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: str, target: str
) -> None:
    config = Config(target=target, frames=frames)
    home = open_cache(detect(raw), config, tmp_path / "cache").folder
    written = sum(path.stat().st_size for path in home.glob("*.npy"))
    (home / "index.json").unlink()
    monkeypatch.setattr(train.data.cache, "disk_free", lambda _: written - 1)
    with pytest.raises(OSError, match="free"):
        open_cache(detect(raw), config, tmp_path / "cache")
    monkeypatch.setattr(train.data.cache, "disk_free", lambda _: written)
    open_cache(detect(raw), config, tmp_path / "cache")


def test_it_is_written_whole_or_not_at_all(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = np.save
    monkeypatch.setattr("numpy.save", lambda path, x: saved(path, x) if "b." not in path.name else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_cache(detect(tree), Config(), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_processes_that_make_it_at_once_share_it(tree: Path, tmp_path: Path) -> None:
    layout = detect(tree)
    with ThreadPoolExecutor(4) as pool:
        caches = list(pool.map(lambda _: open_cache(layout, Config(), tmp_path / "cache"), range(8)))
    assert all(cache == caches[0] for cache in caches)
    assert list((tmp_path / "cache").iterdir()) == [caches[0].folder]
    assert caches[0].read(layout.items[0], "pairs", Config())[0].truth.shape == (32, 32)


def test_data_sets_have_caches_of_their_own(tree: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tree, tree.with_name("other"))
    folders = [open_cache(detect(root), Config(), tmp_path / "cache").folder for root in (tree, other, tree)]
    assert folders[0] == folders[2] != folders[1]
    assert all(folder.is_dir() for folder in folders)


def test_a_stored_file_that_is_gone_is_named(tree: Path, tmp_path: Path) -> None:
    cache = open_cache(detect(tree), Config(), tmp_path / "cache")
    (cache.folder / "b.truth.npy").unlink()
    with pytest.raises(
        ValueError,
        match=r"b\.truth\.npy: expected a cached image, found none .*: remove .*pairs-[0-9a-f]{8}-random-1-mean",
    ):
        read_pairs(detect(tree), ["b"], Config(), tmp_path / "cache")


def test_a_bad_image_is_left_out_until_it_is_asked_for(
    tree: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tree / "noisy" / "b.tif").write_bytes(b"cut")
    (tree / "clean" / "c.tif").unlink()
    assert len(read_pairs(detect(tree), ["a"], Config(), tmp_path / "cache")) == 1
    assert "not stored: " in caplog.text
    assert noisy_moments(detect(tree)).count == 2 * 32 * 32
    for name, message in (("b", r"noisy/b\.tif: expected a TIFF"), ("c", r"noisy/c\.tif: expected the ground truth")):
        with pytest.raises(ValueError, match=message):
            read_pairs(detect(tree), [name], Config(), tmp_path / "cache")
    for path in (tree / "clean").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"expected pairs of images, found none that can be used: .*a\.tif: expected an image"
    ):
        open_cache(detect(tree), Config(), tmp_path / "cache")


@pytest.mark.parametrize(("factor", "offset"), [(1e-9, 0.0), (1.0, 1e9)])
def test_ground_truths_keep_their_own_units(tree: Path, tmp_path: Path, factor: float, offset: float) -> None:
    for path in sorted((tree / "clean").iterdir()):
        tifffile.imwrite(path, tifffile.imread(path) * factor + offset)
    layout, config = detect(tree), Config()
    same(
        read_pairs(layout, layout.fields, config),
        read_pairs(layout, layout.fields, config, tmp_path / "cache"),
    )
