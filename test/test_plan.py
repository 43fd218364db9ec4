"""A run that is planned by time ends in time with its schedule done; it can be resumed, and is repeated by run.json."""

import dataclasses
import json
import logging
import math
import shutil
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from train.__main__ import main
from train.callbacks import Progress, log_image
from train.checkpoint import load_checkpoint
from train.config import Config
from train.data.fingerprint import ENDS, fingerprint
from train.fit import fit, make_plan
from train.learn.schedule import build_schedule
from train.measure.baselines import NOISY, OURS, SHIPPED_NETWORK, Baselines, is_behind, shipped_network, verdict
from train.module import Diverged, Restoration
from train.recipes import RECIPES
from train.stopwatch import Stopwatch
from train.timetable import FIRST, SLACK, Timetable

from test_commands import SMALL, pairs, run  # isort: skip
from test_fit import rows  # isort: skip
from training import TINY, images, pair, weights  # isort: skip

QUICK = dataclasses.replace(TINY, channels=(8, 16), validate_every=0)


class Machine:
    """Makes steps and validations of so many seconds each, as `Course` would, and has the rates of a schedule."""

    def __init__(self, plan: Timetable, config: Config, validation: float = 2.0) -> None:
        self.plan, self.config, self.validation = plan, config, validation
        self.optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
        self.schedule = build_schedule(config, self.optimiser, plan)["scheduler"]
        self.seconds, self.step = 5.0, 0
        self.rates: list[float] = []
        self.validations: list[float] = []
        plan.validated(self.seconds, validation)

    def go(self, pace: float, until: float = math.inf) -> None:
        """Train, up to a time or the end."""
        while self.seconds < until:
            self.rates.append(self.optimiser.param_groups[0]["lr"] / self.config.lr)
            self.optimiser.step()
            self.schedule.step()
            self.step, self.seconds = self.step + 1, self.seconds + pace
            self.plan.follow(self.step, self.seconds)
            if self.plan.over(self.step):
                self.seconds += self.validation
                return
            if self.plan.due(self.step):
                self.validations.append(self.seconds)
                self.seconds += self.validation
                self.plan.validated(self.seconds, self.validation)


def timed(minutes: float, **changes: Any) -> Timetable:
    return Timetable(5500, minutes=minutes, settled=False, **changes)


@pytest.mark.parametrize(("pace", "minutes"), [(0.01, 1.0), (0.2, 1.0), (1.5, 10.0), (0.1, 10.0), (0.5, 60.0)])
def test_the_schedule_fits_the_time_on_any_machine(pace: float, minutes: float) -> None:
    machine = Machine(timed(minutes), Config())
    machine.go(pace)
    assert 0.85 * 60 * minutes - pace < machine.seconds <= 60 * minutes + pace
    assert machine.step == machine.plan.steps or machine.plan.now >= machine.plan.end
    assert machine.rates[-1] < 0.02, "annealed"
    top = max(machine.rates)
    assert machine.rates.index(top) <= 0.12 * machine.step + 1, "warm-up is a tenth of the plan at most"
    assert machine.rates.index(top) <= 210, "and no longer than that of the configuration"
    assert 1 / (1 - machine.plan.decay(0.999)) <= machine.plan.steps / 5 + 1, "so is what the average of weights covers"


@pytest.mark.parametrize("slower", [0.5, 2.0, 5.0])
def test_a_run_whose_machine_changes_its_pace_ends_in_time_and_annealed(slower: float) -> None:
    machine = Machine(timed(10.0), Config())
    machine.go(0.1, until=240)
    machine.go(0.1 * slower)
    assert machine.seconds <= 600 + 0.1 * slower
    assert machine.rates[-1] < 0.02
    jumps = [abs(a - b) for a, b in zip(machine.rates[400:], machine.rates[401:], strict=False)]
    assert max(jumps) < 0.05, "the rate does not leap"


def test_at_an_even_pace_the_schedule_follows_the_steps_alone() -> None:
    machine = Machine(timed(10.0), Config())
    machine.go(0.1, until=300)
    assert machine.plan.settled
    assert machine.plan.position(machine.step) == machine.step
    assert SLACK > 0


@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "cyclic", "plateau"])
def test_other_schedules_fit_the_time_too(schedule: str) -> None:
    config = Config(schedule=schedule, warmup=20, lr=0.1)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
    plan = Timetable(1000, minutes=10, began=0.0)
    scheduler = build_schedule(config, optimiser, plan)["scheduler"]
    if schedule == "plateau":
        return
    exact = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
    other = build_schedule(config, exact, Timetable(1000))["scheduler"]
    for _ in range(1000):
        assert optimiser.param_groups[0]["lr"] == pytest.approx(exact.param_groups[0]["lr"], abs=1e-6)
        for each in (optimiser, exact, scheduler, other):
            each.step()


def test_validations_by_the_clock_come_after_half_a_minute_and_then_more_rarely() -> None:
    machine = Machine(Timetable(10**6), Config(), validation=1.0)
    machine.go(0.5, until=7200)
    gaps = [b - a for a, b in zip(machine.validations, machine.validations[1:], strict=False)]
    assert machine.validations[0] == pytest.approx(5 + FIRST, abs=1.1)
    assert min(gaps) >= FIRST
    assert gaps == sorted(gaps)
    assert 10 < len(gaps) < 25
    costly = Machine(Timetable(10**6), Config(), validation=60.0)
    costly.go(0.5, until=7200)
    assert len(costly.validations) * 60 < 0.12 * 7200


def test_validations_by_steps_come_when_asked_for_and_where_they_decide_something() -> None:
    assert make_plan(TINY, images(), math.inf, None).every == 10
    assert make_plan(QUICK, images(), math.inf, None).every == 0
    for changes in ({"schedule": "plateau"}, {"patience": 3}):
        decisive = dataclasses.replace(QUICK, **changes)  # type: ignore[arg-type]
        assert make_plan(decisive, images(), math.inf, None).every == 1000
        assert make_plan(decisive, images(), 1.0, None).every == 0
    assert all(config.validate_every == 0 for _, config in RECIPES.values())


def clock(pace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each step take so many seconds, and all else none."""
    begin, step = Stopwatch.start, Stopwatch.has_stepped

    def start(self: Stopwatch) -> None:
        begin(self)
        self.stepped = 0  # type: ignore[attr-defined]

    def has_stepped(self: Stopwatch) -> None:
        step(self)
        self.stepped += 1  # type: ignore[attr-defined]

    monkeypatch.setattr(Stopwatch, "start", start)
    monkeypatch.setattr(Stopwatch, "has_stepped", has_stepped)
    monkeypatch.setattr(Stopwatch, "minutes", property(lambda self: (self.seconds + pace * self.stepped) / 60))


@pytest.mark.usefixtures("interruptible")
def test_a_run_by_time_ends_in_time_says_what_it_planned_and_is_resumed_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock(0.1, monkeypatch)
    whole = weights(fit(QUICK, images(), tmp_path / "whole", max_minutes=0.05, by_time=True))
    texts = [r.getMessage() for r in caplog.records if r.name.startswith("train")]
    assert any("planned for 0.05 min: as many steps as the pace of the first has room for" in text for text in texts)
    found = load_checkpoint(tmp_path / "whole" / "checkpoint.ckpt")["run"]
    assert 25 <= found["step"] == found["plan"]["steps"] <= 30
    assert not any("nan" in text for text in texts), "there is no loss before the first step"
    planned = f"planned for 0.05 min: {found['step']} steps, warm-up over 3, average of the weights over 6"
    assert planned in texts
    assert rows(tmp_path / "whole")[-1]["lr"] < 0.01 * TINY.lr
    begin = Restoration.on_train_batch_start

    def press(self: Restoration, batch: Any, batch_idx: int) -> None:
        begin(self, batch, batch_idx)
        if batch.index == 12:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Restoration, "on_train_batch_start", press)
        with pytest.raises(KeyboardInterrupt):
            fit(QUICK, images(), tmp_path / "parts", max_minutes=0.05, by_time=True)
    halves = weights(fit(QUICK, images(), tmp_path / "parts", resume=True))
    assert load_checkpoint(tmp_path / "parts" / "checkpoint.ckpt")["run"]["plan"] == found["plan"]
    assert max(float((whole[k] - halves[k]).abs().max()) for k in whole) <= 1e-6


def test_minutes_of_a_run_by_steps_are_a_limit_alone(tmp_path: Path) -> None:
    whole = weights(fit(dataclasses.replace(QUICK, steps=6), images(), tmp_path / "whole"))
    fit(dataclasses.replace(QUICK, steps=6), images(), tmp_path / "parts", max_minutes=0)
    assert load_checkpoint(tmp_path / "parts" / "checkpoint.ckpt")["run"]["plan"] == {}
    parts = weights(fit(dataclasses.replace(QUICK, steps=6), images(), tmp_path / "parts", resume=True))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_the_validation_before_the_first_step_changes_no_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(QUICK, steps=4, dropout=0.2, redraw=0.5)
    one = weights(fit(config, images(), tmp_path / "one"))
    assert [row["step"] for row in rows(tmp_path / "one")] == [0, 4]
    monkeypatch.setattr("lightning.Trainer._run_sanity_check", lambda self: None)
    other = weights(fit(config, images(), tmp_path / "other"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_checkpoint_is_written_between_validations_and_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(QUICK, steps=8)
    whole = weights(fit(config, images(), tmp_path / "whole"))
    copy = tmp_path / "copy"

    def kept(self: Any, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 6 and not copy.exists():
            assert load_checkpoint(tmp_path / "part" / "checkpoint.ckpt")["run"]["step"] == 5
            copy.mkdir()
            shutil.copy(tmp_path / "part" / "checkpoint.ckpt", copy)

    monkeypatch.setattr("train.callbacks.SAVE_EVERY", 0.0)
    monkeypatch.setattr("train.callbacks.Progress.on_train_batch_end", kept)
    monkeypatch.setattr("train.callbacks.Course.on_train_batch_end", saving_at(5))
    fit(config, images(), tmp_path / "part")
    monkeypatch.undo()
    resumed = weights(fit(config, images(), copy, resume=True))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def saving_at(step: int) -> Any:
    """`Course` that saves after this step alone."""
    from train.callbacks import Course

    usual = Course.on_train_batch_end

    def act(self: Course, trainer: Any, *rest: Any) -> None:
        self._saved = -1.0 if trainer.global_step == step else math.inf
        usual(self, trainer, *rest)

    return act


def test_a_run_ends_with_a_line_that_compares_and_a_warning_if_it_is_behind_its_input(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fit(dataclasses.replace(QUICK, steps=1), images(), tmp_path)
    line, warning = [r.getMessage() for r in caplog.records if r.name == "train.fit"][-2:]
    found = load_checkpoint(tmp_path / "checkpoint.ckpt")["run"]
    noisy, shipped, ours = (*found["baselines"].values(), found["validation_si_psnr"])
    assert line == (
        f"SI-PSNR of 1 validation image: noisy input {noisy:.2f} dB, shipped network {shipped:.2f} dB, "
        f"this network {ours:.2f} dB"
    )
    assert ours < noisy < shipped
    assert "this network is behind its input" in warning
    result = json.loads((tmp_path / "run.json").read_text())["result"]
    assert result["si_psnr"] == {NOISY: noisy, SHIPPED_NETWORK: shipped, OURS: ours}
    assert verdict(30.0, {NOISY: 20.0}, 2) == (
        "SI-PSNR of 2 validation images: noisy input 20.00 dB, this network 30.00 dB",
        "",
    )
    assert not is_behind(math.nan, {NOISY: 20.0})
    assert not is_behind(10.0, {})


def test_what_cannot_be_compared_is_left_out(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    large = dataclasses.replace(pair(2), truth=pair(2).ground_truth.repeat(2, 0).repeat(2, 1))
    found = Baselines("cpu", [large], 100.0)
    noisy, shipped, answer = found.look(large.frames[0], large.truth, True)
    assert noisy > 10, "the bicubic enlargement"
    assert math.isnan(shipped)
    assert answer is None
    with caplog.at_level(logging.INFO):
        slow = Baselines("cpu", [pair(2), pair(3)], 0.0)
        assert slow.look(pair(2).frames[0], pair(2).truth, True)[2] is not None
        assert slow.look(pair(3).frames[0], pair(3).truth, False)[2] is None
    assert "the shipped network is in the montage alone" in caplog.text
    monkeypatch.setattr("train.measure.baselines.SHIPPED", [])
    shipped_network.cache_clear()
    assert Baselines("cpu", [pair(2)], 100.0).denoiser is None
    shipped_network.cache_clear()


def test_rows_are_denoised_by_the_network_that_suits_the_whole_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Baselines("cpu", [pair(2)], 100.0)
    seen: list[tuple[int, ...]] = []

    def suited(planes: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], list[str]]:  # type: ignore[type-arg]
        seen.append(planes.shape)
        return (lambda rows: rows), []

    monkeypatch.setattr(found.denoiser, "suited", suited)
    frame = pair(2).frames[0]
    found.look(frame, None, True)
    found.look(frame[-9:], None, True, frame)
    assert seen == [(1, *frame.shape)] * 2


def test_without_a_ground_truth_the_last_line_is_the_loss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fit(dataclasses.replace(QUICK, steps=1, learn="neighbours"), images(), tmp_path)
    assert "without a ground truth it tells nothing of the quality" in caplog.records[-1].getMessage()
    assert {"curve.png", "montage-000000.png"} <= {p.name for p in tmp_path.iterdir()}


def test_a_loss_that_explodes_stops_the_run_and_one_that_leaps_once_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.learn.objectives import build_objective

    usual, count = build_objective(QUICK), [0]

    def leaping(*given: Any) -> torch.Tensor:
        count[0] += 1
        loss: torch.Tensor = usual(*given)
        return loss * (1e6 if count[0] == 3 else 1.0)

    monkeypatch.setattr("train.module.build_objective", lambda _: leaping)
    fit(dataclasses.replace(QUICK, steps=6, clip=0.1), images(), tmp_path / "leap")
    monkeypatch.undo()
    with pytest.raises(Diverged, match=r"step \d+: the loss is .* and was 1.* at the start; the last good"):
        fit(dataclasses.replace(QUICK, lr=1.0, optimiser="adam", warmup=0), images(), tmp_path / "explodes")


def test_progress_is_a_line_now_and_then_or_a_bar_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.callbacks.TELL_EVERY", 0.0)
    with caplog.at_level(logging.INFO):
        fit(dataclasses.replace(QUICK, steps=3), images(), tmp_path / "lines")
    lines = [r.getMessage() for r in caplog.records if "steps/s" in r.getMessage()]
    assert len(lines) == 3
    assert lines[0].startswith("step 1 of 3, ")
    assert lines[0].endswith(" minutes left")
    monkeypatch.setattr("train.fit._bar", lambda: True)
    fit(dataclasses.replace(QUICK, steps=3), images(), tmp_path / "bar")
    assert "3/3" in capfd.readouterr().err
    assert Progress(Timetable(3), True).bar is None
    assert (Timetable(3).at(1), timed(1.0).at(1)) == ("step 1 of 3", "step 1"), "how many are not known yet"


def test_run_json_holds_what_a_run_is_made_of_and_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    data = pairs(tmp_path / "data")
    words = ["fit", "--data", data, "--out", tmp_path / "one", "--no-cache", *SMALL, "--steps", 2, "--seed", 5]
    code = run(monkeypatch, *words)
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert record["command"].startswith("python -m train fit --data ")
    assert record["arguments"]["data"] == str(data)
    assert record["fingerprints"] == {"data": fingerprint(data)}
    assert record["counts"]["training_images"] + record["counts"]["validation_images"] == 6
    assert record["date"].endswith("+00:00")
    assert {"quietfield", "torch", "lightning", "numpy", "python"} <= record.keys()
    again = ("fit", "--config", tmp_path / "one" / "run.json", "--no-cache", "--out")
    assert run(monkeypatch, *again, tmp_path / "two") == code
    one, two = (weights(tmp_path / name / "checkpoint.ckpt") for name in ("one", "two"))
    assert all(torch.equal(value, two[key]) for key, value in one.items())
    assert "this run will not be the same" not in caplog.text
    tifffile.imwrite(data / "noisy" / "003_0.tif", tifffile.imread(data / "noisy" / "004_0.tif"))
    run(monkeypatch, *again, tmp_path / "three")
    assert f"found others in {data}: this run will not be the same" in caplog.text
    run(monkeypatch, *words[:-4], "--steps", 4, "--resume")
    later = json.loads((tmp_path / "one" / "run.json").read_text())
    assert later["command"] == record["command"]
    assert "--resume" in later["resumed"][0]["command"]


def test_a_run_by_time_is_repeated_by_time_unless_steps_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, seen = pairs(tmp_path), []

    def trained(config: Config, images: Any, out: Path, **options: Any) -> Path:
        seen.append((config.seed, options["max_minutes"], options["by_time"], options["origin"]))
        raise ValueError("enough")

    monkeypatch.setattr("train.fit.fit", trained)
    words = ["fit", "--data", data, "--no-cache", "--out", tmp_path / "o", "--seed", 3]
    assert run(monkeypatch, *words, "--max-minutes", 2) == 1
    config = dataclasses.asdict(dataclasses.replace(Config(), seed=3))
    (tmp_path / "run.json").write_text(json.dumps({**seen[0][-1], "config": config}))
    again = ["fit", "--config", tmp_path / "run.json", "--no-cache", "--out", tmp_path / "p"]
    run(monkeypatch, *again)
    run(monkeypatch, *again, "--max-minutes", 5)
    run(monkeypatch, *again, "--steps", 7)
    run(monkeypatch, *words, "--steps", 7, "--max-minutes", 2)
    assert [part[:3] for part in seen] == [
        (3, 2.0, True), (3, 2.0, True), (3, 5.0, True), (3, math.inf, False), (3, 2.0, False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "--out", "o"], "data: expected a folder of images, found none: give --data DIR"),
        (["fit", "--out", "o", "--config", "no.json"], "no.json: expected the run.json of a run, found no file"),
        (["fit", "--out", "o", "--config", "other.json"], "other.json: expected the run.json of a run, found another"),
        (
            ["fit", "--data", ".", "--out", "o", "--logger", "wandb"],
            "expected the package wandb, found none: pip install 'quietfield[wandb]'",
        ),
    ],
)
def test_mistakes_are_told_at_once(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    Path("other.json").write_text("{}")
    assert run(monkeypatch, *words) == 1
    assert message in capsys.readouterr().err


def test_the_exit_code_is_3_if_a_network_is_behind_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["fit", "--data", pairs(tmp_path), "--no-cache", *SMALL, "--steps", 1, "--out"]
    monkeypatch.setattr("sys.argv", ["train", *map(str, [*words, tmp_path / "behind"])])
    assert main() == 3
    assert run(monkeypatch, *words, tmp_path / "blind", "--learn", "neighbours") == 0
    monkeypatch.setattr("train.measure.baselines.si_psnr", lambda *_: 1.0)
    assert run(monkeypatch, *words, tmp_path / "ahead") == 0


def test_a_fingerprint_is_that_of_a_copy_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a" / "below").mkdir(parents=True)
    large = bytes(range(256)) * 1024
    (tmp_path / "a" / "below" / "large.npy").write_bytes(large)
    (tmp_path / "a" / "small.tif").write_bytes(b"small")
    (tmp_path / "a" / "notes.txt").write_bytes(b"")
    before = fingerprint(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "notes.txt").unlink()
    assert fingerprint(tmp_path / "b") == before
    found = {before}
    for place in (0, len(large) - 1):
        (tmp_path / "b" / "below" / "large.npy").write_bytes(large[:place] + b"?" + large[place + 1 :])
        found.add(fingerprint(tmp_path / "b"))
    (tmp_path / "b" / "small.tif").rename(tmp_path / "b" / "other.tif")
    found.add(fingerprint(tmp_path / "b"))
    assert len(found) == 4
    assert len(large) > 2 * ENDS, "the middle is not read"
    assert fingerprint(tmp_path / "a" / "small.tif") != fingerprint(tmp_path / "a" / "below" / "large.npy")


def test_tensorboard_and_wandb_get_pictures_and_hyperparameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning.pytorch.loggers import WandbLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(dataclasses.replace(QUICK, steps=1), images(), tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert events.Tags()["images"] == ["montage"]
    assert "validation_si_psnr" in events.Tags()["scalars"]
    assert "_hparams_/session_start_info" in events.summary_metadata.keys() | events.Tags()["tensors"] or (
        "channels" in (tmp_path / "run" / "tensorboard" / "hparams.yaml").read_text()
    )
    sent: list[Any] = []
    monkeypatch.setattr(WandbLogger, "__init__", lambda self, **options: None)
    monkeypatch.setattr(WandbLogger, "log_image", lambda self, *given: sent.append(given))
    log_image(WandbLogger(), tmp_path / "picture.png", 7)
    assert sent == [("montage", [str(tmp_path / "picture.png")], 7)]


def test_wandb_is_imported_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from train.fit import _logger

    made: list[dict[str, Any]] = []
    monkeypatch.setitem(sys.modules, "wandb", types.ModuleType("wandb"))
    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger.__init__", lambda self, **options: made.append(options))
    _logger("wandb", tmp_path / "mine")
    assert made == [{"name": "mine", "save_dir": tmp_path / "mine", "project": "quietfield"}]
