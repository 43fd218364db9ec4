"""Train a network: everything that a run is made of, put together."""

from __future__ import annotations

import errno
import logging
import math
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from quietfield.machine import choose_device
from quietfield.network.normalise import Normalisation
from quietfield.network.unet import UNet

from .callbacks import BEST, CHECKPOINT, NEVER, Course, Record, callbacks
from .checkpoint import WholeFiles, architecture, check_resumable, load_checkpoint, load_network, run_normalisation
from .config import Config, from_record
from .data.evidence import doubts, look_at, shared
from .data.pairs import Images, check_scale
from .data.resident import Resident
from .data.statistics import Moments
from .folders import make_folder
from .learn.optimiser import has_bfloat16
from .learn.schedule import LOSS, MONITOR
from .measure.baselines import gains, is_behind, verdict
from .module import Restoration
from .options import written
from .timetable import Timetable

log = logging.getLogger(__name__)

DECIDE_EVERY = 1000  # steps between validations that decide something, if the configuration does not say
GLANCES = 3  # pairs that are looked at before a run begins
MOST_NAMED = 20  # files that are left out, then the rest is counted
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room on the disk, or for this user, or in one file


@dataclass(frozen=True)
class Machine:
    """Where to compute; what a run computes does not depend on it but for rounding.

    Attributes
    ----------
    accelerator : str
        "auto", "cpu" or "gpu".
    devices, nodes : int
        Processes on each machine (GPUs, or shares of the CPU), and machines.
    workers : int
        Processes that draw crops ahead, or plan those of resident images, for each device; at least one for what is
        resident on a GPU.
    resident : bool, optional
        Keep all images in the device's memory and cut the crops there, if one frame of each is all that is learnt
        from; without, on a GPU if they take less than a quarter of what is free.
    compiled : bool
        Have torch compile the network: a minute at the start, for faster steps on a GPU.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    workers: int = 0
    resident: bool | None = None
    compiled: bool = False

    def __post_init__(self) -> None:
        for name, least in (("devices", 1), ("nodes", 1), ("workers", 0)):
            if (found := getattr(self, name)) < least:
                raise ValueError(f"{name}: expected {least} or more, found {found}")

    @property
    def processes(self) -> int:
        """All of them; as many as a launcher like torchrun says, if it started this process."""
        return int(os.environ.get("WORLD_SIZE", self.devices * self.nodes))


def fit(
    config: Config,
    images: Images,
    out: Path,
    *,
    machine: Machine | None = None,
    resume: bool = False,
    max_minutes: float = math.inf,
    by_time: bool = False,
    initial: Path | None = None,
    finetune: bool = False,
    logger: str = "tensorboard",
    origin: dict[str, Any] | None = None,
) -> Path:
    """Train, validate, and write checkpoints, a log and pictures; the last checkpoint is what to export.

    Parameters
    ----------
    config : Config
        What to train. A resumed run may change `steps` (the cosine then ends there) and what else is
        `train.config.CHANGEABLE`.
    images : Images
        What to learn from, and to measure on (mean SI-PSNR of whole images).
    out : Path
        Folder for `checkpoint.ckpt`, `best.ckpt`, `log.csv`, the pictures and TensorBoard's files; without a run
        in it, unless that is resumed.
    machine : Machine, optional
        Where to compute.
    resume : bool
        Go on from `out/checkpoint.ckpt`.
    max_minutes : float
        Stop, with a checkpoint, after this much wall time; resume to go on.
    by_time : bool
        Have the schedule of a new run fit `max_minutes`, in place of the steps of the configuration: as many are made
        as the pace of the first of them has room for. A resumed run keeps its plan, unless other steps are asked for.
    initial : Path, optional
        Checkpoint whose weights to start from, or model folder; of the same network.
    finetune : bool
        Have the network be for images like these alone: `train.export.export` keeps the one before for all others.
    logger : str
        "tensorboard" or "wandb": what gets the metrics, pictures and hyperparameters besides.
    origin : dict, optional
        What `run.json` should say of the command and the data (`train.origin.origin`).

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    Diverged
        If the loss is not finite; the checkpoint before stays.
    ValueError
        If there is no checkpoint to resume from, or one that is not to be resumed, it or `initial` is of another
        network, or the machine or the images cannot do what is asked for.
    OSError
        If nothing, or no whole checkpoint, can be written to `out`; the checkpoint before stays.
    KeyboardInterrupt
        If it was interrupted, with the number of the signal; the checkpoint is that of the last step.
    """
    machine = machine or Machine()
    path = out / CHECKPOINT
    state = _checked(config, images, machine, path, resume=resume, max_minutes=max_minutes, initial=initial)
    plan = make_plan(config, images, max_minutes if by_time else math.inf, state)
    if state and _is_done(plan, state["run"]):
        log.info("%s: all of the %d steps are done: give more --steps", path, state["run"]["step"])
        return path
    accelerator = _set_up(config, machine, out)
    module = _module(config, images, machine, plan=plan, state=state, initial=initial, finetune=finetune)
    course = Course(plan, math.inf if by_time else max_minutes, path)
    record = Record(out, config.montage_every, origin or {})
    trainer = _trainer(config, machine, accelerator, callbacks(config, course, record, _bar()), _logger(logger, out))
    _train(module, trainer, course, state)
    return path


def make_plan(config: Config, images: Images, minutes: float, state: dict[str, Any] | None) -> Timetable:
    """How long a run is: by its steps, by minutes if they are given, or as the checkpoint says that it goes on from."""
    record: dict[str, Any] = {} if minutes == math.inf else {"minutes": minutes, "settled": False}
    if state:
        saved = from_record(state["run"]["config"])
        same = (saved.steps, saved.epochs) == (config.steps, config.epochs)
        record = state["run"].get("plan", {}) if same else {}
    # Where validations decide something, the clock must not decide when they are, unless the time is the plan.
    every = config.validate_every or (DECIDE_EVERY if config.decisive and not record else 0)
    return Timetable(**{"steps": count_steps(config, images), "every": every, **record})


def _is_done(plan: Timetable, run: dict[str, Any]) -> bool:
    done: bool = plan.settled and run["step"] >= plan.steps
    return done or bool(run["seconds"] >= plan.end)


def _checked(
    config: Config,
    images: Images,
    machine: Machine,
    path: Path,
    *,
    resume: bool,
    max_minutes: float,
    initial: Path | None,
) -> dict[str, Any] | None:
    """The checkpoint to go on from, if any; all that would stop the run is told before time is spent on it."""
    _check(config, images, machine)
    state = load_checkpoint(path, config) if resume else None
    if not max_minutes >= 0:
        raise ValueError(f"max-minutes: expected 0 or more, found {max_minutes:g}")
    _check_start(path, state, config, images, initial)
    return state


def _set_up(config: Config, machine: Machine, out: Path) -> str:
    """What a run needs before it is built: its folder, the seed, torch's threads; and the accelerator's name."""
    accelerator = choose_accelerator(machine)
    make_folder(out, "--out")
    _quiet()
    torch.manual_seed(config.seed)
    if machine.processes > 1 and accelerator == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // machine.devices))
    return accelerator


def _module(
    config: Config,
    images: Images,
    machine: Machine,
    *,
    plan: Timetable,
    state: dict[str, Any] | None,
    initial: Path | None,
    finetune: bool,
) -> Restoration:
    """What is trained: new, with the weights of `initial`, or as a checkpoint left it."""
    normalisation = run_normalisation(state["run"]) if state else fit_normalisation(config, images)
    module = Restoration(
        config,
        plan,
        images,
        normalisation,
        workers=machine.workers,
        resident=machine.resident,
        compiled=machine.compiled,
    )
    if state:
        module.first_batch = state["run"]["batches"]
        module.initial, module.finetuned = state["run"].get("initial", ""), state["run"].get("finetuned", False)
    elif initial is not None:
        load_initial(module.network, initial, config)
        module.initial, module.finetuned = str(initial.resolve()), finetune
    return module


def _announce(trainer: lightning.Trainer, images: Images, plan: Timetable, state: dict[str, Any] | None) -> list[str]:
    """Say what begins, in one line, and what may be wrong with the images; the latter is given back."""
    log.info("looks at the images")
    if images.warning:
        log.warning("%s", images.warning)
    pairs = [pair for pair in (*images.training, *images.validation) if pair.truth is not None]
    doubted = [*doubts(look_at(images.training, GLANCES)), *shared(images.training, images.validation)] if pairs else []
    for doubt in doubted if not state else []:
        log.warning("%s ('prepare --preview' draws them)", doubt)
    for reason in images.left_out[:MOST_NAMED]:
        log.warning("left out: %s", reason)
    if len(images.left_out) > MOST_NAMED:
        log.warning("left out: %d more ('prepare' lists them)", len(images.left_out) - MOST_NAMED)
    parts = [type(trainer.accelerator).__name__.removesuffix("Accelerator"), f"precision {trainer.precision}"]
    parts += [f"{trainer.world_size} processes"] if trainer.world_size > 1 else []
    parts += [f"resumed at step {state['run']['step']} of {plan.steps}" if state and plan.settled else str(plan)]
    parts += [images.counts] + ([f"fields of view: {images.shares}"] if images.shares else [])
    log.info(", ".join(parts))
    if not state:
        log.info("validates before the first step")
    return doubted


def _trainer(
    config: Config, machine: Machine, accelerator: str, parts: list[Callback], logger: Logger | bool
) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator=accelerator,
        devices=machine.devices,
        num_nodes=machine.nodes,
        strategy="ddp" if machine.processes > 1 else "auto",
        precision=choose_precision(config.precision, accelerator),  # type: ignore[arg-type]
        max_steps=-1,
        max_epochs=-1,
        val_check_interval=NEVER,  # `Course` says when
        check_val_every_n_epoch=None,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip or None,
        callbacks=parts,
        plugins=[WholeFiles()],
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=logger,
        num_sanity_val_steps=-1,  # the validation at step 0
        use_distributed_sampler=False,
        benchmark=accelerator == "gpu" and config.crop > 0,
    )


def _train(module: Restoration, trainer: lightning.Trainer, course: Course, state: dict[str, Any] | None) -> None:
    """Train to the end of the run, or until it is interrupted; either leaves a checkpoint and what it has come to."""
    doubted = _announce(trainer, module.images, course.plan, state)
    with course.on_interrupt(), _full_disk_told(course.path):
        trainer.fit(module, ckpt_path=course.path if state else None, weights_only=True)
    log.info("%s: %s", course.plan.at(trainer.global_step), course.path)
    _conclude(module)
    for doubt in doubted:
        log.warning("look again: %s", doubt)
    quality = module.measured.get(MONITOR, math.inf)
    if module.finetuned and gains(quality, module.baselines) and not is_behind(quality, module.baselines):
        log.info("export %s: it is the best of them", course.path.with_name(BEST))
    if course.interrupted:
        raise KeyboardInterrupt(course.interrupted)


@contextmanager
def _full_disk_told(checkpoint: Path) -> Iterator[None]:
    """Have a disk that fills up end the run with one sentence, which names a path and how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        path = error.filename or checkpoint.parent
        then = "go on with --resume" if checkpoint.exists() else "begin again: there is no checkpoint yet"
        raise OSError(
            f"{path}: expected room to write, found none ({error.strerror}): make room on the disk, then {then}"
        ) from error


def _conclude(module: Restoration) -> None:
    """Say in one line what the run has come to, and in another if that is worse than doing nothing."""
    measured, images = module.measured, len(module.images.validation)
    if MONITOR not in measured:
        log.info("validation loss %.4g; without a ground truth it tells nothing of the quality", measured[LOSS])
        return
    line, warning = verdict(measured[MONITOR], module.baselines, images)
    log.info("%s", line)
    if warning:
        log.warning("%s", warning)


def count_steps(config: Config, images: Images) -> int:
    """Optimiser steps of a run: `steps`, or those that bring every training image `epochs` times."""
    if not config.epochs:
        return config.steps
    return max(1, round(len(images.training) * config.epochs / (config.batch * config.accumulate)))


def choose_accelerator(machine: Machine) -> str:
    """ "cpu" or "gpu".

    Raises
    ------
    ValueError
        If a GPU, or more of them, is asked for than is here.
    """
    if machine.accelerator not in ("auto", "cpu", "gpu"):
        raise ValueError(f"accelerator: expected auto, cpu or gpu, found {machine.accelerator!r}")
    usable = machine.accelerator != "cpu" and choose_device().type == "cuda"
    if machine.accelerator == "gpu":
        found = torch.cuda.device_count() if usable else 0
        if found < machine.devices:
            raise ValueError(
                f"accelerator gpu: expected {machine.devices} usable, found {found} (torch {torch.__version__}): "
                "take --accelerator auto, fewer --devices, or a torch build that suits the driver"
            )
    return "gpu" if usable else "cpu"


def choose_precision(precision: str, accelerator: str) -> str:
    """Lightning's name of it: bfloat16 by itself only where the hardware has it."""
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(accelerator) else "float32"
    if precision == "float16" and accelerator == "cpu":
        raise ValueError("precision float16: expected a GPU, found the CPU: take bfloat16, or auto")
    return {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}[precision]


def _check(config: Config, images: Images, machine: Machine) -> None:
    synthetic = round(config.synthetic * config.batch)
    if config.planes > 1 and (synthetic < config.batch or config.scale > 1 or not config.supervised):
        raise ValueError(
            f"planes {config.planes}: expected to learn from movies of clean images, found "
            f"{written('learn', config.learn)} {written('synthetic', config.synthetic)} "
            f"{written('scale', config.scale)}: give --recipe stack"
        )
    if config.batch % machine.processes:
        raise ValueError(f"batch: expected a multiple of the {machine.processes} processes, found {config.batch}")
    if synthetic and not images.clean:
        raise ValueError("synthetic: expected clean images for it, found none: give --clean DIR, or --synthetic 0")
    if synthetic < config.batch and not images.training:
        raise ValueError("expected pairs to train on, found none: give a folder of pairs, or --synthetic 1")
    if not images.validation:
        raise ValueError("expected images to validate on, found none: raise --validation")
    if (found := len(images.validation) + len(images.drawn)) < machine.processes:
        raise ValueError(
            f"expected an image to validate on for each of the {machine.processes} processes, found {found}: raise "
            "--validation, or take fewer --devices"
        )
    if synthetic and config.crop == 0:
        raise ValueError("crop 0 (whole images) does not go with --synthetic: give --crop")
    if machine.resident and not Resident.suits(config, images):
        raise ValueError(
            "resident: expected to learn from the first frame of each image and its ground truth, found "
            f"{written('learn', config.learn)} {written('frames', config.frames)} "
            f"{written('average', config.average)}: leave --resident out"
        )
    if config.redraw and config.scale > 1:
        raise ValueError("redraw: expected a ground truth with the frame's pixels, found scale 2: give --redraw 0")
    for name in ("balance", "calm"):
        if getattr(config, name) and config.scale > 1:
            raise ValueError(f"{name}: expected a ground truth with the frame's pixels, found scale 2: give --{name} 0")
    for pair in images.validation if config.supervised else ():
        if np.ptp(pair.ground_truth) == 0:
            raise ValueError(
                f"{pair.name}: expected a ground truth to validate on, found one value everywhere: remove the image"
            )
    check_scale((*images.training, *images.validation), config.scale)


def _check_start(
    path: Path, state: dict[str, Any] | None, config: Config, images: Images, initial: Path | None
) -> None:
    if state:
        check_resumable(path, state["run"], config, images.split)
        if initial is not None:
            raise ValueError(f"initial: a run that is resumed has its own weights, found {initial}: leave it out")
    elif path.exists():
        raise ValueError(
            f"{path}: expected a folder without a run, found one: give --resume to go on, or another --out"
        )


def fit_normalisation(config: Config, images: Images) -> Normalisation:
    """The data set's own mean and standard deviation for the kind "dataset"; else just the kind."""
    if config.normalisation != "dataset":
        return Normalisation(config.normalisation)
    moments = Moments()
    for pair in images.training:
        moments = moments.merge(Moments.of(pair.frames[0]))
    if not moments.std > 0:
        raise ValueError("normalisation dataset: expected training images that are not constant: give pairs")
    return Normalisation("dataset", moments.mean, moments.std)


def load_initial(network: UNet, path: Path, config: Config) -> None:
    """Start from the weights of a checkpoint, or from those of a model folder.

    A network for several planes can start from one for single planes, which then gets an average in place of a plane.

    Parameters
    ----------
    network : UNet
        Of `config`; its weights are set.
    path : Path
        Of the weights.
    config : Config
        Of the run.

    Raises
    ------
    ValueError
        If the weights are of another network.
    """
    found = architecture(path)
    # Dropout has no weights: it may be another.
    free = ("dropout", *(("planes",) if found.get("planes", 1) == 1 else ()))
    differ = [name for name, ours in config.network.items() if name not in free and found.get(name, ours) != ours]
    if differ:
        ours, theirs = (" ".join(written(name, values[name]) for name in differ) for values in (config.network, found))
        thick = differ == ["skips"] and found["skips"] == "concatenated"
        advice = "make one of it by 'train thin'" if thick else "give the options of that network, or other weights"
        raise ValueError(f"{path}: expected weights of a network with {ours}, found {theirs}: {advice}")
    network.load_state_dict(widened(load_network(path).state_dict(), network))


def widened(state: dict[str, Tensor], network: UNet) -> dict[str, Tensor]:
    """Weights of a network for single planes as those of one for several, which gets an average in place of a plane."""
    result = {}
    for name, ours in network.state_dict().items():
        theirs = result[name] = state.get(name, ours)
        if ours.shape != theirs.shape:
            result[name] = torch.zeros_like(ours)
            pixels = theirs.shape[1]
            result[name][:, pixels : 2 * pixels] = theirs  # of the average that believes in little
    return result


def _bar() -> bool:
    return sys.stderr.isatty()


def _logger(name: str, out: Path) -> Logger | bool:
    if name == "wandb":
        import wandb  # noqa: F401  # Lightning would not say what is missing
        from lightning.pytorch.loggers import WandbLogger

        return WandbLogger(name=out.resolve().name, save_dir=out, project="quietfield")
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        log.debug("tensorboard is not installed: log.csv and curve.png alone")
        return False
    return TensorBoardLogger(out, name="tensorboard", version="", default_hp_metric=False)


def _quiet() -> None:
    """Leave out what Lightning says that is no news here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in ("does not have many workers", r"Checkpoint directory .* exists", "isinstance.treespec, LeafSpec"):
        warnings.filterwarnings("ignore", f".*{text}")
    if threading.excepthook.__module__ != __name__:
        threading.excepthook = _without_tensorboard(threading.excepthook)


def _without_tensorboard(usual: Callable[[threading.ExceptHookArgs], Any]) -> Callable[..., None]:
    """A hook for threads that fail; what TensorBoard's cannot write is raised again where it is next written to."""

    def hook(found: threading.ExceptHookArgs) -> None:
        if isinstance(found.exc_value, OSError) and type(found.thread).__module__.startswith("tensorboard"):
            log.warning("TensorBoard's files are not whole: %s", found.exc_value.strerror)
        else:
            usual(found)

    return hook
