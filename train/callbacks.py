"""What happens around the training steps: averaging of weights, the time limit, log and pictures."""

from __future__ import annotations

import csv
import json
import logging
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
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from torch import Tensor

from .config import Config
from .learn.schedule import monitored
from .module import Restoration
from .pictures import curve, montage

log = logging.getLogger(__name__)

ASK_EVERY = 16  # steps between looks, in several processes, at whether one was interrupted
CHECKPOINT, BEST, LOG = "checkpoint.ckpt", "best.ckpt", "log.csv"


class Averaging(WeightAveraging):
    """A moving average of the weights, which is what is validated and kept; it follows fast in the beginning.

    Parameters
    ----------
    decay : float
        Of the average, once (1 + n) / (10 + n) has reached it after n steps.
    """

    def __init__(self, decay: float) -> None:
        def average(slow: Any, fast: Any, count: Tensor | int) -> None:
            n = int(count)
            torch._foreach_lerp_(slow, fast, 1 - min(decay, (1 + n) / (10 + n)))

        # Batch norm's buffers are those of the last step: counters cannot be averaged.
        super().__init__(use_buffers=False, multi_avg_fn=average)


class EndOfRun(Callback):
    """Have the run validate, save and stop at its last step, or when its time is over.

    Parameters
    ----------
    steps : int
        Of the whole run.
    minutes : float
        Wall time of this part of it.

    Attributes
    ----------
    interrupted : int
        Number of the signal that asked for the end: Ctrl-C's, or SIGTERM; 0 if none did.
    """

    def __init__(self, steps: int, minutes: float) -> None:
        self.steps, self.minutes = steps, minutes
        self.started = time.monotonic()
        self.interrupted = 0
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
            log.info("interrupted: validates and saves after this step; once more stops at once, without")

        if ours:
            self._stop = stop
            if before is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            if ours:
                signal.signal(signal.SIGINT, before)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock. By now Lightning has set its own handler of SIGTERM, which would leave no checkpoint."""
        self.started = time.monotonic()
        if self._stop:
            signal.signal(signal.SIGTERM, self._stop)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop between optimiser steps only, in all processes at once."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        over = bool(self.interrupted) or time.monotonic() - self.started > 60 * self.minutes
        if trainer.world_size > 1:
            # All have to wait for each other's answer: without a clock it is asked for now and then.
            asked = self.minutes != float("inf") or trainer.global_step % ASK_EVERY == 0
            over = asked and trainer.strategy.reduce_boolean_decision(over, all=False)
        if over or trainer.global_step >= self.steps:
            trainer.should_stop = True


class Record(Callback):
    """A line of `log.csv` for each validation, the learning curve, and now and then a montage.

    Parameters
    ----------
    out : Path
        Folder of the run.
    every : int
        Validations between montages; there is one of the last validation, too.
    """

    def __init__(self, out: Path, every: int) -> None:
        self.out, self.every, self.count = out, every, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `run.json`: the configuration and the split, for people to read."""
        if trainer.is_global_zero and isinstance(pl_module, Restoration):
            if not pl_module.first_batch:
                (self.out / LOG).unlink(missing_ok=True)  # of a run that ended before its first checkpoint
            text = json.dumps(pl_module.record(), indent=1)
            (self.out / "run.json").write_text(text + "\n", encoding="utf-8")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was measured."""
        if not trainer.is_global_zero or not isinstance(pl_module, Restoration):
            return
        row = pl_module.measured
        append_row(self.out / LOG, row)
        log.info("  ".join(f"{k} {v:.5g}" for k, v in row.items()))
        for logger in trainer.loggers:
            logger.log_metrics({k: v for k, v in row.items() if k != "step"}, int(row["step"]))
        curve(self.out / LOG, self.out / "curve.png")
        if self.count % self.every == 0 or trainer.should_stop:
            montage(pl_module.pictures, self.out / f"montage-{int(row['step']):06}.png")
        self.count += 1


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


class Bar(TQDMProgressBar):
    """Lightning's bar, over the steps of the whole run."""

    def __init__(self, steps: int) -> None:
        super().__init__(refresh_rate=5)
        self.steps = steps

    @property
    def total_train_batches(self) -> int | float:
        """Batches of the run: the stream itself has no end."""
        return self.steps * self.trainer.accumulate_grad_batches


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a line to a CSV file, with a header if it is the first."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.8g}" for k, v in row.items()})


def callbacks(config: Config, end: EndOfRun, out: Path, bar: bool) -> list[Callback]:
    """All that a run needs, in the order in which they act."""
    saved: dict[str, Any] = {"dirpath": out, "enable_version_counter": False, "save_on_train_epoch_end": False}
    result: list[Callback] = [end, Record(out, config.montage_every)]
    if config.ema > 0:
        result.insert(0, Averaging(config.ema))
    name, mode = monitored(config)
    if config.patience > 0:
        result.append(EarlyStopping(name, mode=mode, patience=config.patience, check_on_train_epoch_end=False))
    if bar:
        result.append(Bar(end.steps))
    result.append(Keep(filename=Path(BEST).stem, monitor=name, mode=mode, **saved))
    result.append(Keep(filename=Path(CHECKPOINT).stem, **saved))
    return result
