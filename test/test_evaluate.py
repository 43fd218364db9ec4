"""Whole images are measured from file to file; the stand-in for the platform's evaluation gives the same figures."""

import csv
import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from compare import adapt
from demo.simulate import simulate_field
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from train.config import Config
from train.measure import results, superres
from train.measure.cases import Case, cases_of, find_cases, read_case
from train.measure.evaluate import Result, evaluate
from train.measure.metrics import affine_fit, psnr_affine, rmse, si_psnr, ssim, st_snr
from train.measure.reports import METRICS, save, summary, write_csv

SCRIPT = Path(__file__).with_name("evaluate") / "evaluate.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    for case, count in (("a", 1), ("b", 3)):
        truth = random.gamma(2, 50, (count, 40, 41))
        for folder, image in (("truth", truth), ("found/images/x", truth + random.normal(0, 9, truth.shape))):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{case}.tif", image.astype(np.float32), photometric="minisblack")
    return tmp_path / "found", tmp_path / "truth"


def test_colours_are_channels(denoiser: Denoiser, tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    for name in ("noisy", "clean"):
        tifffile.imwrite(tmp_path / f"{name}.tif", colours, photometric="rgb")
    frame, truth = read_case(Case("rgb", "a", tmp_path / "noisy.tif", tmp_path / "clean.tif"))
    assert (frame.axes, frame.planes.shape, truth.shape) == ("C", (3, 48, 48), (3, 48, 48))
    (result,) = evaluate(denoiser, [Case("rgb", "a", tmp_path / "noisy.tif", tmp_path / "clean.tif")], micro=False)
    assert result.noisy_si_psnr > 100, "the frame is the ground truth: planes stay in their places"


def test_cases_and_aggregates(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*folders, tmp_path / "metrics.json")
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["case"] for row in metrics["results"]] == ["a", "b"]
    for row in metrics["results"]:
        truth, found = (
            tifffile.imread(f"{folder}/{row['case']}.tif").reshape(-1, 40, 41)
            for folder in (folders[1], folders[0] / "images" / "x")
        )
        assert row["si_psnr"] == pytest.approx(np.mean([si_psnr(t, f) for t, f in zip(truth, found, strict=True)]))
        assert row["ssim"] == pytest.approx(np.mean([ssim(t, f) for t, f in zip(truth, found, strict=True)]))
        assert row["rmse"] == pytest.approx(9, rel=0.1)
    mean = metrics["aggregates"]["si_psnr"]["mean"]
    assert mean == pytest.approx(np.mean([row["si_psnr"] for row in metrics["results"]]))
    assert metrics["aggregates"]["si_psnr"]["count"] == 2


def test_a_missing_prediction_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "images" / "x" / "b.tif").unlink()
    result = run(*folders, tmp_path / "metrics.json")
    assert result.returncode == 1
    assert "expected a prediction for b, found none" in result.stderr
    assert not (tmp_path / "metrics.json").exists()
    assert "found none" in run(folders[0], tmp_path / "nowhere").stderr


def images(seed: int = 0, scale: int = 1, frames: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Frames (F, 24, 24) of a smooth scene in uint16 counts, and their truth in other units."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: 24 * scale, : 24 * scale] / (24 * scale)
    truth = 2 + np.sin(7 * x + seed) * np.cos(5 * y)
    mean = truth.reshape(24, scale, 24, scale).mean(axis=(1, 3))
    return (100 + 10 * random.poisson(10 * mean, (frames, 24, 24))).astype(np.uint16), truth


def small(scale: int = 1) -> Denoiser:
    """A network that has learnt nothing: with residual weights of zero it gives back what it gets."""
    network = UNet((4, 8), scale=scale)
    for parameter in network.out.parameters():
        parameter.data.zero_()
    return Denoiser(network, Normalisation("plane"))


def test_figures_are_those_of_the_library_whatever_the_file(tmp_path: Path) -> None:
    """The network gives its input back, so that before and after are the figures of the frame."""
    frames, truth = images()
    eight = ((frames[0] - 100) / 2).astype(np.uint8)
    np.save(tmp_path / "truth.npy", truth)
    tifffile.imwrite(tmp_path / "x.tif", frames[0])
    np.save(tmp_path / "x.npy", frames)
    Image.fromarray(eight).save(tmp_path / "x.png")
    found = evaluate(
        small(),
        [
            Case("set", str(source), source, tmp_path / "truth.npy")
            for source in (tmp_path / "x.tif", tmp_path / "x.npy", tmp_path / "x.png", frames[0])
        ],
        micro=False,
    )
    for result, frame in zip(found, (frames[0], frames[0], eight, frames[0]), strict=True):
        expected = {
            "si_psnr": si_psnr(truth, frame), "psnr": psnr_affine(truth, frame), "ssim": ssim(truth, frame),
            "rmse": rmse(affine_fit(frame, truth), frame),
        }  # fmt: skip
        for name, value in expected.items():
            assert getattr(result, f"noisy_{name}") == pytest.approx(value)
            assert getattr(result, name) == pytest.approx(value, rel=1e-4)
        assert result.mpix_per_s > 0
        assert math.isnan(result.st_snr)
        assert math.isnan(result.micro_ssim)


def test_a_stack_has_a_figure_in_time_and_the_mean_of_those_of_its_planes() -> None:
    frames, truth = images(frames=3)
    truths = np.stack([truth, 2 * truth, truth + 1])
    (result,) = evaluate(small(), [Case("set", "x", frames, truths)], micro=False)
    assert result.si_psnr == pytest.approx(
        np.mean([si_psnr(t, f) for t, f in zip(truths, frames, strict=True)]), rel=1e-4
    )
    assert result.noisy_st_snr == pytest.approx(st_snr(affine_fit(frames, truths), frames))


def test_micro_ssim_is_reported() -> None:
    pytest.importorskip("microssim")
    frames, truth = images()
    (result,) = evaluate(small(), [Case("set", "x", frames[0], truth)])
    assert 0 < result.noisy_micro_ssim < 1
    assert result.micro_ssim == pytest.approx(result.noisy_micro_ssim, abs=1e-3)


def test_a_model_that_enlarges_is_set_beside_the_bicubic(tmp_path: Path) -> None:
    """With residual weights of zero it is the bicubic itself."""
    frames, sim = images(scale=2)
    np.save(tmp_path / "wf.npy", frames)
    np.save(tmp_path / "sim.npy", sim)
    item = SimpleNamespace(name="001_0", channel=0, noisy=tmp_path / "wf.npy", truth=None, sim=tmp_path / "sim.npy")
    (result,) = evaluate(small(2), cases_of([item], scale=2), micro=False)
    assert result.si_psnr == pytest.approx(result.noisy_si_psnr, rel=1e-4)
    assert result.si_psnr > 10
    with pytest.raises(ValueError, match="found none in images"):
        cases_of([SimpleNamespace(name="x", channel=0, noisy=tmp_path / "wf.npy", truth=None, sim=None)], scale=2)


def test_a_raw_stack_is_measured_against_its_own_mean(tmp_path: Path) -> None:
    frames, _ = images(frames=60)
    np.save(tmp_path / "wf.npy", frames)
    item = SimpleNamespace(name="001_2", channel=2, noisy=tmp_path / "wf.npy", truth=None, sim=None)
    (result,) = evaluate(small(), cases_of([item], name="raw"), micro=False)
    assert (result.set, result.image, result.channel) == ("raw", "001_2", 2)
    assert result.noisy_si_psnr == pytest.approx(si_psnr(frames.mean(axis=0), frames[0]))
    assert result.noisy_rmse == pytest.approx(rmse(frames.mean(axis=0), frames[0]), rel=0.05)


def test_what_cannot_be_measured_is_named(tmp_path: Path) -> None:
    frames, truth = images()
    holed = truth.copy()
    holed[0, :5] = np.nan
    (tmp_path / "x.tif").write_bytes(b"no image")
    for case, message in (
        (Case("set", "x", frames[0], truth[:20]), r"expected the ground truth of x, \(24, 24\), found \(20, 24\)"),
        (Case("set", "x", frames[0], holed), "x: expected a ground truth of numbers, found 5 of 576 pixels NaN"),
        (Case("set", "x", frames[0], None), r"expected a ground truth, or frames .* found \(24, 24\)"),
        (Case("set", "x", frames[0], np.ones((24, 24))), "x: .*constant"),
        (Case("set", "x", tmp_path / "x.tif", truth), r"x\.tif: expected a TIFF"),
        (Case("set", "x", tmp_path / "y.tif", truth), r"y\.tif"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(small(), [case], micro=False)
    with pytest.raises(ValueError, match="expected images to measure on, found none"):
        evaluate(small(), [])


def test_what_is_written_is_what_was_measured(tmp_path: Path) -> None:
    results = [Result("s", f"{i}_{i % 2}", i % 2, 10, 0.1, 20 + i, 0.5, rmse=3, noisy_rmse=9) for i in range(4)]
    save(results, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["means"]["s"]["si_psnr"] == 21.5
    assert record["means"]["s, channel 1"]["si_psnr"] == 22
    assert record["means"]["s"]["st_snr"] is None
    assert [image["si_psnr"] for image in record["images"]] == [20, 21, 22, 23]
    with (tmp_path / "out" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["set"], row["image"], float(row["si_psnr"]), row["psnr"]) for row in rows][3] == ("s", "3_1", 23, "")
    assert {f"{prefix}{name}" for name in METRICS for prefix in ("", "noisy_")} < set(rows[0])
    assert (tmp_path / "out" / "evaluation.png").read_bytes()[:4] == b"\x89PNG"
    lines = summary(results).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["s", "s, channel 0", "s, channel 1"]
    assert "10.00 -> 21.50" in lines[2]
    assert "9 -> 3" in lines[2]
    write_csv([dataclasses.replace(r, mpix_per_s=7.0) for r in results], tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "out" / "evaluation.csv").read_text()


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Any dataclass, below a comment, with a field left out and one that is not known; an older file lacks a column."""
    rows = [Result("a, b", "1", 2, 10.5, 0.1, 20, 0.5, mpix_per_s=7.0), Result("c", "2", 0, 1, 0.25, 3, 0.75, rmse=4)]
    results.write(tmp_path / "new" / "x.csv", rows, without=["mpix_per_s"], formats={"rmse": "g"}, comment="by hand")
    first, *lines = (tmp_path / "new" / "x.csv").read_text().splitlines()
    assert first == "# by hand"
    assert lines[1] == '"a, b",1,2,10.5000,0.1000,20,0.5000,,,,,,,,,,,,'
    again = results.read(tmp_path / "new" / "x.csv", Result)
    for row, kept in zip(rows, again, strict=True):
        assert dataclasses.astuple(kept)[:7] == dataclasses.astuple(row)[:7]
        assert math.isnan(kept.mpix_per_s)
    assert [row.image for row in results.of_set(again, "c")] == ["2"]
    assert results.mean(again, "si_psnr", "ssim") == (11.5, 0.625)
    assert np.isnan(results.mean(again, "rmse")).all()
    assert np.isnan(results.mean([], "si_psnr")).all()
    results.write_table(tmp_path / "old.csv", ["set", "image", "si_psnr", "ssim"], [["s", "1", "30", ""]])
    (row,) = results.read(tmp_path / "old.csv", results.Row)
    assert (row.si_psnr, math.isnan(row.ssim), math.isnan(row.micro_ssim)) == (30, True, True)


def test_every_file_of_results_is_read_and_written_to_the_byte(tmp_path: Path) -> None:
    docs = Path(__file__).resolve().parents[1] / "docs"
    for path, kind, options in (
        (docs / "evaluation.csv", Result, {"without": ["mpix_per_s"]}),
        (docs / "super-resolution.csv", superres.Result, {"formats": {"photons": "g"}}),
        (docs / "compare" / "this-network.csv", results.Row, {}),
        (docs / "compare" / "adapt.csv", adapt.Row, {}),
    ):
        results.write(tmp_path / path.name, results.read(path, kind), **options)
        kept = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert (tmp_path / path.name).read_text().splitlines() == kept


def trained(fields: tuple[int, ...], folder: Path, more: int = 0) -> Path:
    """Pairs of simulated fields, and others that came later."""
    for i in (*fields, *range(90, 90 + more)):
        noisy, truth = simulate_field(i, side=64)
        for kind, image in (("noisy", noisy), ("gt", truth.astype(np.float32))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / kind / f"{i}.tif", image)
    return folder


def test_what_a_run_has_learnt_from_is_never_measured_on(tmp_path: Path) -> None:
    """Its validation fields are those that it had, whatever was added since; the others are to test on."""
    data, config = trained(tuple(range(8)), tmp_path, more=6), Config(crop=32)
    run = {"training_fields": [str(i) for i in range(6)], "validation_fields": ["6", "7"]}
    assert [case.image for case in find_cases(data, config, "validation", run=run)] == ["6", "7"]
    assert [case.image for case in find_cases(data, config, run=run)] == [str(i) for i in range(90, 96)]
    other = {"training_fields": ["elsewhere"], "validation_fields": ["there"]}
    assert find_cases(data, config, "validation", run=other), "another data set is split as usual"
    alone = {"training_fields": ["3"], "validation_fields": ["3"]}
    (case,) = find_cases(data, config, "validation", run=alone)
    assert np.shape(case.noisy) == (32, 64), "the last rows, which it was validated on"


def test_the_patterns_of_a_run_are_remembered(tmp_path: Path) -> None:
    data = trained((1, 2, 3), tmp_path)
    (data / "noisy").rename(data / "short")
    (data / "gt").rename(data / "long")
    config = Config(crop=32, split="fields")
    run = {"patterns": ["short/*.tif", "long/*.tif"]}
    assert len(find_cases(data, config, "all", run=run)) == 3
    with pytest.raises(ValueError, match=r"expected clean images, found . of . with much noise"):
        find_cases(data, config, "all")
