"""Training learns, resumes exactly, is the same in several processes, and says what stops it."""

import copy
import csv
import dataclasses
import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from quietfield.network.model import load_model
from quietfield.network.normalise import Normalisation, normalise
from quietfield.network.predict import Denoiser
from train.checkpoint import load_checkpoint, load_network, run_normalisation
from train.config import Config, from_record
from train.data.clean import Clean
from train.data.pairs import Images
from train.data.sources import drawn_pairs
from train.export import export
from train.fit import Machine, choose_accelerator, choose_precision, count_steps, fit
from train.learn.objectives import LEAST_NOISE, balanced
from train.learn.units import normalised, statistics
from train.measure.metrics import si_psnr
from train.module import Restoration, build
from train.recipes import RECIPES
from train.timetable import Timetable

from training import TINY, images, pair, weights  # isort: skip


def rows(out: Path) -> list[dict[str, float]]:
    with (out / "log.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_forty_steps_reduce_the_loss_and_leave_a_record(tmp_path: Path) -> None:
    fit(TINY, images(), tmp_path)
    log = rows(tmp_path)
    assert [row["step"] for row in log] == [0, 10, 20, 30, 40]
    assert log[-1]["loss"] < 0.9 * log[1]["loss"]
    assert log[-1]["validation_si_psnr"] > log[0]["validation_si_psnr"]
    assert log[-1]["validation_loss"] < log[0]["validation_loss"]
    assert log[-1]["crops_per_second"] > 0
    assert 0 <= log[-1]["waiting"] < 1
    names = {p.name for p in tmp_path.iterdir()}
    assert {
        "checkpoint.ckpt",
        "best.ckpt",
        "curve.png",
        "montage-000000.png",
        "montage-000040.png",
        "tensorboard",
    } <= names
    assert list((tmp_path / "tensorboard").glob("events*"))
    run = load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]
    assert run["config"] == dataclasses.asdict(TINY)
    assert run["torch"] == torch.__version__
    record = json.loads((tmp_path / "run.json").read_text())
    assert from_record(record["config"]) == TINY
    assert record["validation_fields"] == ["002"]
    assert (run["training_fields"], run["validation_fields"]) == (["001"], ["002"])


def test_learns_eight_crops_by_heart(tmp_path: Path) -> None:
    """A network that can learn anything learns eight examples; this one to a hundredth of what it began with."""
    small = dataclasses.replace(pair(1), frames=pair(1).frames[:, :48, :48], truth=pair(1).truth[:48, :48])
    config = dataclasses.replace(TINY, steps=150, turns=False, flips=False, channels=(32, 64), validate_every=50)
    fit(config, Images([small], [small]), tmp_path)
    log = rows(tmp_path)
    assert log[-1]["loss"] < 0.1 * float(np.var(small.frames[0] - small.truth) / np.var(small.frames[0]))


def stopped(config: Config, data: Images, out: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until step `at`, as the clock would have stopped it."""
    with monkeypatch.context() as patch:
        patch.setattr("train.timetable.Timetable.over", lambda self, step: step >= at)
        fit(config, data, out)


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        (10, {}),
        (13, {"optimiser": "muon"}),
        (17, {"optimiser": "adam", "ema": 0.0, "norm": "batch", "dropout": 0.2}),
        (7, {"accumulate": 3, "batch": 4, "steps": 20, "clip": 0.5}),
        (12, {"schedule": "one-cycle", "redraw": 0.5, "elastic": 3.0, "gain": 0.2, "offset": 0.5}),
        (20, {"schedule": "plateau"}),
        (11, {"schedule": "cyclic", "loss": "mse+l1", "steps": 16}),
    ],
)
def test_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, changes: dict[str, Any]
) -> None:
    config, data = dataclasses.replace(TINY, **changes), images((1, 3, 4))
    whole = weights(fit(config, data, tmp_path / "whole"))
    stopped(config, data, tmp_path / "halves", at, monkeypatch)
    assert load_checkpoint(tmp_path / "halves" / "checkpoint.ckpt")["run"]["step"] == at
    resumed = weights(fit(config, data, tmp_path / "halves", resume=True))
    assert load_checkpoint(tmp_path / "halves" / "checkpoint.ckpt")["run"]["step"] == config.steps
    assert max(float((whole[k].double() - resumed[k].double()).abs().max()) for k in whole) <= 1e-6
    assert rows(tmp_path / "halves")[-1]["validation_si_psnr"] == pytest.approx(
        rows(tmp_path / "whole")[-1]["validation_si_psnr"], abs=1e-4
    )


def failing(x: torch.Tensor) -> torch.Tensor:
    """What a network that torch could not compile does when it is first used."""
    raise type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})("no compiler\n\nwhere")


def test_resident_images_train_the_same_network_and_the_compiled_one_is_trained_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = dataclasses.replace(TINY, steps=12, redraw=0.5), images((1, 3, 4))
    one = weights(fit(config, data, tmp_path / "one"))
    calls: list[bool] = []

    def compiled(forward: Any, dynamic: bool) -> Any:
        def run(x: torch.Tensor) -> torch.Tensor:
            calls.append(torch.is_grad_enabled())
            answer: torch.Tensor = forward(x)
            return answer

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    machine = Machine("cpu", workers=1, resident=True, compiled=True)
    other = weights(fit(config, data, tmp_path / "other", machine=machine))
    assert max(float((one[k] - other[k]).abs().max()) for k in one) <= 1e-6
    assert calls == 12 * [True], "whole images of any shape are validated on"
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: failing)
    with pytest.raises(ValueError, match=r"compile: expected .* found that it cannot \(no compiler\): leave --compile"):
        fit(config, data, tmp_path / "fails", machine=machine)
    stacks = dataclasses.replace(
        data, training=[dataclasses.replace(p, frames=p.frames.repeat(2, 0)) for p in data.training]
    )
    for changes, some in (({"learn": "noise2noise"}, data), ({"average": 4}, data), ({}, stacks)):
        with pytest.raises(ValueError, match=r"resident: expected to learn from the first frame .* found --learn"):
            fit(dataclasses.replace(TINY, **changes), some, tmp_path / "no", machine=machine)


def test_the_images_are_held_once() -> None:
    """The moving average of the weights starts from a copy of the module; the frames of a raw set are 75 GB."""
    data = images()
    module = Restoration(TINY, Timetable(1), data, Normalisation())
    again = copy.deepcopy(module)
    assert again.network is not module.network
    assert again.images.training[0].frames is data.training[0].frames


def test_time_is_up_after_one_step_and_there_is_a_checkpoint(tmp_path: Path) -> None:
    fit(TINY, images(), tmp_path, max_minutes=0)
    assert load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]["step"] == 1
    fit(dataclasses.replace(TINY, steps=3), images(), tmp_path, resume=True)
    assert load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]["step"] == 3


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Each computes half of the same batches (gloo); in float32 only the order of the sums differs."""
    config = dataclasses.replace(TINY, steps=10)
    one = weights(fit(config, images((1, 3), (2, 4, 5)), tmp_path / "one"))
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, str(script), str(tmp_path / "two")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    two = weights(tmp_path / "two" / "checkpoint.ckpt")
    assert all(torch.allclose(one[k], two[k], atol=1e-5) for k in one)
    log_one, log_two = (rows(tmp_path / name) for name in ("one", "two"))
    assert [r["step"] for r in log_one] == [r["step"] for r in log_two]
    assert log_one[-1]["validation_si_psnr"] == pytest.approx(log_two[-1]["validation_si_psnr"], abs=1e-3)
    assert log_one[-1]["loss"] == pytest.approx(log_two[-1]["loss"], rel=1e-4)


def test_accumulated_passes_are_one_step(tmp_path: Path) -> None:
    """Two passes of four whole images each move the weights as one pass of the same eight."""
    data = images(tuple(range(1, 9)))
    plain = dataclasses.replace(TINY, steps=3, ema=0.0, crop=0, flips=False, turns=False, optimiser="adam")
    eight = weights(fit(plain, data, tmp_path / "eight"))
    split = dataclasses.replace(plain, batch=4, accumulate=2)
    four = weights(fit(split, data, tmp_path / "four"))
    assert max(float((eight[k] - four[k]).abs().max()) for k in eight) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"block": "residual"},
        {"norm": "batch", "residual": False},
        {"attention": True},
        {"skips": "added"},
        {"dropout": 0.3},
        {"biases": False},
        {"channels": (8, 8, 8), "unshuffle": 1},
        {"normalisation": "dataset"},
        {"normalisation": "noise"},
        {"loss": "charbonnier"},
        {"loss": "l1+ms-ssim"},
        {"loss": "mse+perceptual"},
        {"precision": "bfloat16"},
        {"redraw": 1.0},
        {"frames": "random", "average": 1},
    ],
)
def test_every_option_trains(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = dataclasses.replace(TINY, steps=2, validate_every=2, **changes)
    path = fit(config, images(), tmp_path)
    before = build(dataclasses.replace(config))
    after = load_network(path)
    assert before.state_dict().keys() == after.state_dict().keys()
    assert np.isfinite(rows(tmp_path)[-1]["validation_si_psnr"])


def test_stops_early_when_nothing_is_gained(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, lr=0.0, patience=2, validate_every=5)
    fit(config, images(), tmp_path)
    assert [row["step"] for row in rows(tmp_path)] == [0, 5, 10, 15]


def foretell(figures: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the validations find these, one image each."""
    left = iter(figures)
    monkeypatch.setattr("train.measure.score.si_psnr", lambda *_: next(left))


def test_the_best_checkpoint_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foretell([30.0, 20.0, 25.0, 22.0, 21.0], monkeypatch)  # the best of all is the untrained network: it is not kept
    fit(TINY, images(), tmp_path)
    assert load_checkpoint(tmp_path / "best.ckpt")["run"]["step"] == 20
    assert load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]["step"] == 40


@pytest.mark.parametrize(("left_behind", "best"), [([], 10), (["best.ckpt"], 30)])
def test_the_best_checkpoint_is_kept_where_a_run_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_behind: list[str], best: int
) -> None:
    """The first half is of version 0.1.0, which left this to Lightning."""
    foretell([19.0, 25.0, 21.0, 22.0, 20.0], monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("train.callbacks.Keep", ModelCheckpoint)
        stopped(TINY, images(), tmp_path / "before", 20, patch)
    (tmp_path / "before").rename(tmp_path / "after")
    for name in left_behind:
        (tmp_path / "after" / name).unlink()
    fit(TINY, images(), tmp_path / "after", resume=True)
    assert load_checkpoint(tmp_path / "after" / "best.ckpt")["run"]["step"] == best
    assert load_checkpoint(tmp_path / "after" / "checkpoint.ckpt")["run"]["step"] == 40
    assert not (tmp_path / "before").exists()


def test_epochs_count_images() -> None:
    data = images((1, 2, 3, 4), (5,))
    assert count_steps(dataclasses.replace(TINY, epochs=10, batch=2, accumulate=4), data) == 5
    assert count_steps(TINY, data) == TINY.steps


def test_a_loss_that_is_not_finite_stops_the_run_names_the_step_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    good = images()
    fit(dataclasses.replace(TINY, steps=10), good, tmp_path)
    before = (tmp_path / "checkpoint.ckpt").read_bytes()
    bad = Images([dataclasses.replace(pair(1), frames=np.full((1, 96, 96), np.nan))], good.validation)
    with pytest.raises(ValueError, match="step 11: the loss is nan"):
        fit(TINY, bad, tmp_path, resume=True)
    assert (tmp_path / "checkpoint.ckpt").read_bytes() == before


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    fit(TINY, images(), tmp_path, max_minutes=0)
    with pytest.raises(ValueError, match=r"checkpoint\.ckpt: expected channels=\(16, 48\), found \(16, 32\)"):
        fit(dataclasses.replace(TINY, channels=(16, 48)), images(), tmp_path, resume=True)
    with pytest.raises(ValueError, match="expected a checkpoint, found no file"):
        fit(TINY, images(), tmp_path / "new", resume=True)
    (tmp_path / "checkpoint.ckpt").write_bytes(b"not a checkpoint")
    words = (
        r"expected a checkpoint of 'fit', found another or damaged file .*: give .*best\.ckpt, or .* --initial .*best"
    )
    with pytest.raises(ValueError, match=words):
        fit(TINY, images(), tmp_path, resume=True)
    (tmp_path / "best.ckpt").unlink()
    with pytest.raises(ValueError, match=r"give the checkpoint\.ckpt or best\.ckpt of a run"):
        fit(TINY, images(), tmp_path, resume=True)


def test_weights_that_went_bad_with_the_last_step_do_not_replace_the_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of that step was still finite; the validation after it is not."""
    begin = Restoration.on_validation_epoch_start

    def spoil(self: Restoration) -> None:
        begin(self)
        if self.trainer.global_step == 20:
            torch.nn.init.constant_(self.network.out.weight, float("nan"))

    monkeypatch.setattr(Restoration, "on_validation_epoch_start", spoil)
    with pytest.raises(ValueError, match="step 20: the validation loss is nan; the last good checkpoint"):
        fit(dataclasses.replace(TINY, ema=0.0), images(), tmp_path)
    assert load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]["step"] == 10
    assert all(v.isfinite().all() for v in weights(tmp_path / "checkpoint.ckpt").values())


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="only Unix bounds the size of a file")
    path = fit(TINY, images(), tmp_path, max_minutes=0)
    before, names = path.read_bytes(), {p.name for p in tmp_path.iterdir()}
    save, limits = torch.save, resource.getrlimit(resource.RLIMIT_FSIZE)

    def filling(*arguments: Any) -> None:
        """As long as it writes, the largest file is half a checkpoint."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        try:
            save(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patch:
        patch.setattr("torch.save", filling)
        with pytest.raises(OSError, match=r"t\.ckpt: expected to write .* \(File too large\).* go on with --resume"):
            fit(TINY, images(), tmp_path, resume=True)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} - names == {"montage-000010.png"}
    fit(TINY, images(), tmp_path, resume=True)
    assert load_checkpoint(path)["run"]["step"] == TINY.steps


@pytest.mark.parametrize(("minutes", "advice"), [(None, "begin again"), (0.0, "go on with --resume")])
def test_a_disk_without_room_for_tensorboard_is_one_sentence(
    minutes: float | None, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    records = pytest.importorskip("tensorboard.summary.writer.record_writer")
    if minutes is not None:
        fit(TINY, images(), tmp_path, max_minutes=minutes)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(records.RecordWriter, "write", full)
    words = rf"{tmp_path.name}: expected room to write, found none \(No space left on device\): .*, then {advice}"
    with pytest.raises(OSError, match=words):
        fit(TINY, images(), tmp_path, resume=minutes is not None)
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("tensorboard"):
            thread.join()
    assert "TensorBoard's files are not whole: No space left on device" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("of a run,that ended,before its first checkpoint\n")
    fit(TINY, images(), tmp_path, max_minutes=0)
    assert len(rows(tmp_path)) == 2
    before = (tmp_path / "checkpoint.ckpt").read_bytes()
    with pytest.raises(ValueError, match=r"expected a folder without a run, found one: give --resume .* or another"):
        fit(TINY, images(), tmp_path)
    assert (tmp_path / "checkpoint.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"lr": 1e-3}, "a run with --lr 0.01 is to be resumed, found --lr 0.001: leave that out, or begin another run"),
        ({"optimiser": "muon"}, "--optimiser adamw is to be resumed, found --optimiser muon"),
        ({"seed": 1}, "--seed 0 is to be resumed, found --seed 1"),
        ({"flips": False}, "--flips is to be resumed, found --no-flips"),
    ],
)
def test_what_would_not_be_the_same_run_is_not_resumed(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    fit(TINY, images(), tmp_path, max_minutes=0)
    with pytest.raises(ValueError, match=found):
        fit(dataclasses.replace(TINY, **changes), images(), tmp_path, resume=True)


def test_a_run_is_resumed_on_its_own_images_with_its_own_weights(tmp_path: Path) -> None:
    path = fit(TINY, images(), tmp_path, max_minutes=0)
    with pytest.raises(
        ValueError, match=r"the validation fields that the run began with \(1\), found others \(1; 002, 003\)"
    ):
        fit(TINY, images((1,), (3,)), tmp_path, resume=True)
    with pytest.raises(ValueError, match="initial: a run that is resumed has its own weights"):
        fit(TINY, images(), tmp_path, resume=True, initial=path)


def test_a_run_that_is_done_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = dataclasses.replace(TINY, steps=1)
    path = fit(config, images(), tmp_path)
    before = path.read_bytes()
    with caplog.at_level("INFO"):
        fit(config, images(), tmp_path, resume=True)
    assert "all of the 1 steps are done: give more --steps" in caplog.text
    assert path.read_bytes() == before


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_checkpoint_to_go_on_from(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = weights(fit(TINY, images(), tmp_path / "whole"))
    begin = Restoration.on_train_batch_start

    def press(self: Restoration, batch: Any, batch_idx: int) -> None:
        begin(self, batch, batch_idx)
        if batch.index == 12:
            signal.raise_signal(number)

    with monkeypatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr(Restoration, "on_train_batch_start", press)
        with pytest.raises(KeyboardInterrupt) as found:
            fit(TINY, images(), tmp_path / "halves")
    assert found.value.args == (number,)
    assert "interrupted: saves and validates after this step" in caplog.text
    last = [record.getMessage() for record in caplog.records if record.name == "train.fit"]
    compared = next(text for text in last if text.startswith("SI-PSNR of 1 validation image: noisy input"))
    assert last[last.index(compared) - 1].startswith("step 13 of 40")
    assert f"this network {rows(tmp_path / 'halves')[-1]['validation_si_psnr']:.2f} dB" in compared
    assert rows(tmp_path / "halves")[-1]["step"] == 13
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert load_checkpoint(tmp_path / "halves" / "checkpoint.ckpt")["run"]["step"] == 13
    halves = weights(fit(TINY, images(), tmp_path / "halves", resume=True))
    assert max(float((whole[k] - halves[k]).abs().max()) for k in whole) <= 1e-6


def test_a_background_job_that_ignores_ctrl_c_leaves_a_checkpoint_when_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Restoration.on_train_batch_start

    def end(self: Restoration, batch: Any, batch_idx: int) -> None:
        begin(self, batch, batch_idx)
        signal.raise_signal(signal.SIGINT)
        if batch.index == 12:
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr(Restoration, "on_train_batch_start", end)
        with pytest.raises(KeyboardInterrupt) as found:
            fit(TINY, images(), tmp_path)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert found.value.args == (signal.SIGTERM,)
    assert load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]["step"] == 13


def test_a_gpu_that_is_absent_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    with pytest.raises(ValueError, match="accelerator gpu: expected 1 usable, found 0"):
        choose_accelerator(Machine("gpu"))
    assert choose_accelerator(Machine("auto")) == "cpu"
    with pytest.raises(ValueError, match="precision float16: expected a GPU, found the CPU"):
        choose_precision("float16", "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthetic": 0.5}, "synthetic: expected clean images for it, found none: give --clean"),
        ({"scale": 2}, r"expected a ground truth 2 times as large as the frame, found \(96, 96\)"),
        ({"redraw": 0.5, "scale": 2}, "redraw: expected a ground truth with the frame's pixels"),
        ({"balance": 0.5, "scale": 2}, "balance: expected a ground truth with the frame's pixels"),
        ({"calm": 1.0, "scale": 2}, "calm: expected a ground truth with the frame's pixels"),
        ({"crop": 200}, "002_0|001_0.*200"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(dataclasses.replace(TINY, **changes), images(), tmp_path)


def test_a_truth_without_contrast_is_named_before_the_run(tmp_path: Path) -> None:
    flat = dataclasses.replace(pair(2), truth=np.full((96, 96), 7, np.float32))
    with pytest.raises(ValueError, match="002_0: expected a ground truth to validate on, found one value everywhere"):
        fit(TINY, Images([pair(1)], [flat]), tmp_path)


def test_numbers_of_processes_and_minutes_are_checked(tmp_path: Path) -> None:
    for name, value in (("devices", 0), ("nodes", 0), ("workers", -1)):
        with pytest.raises(ValueError, match=rf"{name}: expected {value + 1} or more, found {value}"):
            Machine(**{name: value})  # type: ignore[arg-type]
    for minutes in (-1, float("nan")):
        with pytest.raises(ValueError, match="max-minutes: expected 0 or more, found"):
            fit(TINY, images(), tmp_path, max_minutes=minutes)


def test_what_the_processes_cannot_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="an image to validate on for each of the 2 processes, found 1: raise --vali"):
        fit(TINY, images(), tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="batch: expected a multiple of the 3 processes, found 8"):
        fit(TINY, images(), tmp_path)


def test_starts_from_a_checkpoint_or_a_model_folder_of_the_same_network(tmp_path: Path) -> None:
    checkpoint = fit(TINY, images(), tmp_path / "first")
    export(checkpoint, tmp_path / "model", "tiny")
    still = dataclasses.replace(TINY, steps=1, lr=0.0)
    for initial in (checkpoint, tmp_path / "model"):
        again = weights(fit(still, images(), tmp_path / f"from-{initial.name}", initial=initial))
        assert all(torch.equal(v, again[k]) for k, v in weights(checkpoint).items())
        with pytest.raises(
            ValueError,
            match=rf"{initial.name}: expected weights of a network with --channels 16 24, found --channels 16 32: give",
        ):
            fit(dataclasses.replace(TINY, channels=(16, 24)), images(), tmp_path / "third", initial=initial)


def test_a_model_for_other_images_is_exported_with_it(tmp_path: Path) -> None:
    checkpoint = fit(TINY, images(), tmp_path / "run")
    export(checkpoint, tmp_path / "other", "other")
    export(checkpoint, tmp_path / "model", "expert", general=tmp_path / "other")
    model = load_model(tmp_path / "model")
    assert model.domain.ranges["noise"][0] > 0
    assert not model.domain.outside(pair(1).frames[0])
    assert model.general is not None
    assert model.general.record["name"] == "other"


def test_a_network_and_its_forerunner_can_be_averaged(tmp_path: Path) -> None:
    first = fit(TINY, images(), tmp_path / "first")
    second = fit(dataclasses.replace(TINY, seed=1), images(), tmp_path / "second", initial=first)
    export(second, tmp_path / "model", "blend", note="Two stages.", blend=(first, 0.25))
    blended = load_model(tmp_path / "model")
    assert blended.record["training"]["note"] == "Two stages. 0.25 of the weights are those of a forerunner"
    assert "validation_si_psnr" not in blended.record["training"]
    one, two = load_network(first).state_dict(), load_network(second).state_dict()
    for key, value in blended.network.state_dict().items():
        assert torch.allclose(value, 0.25 * one[key] + 0.75 * two[key], atol=1e-6), key
    export(second, tmp_path / "again", "blend", blend=(tmp_path / "model", 1.0))
    again = load_model(tmp_path / "again").network.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in blended.network.state_dict().items())
    with pytest.raises(ValueError, match=r"blend: expected a share from 0 to 1, found 1\.5"):
        export(second, tmp_path / "bad", "blend", blend=(first, 1.5))
    other = fit(dataclasses.replace(TINY, steps=1, channels=(16, 24)), images(), tmp_path / "other")
    with pytest.raises(ValueError, match=r"other.*: expected channels=\(16, 32\), found \(16, 24\)"):
        export(second, tmp_path / "bad", "blend", blend=(other, 0.5))
    export(other, tmp_path / "other-model", "other")
    with pytest.raises(ValueError, match=r"blend: expected weights of the same network, found another one's"):
        export(second, tmp_path / "bad", "blend", blend=(tmp_path / "other-model", 0.5))
    assert not (tmp_path / "bad").exists()


def test_a_model_is_replaced_only_if_that_is_asked_for(tmp_path: Path) -> None:
    checkpoint = fit(dataclasses.replace(TINY, steps=1), images(), tmp_path / "run")
    export(checkpoint, tmp_path / "model", "first")
    with pytest.raises(ValueError, match="model: expected no model here, found one: give --overwrite"):
        export(checkpoint, tmp_path / "model", "second")
    assert load_model(tmp_path / "model").record["name"] == "first"
    export(checkpoint, tmp_path / "model", "second", overwrite=True)
    assert load_model(tmp_path / "model").record["name"] == "second"


@pytest.mark.parametrize("writer", ["shutil.copyfile", "torch.save"])
def test_a_disk_that_fills_up_leaves_the_model_before(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = fit(dataclasses.replace(TINY, steps=1), images(), tmp_path / "run")
    for name in ("other", "model"):
        export(checkpoint, tmp_path / name, name)
    before = {p: p.read_bytes() for p in (tmp_path / "model").iterdir()}

    def full(_: Any, target: Any) -> None:
        Path(target if isinstance(target, Path) else target.name).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer, full)
    for folder in ("model", "new"):
        words = rf"{folder}: expected to write a model, .* \(No space left on device\); the one before.*: make room"
        with pytest.raises(OSError, match=words):
            export(checkpoint, tmp_path / folder, "second", general=tmp_path / "other", overwrite=True)
    assert {p: p.read_bytes() for p in (tmp_path / "model").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_a_run_begins_with_one_line_and_a_warning_if_there_is_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config = dataclasses.replace(TINY, steps=2, validate_every=2)
    shared = dataclasses.replace(images(), shares="1 to train on, 1 to validate on", warning="odd names")
    fit(config, shared, tmp_path)
    fit(dataclasses.replace(config, steps=4), images(), tmp_path, resume=True)
    said = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "train.fit"]
    counts = "1 image to train on and 1 to validate on"
    line = f"CPU, precision 32-true, 2 steps, {counts}, fields of view: 1 to train on, 1 to validate on"
    begins, validates = ("INFO", "looks at the images"), ("INFO", "validates before the first step")
    assert said[:4] == [begins, ("WARNING", "odd names"), ("INFO", line), validates]
    assert said.count(validates) == 1, "a run that is resumed has been validated"
    ends = [text for level, text in said if text.startswith(("step ", "SI-PSNR of 1 validation image: "))]
    assert [text[:9] for text in ends] == ["step 2 of", "SI-PSNR o", "step 4 of", "SI-PSNR o"]
    assert ("INFO", f"CPU, precision 32-true, resumed at step 2 of 4, {counts}") in said


def test_without_biases_the_network_is_homogeneous() -> None:
    network = build(dataclasses.replace(TINY, biases=False))
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(network(3 * x), 3 * network(x), atol=1e-5)


def test_clean_images_that_were_not_trained_on_are_looked_at_besides(tmp_path: Path) -> None:
    clean = [Clean(name, torch.from_numpy(pair(i).truth)[None] / 300) for i, name in ((5, "five"), (6, "six"))]
    config = dataclasses.replace(TINY, synthetic=0.5, steps=20, validate_every=20)
    data = dataclasses.replace(images(), clean=clean[:1], drawn=drawn_pairs(clean[1:], config))
    fit(config, data, tmp_path)
    row = rows(tmp_path)[-1]
    run = load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]
    assert (run["clean_images"], run["validation_clean_images"]) == (["five"], ["six"])
    denoise = Denoiser(load_network(tmp_path / "checkpoint.ckpt"), run_normalisation(run))
    for name, looked_at in (("validation_si_psnr", data.validation[0]), ("drawn_si_psnr", data.drawn[0])):
        answer = denoise(looked_at.frames.astype(np.float64))[0]
        assert row[name] == pytest.approx(si_psnr(looked_at.truth.astype(np.float64), answer), abs=1e-4)


def test_errors_count_in_units_of_the_noise() -> None:
    target = torch.zeros(3, 1, 64, 64)
    noise = torch.tensor([1.0, 0.1, 0.0]).view(3, 1, 1, 1)
    x = noise * torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    y, truth = balanced(target + 0.3, x, target, 0.5)
    errors = (y - truth).mean(dim=(1, 2, 3)).tolist()
    assert errors == pytest.approx([0.3, 0.3 / 0.1**0.5, 0.3 / LEAST_NOISE**0.5], rel=0.02)


@pytest.mark.parametrize("kind", ["plane", "noise", "dataset"])
def test_crops_are_normalised_as_planes_are(kind: str) -> None:
    """Oracle: what the container does."""
    normalisation = Normalisation(kind, 3.0, 7.0)
    noisy = torch.rand(3, 1, 20, 30, generator=torch.Generator().manual_seed(0)) * 500 + 100
    centre, scale = statistics(noisy, normalisation)
    expected = normalisation.statistics(noisy[:, 0].numpy())
    assert np.allclose(centre[:, 0].numpy(), expected[0], rtol=1e-6)
    assert np.allclose(scale[:, 0].numpy(), expected[1], rtol=1e-6)
    flat = torch.full((1, 1, 8, 8), 5.0)
    assert kind == "dataset" or float(statistics(flat, normalisation)[1]) == 1
    for crop in (noisy, flat):
        planes = crop[:, 0].numpy()
        z = normalise(planes, *normalisation.statistics(planes))
        assert np.allclose(normalised(crop, crop, normalisation)[0][:, 0].numpy(), z, atol=1e-5)


def test_the_report_is_what_the_report_describes() -> None:
    config = RECIPES["report"][1]
    network = build(config)
    blocks = [(1, 64), (64, 128), (128, 256), (256, 512), (512, 256), (256, 128), (128, 64)]
    double = sum(9 * a * b + b + 9 * b * b + b + 4 * b for a, b in blocks)
    up = sum(4 * 2 * b * b + b for b in (64, 128, 256))
    assert sum(p.numel() for p in network.parameters()) == double + up + 64 + 1
    kinds = [type(m).__name__ for m in network.modules()]
    assert (kinds.count("BatchNorm2d"), kinds.count("ConvTranspose2d"), kinds.count("Conv2d")) == (14, 3, 15)
    assert (config.optimiser, config.lr, config.loss, config.epochs) == ("adam", 1e-3, "mse", 100)
    assert (config.batch, config.accumulate, config.validation) == (2, 4, 0.2)
    assert not config.residual
