"""What happens around the training steps: averaging of weights, the time limit, log and pictures."""

from __future__ import annotations

import csv
import dataclasses
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor
from tqdm import tqdm

from .config import Config
from .learn.schedule import MONITOR, monitored
from .measure.baselines import OURS
from .module import Restoration
from .origin import add_to_run, write_run
from .pictures import curve, montage
from .timetable import Timetable

log = logging.getLogger(__name__)

ASK_EVERY = 16  # steps between looks, in several processes, at whether one was interrupted, and at the clock
NEVER = 1 << 60  # batches
SAVE_EVERY = 300.0  # seconds, at most, between checkpoints
TELL_EVERY = 60.0  # seconds between lines on how far a run is
CHECKPOINT, BEST, LOG = "checkpoint.ckpt", "best.ckpt", "log.csv"


class Averaging(WeightAveraging):
    """A moving average of the weights, which is what is validated and kept; it follows fast in the beginning.

    Parameters
    ----------
    decay : float
        Of the average, once (1 + n) / (10 + n) has reached it after n steps.
    plan : Timetable
        Of the run; one by time may lower the decay.
    """

    def __init__(self, decay: float, plan: Timetable) -> None:
        def average(slow: Any, fast: Any, count: Tensor | int) -> None:
            n = int(count)
            torch._foreach_lerp_(slow, fast, 1 - min(plan.decay(decay), (1 + n) / (10 + n)))

        # Batch norm's buffers are those of the last step: counters cannot be averaged.
        super().__init__(use_buffers=False, multi_avg_fn=average)


class Course(Callback):
    """Have the run validate and save when it is time to, and stop at its last step, or when its time is over.

    Parameters
    ----------
    plan : Timetable
        Of the whole run.
    minutes : float
        Wall time of this part of it.
    path : Path
        The checkpoint.

    Attributes
    ----------
    interrupted : int
        Number of the signal that asked for the end: Ctrl-C's, or SIGTERM; 0 if none did.
    """

    def __init__(self, plan: Timetable, minutes: float, path: Path) -> None:
        self.plan, self.minutes, self.path = plan, minutes, path
        self.started, self.interrupted = time.monotonic(), 0
        self._validating = self._saved = math.nan
        self._stop: Callable[[int, FrameType | None], None] | None = None

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Have Ctrl-C and SIGTERM end the run as the clock would; the second stops at once."""
        before, process = signal.getsignal(signal.SIGINT), os.getpid()
        # A script's background jobs ignore Ctrl-C, and are ended by SIGTERM like all others.
        usual = before in (signal.default_int_handler, signal.SIG_IGN)
        ours = usual and threading.current_thread() is threading.main_thread()

        def stop(number: int, frame: FrameType | None) -> None:
            if os.getpid() != process:  # a process that draws crops ahead: it is ended with the run
                return
            signal.signal(signal.SIGINT, before)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.interrupted = number
            log.info("interrupted: saves and validates after this step; once more stops at once, without")

        if ours:
            self._stop = stop
            if before is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            if ours:
                signal.signal(signal.SIGINT, before)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the validation of the untrained network, as before the first step."""
        self.on_train_start(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take SIGTERM back: by now Lightning has set its own handler, which would leave no checkpoint."""
        if self._stop and not self.interrupted:
            signal.signal(signal.SIGTERM, self._stop)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to take the time of a validation."""
        if isinstance(pl_module, Restoration):
            self._validating, *_ = self._agreed(trainer, 60 * pl_module.stopwatch.minutes)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Take the time of a validation, with its pictures and checkpoints, but not what is measured once."""
        if isinstance(pl_module, Restoration) and not math.isnan(self._validating):
            once = pl_module.compared.spent if pl_module.compared else 0.0
            now, once = self._agreed(trainer, 60 * pl_module.stopwatch.minutes, once)
            self.plan.validated(now, max(0.0, now - self._validating - once))
            self._validating, self._saved = math.nan, now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Act between optimiser steps only, in all processes at once."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or not isinstance(pl_module, Restoration):
            return
        step, now, over = trainer.global_step, self.plan.now, 0.0
        # Several processes have to wait for each other's answer: without a clock it is asked for now and then.
        if trainer.world_size == 1 or self.plan.timed or self.minutes < math.inf or step % ASK_EVERY == 0:
            stop = bool(self.interrupted) or time.monotonic() - self.started > 60 * self.minutes
            now, over = self._agreed(trainer, 60 * pl_module.stopwatch.minutes, float(stop))
        if self.plan.follow(step, now) and trainer.is_global_zero:
            self._announce(pl_module.config)
        trainer.val_check_batch = NEVER
        if over or self.plan.over(step):
            trainer.should_stop = True
            if self.interrupted:  # what ends a job may not wait for a validation
                trainer.save_checkpoint(self.path)
        elif self.plan.due(step):
            trainer.val_check_batch = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        elif now - self._saved > SAVE_EVERY:
            pl_module.check()
            trainer.save_checkpoint(self.path)
            self._saved = now
        elif math.isnan(self._saved):
            self._saved = now

    def _announce(self, config: Config) -> None:
        """Say what the pace has room for."""
        plan, parts = self.plan, []
        if config.warmup and config.schedule in ("cosine", "constant"):
            parts.append(f"warm-up over {round(plan.warmup(config.warmup))}")
        if config.ema:
            parts.append(f"average of the weights over {round(1 / (1 - plan.decay(config.ema)))}")
        log.info(", ".join([str(plan), *parts]))
        if plan.crowded:
            log.warning("validations take most of this time: give more --max-minutes, or fewer images by --validation")

    @staticmethod
    def _agreed(trainer: Trainer, *values: float) -> list[float]:
        """The means over all processes, so that they all do the same."""
        if trainer.world_size == 1:
            return list(values)
        mine = torch.tensor(values, device=trainer.strategy.root_device)
        found: list[float] = trainer.strategy.reduce(mine, reduce_op="mean").tolist()
        return found


class Record(Callback):
    """A line of `log.csv` for each validation, the learning curve, now and then a montage, and `run.json`.

    Parameters
    ----------
    out : Path
        Folder of the run.
    every : int
        Validations between montages; there is one of the last validation, too.
    origin : dict
        What `run.json` says besides (`train.origin.origin`).
    """

    def __init__(self, out: Path, every: int, origin: dict[str, Any]) -> None:
        self.out, self.every, self.origin, self.count = out, every, origin, 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `run.json`: what decides the run, for people to read and for `fit --config` to repeat."""
        if trainer.is_global_zero and isinstance(pl_module, Restoration):
            if not pl_module.first_batch:
                (self.out / LOG).unlink(missing_ok=True)  # of a run that ended before its first checkpoint
            write_run(self.out, {**pl_module.record(), **self.origin}, resumed=pl_module.first_batch > 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was measured."""
        if not trainer.is_global_zero or not isinstance(pl_module, Restoration):
            return
        row, first = pl_module.measured, self.count == 0
        append_row(self.out / LOG, row)
        log.info("  ".join(f"{k} {v:.5g}" for k, v in row.items() if not math.isnan(v)))  # no loss before a step
        step = int(row["step"])
        for logger in trainer.loggers:
            if first:
                name, _ = monitored(pl_module.config)
                log_settings(logger, dataclasses.asdict(pl_module.config), {name: row[name]})
            logger.log_metrics({k: v for k, v in row.items() if k != "step" and math.isfinite(v)}, step)
        curve(self.out / LOG, self.out / "curve.png", pl_module.baselines)
        if self.count % self.every == 0 or trainer.should_stop:
            montage(pl_module.pictures, path := self.out / f"montage-{step:06}.png")
            for logger in trainer.loggers if path.exists() else ():
                log_image(logger, path, step)
        self.count += 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add to `run.json` what the run has come to."""
        if trainer.is_global_zero and isinstance(pl_module, Restoration):
            found = {"step": trainer.global_step, "steps": pl_module.plan.steps, "minutes": pl_module.stopwatch.minutes}
            quality = {OURS: pl_module.measured[MONITOR]} if MONITOR in pl_module.measured else {}
            add_to_run(self.out, {"result": {**found, "si_psnr": {**pl_module.baselines, **quality}}})


class Progress(Callback):
    """Tell how far the run is, how fast it goes and how long it takes: by a bar on a terminal, else by a line a minute.

    Parameters
    ----------
    plan : Timetable
        Of the run.
    bar : bool
        Whether there is a terminal.
    """

    def __init__(self, plan: Timetable, bar: bool) -> None:
        self.plan, self.terminal = plan, bar
        self.bar: tqdm[Any] | None = None
        self.told, self.step = math.nan, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self.told, self.step = time.monotonic(), trainer.global_step
        if self.terminal and trainer.is_global_zero:
            self.bar = tqdm(initial=self.step, unit="step", smoothing=0.1, dynamic_ncols=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar; or write a line, if it is time for one."""
        if not trainer.is_global_zero or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        step, now = trainer.global_step, time.monotonic()
        if self.bar is not None:
            self.bar.total = self.plan.steps if self.plan.settled else None
            self.bar.update(step - self.bar.n)
        elif now - self.told >= TELL_EVERY:
            pace = (now - self.told) / max(1, step - self.step)
            speed, minutes = 1 / max(pace, 1e-9), self.plan.left(step, pace) / 60
            log.info("%s, %.3g steps/s, %.3g minutes left", self.plan.at(step), speed, minutes)
            self.told, self.step = now, step

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make room for what is logged of the validation."""
        if self.bar is not None:
            self.bar.clear()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()


class Keep(ModelCheckpoint):
    """Lightning's, which knows its files again where the folder was moved or copied.

    Otherwise it would forget how good the best checkpoint is, and replace it by the next one, however bad.
    """

    @property
    def state_key(self) -> str:
        """Where a checkpoint has the state: where Lightning's own put it."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with what is kept, unless it was left behind."""
        folder = Path(self.dirpath or "")

        def here(path: str) -> str:
            return str(folder / Path(path).name)

        if Path(here(state_dict["best_model_path"])).is_file():
            paths = {name: here(path) for name, path in state_dict.items() if name.endswith("_path") and path}
            best = {here(path): score for path, score in state_dict["best_k_models"].items()}
            super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


def log_settings(logger: Logger, config: dict[str, Any], metrics: dict[str, float]) -> None:
    """Hand a logger the hyperparameters; TensorBoard lists them beside the metric."""
    if isinstance(logger, TensorBoardLogger):
        logger.log_hyperparams(config, metrics)
    else:
        logger.log_hyperparams(config)


def log_image(logger: Logger, path: Path, step: int) -> None:
    """Hand a logger a picture."""
    if isinstance(logger, TensorBoardLogger):
        from matplotlib.image import imread

        logger.experiment.add_image("montage", imread(path)[..., :3], step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image("montage", [str(path)], step)


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a line to a CSV file, with a header if it is the first."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.8g}" for k, v in row.items()})


def callbacks(config: Config, course: Course, record: Record, bar: bool) -> list[Callback]:
    """All that a run needs, in the order in which they act."""
    out, plan = record.out, course.plan
    saved: dict[str, Any] = {"dirpath": out, "enable_version_counter": False, "save_on_train_epoch_end": False}
    result: list[Callback] = [course, record, Progress(plan, bar)]
    if config.ema > 0:
        result.insert(0, Averaging(config.ema, plan))
    name, mode = monitored(config)
    if config.patience > 0:
        result.append(EarlyStopping(name, mode=mode, patience=config.patience, check_on_train_epoch_end=False))
    result.append(Keep(filename=Path(BEST).stem, monitor=name, mode=mode, **saved))
    result.append(Keep(filename=Path(CHECKPOINT).stem, **saved))
    return result
