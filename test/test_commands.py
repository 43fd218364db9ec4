"""From a folder in each layout to a model that `inference.py` loads, by the commands that people type."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import inference
from demo.simulate import GAIN, OFFSET, simulate_field
from train.__main__ import main
from train.ablate import parse_grid
from train.module import Restoration

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--channels", "4", "8", "--crop", "32", "--batch", "2", "--validate-every", "2", "--precision", "float32"]
TRAINED = (0, 3)  # exit codes of a run to its end: networks of a few steps are worse than nothing


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["train", *map(str, words)])
    return main()


def field(fov: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of one simulated field, uint16, and an image of twice as many pixels."""
    _, truth = simulate_field(fov, side=48)
    light = np.random.default_rng(fov).poisson((truth - OFFSET) / GAIN, (frames, 48, 48))
    return np.rint(OFFSET + GAIN * light).astype(np.uint16), np.kron(truth, np.ones((2, 2))).astype(np.float32)


def raw(folder: Path) -> Path:
    for fov in range(3, 9):
        stack, sim = field(fov, 4)
        (folder / "raw" / f"{fov:03}").mkdir(parents=True)
        np.save(folder / "raw" / f"{fov:03}" / "wf_channel0.npy", stack)
        np.save(folder / "raw" / f"{fov:03}" / "sim_channel0.npy", sim)
    return folder


def normalised(folder: Path) -> Path:
    for fov in range(3, 9):
        stack, sim = field(fov, 4)
        for name, image in (("avg1", stack[0]), ("avg2", stack[:2].mean(0)), ("avg400", stack.mean(0)), ("sim", sim)):
            (folder / name).mkdir(exist_ok=True)
            np.save(folder / name / f"{fov:03}_0.npy", (image - 154.535) / 66.028)
    return folder


def pairs(folder: Path) -> Path:
    for fov in range(3, 9):
        noisy, truth = simulate_field(fov, side=48)
        for kind, image in (("noisy", noisy), ("clean", np.rint(truth).astype(np.uint16))):
            (folder / kind).mkdir(exist_ok=True)
            tifffile.imwrite(folder / kind / f"{fov:03}_0.tif", image)
    return folder


def clean(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for fov in range(8):
        tifffile.imwrite(folder / f"{fov}.tif", np.rint(simulate_field(fov, side=48)[1]).astype(np.uint16))
    return folder


@pytest.mark.parametrize(
    ("make", "options", "kind"),
    [
        (raw, [], "w2s-raw"),
        (raw, ["--frames", "random", "--average", 2, "--split", "fields"], "w2s-raw"),
        (raw, ["--target", "sim", "--scale", 2], "w2s-raw"),
        (normalised, [], "w2s-normalised"),
        (normalised, ["--average", 2, "--target", "sim", "--scale", 2], "w2s-normalised"),
        (pairs, ["--normalisation", "dataset"], "pairs"),
        (clean, ["--synthetic", 1], "clean"),
    ],
)
def test_prepare_fit_resume_evaluate_export_and_infer(
    make, options, kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    data, out, cache = make(tmp_path / "data" if make is clean else tmp_path), tmp_path / "run", tmp_path / "cache"
    common = ["--data", data, "--cache", cache, *SMALL, *options]
    assert run(monkeypatch, "prepare", *common) == 0
    said = capsys.readouterr().out
    assert kind in said
    assert "48" in said
    assert run(monkeypatch, "fit", *common, "--out", out, "--steps", 2) in TRAINED
    assert run(monkeypatch, "fit", "--data", data, "--cache", cache, "--out", out, "--resume", "--steps", 4) in TRAINED
    state = torch.load(out / "checkpoint.ckpt", weights_only=True)["run"]
    assert state["step"] == 4
    learned_from = {*state["training_fields"], *state["clean_images"]}
    assert learned_from
    assert not learned_from & set(state["validation_fields"])
    assert len(state["config"]["channels"]) == 2, "a resumed run goes on with its own configuration"
    checkpoint = out / "checkpoint.ckpt"
    assert run(monkeypatch, "evaluate", "--data", data, "--checkpoint", checkpoint, "--out", tmp_path / "figures") == 0
    record = json.loads((tmp_path / "figures" / "evaluation.json").read_text())
    images = record["images"]
    assert len(images) >= 1
    assert all(np.isfinite(image[k]) for image in images for k in ("si_psnr", "ssim", "rmse", "micro_ssim"))
    assert (tmp_path / "figures" / "evaluation.csv").is_file()
    assert (tmp_path / "figures" / "evaluation.png").is_file()
    assert run(monkeypatch, "export", "--checkpoint", checkpoint, "--model", tmp_path / "model") == 0
    source = tmp_path / "frame.tif"
    frame = simulate_field(1, side=40)[0]
    tifffile.imwrite(source, frame)
    monkeypatch.setattr(
        sys,
        "argv",
        ["inference", *map(str, ("--input", source, "--output", tmp_path / "o", "--model", tmp_path / "model"))],
    )
    assert inference.main() == 0
    scale = 2 if "--scale" in options else 1
    answer = tifffile.imread(tmp_path / "o" / "frame.tif")
    assert answer.shape == (40 * scale, 40 * scale)
    assert abs(answer.mean() - frame.mean()) < 0.5 * frame.std()


def test_prepare_fails_where_fit_would_stop_and_says_so_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", "--data", pairs(tmp_path), "--no-cache"]
    assert run(monkeypatch, *words) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("  fit: ready, with ")
    (tmp_path / "noisy" / "005_0.tif").unlink()
    assert run(monkeypatch, *words) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(", and 1 left out")
    assert run(monkeypatch, *words, "--strict") == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("  fit: would stop: ")
    assert run(monkeypatch, *words, "--learn", "noise2void") == 0


def test_verbose_shows_what_is_cached(tmp_path: Path) -> None:
    words = ["-m", "train", "prepare", "--data", pairs(tmp_path), "--cache", tmp_path / "cache"]
    command = [sys.executable, *map(str, words)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    assert said == ""
    said = subprocess.run([*command, "--verbose"], cwd=ROOT, capture_output=True, text=True, check=True).stderr
    assert "normalised images from" in said


def test_evaluate_measures_a_model_folder_too(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads((tiny_model / "model.json").read_text())
    (tiny_model / "model.json").write_text(json.dumps({**record, "training": {"config": {"validation": 0.5}}}))
    folder = pairs(tmp_path)
    words = ("--data", folder, "--model", tiny_model, "--on", "all", "--csv", tmp_path / "all.csv")
    assert run(monkeypatch, "evaluate", *words) == 0
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 7


def test_ablate_trains_a_grid_and_draws_up_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.ablate.SPEED_SIDE", 64)
    words = ["--data", pairs(tmp_path), "--out", tmp_path / "runs", "--minutes", 1, "--no-cache", *SMALL, "--steps", 2]
    grid = ["--grid", "loss=mse,l1", "channels=4x8,4x8x8"]
    assert run(monkeypatch, "ablate", *words, *grid) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == (tmp_path / "runs" / "ablation.md").read_text().splitlines()
    assert len(lines) == 2 + 4
    quality = [float(line.split("|")[2]) for line in lines[2:]]
    assert quality == sorted(quality, reverse=True)
    assert sum("loss=l1 channels=4x8x8" in line for line in lines) == 1
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("checkpoint.ckpt")}
    assert len(before) == 4
    assert run(monkeypatch, "ablate", *words, *grid) == 0
    assert all(p.stat().st_mtime_ns == t for p, t in before.items()), "what is measured is not trained again"


@pytest.mark.usefixtures("interruptible")
def test_a_grid_that_is_interrupted_takes_no_half_run_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[int] = []

    def press(self: Restoration) -> None:
        began.append(1)
        signal.raise_signal(signal.SIGINT)

    words = ["ablate", "--data", pairs(tmp_path), "--out", tmp_path / "runs", "--minutes", 1, "--no-cache", *SMALL]
    monkeypatch.setattr(Restoration, "on_train_start", press)
    assert run(monkeypatch, *words) == 130
    assert run(monkeypatch, *words) == 130
    assert len(began) == 2
    assert not list((tmp_path / "runs").rglob("checkpoint.ckpt"))


def test_a_configuration_that_diverges_does_not_stop_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first validation still leaves a checkpoint, which is not taken for a whole run the next time."""
    monkeypatch.setattr("train.ablate.SPEED_SIDE", 64)
    begin = Restoration.on_validation_epoch_start

    def spoil(self: Restoration) -> None:
        begin(self)
        if self.trainer.global_step == 4 and self.config.loss == "mse":
            torch.nn.init.constant_(self.network.out.weight, float("nan"))

    monkeypatch.setattr(Restoration, "on_validation_epoch_start", spoil)
    words = ["ablate", "--data", pairs(tmp_path), "--out", tmp_path / "runs", "--minutes", 1, "--no-cache", *SMALL]
    for _ in range(2):
        assert run(monkeypatch, *words, "--steps", 4, "--ema", 0, "--grid", "loss=mse,l1") == 1
        said = capsys.readouterr()
        first, last = said.out.splitlines()[2:]
        assert first.startswith("| loss=l1 |")
        assert last.startswith("| loss=mse | diverged at step 4 |  | ")
        assert "found 1 of 2 that diverged (loss=mse): lower its lr" in said.err
        assert [p.parent.name for p in (tmp_path / "runs").rglob("checkpoint.ckpt")] == ["loss=l1"]


def test_a_grid_is_every_combination_or_each_change_by_itself() -> None:
    words = ["loss=mse,l1", "biases=false", "channels=4x8,8x8"]
    assert len(parse_grid(words)) == 4
    assert {"loss": "l1", "biases": False, "channels": (8, 8)} in parse_grid(words)
    assert parse_grid(words, each=True)[:3] == [{}, {"loss": "mse"}, {"loss": "l1"}]
    assert len(parse_grid(words, each=True)) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "--data", "nowhere", "--out", "o"], "nowhere"),
        (["fit", "--data", ".", "--out", "o", "--batch", "0"], "batch: expected 1 or more"),
        (["fit", "--data", ".", "--out", "o", "--resume"], "o/checkpoint.ckpt: expected a checkpoint, found no file"),
        (["fit", "--data", ".", "--out", "o", "--synthetic", "0.5"], "--clean"),
        (["fit", "--data", ".", "--out", "noisy/003_0.tif"], "noisy/003_0.tif: expected a folder that can be written"),
        (["fit", "--data", ".", "--out", "o", "--cache", "noisy/003_0.tif"], "another with --cache, or compute on"),
        (["fit", "--data", ".", "--out", "o", "--channels", "8"], "channels: expected two or more positive numbers"),
        (["fit", "--data", ".", "--out", "o", "--devices", "0"], "devices: expected 1 or more, found 0"),
        (["evaluate", "--data", ".", "--out", "noisy/003_0.tif"], "expected a folder that can be written to"),
        (["prepare", "--data", "nowhere"], "nowhere"),
        (["export", "--checkpoint", "c.ckpt", "--model", "m"], "c.ckpt: expected a checkpoint, found no file"),
        (["evaluate", "--data", ".", "--model", "m"], "m/model.json: expected a model record"),
        (["ablate", "--data", ".", "--out", "o", "--minutes", "1", "--grid", "speed=1"], "grid: expected FIELD=VALUE"),
        (
            ["ablate", "--data", ".", "--out", "o", "--minutes", "1", "--grid", "lr=x"],
            "grid: lr: expected float, found 'x'",
        ),
        (
            ["ablate", "--data", ".", "--out", "o", "--minutes", "1", "--steps", "1", "--grid", "lr=1e-3,5"],
            "lr: expected 0 to 1, found 5",
        ),
        (["noise", "nothing.tif"], "nothing.tif"),
        (["noise", "nothing.npy"], "nothing.npy: expected an image"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_1(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(pairs(tmp_path))
    assert run(monkeypatch, *words) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert message in error[0]
    assert error[0].startswith(f"python -m train {words[0]}: ")
    assert not (tmp_path / "o").exists()


def test_a_run_is_resumed_by_the_command_that_began_it_and_says_what_it_does_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = ["fit", "--data", pairs(tmp_path), "--out", tmp_path / "o", "--no-cache", *SMALL, "--recipe", "quick"]
    with caplog.at_level("INFO"):
        assert run(monkeypatch, *words, "--steps", 2) in TRAINED
    slow = ["loads PyTorch and Lightning", f"reads the images: {words[2]}", "looks at the images"]
    assert [record.getMessage() for record in caplog.records][:3] == slow, "nobody waits before a silent terminal"
    assert run(monkeypatch, *words, "--steps", 4, "--resume") in TRAINED
    assert torch.load(tmp_path / "o" / "checkpoint.ckpt", weights_only=True)["run"]["step"] == 4
    words[-1] = "report"
    assert run(monkeypatch, *words, "--steps", 6, "--resume") == 1
    assert "which the recipe report has not: leave it out" in capsys.readouterr().err


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(name: str | None) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.recipes.recipes", interrupted)
    assert run(monkeypatch, "recipes") == 130
    assert capsys.readouterr().err == "python -m train recipes: interrupted by SIGINT\n"


def test_what_is_not_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "train.fit")
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert run(monkeypatch, "fit", "--data", tmp_path, "--out", tmp_path / "o") == 1
    assert capsys.readouterr().err == (
        "python -m train fit: expected the package lightning, found none: pip install 'quietfield[train]'\n"
    )


def test_the_program_is_called_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/quietfield-train", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.startswith("usage: quietfield-train ")


def test_recipes_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "recipes") == 0
    assert "super-resolution: " in capsys.readouterr().out
    assert run(monkeypatch, "recipes", "quick") == 0
    assert capsys.readouterr().out.startswith("quick: a small network")
    assert run(monkeypatch, "recipes", "quik") == 1
    assert "recipe: expected one of pairs, shipped" in capsys.readouterr().err


def test_a_run_is_configured_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written by one command, read by another; the command line comes last."""
    assert run(monkeypatch, "recipes", "quick", "--toml") == 0
    mine = tmp_path / "mine.toml"
    mine.write_text(capsys.readouterr().out)
    words = ["fit", "--data", pairs(tmp_path), "--out", tmp_path / "o", "--no-cache", "--config", mine]
    assert run(monkeypatch, *words, *SMALL, "--steps", 2) in TRAINED
    config = torch.load(tmp_path / "o" / "checkpoint.ckpt", weights_only=True)["run"]["config"]
    assert (config["ema"], config["channels"], config["steps"]) == (0.99, (4, 8), 2)
    mine.write_text("bach = 3\n")
    assert run(monkeypatch, *words) == 1
    assert (
        "mine.toml: bach: expected an option of the configuration, found none: write batch" in capsys.readouterr().err
    )
