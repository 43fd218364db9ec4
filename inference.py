"""Denoise images: the challenge's container runs this, and so does anyone with a folder of TIFFs."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import signal
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import numpy as np
import tifffile
import torch

from quietfield import __version__
from quietfield.adapt.plan import AUTO, OFF, Adaptation
from quietfield.machine import choose_device, describe, describe_torch, keep_memory
from quietfield.network.model import Model, find_model, load_model
from quietfield.pipeline import NEIGHBOURS, denoise_file
from quietfield.network.predict import Denoiser
from quietfield.serve import PORT, Answer, serve
from quietfield.files.jobs import Job, find_jobs

log = logging.getLogger("inference")

PLATFORM_MODEL = Path("/opt/ml/model")
OWN_MODEL = Path(__file__).resolve().parent / "resources"
APIS = ("exec", "invoke")
FAILED, NOTHING_TO_DO = 1, 2


def main() -> int:
    """Denoise all inputs; the exit code is 0, 1 if any failed, 2 if there was no input or no model."""
    arguments = parse_arguments()
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.captureWarnings(True)
    signal.signal(signal.SIGTERM, stop)
    try:
        model = load_model(find_model([arguments.model] if arguments.model else [PLATFORM_MODEL, OWN_MODEL]))
        how = arguments.adapt or Adaptation.of(str(model.record.get("adapt", "off")))
    except ValueError as error:
        log.error("%s", error)
        return NOTHING_TO_DO
    denoiser = prepare(model)

    def work() -> Outcome:
        return denoise_all(denoiser, arguments.input, arguments.output, how, arguments.neighbours)

    if arguments.api == "invoke":
        try:
            serve(lambda: work().answer, arguments.port)
        except OSError as error:
            log.error("port %d: expected a free one, found %s", arguments.port, error)
            return FAILED
    return work().code


@dataclass(frozen=True)
class Outcome:
    """What became of one run over the inputs.

    Attributes
    ----------
    denoised : int
        Images that were written.
    problems : tuple of str
        A sentence for each that was not.
    nothing : bool
        There was no input at all.
    """

    denoised: int
    problems: tuple[str, ...]
    nothing: bool = False

    @property
    def code(self) -> int:
        """The exit code of a run."""
        return NOTHING_TO_DO if self.nothing else FAILED if self.problems else 0

    @property
    def answer(self) -> Answer:
        """The same for who asked by HTTP: 201 when all was done, 400 without input, else 500."""
        status = {0: HTTPStatus.CREATED, NOTHING_TO_DO: HTTPStatus.BAD_REQUEST}.get(
            self.code, HTTPStatus.INTERNAL_SERVER_ERROR
        )
        return Answer(status, {"denoised": self.denoised, "problems": list(self.problems)})


def denoise_all(denoiser: Denoiser, source: Path, output: Path, how: Adaptation, neighbours: str) -> Outcome:
    """Denoise all that is in the input; what fails is named, and the others are done."""
    try:
        jobs, problems = find_jobs(source, output)
    except (ValueError, FileNotFoundError) as error:
        log.error("%s", error)
        return Outcome(0, (str(error),), nothing=True)
    for problem in problems:
        log.error("%s", problem)
    failures = [words for job in jobs if (words := denoise(denoiser, job, how, neighbours))]
    outcome = Outcome(len(jobs) - len(failures), (*problems, *failures))
    total = len(jobs) + len(problems)
    log.info("%d of %d images denoised, peak memory %d MiB", outcome.denoised, total, peak_memory() >> 20)
    return outcome


def stop(number: int, frame: object) -> None:
    """On a stop from outside leave in order, so that what is half written is removed."""
    log.error("stopped by %s: the image in work is not written", signal.Signals(number).name)
    sys.exit(128 + number)


def parse_arguments() -> argparse.Namespace:
    """The command line; the platform gives none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--input", type=Path, default=Path("/input"), help="the platform's input, or a folder of images, or an image"
    )
    parser.add_argument("--output", type=Path, default=Path("/output"), help="folder for the denoised images")
    parser.add_argument(
        "--model",
        type=Path,
        help=f"folder with model.json; default {PLATFORM_MODEL} when it holds one, else resources/",
    )
    parser.add_argument(
        "--adapt",
        type=adaptation,
        metavar="auto|off|MINUTES",
        help=f"suit each file: auto takes out stripes if there are any and it takes no more than {AUTO:g} minutes a "
        "file; MINUTES are spent on the mean of eight answers and on tuning, too; default: as the model says, else off",
    )
    parser.add_argument(
        "--neighbours",
        choices=NEIGHBOURS,
        default=NEIGHBOURS[0],
        help="auto: planes of a stack that show the same scene help each other; off: each plane by itself",
    )
    parser.add_argument(
        "--api",
        choices=APIS,
        default=os.environ.get("QUIETFIELD_API") or APIS[0],
        help="exec: denoise what is there, and end; invoke: a server that does so for each POST /invoke, as newer "
        "templates of the platform want it; default: $QUIETFIELD_API, else exec",
    )
    parser.add_argument("--port", type=int, default=PORT, help="where the server listens (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.api not in APIS:  # argparse does not check a default
        parser.error(f"$QUIETFIELD_API: expected {' or '.join(APIS)}, found {arguments.api!r}")
    return arguments


def adaptation(text: str) -> Adaptation:
    """An argument of `--adapt`, checked."""
    try:
        return Adaptation.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def prepare(model: Model) -> Denoiser:
    """Put the model on the best device, and say what is running where."""
    keep_memory()
    device = choose_device()
    log.info(
        "denoiser %s, Python %s, numpy %s, tifffile %s",
        __version__, platform.python_version(), np.__version__, tifffile.__version__,
    )  # fmt: skip
    log.info("%s", describe_torch())
    log.info("device %s", describe(device))
    for part in (model, model.beyond) if model.beyond else (model,):
        log.info(
            "model %s, scale %d, weights sha256 %s",
            part.record.get("name", "without a name"), part.network.scale, part.sha256,
        )  # fmt: skip
    return Denoiser.of(model, device)


def peak_memory() -> int:
    """Most bytes of memory that this process has held, or 0 where that is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def denoise(denoiser: Denoiser, job: Job, how: Adaptation = OFF, neighbours: str = NEIGHBOURS[0]) -> str:
    """Do one job, and say how it went; a failure is logged and given in words, and leaves nothing behind."""
    start = time.perf_counter()
    with Progress(job.source.name) as progress:
        try:
            report = denoise_file(denoiser, job.source, job.target, progress, how, neighbours)
        except (ValueError, OSError, MemoryError, torch.cuda.OutOfMemoryError) as error:
            words = _with_names(error, job)
            log.error("%s", words)
            return words
        except Exception as error:  # whatever befalls one image, the others are still to be done
            words = f"{job.source} -> {job.target}: failed in a way not foreseen"
            log.exception("%s", words)
            return f"{words}: {error!r}"
    seconds = time.perf_counter() - start
    if report.invalid:
        log.warning("%s: %d pixels are NaN, infinite or beyond float32; filled in", job.source, report.invalid)
    if denoiser.beyond:
        log.info("%s: by the network %s", job.source, report.network)
    for words in report.adapted:
        log.info("%s: %s", job.source, words)
    for words in report.noise.brief() if report.noise else ():
        log.info("%s: %s", job.source, words)
    log.info("%s: neighbouring planes %s", job.source, report.neighbours)
    for words in report.unlike:
        log.warning("%s: unlike what the network was trained on: %s", job.source, words)
    log.info(
        "%s -> %s: shape %s, %s, axes %s, %.2f s, %.2f MPix/s",
        job.source, job.target, report.shape, report.dtype, report.axes, seconds, report.pixels / 1e6 / seconds,
    )  # fmt: skip
    return ""


def _with_names(error: Exception, job: Job) -> str:
    if str(job.source) in str(error):
        return str(error)
    hint = ": is there room, and leave to write?" if isinstance(error, OSError) else ""
    return f"{job.source} -> {job.target}: {error}{hint}"


class Progress:
    """A bar on a terminal; else a line every half minute."""

    def __init__(self, name: str, every: float = 30.0) -> None:
        self.name, self.every, self.last = name, every, time.monotonic()
        self.bar = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(desc=self.name, unit="plane", leave=False)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, done: int, total: int) -> None:
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.last > self.every:
            self.last = time.monotonic()
            log.info("%s: %d of %d planes", self.name, done, total)


if __name__ == "__main__":
    raise SystemExit(main())
