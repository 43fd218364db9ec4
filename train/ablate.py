"""Train a grid of configurations for a fixed time each, and draw up the table."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet

from .callbacks import CHECKPOINT
from .checkpoint import load_checkpoint, load_network, run_normalisation
from .config import Config
from .data.pairs import Images
from .data.sources import find_images
from .fit import Machine, choose_accelerator, fit
from .learn.schedule import MONITOR
from .measure.results import markdown, write_table
from .module import Diverged, build

log = logging.getLogger(__name__)

SPEED_SIDE = 1024  # pixels of the plane that the speed is measured on


@dataclass(frozen=True)
class Outcome:
    """What became of one configuration of the grid."""

    name: str
    si_psnr: float  # dB, of the validation images; NaN if there is none
    steps: int  # that were made; if it diverged, the one in which
    parameters: int
    megapixels_per_second: float  # NaN if it diverged
    diverged: bool = False


def parse_grid(words: list[str], each: bool = False) -> list[dict[str, Any]]:
    """The changes of each configuration of a grid: ["loss=mse,l1", "lr=1e-3,2e-3"] gives four.

    With `each` a single change at a time, after the configuration as it is: five.

    A value of several numbers, as `channels` has it, is written 16x32x64.

    Raises
    ------
    ValueError
        If a word is not FIELD=VALUE[,VALUE...], or the field is not known.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(Config)}
    axes = []
    for word in words:
        name, found, values = word.partition("=")
        name = name.replace("-", "_")
        if not found or name not in defaults:
            raise ValueError(f"grid: expected FIELD=VALUE,VALUE with a field of {', '.join(defaults)}, found {word!r}")
        axes.append([(name, _value(name, text, defaults[name])) for text in values.split(",")])
    if each:
        return [{}, *({name: value} for axis in axes for name, value in axis)]
    return [dict(point) for point in itertools.product(*axes)]


def _value(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, tuple):
            return tuple(type((*default, 0)[0])(part) for part in text.split("x"))
        return type(default)(text)
    except (ValueError, KeyError) as error:
        example = {bool: "true or false", tuple: "numbers as 16x32x64"}.get(type(default), type(default).__name__)
        raise ValueError(f"grid: {name}: expected {example}, found {text!r}") from error


def ablate(
    base: Config,
    grid: list[dict[str, Any]],
    data: Path,
    out: Path,
    *,
    minutes: float,
    machine: Machine,
    by_time: bool = False,
    **sources: Any,
) -> list[Outcome]:
    """Train each configuration for so many minutes on the same split, and measure quality and speed.

    With `by_time` each schedule is fitted to the time; without, give --steps that end within it.
    A configuration that was measured already in `out` is not trained again; one that diverges is noted.
    """
    outcomes = []
    configs = [dataclasses.replace(base, **changes) for changes in grid]  # all are checked before any is trained
    for changes, config in zip(grid, configs, strict=True):
        values = {k: "x".join(map(str, v)) if isinstance(v, tuple) else v for k, v in changes.items()}
        name = " ".join(f"{k}={v}" for k, v in values.items()) or "base"
        folder = out / "".join(c if c.isalnum() or c in "=.-" else "_" for c in name)
        log.info("%s", name)
        try:
            if not (folder / CHECKPOINT).is_file():
                _train(config, find_images(data, config, **sources), folder, minutes, machine, by_time)
            outcomes.append(_measure(name, folder / CHECKPOINT, machine))
        except Diverged as error:
            log.warning("%s diverged at step %d", name, error.step)
            outcomes.append(Outcome(name, math.nan, error.step, _parameters(build(config)), math.nan, diverged=True))
        write(outcomes, out)
    return outcomes


def _train(config: Config, images: Images, folder: Path, minutes: float, machine: Machine, by_time: bool) -> None:
    try:
        fit(config, images, folder, machine=machine, max_minutes=minutes, by_time=by_time)
    except BaseException:
        (folder / CHECKPOINT).unlink(missing_ok=True)  # half a run is nothing to compare
        raise


def _parameters(network: UNet) -> int:
    return sum(p.numel() for p in network.parameters())


def _measure(name: str, checkpoint: Path, machine: Machine) -> Outcome:
    run = load_checkpoint(checkpoint)["run"]
    network = load_network(checkpoint)
    device = "cuda" if choose_accelerator(machine) == "gpu" else "cpu"
    denoise = Denoiser(network, run_normalisation(run), device)
    plane = np.random.default_rng(0).normal(size=(1, SPEED_SIDE, SPEED_SIDE))
    denoise(plane)
    seconds = min(_timed(denoise, plane) for _ in range(3))
    return Outcome(name, run[MONITOR], run["step"], _parameters(network), plane.size / 1e6 / seconds)


def _timed(denoise: Denoiser, plane: Any) -> float:
    start = time.perf_counter()
    denoise(plane)
    return time.perf_counter() - start


def table(outcomes: list[Outcome]) -> str:
    """Markdown, best first; at the end those without a metric."""
    rows = []
    for o in sorted(outcomes, key=lambda o: -o.si_psnr if math.isfinite(o.si_psnr) else math.inf):
        cells = (f"{o.si_psnr:.2f}", f"{o.steps:,}", f"{o.parameters / 1e6:.2f} M", f"{o.megapixels_per_second:.2f}")
        if o.diverged:
            cells = (f"diverged at step {o.steps:,}", "", cells[2], "")
        rows.append((o.name, *cells))
    return markdown(("", "validation SI-PSNR (dB)", "steps", "parameters", "MPix/s"), rows)


def write(outcomes: list[Outcome], out: Path) -> None:
    """`ablation.md` and `ablation.csv`."""
    (out / "ablation.md").write_text(table(outcomes) + "\n", encoding="utf-8")
    names = [field.name for field in dataclasses.fields(Outcome)]
    write_table(out / "ablation.csv", names, (map(str, dataclasses.astuple(o)) for o in outcomes))
