"""The command `quietfield`: files, folders and patterns in, answers beside each other out, nothing lost."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile

import inference
import quietfield
from quietfield import command, machine
from quietfield.adapt.plan import Options
from quietfield.files.answer import Form
from quietfield.files.jobs import jobs_of
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser
from quietfield.runner import run_folder


def put(path: Path, side: int = 24) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.random.default_rng(0).poisson(20, (side, side)).astype(np.uint16))
    return path


@pytest.fixture
def run(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    # Handlers of signals and of the log are those of the test run.
    monkeypatch.setattr(command, "start_log", lambda: None)

    def run(*arguments: object) -> int:
        return command.main([*map(str, arguments), "--model", str(tiny_model)])

    return run


def test_files_folders_and_patterns(run, tmp_path: Path) -> None:
    one = put(tmp_path / "one.tif")
    for name in ("a/x.tif", "a/deep/y.tiff", "b/p1.tif", "b/p2.tif", "b/q.tif"):
        put(tmp_path / name)
    out = tmp_path / "out"
    assert run(one, tmp_path / "a", tmp_path / "b" / "p*.tif", "-o", out, "--recursive") == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.tif"))
    assert found == ["deep/y.tif", "one.tif", "p1.tif", "p2.tif", "x.tif"]


def test_an_answer_is_replaced_only_when_asked_for(run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, out = put(tmp_path / "x.tif"), tmp_path / "out"
    assert run(image, "-o", out) == 0
    (out / "x.tif").write_bytes(b"precious")
    assert run(image, put(tmp_path / "y.tif"), "-o", out) == 1
    assert (out / "x.tif").read_bytes() == b"precious"
    assert (out / "y.tif").is_file()
    assert "is already there: replace it with --overwrite, or leave" in caplog.text
    assert run(image, "-o", out, "--skip-existing") == 0
    assert (out / "x.tif").read_bytes() == b"precious"
    assert run(image, "-o", out, "--overwrite") == 0
    assert tifffile.imread(out / "x.tif").shape == (24, 24)


def test_one_image_may_be_given_the_name_of_its_answer(run, tmp_path: Path) -> None:
    assert run(put(tmp_path / "x.tif"), "-o", tmp_path / "clean.tif") == 0
    assert tifffile.imread(tmp_path / "clean.tif").dtype == np.float32


def test_an_image_that_is_named_twice_is_denoised_once(tmp_path: Path) -> None:
    image = put(tmp_path / "in" / "x.tif")
    jobs, problems = jobs_of([image, image.parent, image], tmp_path / "out")
    assert ([job.source for job in jobs], problems) == ([image], [])


def test_odd_names_of_the_answers_are_refused(run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = put(tmp_path / "x.tif")
    assert run(image, tmp_path, "-o", tmp_path / "all.tif") == 1
    assert "all.tif: expected a folder for the answers of several images" in caplog.text
    for arguments in (["", "-o", "out"], [str(image), "-o", ""]):
        with pytest.raises(SystemExit, match="2"):
            run(*arguments)


def test_a_dry_run_tells_the_plan_and_writes_nothing(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = put(tmp_path / "x.tif", 64)
    assert run(image, "-o", tmp_path / "out", "--dry-run") == 0
    said = capsys.readouterr().out
    for words in (f"{image} -> ", "shape (64, 64), uint16, axes YX", "noise (in 1 of 64 x 64)", "less than a second"):
        assert words in said
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_done_is_named_and_the_rest_is_done(
    run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    put(tmp_path / "full" / "deeper" / "z.tif")
    (tmp_path / "broken.tif").write_text("no image")
    names = ["nowhere.tif", "empty", "full", "broken.tif"]
    assert run(put(tmp_path / "x.tif"), *(tmp_path / name for name in names), "-o", tmp_path / "out") == 1
    for words in (
        "nowhere.tif: expected an image or a folder of images, found nothing",
        "empty: expected .tif, .tiff, .btf, .lsm, .stk, .mha, .mhd files, found none\n",
        ".mhd files, found none: left out are 1 in folders of it, which --recursive takes",
        "broken.tif: expected a TIFF, found something else",
        "1 of 5 images denoised",
    ):
        assert words in caplog.text
    assert (tmp_path / "out" / "x.tif").is_file()


def test_no_model_is_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "start_log", lambda: None)
    image = put(tmp_path / "x.tif")
    assert command.main([str(image), "-o", str(tmp_path / "out"), "--model", str(tmp_path)]) == 2


def test_answers_of_two_folders_do_not_meet(tmp_path: Path) -> None:
    first, second = put(tmp_path / "a" / "x.tif"), put(tmp_path / "b" / "x.tif")
    jobs, problems = jobs_of([first.parent, second.parent], tmp_path / "out")
    assert [job.source for job in jobs] == [first]
    assert problems == [f"{second}: its answer would overwrite that of {first}: rename one"]


def test_answers_in_a_folder_of_the_images_are_not_denoised_again(tmp_path: Path) -> None:
    image = put(tmp_path / "x.tif")
    put(tmp_path / "out" / "x.tif")
    jobs, problems = jobs_of([tmp_path], tmp_path / "out", True, "replace")
    assert ([job.source for job in jobs], problems) == ([image], [])


def test_axes_channels_and_types_of_answers(run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = np.random.default_rng(0).poisson(20, (2, 3, 24, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="minisblack")
    chosen = ("--axes", "tcyx", "--channels", "2,0", "--dtype", "uint16", "--compress", "zlib")
    assert run(tmp_path / "x.tif", "-o", tmp_path / "out", *chosen) == 0
    with tifffile.TiffFile(tmp_path / "out" / "x.tif") as tif:
        assert (tif.series[0].axes, tif.series[0].dtype) == ("TCYX", np.uint16)
        assert tif.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert np.array_equal(tif.asarray()[:, 1], image[:, 1])
        assert "networks tiny (" in tif.shaped_metadata[0]["quietfield"]
        assert "channels 0,2" in tif.shaped_metadata[0]["quietfield"]
    assert run(tmp_path / "x.tif", "-o", tmp_path / "out2", "--channels", "1") == 1
    assert "channels: expected numbers from 0 to 0 for the axes QQYX" in caplog.text
    for wrong in (("--axes", "TYXX"), ("--axes", "XY"), ("--channels", "a"), ("--channels", "-1"), ("--dtype", "int8")):
        with pytest.raises(SystemExit, match="2"):
            run(tmp_path / "x.tif", "-o", tmp_path / "out3", *wrong)


def test_answers_of_metaimages(run, tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.random.default_rng(0).poisson(20, (24, 30)).astype(np.uint16))
    image.SetSpacing((0.25, 0.5))
    SimpleITK.WriteImage(image, str(tmp_path / "in.mha"))
    assert run(tmp_path / "in.mha", "-o", tmp_path / "out") == 0
    assert SimpleITK.ReadImage(str(tmp_path / "out" / "in.mha")).GetSpacing() == (0.25, 0.5)
    assert run(tmp_path / "in.mha", "-o", tmp_path / "named.tif") == 0
    assert tifffile.imread(tmp_path / "named.tif").shape == (24, 30)


@pytest.mark.parametrize("kind", ["mine", "platform", "asked"])
def test_the_log_tells_what_answers_are_like(
    tmp_path: Path, tiny_model: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = tmp_path / "in" / ("images/image-stack-structured-noise" if kind == "platform" else "")
    put(folder / "x.tif")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((8, 8), np.float32)), str(folder / "m.mha"))
    denoiser, asked = Denoiser.of(load_model(tiny_model)), True if kind == "asked" else None
    form = Form(dtype="uint8")
    outcome = run_folder(denoiser, tmp_path / "in", tmp_path / "out", Options(), form=form, platform=asked)
    assert outcome.code == 0
    found = sorted(path.name for path in (tmp_path / "out").rglob("*.*"))
    with tifffile.TiffFile(next((tmp_path / "out").rglob("x.tif"))) as tif:
        page = tif.pages[0]
        if kind == "mine":
            assert "is your own: answers keep the metadata" in caplog.text
            assert (page.dtype, page.tags["ResolutionUnit"].value, found) == (np.uint8, 1, ["m.mha", "x.tif"])
        else:
            assert "is the challenge's platform's: answers are float32 TIFFs" in caplog.text
            assert "--dtype and --compress are for your own folders" in caplog.text
            assert (page.dtype, page.tags["ResolutionUnit"].value, found) == (np.float32, 2, ["m.tif", "x.tif"])
            assert "quietfield" not in page.description


@pytest.mark.parametrize("kind", ["plain", "imagej", "ome"])
def test_an_older_answer_is_told(run, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    image = np.random.default_rng(0).poisson(20, (2, 24, 24)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", image, imagej=kind == "imagej", ome=kind == "ome", metadata={"axes": "TYX"})
    assert run(tmp_path / "x.tif", "-o", tmp_path / "once") == 0
    assert "already" not in caplog.text
    assert run(tmp_path / "once", "-o", tmp_path / "twice") == 0
    assert f"{tmp_path / 'once' / 'x.tif'}: it says that quietfield has denoised it already" in caplog.text


def test_outliers_are_replaced_put_back_or_not_looked_for(
    run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.random.default_rng(0).poisson(50, (64, 64)).astype(np.uint16)
    image[20, 30] = 4000
    tifffile.imwrite(tmp_path / "x.tif", image)
    found = {}
    for how in ("auto", "keep", "off"):
        assert run(tmp_path / "x.tif", "-o", tmp_path / how, "--outliers", how) == 0
        found[how] = tifffile.imread(tmp_path / how / "x.tif")
    assert "1 bright replaced, at (Y, X) (20, 30)" in caplog.text
    assert "1 bright kept, but not shown to the network, at (Y, X) (20, 30)" in caplog.text
    assert found["keep"][20, 30] == 4000 > 10 * found["auto"][20, 30]
    found["keep"][20, 30] = found["auto"][20, 30]
    assert np.array_equal(found["keep"], found["auto"])
    assert not np.allclose(found["off"], found["auto"], rtol=0.1)


def test_a_type_that_cannot_tell_values_apart_is_refused(run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = np.random.default_rng(0).uniform(0, 0.2, (24, 24)).astype(np.float32)
    tifffile.imwrite(tmp_path / "x.tif", image)
    assert run(tmp_path / "x.tif", "-o", tmp_path / "out", "--dtype", "uint8") == 1
    assert "expected values that uint8 can tell apart" in caplog.text
    assert not list((tmp_path / "out").glob("*"))


def test_the_log_begins_with_one_line(run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert run(put(tmp_path / "x.tif"), "-o", tmp_path / "out") == 0
    first, second, *_ = [record.getMessage() for record in caplog.records]
    assert first.startswith(f"quietfield {quietfield.__version__} on ")
    assert first.endswith(": tiny")
    assert "x.tif" in second


def test_what_lies_deeper_is_told_by_the_platforms_command_too(tmp_path: Path, tiny_model: Path) -> None:
    put(tmp_path / "in" / "deep" / "x.tif")
    denoiser = Denoiser.of(load_model(tiny_model))
    outcome = run_folder(denoiser, tmp_path / "in", tmp_path / "out", Options())
    assert outcome.nothing
    assert outcome.problems[0].endswith("; left out are 1 in folders of it, which --recursive takes")


def test_info_tells_versions_device_and_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["info"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"quietfield {quietfield.__version__}, Python 3.")
    assert said.count("weights sha256") == 2
    assert "device " in said
    assert "networks in " in said


def test_info_of_a_file_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["info", "x.tif"]) == 2
    assert "for a file give --dry-run" in capsys.readouterr().err


def test_a_dry_run_says_where_nothing_may_be_written(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine.os, "access", lambda path, mode: mode != os.W_OK)
    assert run(put(tmp_path / "x.tif", 64), "-o", tmp_path / "out", "--dry-run") == 1
    assert "expected leave to write there, found none" in caplog.text


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["--version"])
    assert capsys.readouterr().out == f"quietfield {quietfield.__version__}\n"


def test_the_platforms_command_has_every_option_of_this_one() -> None:
    def options(parser: argparse.ArgumentParser) -> set[str]:
        return {option for action in parser._actions for option in action.option_strings}

    assert options(command.parser()) - options(inference.parser()) == {"-o", "--version"}
