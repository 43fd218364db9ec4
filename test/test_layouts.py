"""Every layout is told from the others, and what is wrong with a folder is named."""

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from train.config import Config
from train.data.frames import match
from train.data.layouts import Layout, detect, detect_noisy
from train.data.names import said
from train.data.prepare import compact, prepare, report, survey, verdict
from train.data.reading import open_image, open_volume
from train.data.sources import find_images
from train.measure.cases import as_file, cases_of, read_case

RANDOM = np.random.default_rng(0)
FIELDS = ("001", "002", "081")


def counts(*shape: int) -> np.ndarray:
    return RANDOM.poisson(20, shape).astype(np.uint16) + 100


def raw(root: Path) -> Path:
    """W2S as it was acquired."""
    for field in FIELDS:
        (root / "raw" / field).mkdir(parents=True)
        for channel in range(2):
            np.save(root / "raw" / field / f"wf_channel{channel}.npy", counts(6, 32, 32))
            np.save(root / "raw" / field / f"sim_channel{channel}.npy", counts(64, 64))
    return root


def normalised(root: Path) -> Path:
    """W2S as its authors train on it."""
    for folder in ("avg1", "avg4", "avg400", "sim"):
        (root / "data" / "normalized" / folder).mkdir(parents=True)
        for field in FIELDS:
            for channel in range(2):
                side = 64 if folder == "sim" else 32
                image = RANDOM.normal(size=(side, side))
                np.save(root / "data" / "normalized" / folder / f"{field}_{channel}.npy", image)
    return root


def pairs(root: Path, names: tuple[str, str] = ("noisy", "clean"), suffix: str = ".tif") -> Path:
    """Two folders of equal names."""
    for folder in names:
        (root / folder).mkdir(parents=True)
        for field in FIELDS:
            for channel in range(2):
                save(root / folder / f"{field}_{channel}{suffix}", counts(32, 32))
    return root


def save(path: Path, image: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".png":
        Image.fromarray(image).save(path)
    else:
        tifffile.imwrite(path, image)


@pytest.mark.parametrize(
    ("make", "below", "kind", "roles"),
    [
        (raw, "", "w2s-raw", {"noisy", "sim"}),
        (raw, "raw", "w2s-raw", {"noisy", "sim"}),
        (normalised, "", "w2s-normalised", {"noisy", "truth", "sim"}),
        (normalised, "data", "w2s-normalised", {"noisy", "truth", "sim"}),
        (normalised, "data/normalized", "w2s-normalised", {"noisy", "truth", "sim"}),
        (pairs, "", "pairs", {"noisy", "truth"}),
        (pairs, "..", "pairs", {"noisy", "truth"}),
    ],
)
def test_w2s_is_found_where_it_lies(
    tmp_path: Path, make: Callable[[Path], Path], below: str, kind: str, roles: set[str]
) -> None:
    layout = detect(make(tmp_path / "w2s") / below)
    assert layout.kind == kind
    assert (layout.numbered, layout.w2s) == (True, False), "these images show something else"
    assert layout.fields == FIELDS
    assert [i.name for i in layout.items] == [f"{f}_{c}" for f in FIELDS for c in range(2)]
    assert [i.channel for i in layout.items] == [0, 1] * 3
    assert all(set(i.files) == roles for i in layout.items)
    assert layout.unpaired == ()


def test_the_level_of_noise_is_chosen(tmp_path: Path) -> None:
    normalised(tmp_path)
    assert {i.noisy.parent.name for i in detect(tmp_path, 4).items if i.noisy} == {"avg4"}
    with pytest.raises(ValueError, match=r"expected avg8, found avg1, avg4, avg400: choose another average"):
        detect(tmp_path, 8)


@pytest.mark.parametrize("names", [("low", "high"), ("input", "target"), ("raw", "gt"), ("Noisy", "GT"), ("lq", "hq")])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_pairs_go_by_many_names(tmp_path: Path, names: tuple[str, str], suffix: str) -> None:
    layout = detect(pairs(tmp_path, names, suffix))
    assert layout.kind == "pairs"
    assert all(i.noisy and i.truth and i.noisy.suffix == suffix for i in layout.items)


def test_other_names_are_fields_of_their_own(tmp_path: Path) -> None:
    for folder in ("noisy", "clean"):
        (tmp_path / folder).mkdir()
        for name in ("001_0", "cell_2"):
            save(tmp_path / folder / f"{name}.tif", counts(8, 8))
    layout = detect(tmp_path)
    assert layout.fields == ("001_0", "cell_2")
    assert not layout.numbered
    assert {i.channel for i in layout.items} == {0}


def test_clean_images_alone(tmp_path: Path) -> None:
    for name in ("a.tif", "b/a.png", "b/c/d.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        save(tmp_path / name, counts(8, 8))
    (tmp_path / ".hidden.tif").touch()
    (tmp_path / "notes.txt").touch()
    layout = detect(tmp_path)
    assert (layout.kind, layout.w2s) == ("clean", False)
    assert [i.name for i in layout.items] == ["a", "b/a", "b/c/d"]
    assert all(set(i.files) == {"truth"} for i in layout.items)


def test_the_real_images(data: Path) -> None:
    layout = detect(data / "w2s")
    assert (layout.kind, layout.w2s, layout.unpaired) == ("pairs", True, ())
    assert len(layout.items) == 300
    assert layout.fields == tuple(f"{f:03}" for f in range(1, 101))
    assert detect(data / "fmd-extra").kind == "pairs"
    assert detect(data / "clean").kind == "clean"
    with pytest.raises(ValueError, match=r"expected one data set, found several: name one of .*fmd-extra, .*w2s"):
        detect(data)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: expected a folder of images, found nothing"):
        detect(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"expected raw/NNN/wf_channelC\.npy, or .* found none of them"):
        detect(tmp_path)
    pairs(tmp_path)
    shutil.rmtree(tmp_path / "clean")
    with pytest.raises(ValueError, match=r"found none, but 6 images whose names say that they are noisy, as noisy/"):
        detect(tmp_path)


def test_folders_that_leave_a_choice_are_named(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "gt").mkdir()
    with pytest.raises(ValueError, match=r"one of ground truths, found noisy/, clean/, gt/"):
        detect(tmp_path)
    (tmp_path / "gt").rmdir()
    save(tmp_path / "noisy" / "001_0.png", counts(8, 8))
    with pytest.raises(ValueError, match=r"001_0\.tif: expected one image of this name, found 001_0\.png beside it"):
        detect(tmp_path)


@pytest.mark.parametrize(
    ("make", "gone", "lone"),
    [
        (raw, "raw/002/sim_channel1.npy", ["002/wf_channel1.npy"]),
        (raw, "raw/002/wf_channel1.npy", ["002/sim_channel1.npy"]),
        (normalised, "data/normalized/avg400/081_0.npy", ["avg1/081_0.npy", "sim/081_0.npy"]),
        (pairs, "clean/001_0.tif", ["noisy/001_0.tif"]),
        (pairs, "noisy/001_0.tif", ["clean/001_0.tif"]),
    ],
)
def test_unpaired_files_are_listed(tmp_path: Path, make: Callable[[Path], Path], gone: str, lone: list[str]) -> None:
    (make(tmp_path) / gone).unlink()
    layout = detect(tmp_path)
    assert [p.relative_to(layout.root).as_posix() for p in layout.unpaired] == lone
    assert len(layout.items) == 6


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(s, d) for s in (".tif", ".png", ".npy") for d in ("uint8", "uint16", "float32") if (s, d) != (".png", "float32")],
)
def test_images_open_as_they_were_saved(tmp_path: Path, suffix: str, dtype: str) -> None:
    image = counts(7, 9).astype(dtype)
    save(tmp_path / f"a{suffix}", image)
    opened = open_image(tmp_path / f"a{suffix}")
    assert opened.dtype == dtype
    assert np.array_equal(opened, image)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ValueError, match=rf"a\{suffix}: expected an image"):
        open_image(path)
    save(path, counts(40, 40))
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"not an image at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\{suffix}: expected an image, found a file that cannot be read"):
            open_image(path)


def test_files_without_real_pixels_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P").save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: .* numbers of colours: save it as grey"):
        open_image(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.zeros((4, 4), complex))
    with pytest.raises(ValueError, match=r"a\.npy: expected pixels of real numbers, found complex128"):
        open_image(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((0, 4)))
    with pytest.raises(ValueError, match=r"found float64 of shape \(0, 4\)"):
        open_image(tmp_path / "a.npy")


def test_a_survey_counts_and_measures_every_file(tmp_path: Path) -> None:
    layout = detect(raw(tmp_path))
    found = survey(layout)
    assert found.usable == 6
    assert found.summaries["noisy"].shapes == {"QYX (6, 32, 32)": 6}
    assert found.summaries["sim"].dtypes == {"uint16": 6}
    pixels = np.concatenate([np.load(i.noisy).ravel() for i in layout.items if i.noisy])
    assert found.summaries["noisy"].moments.mean == pytest.approx(pixels.mean())
    text = report(found)
    assert "w2s-raw, 6 images, 6 of them usable" in text
    assert f"{pixels.size} pixels from {pixels.min()} to {pixels.max()}" in text
    assert "fields of view: 3 (001-002, 081)" in text
    assert "channels by the names of the files: 0, 1" in text
    Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)).save(tmp_path / "colours.png")
    for kind in ("noisy", "clean"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        shutil.copy(tmp_path / "colours.png", tmp_path / "pairs" / kind)
    text = report(survey(detect(tmp_path / "pairs")))
    assert "shapes CYX (3, 32, 32)" in text
    assert "channels" not in text, "0 would be taken for a number of channels"


def damaged(root: Path) -> Layout:
    """One file of each kind of fault."""
    folder = normalised(root) / "data" / "normalized"
    (folder / "avg1" / "001_0.npy").write_bytes(b"\x93NUMPY, cut")
    np.save(folder / "avg400" / "001_1.npy", np.zeros((30, 32)))
    hole = np.load(folder / "avg400" / "002_0.npy")
    hole[3, 4:6] = np.nan
    np.save(folder / "avg400" / "002_0.npy", hole)
    hole[5] = np.nan
    np.save(folder / "avg1" / "081_0.npy", hole)
    (folder / "sim" / "002_1.npy").unlink()
    return detect(root)


def test_bad_files_are_reported_with_their_reasons_and_stop_nothing(tmp_path: Path) -> None:
    found = survey(damaged(tmp_path))
    assert found.usable == 4, "002_0, but for its NaN, 002_1, 081_0 and 081_1"
    assert len(found.unreadable) == 1
    text = report(found)
    assert "files that cannot be read: 1" in text
    assert "001_0.npy: expected an image, found a file that cannot be read" in text
    assert "NaN: 34 pixels in avg1/081_0.npy (34)" in text
    assert "NaN: 2 pixels in avg400/002_0.npy (2)" in text
    assert "001_1.npy: expected a ground truth of the frame's shape or twice that, found (30, 32) and (32, 32)" in text
    assert "unpaired files: 2" in text
    assert "    avg1/002_1.npy" in text


def test_prepare_prints_the_survey_and_the_split_and_fills_the_cache(tmp_path: Path) -> None:
    config = Config(split="official", exclude=(), validation=0.3)
    text = prepare(raw(tmp_path / "w2s"), config, tmp_path / "cache")
    assert "training: 1 fields" in text
    assert "validation: 1 fields" in text
    assert "test: 1 fields (081)" in text
    assert "left out" not in text
    assert "left out: 1 fields (001)" in prepare(
        tmp_path / "w2s", Config(split="official", exclude=(1,), validation=0.0), None
    )
    assert f"6 normalised images (frames random, average 1, target mean) in {tmp_path / 'cache'}" in text
    assert "cache:" not in prepare(tmp_path / "w2s", config, None)


def test_prepare_goes_on_past_bad_files_and_refuses_a_folder_of_nothing_else(tmp_path: Path) -> None:
    damaged(tmp_path / "some")
    assert "in " + str(tmp_path / "cache") in prepare(tmp_path / "some", Config(exclude=()), tmp_path / "cache")
    pairs(tmp_path / "none")
    for path in (tmp_path / "none" / "clean").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="expected images to train on, found none that are usable") as error:
        prepare(tmp_path / "none", Config(), None)
    assert "files that cannot be read: 6" in str(error.value)


def test_prepare_says_whether_fit_takes_the_pairs(tmp_path: Path) -> None:
    pairs(tmp_path)
    config = Config(exclude=(), split="fields", validation=0.3)
    images, words = verdict(tmp_path, config, None)
    assert images
    assert words.startswith("ready, with ")
    assert verdict(tmp_path, Config(learn="noise2void", crop=32, validation=0.3), None)[0]
    first = sorted((tmp_path / "clean").iterdir())[0]
    tifffile.imwrite(first, np.kron(tifffile.imread(first), np.ones((2, 2), np.float32)))
    images, words = verdict(tmp_path, config, None)
    assert images
    assert "crop it, or remove the pair" in images.left_out[0]
    assert verdict(tmp_path, config, None, strict=True)[0] is None
    first.unlink()
    assert verdict(tmp_path, config, None)[1].endswith("and 1 left out")
    assert "expected the ground truth of this name, found no file" in verdict(tmp_path, config, None, strict=True)[1]


def test_a_name_that_breaks_the_pattern_is_told_with_what_follows(tmp_path: Path) -> None:
    pairs(tmp_path)
    assert detect(tmp_path).odd == ""
    for kind in ("noisy", "clean"):
        save(tmp_path / kind / "081_2 (copy).tif", counts(32, 32))
    layout = detect(tmp_path)
    assert len(layout.fields) == 7
    (line,) = (line for line in report(survey(layout)).splitlines() if line.startswith("  names: "))
    assert "found 1 of 7 that are not (081_2 (copy)): so each file is a field of view of its own" in line
    assert "rename these files, or remove them" in line
    config = Config(exclude=(), validation=0.3)
    assert find_images(tmp_path, config).warning == layout.odd
    for path in tmp_path.glob("*/0*_?.tif"):
        path.rename(path.with_name(f"cell {path.name}"))
    assert detect(tmp_path).odd == "", "names of one's own are no mistake"


def test_prepare_says_what_is_to_be_done_with_clean_images(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", counts(16, 16))
    text = prepare(tmp_path, Config(), tmp_path / "cache")
    assert "no pairs, which are two folders of equal names, as noisy/ and clean/, or names as a_noisy.tif" in text
    assert "images alone, 1 images" in text
    assert "ground truth" not in text, "they may be noisy ones"


def test_stacks_of_pairs_fit_and_colours_with_one_truth_are_named(tmp_path: Path) -> None:
    pairs(tmp_path)
    tifffile.imwrite(tmp_path / "noisy" / "001_0.tif", counts(32, 32, 3), photometric="rgb")
    save(tmp_path / "noisy" / "001_1.tif", counts(5, 32, 32))
    save(tmp_path / "clean" / "001_1.tif", counts(5, 32, 32))
    found = survey(detect(tmp_path))
    assert found.usable == 5, "five planes and their ground truths fit"
    (reason,) = found.unfit
    assert "clean/001_0.tif: expected a ground truth of each channel of " in reason
    assert "noisy/001_0.tif, CYX (3, 32, 32), found YX (32, 32): give --image-channels N" in reason


def test_small_images_fit_and_a_lone_number_is_named(tmp_path: Path) -> None:
    for kind in ("noisy", "clean"):
        (tmp_path / kind).mkdir()
        save(tmp_path / kind / "small.npy", counts(16, 32))
        save(tmp_path / kind / "number.npy", counts(8, 8) if kind == "noisy" else np.float32(3))
    found = survey(detect(tmp_path))
    assert found.usable == 1
    (reason,) = found.unreadable
    assert "clean/number.npy: expected an image (Y, X) or a stack (..., Y, X), found ()" in reason


def test_names_are_listed_compactly() -> None:
    assert compact(("001", "002", "003", "007")) == "001-003, 007"
    assert compact(("a", "b")) == "a, b"
    assert compact(()) == "none"
    assert compact(tuple(f"cell{i}" for i in range(30))).endswith("cell19, and 10 more")


@pytest.mark.parametrize(
    ("noisy", "truth", "name"),
    [
        ("a/img01_noisy.tif", "a/img01_gt.tif", "a/img01"),
        ("noisy_img01.tif", "clean_img01.tif", "img01"),
        ("imgLowSNR01.tif", "imgHighSNR01.tif", "img_01"),
        ("img01-raw.png", "img01-ground-truth.png", "img01"),
        ("field1/noisy.tif", "field1/gt.tif", "field1"),
        ("field1/low.npy", "field1/high.npy", "field1"),
        ("low/img01.tif", "high/img01.tif", "img01"),
        ("raw/deep/img01.tif", "gt/deep/img01.tif", "deep/img01"),
        ("noisy_images/img01.tif", "ground_truth/img01.tif", "img01"),
        ("input/img01_input.tif", "target/img01_target.tif", "img01"),
        ("exp1_noisy/img01.tif", "exp1_gt/img01.tif", "img01"),
        ("LR/img01.jpg", "HR/img01.png", "img01"),
        ("stacks/noisy/img01.tif", "stacks/gt/img01.tif", "img01"),
    ],
)
def test_pairs_are_known_by_what_names_say(tmp_path: Path, noisy: str, truth: str, name: str) -> None:
    for path in (noisy, truth):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / path, counts(32, 32).astype(np.uint8))
        second = path.replace("01", "02").replace("field1", "field2")
        (tmp_path / second).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / second, counts(32, 32).astype(np.uint8))
    layout = detect(tmp_path)
    assert (layout.kind, layout.unpaired) == ("pairs", ())
    assert [item.name for item in layout.items] == [name, name.replace("01", "02").replace("field1", "field2")]
    first = layout.items[0]
    assert (first.noisy, first.truth) == (tmp_path / noisy, tmp_path / truth)


def test_folders_of_several_experiments_are_one_data_set(tmp_path: Path) -> None:
    for experiment in ("exp1", "exp2"):
        for role in ("noisy", "gt"):
            (tmp_path / f"{experiment}_{role}").mkdir()
            save(tmp_path / f"{experiment}_{role}" / "a.tif", counts(32, 32))
    layout = detect(tmp_path)
    assert [item.name for item in layout.items] == ["exp1: a", "exp2: a"]
    assert len(layout.fields) == 2


def test_what_lies_in_one_folder_is_of_one_field(tmp_path: Path) -> None:
    for field in ("f1", "f2"):
        (tmp_path / field).mkdir()
        for name in ("a_noisy", "a_gt", "b_noisy", "b_gt"):
            save(tmp_path / field / f"{name}.tif", counts(32, 32))
    layout = detect(tmp_path)
    assert [item.name for item in layout.items] == ["f1/a", "f1/b", "f2/a", "f2/b"]
    assert layout.fields == ("f1", "f2")


def test_patterns_pair_what_names_do_not_tell(tmp_path: Path) -> None:
    for path in ("short/cell_1_t5.tif", "short/cell_2_t5.tif", "long/cell_1_t500.tif", "long/cell_2_t500.tif"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        save(tmp_path / path, counts(32, 32))
    assert detect(tmp_path).kind == "clean", "nothing says otherwise"
    layout = detect(tmp_path, noisy="short/*_t5.tif", truth="long/*_t500.tif")
    assert [item.name for item in layout.items] == ["cell_1", "cell_2"]
    assert layout.items[0].truth == tmp_path / "long" / "cell_1_t500.tif"
    assert detect_noisy(tmp_path, pattern="short/*.tif").kind == "noisy"
    assert len(detect(tmp_path, truth="**/*_t500.tif").items) == 2
    with pytest.raises(ValueError, match=r"expected files like lang/\*\.tif, found none"):
        detect(tmp_path, noisy="short/*.tif", truth="lang/*.tif")
    with pytest.raises(ValueError, match=r"to be equal in both patterns, found 'cell_1_t5' of .* 'cell_1_t500' of"):
        detect(tmp_path, noisy="short/*.tif", truth="long/*.tif")


def test_patterns_keep_fields_apart_and_pair_what_times_tell_apart(tmp_path: Path) -> None:
    for field in range(2):
        for time in range(2):
            for channel in range(2):
                path = tmp_path / "tree" / f"Pos{field}" / f"img_c{channel}_t{time}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                save(path, counts(32, 32))
    layout = detect(tmp_path / "tree", noisy="*/img_c0_*.tif", truth="*/img_c1_*.tif")
    assert [(item.name, item.field) for item in layout.items][:3] == [
        ("Pos0/t0", "Pos0"), ("Pos0/t1", "Pos0"), ("Pos1/t0", "Pos1"),
    ]  # fmt: skip
    (tmp_path / "times").mkdir()
    for cell in range(3):
        save(tmp_path / "times" / f"day{cell}_14h0{cell}_cell{cell}_10ms.tif", counts(32, 32))
        save(tmp_path / "times" / f"day{cell}_14h1{cell}_cell{cell}_500ms.tif", counts(32, 32))
    layout = detect(tmp_path / "times", noisy="*_14h??_*_10ms.*", truth="*_14h??_*_500ms.*")
    assert [item.name for item in layout.items if len(item.files) == 2] == [f"day{i}_{i}_cell{i}_tif" for i in range(3)]


def test_folders_are_patterns_and_accents_are_one_letter(tmp_path: Path) -> None:
    for folder, form in (("verrauscht", "NFC"), ("sauber", "NFD")):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / unicodedata.normalize(form, "Zölle 1.tif"), counts(32, 32))
    for sets in ({"noisy": "verrauscht", "truth": "sauber/"}, {"noisy": "verrauscht/*", "truth": "sauber/*.tif"}):
        (item,) = detect(tmp_path, **sets).items
        assert (item.name, len(item.files)) == ("Zölle 1", 2)
    for folder, name in (("verrauscht", "noisy"), ("sauber", "gt")):
        (tmp_path / folder).rename(tmp_path / name)
    (item,) = detect(tmp_path).items
    assert len(item.files) == 2


def test_noisy_images_are_never_taken_for_clean_ones(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"noisy_{i}.tif", counts(32, 32))
    with pytest.raises(ValueError, match=r"expected the ground truths of noisy images, .* --truth PATTERN alone"):
        detect(tmp_path)
    assert len(detect_noisy(tmp_path).items) == 3
    save(tmp_path / "clean_9.tif", counts(32, 32))
    with pytest.raises(
        ValueError, match=r"found one of 3, as noisy_0\.tif and clean_9\.tif: if it is that of all, give --noisy"
    ):
        detect(tmp_path)


def test_w2s_is_known_by_what_its_images_show(data: Path, tmp_path: Path) -> None:
    for kind in ("noisy", "clean"):
        (tmp_path / kind).mkdir()
        for name in ("014_1", "085_0", "090_2"):
            shutil.copy(data / "w2s" / kind / f"{name}.tif", tmp_path / kind)
    assert detect(tmp_path).w2s
    for kind in ("noisy", "clean"):  # the same names, other images
        images = [tifffile.imread(path) for path in sorted((tmp_path / kind).iterdir())]
        for path, image in zip(sorted((tmp_path / kind).iterdir()), images[1:] + images[:1], strict=True):
            tifffile.imwrite(path, image)
    assert not detect(tmp_path).w2s
    for kind in ("noisy", "clean"):
        for path in (tmp_path / kind).iterdir():
            path.rename(path.with_name(f"cell {path.name}"))
    layout = detect(tmp_path)
    assert not layout.w2s
    assert "expected images of W2S under their own names" in report(survey(layout))
    assert detect(data / "fmd-extra").note == ""


def volume(tmp_path: Path, name: str, shape: tuple[int, ...], axes: str) -> Path:
    path = tmp_path / f"{name}.ome.tif"
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    tifffile.imwrite(path, image, metadata={"axes": axes}, photometric="minisblack")
    return path


@pytest.mark.parametrize(
    ("noisy", "truth", "labels", "frames"),
    [
        (("TYX", (5, 32, 32)), ("YX", (32, 32)), [""], 5),
        (("ZYX", (5, 32, 32)), ("ZYX", (5, 32, 32)), ["z0", "z1", "z2", "z3", "z4"], 1),
        (("CYX", (2, 32, 32)), ("CYX", (2, 32, 32)), ["c0", "c1"], 1),
        (("TCYX", (3, 2, 32, 32)), ("TCYX", (3, 2, 32, 32)), ["t0 c0", "t0 c1", "t1 c0", "t1 c1", "t2 c0", "t2 c1"], 1),
        (("TCYX", (3, 2, 32, 32)), ("CYX", (2, 32, 32)), ["c0", "c1"], 3),
        (("TZYX", (3, 2, 32, 32)), ("TYX", (3, 32, 32)), ["t0", "t1", "t2"], 2),
        (("TYX", (2, 32, 32)), ("TYX", (2, 64, 64)), ["t0", "t1"], 1),
    ],
)
def test_stacks_become_pairs_by_their_axes(
    tmp_path: Path,
    noisy: tuple[str, tuple[int, ...]],
    truth: tuple[str, tuple[int, ...]],
    labels: list[str],
    frames: int,
) -> None:
    names = [volume(tmp_path, "a", noisy[1], noisy[0]), volume(tmp_path, "b", truth[1], truth[0])]
    opened = [open_volume(path).squeezed() for path in names]
    scenes = match(*opened, (names[0], names[1]))
    assert [scene.label for scene in scenes] == labels
    assert {len(scene.frames) for scene in scenes} == {frames}
    for scene in scenes:
        index = {part[0].upper(): int(part[1:]) for part in scene.label.split()}
        where = tuple(index.get(axis, slice(None)) for axis in noisy[0])
        assert np.array_equal(scene.frames, tifffile.imread(names[0])[where].reshape(frames, 32, 32))
        assert scene.channel == index.get("C")


def test_stacks_that_do_not_fit_are_named(tmp_path: Path) -> None:
    for noisy, truth, words in (
        (
            ("TYX", (5, 32, 32)),
            ("TYX", (4, 32, 32)),
            r"b\.ome\.tif: expected a ground truth of one plane, or of the planes",
        ),
        (("CYX", (2, 32, 32)), ("YX", (32, 32)), r"b\.ome\.tif: expected a ground truth of each channel of"),
    ):
        names = [volume(tmp_path, "a", noisy[1], noisy[0]), volume(tmp_path, "b", truth[1], truth[0])]
        opened = [open_volume(path).squeezed() for path in names]
        with pytest.raises(ValueError, match=words):
            match(*opened, (names[0], names[1]))


def test_constant_images_are_in_no_split(tmp_path: Path) -> None:
    for kind in ("noisy", "gt"):
        (tmp_path / kind).mkdir()
        for i in range(4):
            save(tmp_path / kind / f"{i}.tif", counts(32, 32) if i else np.zeros((32, 32), np.uint16))
    text = prepare(tmp_path, Config(validation=0.4), None)
    assert "4 images, 3 of them usable" in text
    assert "noisy/0.tif: expected an image to learn from, found the same value everywhere: remove it" in text
    assert "left out: 1 fields (0)" in text


def test_bitmaps_are_read_and_other_files_are_named(tmp_path: Path) -> None:
    for kind in ("noisy", "gt"):
        (tmp_path / kind).mkdir()
        Image.fromarray(counts(32, 32).astype(np.uint8)).save(tmp_path / kind / "a.bmp")
    for name in ("notes.txt", "noisy/b.czi", ".hidden"):
        (tmp_path / name).touch()
    text = report(survey(detect(tmp_path)))
    assert "pairs, 1 images, 1 of them usable" in text
    assert "other files, which are not used: 2\n    noisy/b.czi\n    notes.txt\n" in text


def test_a_pattern_alone_and_a_stack_alone_say_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "noisy").mkdir()
    save(tmp_path / "noisy" / "a.tif", counts(32, 32))
    with pytest.raises(ValueError, match=r"expected a pattern of the ground truths, too, .*: give --truth PATTERN"):
        find_images(tmp_path, Config(), patterns=("noisy/*.tif", ""))
    with pytest.raises(ValueError, match=r"found a file: to learn from a stack without ground truth, give --recipe"):
        find_images(tmp_path / "noisy" / "a.tif", Config())


def test_jpeg_is_read_and_named_as_lossy(tmp_path: Path) -> None:
    for kind in ("noisy", "gt"):
        (tmp_path / kind).mkdir()
        Image.fromarray(counts(32, 32).astype(np.uint8)).save(tmp_path / kind / "a.jpg", quality=90)
    text = report(survey(detect(tmp_path)))
    assert "pairs, 1 images, 1 of them usable" in text
    assert "lossy: 2 files are JPEG, which changes pixels and noise: better TIFF: noisy/a.jpg, gt/a.jpg" in text


def test_bad_pairs_are_left_out_and_the_split_is_of_what_is_used(tmp_path: Path) -> None:
    for kind in ("noisy", "gt"):
        (tmp_path / kind).mkdir()
        for i in range(6):
            save(tmp_path / kind / f"{i}.tif", counts(40, 32))
    (tmp_path / "noisy" / "0.tif").write_bytes(b"cut")
    (tmp_path / "gt" / "1.tif").unlink()
    save(tmp_path / "gt" / "2.tif", counts(9, 9))
    for kind in ("noisy", "gt"):
        save(tmp_path / kind / "3.tif", counts(8, 8))
    config = Config(crop=64, validation=0.5)
    images = find_images(tmp_path, config)
    assert len(images.left_out) == 4
    assert {pair.name for pair in (*images.training, *images.validation)} == {"4", "5"}
    assert images.counts == "1 image to train on and 1 to validate on, and 4 left out"
    (pair,) = images.training
    assert pair.frames.shape == (1, 64, 64), "mirrored up to the crop"
    assert pair.ground_truth.shape == (64, 64)
    assert np.array_equal(pair.frames[0, 12:52, 16:48], tifffile.imread(tmp_path / "noisy" / f"{pair.name}.tif"))
    with pytest.raises(ValueError, match=r"noisy/0\.tif: expected a TIFF"):
        find_images(tmp_path, config, strict=True)


def test_channels_can_be_chosen(tmp_path: Path) -> None:
    for kind in ("noisy", "gt"):
        (tmp_path / kind).mkdir()
        for i in range(2):
            volume(tmp_path / kind, f"{i}", (3, 32, 32), "CYX")
    images = find_images(tmp_path, Config(crop=32, validation=0.5, image_channels=(0, 2)))
    assert [pair.name.split()[1] for pair in images.training] == ["c0", "c2"]
    with pytest.raises(ValueError, match=r"expected channels 5 \(--image-channels\)"):
        find_images(tmp_path, Config(crop=32, validation=0.5, image_channels=(5,)))


def named(path: Path, planes: np.ndarray, names: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, planes, ome=True, metadata={"axes": "CYX", "Channel": {"Name": names}})


def test_channels_are_paired_by_their_names(tmp_path: Path) -> None:
    """Programs write the channels in orders of their own."""
    dapi, gfp, rfp = scenes = [(i + 1) * counts(48, 48) for i in range(3)]
    for i in range(2):
        named(tmp_path / "noisy" / f"{i}.ome.tif", np.stack(scenes), ["DAPI", "GFP", "RFP"])
        named(tmp_path / "gt" / f"{i}.ome.tif", np.stack([rfp, dapi, gfp]), ["RFP", "DAPI", "GFP"])
    images = find_images(tmp_path, Config(crop=32, validation=0.5))
    assert [pair.name.split()[1] for pair in images.training] == ["c2", "c0", "c1"]
    for pair in images.training:
        assert np.array_equal(pair.frames[0], pair.ground_truth)
    for case in cases_of(detect(tmp_path).items):
        frame, truth = read_case(case)
        assert np.array_equal(frame.planes, truth)
        assert np.array_equal(tifffile.imread(as_file(case.noisy, frame, tmp_path)), truth), "not the file as it is"
    for i in range(2):  # one of the channels alone, and two
        named(
            tmp_path / "gt" / f"{i}.ome.tif", np.stack([rfp, gfp]) if i else gfp[None], ["RFP", "GFP"] if i else ["GFP"]
        )
    found = find_images(tmp_path, Config(crop=32, validation=0.5))
    pairs = [*found.training, *found.validation]
    assert sorted(pair.name for pair in pairs) == ["0.ome", "1.ome c1", "1.ome c2"]
    assert all(np.array_equal(pair.frames[0], pair.ground_truth) for pair in pairs)


def test_words_are_found_in_names() -> None:
    """Of several words the last counts; letters, numbers and capitals part words."""
    assert said("GT01") == ("truth", "GT", "01")
    assert said("raw_img_clean") == ("truth", "clean", "raw_img")
    assert said("cellGroundTruth") == ("truth", "Truth", "cell")
    assert said("drawing_highway") == ("", "", "drawing_highway")


def test_frames_of_one_ground_truth_are_of_one_field(tmp_path: Path) -> None:
    truths = [counts(32, 32) for _ in range(2)]
    for i in range(6):
        for kind, image in (("noisy", counts(32, 32)), ("gt", truths[i % 2])):
            (tmp_path / kind).mkdir(exist_ok=True)
            save(tmp_path / kind / f"pos{i % 2}_t{i}.tif", image)
    layout = detect(tmp_path)
    assert layout.fields == ("pos0_t0", "pos1_t1")
    assert [item.field for item in layout.items] == ["pos0_t0"] * 3 + ["pos1_t1"] * 3


def test_brackets_in_patterns_and_noise_free_in_names(tmp_path: Path) -> None:
    assert said("img1_noise_free") == ("truth", "noise", "img1")
    for name in ("a1", "a2", "b1"):
        for kind in ("x", "y"):
            (tmp_path / kind).mkdir(exist_ok=True)
            save(tmp_path / kind / f"{name}.tif", counts(16, 16))
    layout = detect(tmp_path, noisy="x/a[12].tif", truth="y/a[12].tif")
    assert [item.name for item in layout.items] == ["1", "2"]


def test_a_folder_that_is_called_noisy_holds_no_clean_images(tmp_path: Path) -> None:
    pairs(tmp_path)
    with pytest.raises(ValueError, match="whose names say that they are noisy"):
        detect(tmp_path / "noisy")


def test_one_ground_truth_can_be_that_of_many_files(tmp_path: Path) -> None:
    truth = np.kron(counts(24, 24), np.ones((4, 4))).astype(np.uint16)
    for folder in ("noisy", "clean"):
        (tmp_path / folder).mkdir()
    for i in range(3):
        tifffile.imwrite(tmp_path / "noisy" / f"frame_{i}.tif", RANDOM.poisson(truth).astype(np.uint16))
    tifffile.imwrite(tmp_path / "clean" / "long.tif", truth)
    with pytest.raises(ValueError, match=r"give --noisy 'noisy/frame_\*\.tif' --truth 'clean/long\.tif'"):
        detect(tmp_path)
    layout = detect(tmp_path, 1, "noisy/frame_*.tif", "clean/long.tif")
    assert [item.truth for item in layout.items] == [tmp_path / "clean" / "long.tif"] * 3
    assert (len(layout.fields), layout.unpaired) == (1, ())
    assert len(detect(tmp_path, 1, "**/*.tif", "clean/long.tif").items) == 3, "it is no noisy image"
    images = find_images(tmp_path, Config(crop=32), patterns=("noisy/*.tif", "clean/long.tif"))
    assert [pair.frames.shape[1] for pair in (images.training[0], images.validation[0])] == [64, 32]


def test_constant_channels_are_left_out_and_one_can_be_picked(tmp_path: Path) -> None:
    for kind in ("noisy", "gt"):
        (tmp_path / kind).mkdir()
        for i in range(3):
            colours = np.zeros((32, 32, 3), np.uint8)
            colours[..., 1] = counts(32, 32)
            save(tmp_path / kind / f"{i}.png", colours)
    images = find_images(tmp_path, Config(crop=32, validation=0.3))
    assert [pair.name.split()[1] for pair in (*images.training, *images.validation)] == ["c1"] * 3
    (reason,) = images.left_out
    assert "found the same value everywhere in c0, c2, in 3 of 3 files" in reason
    for i in range(3):
        save(tmp_path / "gt" / f"{i}.png", counts(32, 32).astype(np.uint8))
    with pytest.raises(ValueError, match="give --image-channels N for the one that it shows"):
        find_images(tmp_path, Config(crop=32, validation=0.3))
    config = Config(crop=32, validation=0.3, image_channels=(1,))
    assert "3 of them usable" in prepare(tmp_path, config, None)
    assert len(find_images(tmp_path, config).training) == 2
