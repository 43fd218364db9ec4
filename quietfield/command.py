"""The command: `quietfield IMAGE... -o OUT`, `quietfield info`."""

from __future__ import annotations

import argparse
import glob
import logging
import platform
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import torch

from quietfield import __version__
from quietfield.adapt.plan import NEIGHBOURS, Adaptation, Options
from quietfield.files.answer import COMPRESSIONS, DTYPES, MOST_CLIPPED, Form
from quietfield.files.arrays import NAMES
from quietfield.files.jobs import Existing, jobs_of
from quietfield.front import SHIPPED
from quietfield.machine import choose_device, describe, describe_torch, keep_memory
from quietfield.network.model import Model, find_model, load_model
from quietfield.network.predict import Denoiser
from quietfield.repair.repair import OUTLIERS
from quietfield.runner import NOTHING_TO_DO, run, stop_in_order

log = logging.getLogger(__name__)


def main(given: list[str] | None = None) -> int:
    """Run the command; the exit code is 0, 1 if any image failed, 2 if there was no image or no model."""
    given = sys.argv[1:] if given is None else given
    if given[:1] == ["info"] and not Path("info").exists():
        return info(given[1:])
    arguments = parser().parse_args(given)
    start_log()
    sources = [Path(name) for pattern in arguments.images for name in matches(pattern)]
    jobs, problems = jobs_of(sources, arguments.output, arguments.recursive, there(arguments))
    try:
        denoiser, options, form = prepare(arguments, brief=True)
    except ValueError as error:
        log.error("%s", error)
        return NOTHING_TO_DO
    return run(denoiser, jobs, problems, options, form=form, dry=arguments.dry_run).code


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    found = argparse.ArgumentParser(
        prog="quietfield",
        description="Denoise fluorescence microscopy images. 'quietfield info' tells device, versions and networks.",
    )
    found.add_argument(
        "images", nargs="+", type=_name, metavar="IMAGE", help="files, folders, or patterns such as 'day1/*.tif'"
    )
    found.add_argument(
        "-o",
        "--output",
        type=lambda text: Path(_name(text)),
        required=True,
        metavar="OUT",
        help="folder for the answers, which keep the relative paths of the images in a folder; for a single image "
        "also the name of its answer",
    )
    add_options(found)
    found.add_argument("--version", action="version", version=f"quietfield {__version__}")
    return found


def add_options(found: argparse.ArgumentParser) -> None:
    """The options that `quietfield` and `inference.py` share."""
    found.add_argument("--recursive", action="store_true", help="also denoise the images in folders of folders")
    existing = found.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace answers that are already there")
    existing.add_argument("--skip-existing", action="store_true", help="leave out images whose answers are there")
    found.add_argument(
        "--dry-run",
        action="store_true",
        help="print each file's plan (shape, axes, network, what would be done, estimated time); write nothing",
    )
    found.add_argument(
        "--adapt",
        type=_adaptation,
        metavar="auto|off|MINUTES",
        help="auto: remove row and column stripes if present. MINUTES: also use test-time augmentation and "
        "fine-tuning, up to this long per file. off: the network alone. Default: as the model says, else off",
    )
    found.add_argument(
        "--neighbours",
        choices=NEIGHBOURS,
        default=NEIGHBOURS[0],
        help="auto: planes of a stack that show the same scene help each other; off: each plane by itself",
    )
    found.add_argument(
        "--outliers",
        choices=OUTLIERS,
        default=OUTLIERS[0],
        help="isolated outliers, such as hot pixels and cosmic rays. auto: replaced. keep: put back unchanged. off: "
        "not looked for (default: %(default)s)",
    )
    found.add_argument(
        "--axes",
        type=_axes,
        metavar="TCYX",
        help=f"names of the images' axes, letters of {NAMES} with YX among them; default: those that each file has",
    )
    found.add_argument(
        "--channels",
        type=_channels,
        metavar="0,2",
        help="numbers of the channels to denoise, from 0; the others are copied as they are. Default: all",
    )
    found.add_argument(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help="type of the answers; integers are rounded and clipped. same: as the image, refused where more than "
        f"{100 * MOST_CLIPPED:g} %% of the pixels would be clipped (default: %(default)s)",
    )
    found.add_argument(
        "--compress",
        choices=COMPRESSIONS,
        default=COMPRESSIONS[0],
        help="pack the answers without loss (default: %(default)s)",
    )
    found.add_argument(
        "--model", type=Path, metavar="DIR", help="folder with model.json; default: the shipped networks"
    )


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a name, found an empty one: is a variable of the shell not set?")
    return text


def _adaptation(text: str) -> Adaptation:
    try:
        return Adaptation.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _axes(text: str) -> str:
    found = text.upper()
    if len(set(found)) < len(found) or "YX" not in found or not set(found) <= set(NAMES):
        raise argparse.ArgumentTypeError(f"expected different letters of {NAMES} with YX among them, found {text!r}")
    return found


def _channels(text: str) -> tuple[int, ...]:
    if not all(word.strip().isdecimal() for word in text.split(",")):
        raise argparse.ArgumentTypeError(f"expected numbers from 0 with commas between them, as 0,2; found {text!r}")
    return tuple(sorted({int(word) for word in text.split(",")}))


def matches(pattern: str) -> list[str]:
    """The files of a pattern that no shell has replaced; a name that is there is taken as it is."""
    if Path(pattern).exists():
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True)) or [pattern]  # noqa: PTH207 (pathlib has no absolute patterns)


def there(arguments: argparse.Namespace) -> Existing:
    """What becomes of answers that are already there."""
    return "replace" if arguments.overwrite else "skip" if arguments.skip_existing else "keep"


def start_log() -> None:
    """Log to stderr, and leave in order when the process is told to stop."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.captureWarnings(True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_in_order)


def prepare(arguments: argparse.Namespace, *places: Path, brief: bool = False) -> tuple[Denoiser, Options, Form]:
    """Load the model, put it on the best device, and log what runs where.

    Parameters
    ----------
    arguments : argparse.Namespace
        With the options of `add_options`.
    *places : Path
        Where to look for a model before the shipped one.
    brief : bool
        Log one line, and leave the rest to `quietfield info`.

    Raises
    ------
    ValueError
        If there is no usable model.
    """
    model = load_model(find_model([arguments.model] if arguments.model else [*places, *SHIPPED]))
    adapt = arguments.adapt or Adaptation.of(str(model.record.get("adapt", "off")))
    keep_memory()
    device = choose_device()
    names = " and ".join(str(part.record.get("name", "without a name")) for part in model.parts)
    for line in [f"quietfield {__version__} on {describe(device)}: {names}"] if brief else facts(device, model):
        log.info("%s", line)
    note = {"networks": ", ".join(f"{part.record.get('name')} ({part.sha256[:12]})" for part in model.parts)}
    form = Form(arguments.dtype, arguments.compress, arguments.axes, note)
    options = Options(adapt, arguments.neighbours, arguments.channels, arguments.outliers)
    return Denoiser.of(model, device), options, form


def facts(device: torch.device, model: Model) -> Iterator[str]:
    """Lines on versions, device and networks."""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, tifffile {tifffile.__version__}"
    yield f"quietfield {__version__}, {versions}"
    yield describe_torch()
    yield f"device {describe(device)}"
    for part in model.parts:
        name = part.record.get("name", "without a name")
        yield f"model {name}, scale {part.network.scale}, weights sha256 {part.sha256}"


def info(more: list[str]) -> int:
    """Print versions, device, and the shipped networks with their checksums."""
    if more:
        print("quietfield info: expected nothing behind it; for a file give --dry-run", file=sys.stderr)
        return NOTHING_TO_DO
    try:
        folder = find_model(list(SHIPPED))
        model = load_model(folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return NOTHING_TO_DO
    print(*facts(choose_device(), model), f"networks in {folder}", sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
