"""Do jobs one after the other: what fails is named and leaves nothing behind, and the others are done."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from quietfield.adapt.plan import Options
from quietfield.files.answer import Form
from quietfield.files.jobs import Existing, Job, find_jobs, is_platform
from quietfield.machine import peak_memory
from quietfield.network.predict import Denoiser
from quietfield.pipeline import (
    check_channels,
    check_disk,
    check_memory,
    denoise_file,
    estimate,
    open_images,
    plan_stack,
    with_contrast,
)
from quietfield.report import Report

log = logging.getLogger(__name__)

FAILED, NOTHING_TO_DO = 1, 2  # exit codes


@dataclass(frozen=True)
class Outcome:
    """What became of a run over the inputs.

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
        """The exit code: 0, 1 if any image failed, 2 if there was none."""
        return NOTHING_TO_DO if self.nothing else FAILED if self.problems else 0


def run(
    denoiser: Denoiser,
    jobs: list[Job],
    problems: Iterable[str],
    options: Options,
    *,
    form: Form | None = None,
    dry: bool = False,
) -> Outcome:
    """Do all jobs, and log how each went.

    Parameters
    ----------
    denoiser : Denoiser
        The networks.
    jobs : list of Job
        What to do.
    problems : iterable of str
        What cannot be done, in words.
    options : Options
        What to do to suit each file.
    form : Form, optional
        How files are read and written.
    dry : bool
        Print each file's plan, and write nothing.
    """
    found = [*problems]
    for problem in found:
        log.error("%s", problem)
    one = explain if dry else denoise
    failures = [words for job in jobs if (words := one(denoiser, job, options, form))]
    outcome = Outcome(len(jobs) - len(failures), (*found, *failures))
    if not dry:
        total = len(jobs) + len(found)
        log.info("%d of %d images denoised, peak memory %d MiB", outcome.denoised, total, peak_memory() >> 20)
    return outcome


def run_folder(
    denoiser: Denoiser,
    source: Path,
    output: Path,
    options: Options,
    *,
    recursive: bool = False,
    existing: Existing = "keep",
    form: Form | None = None,
    platform: bool | None = None,
    dry: bool = False,
) -> Outcome:
    """Denoise what is in a folder, the platform's or any (`find_jobs`), as `run` does it.

    `platform` says whether answers are as the platform wants them; by default, if the folder is laid out as its are.
    """
    form = form or Form()
    if is_platform(source) if platform is None else platform:
        if (form.dtype, form.compress) != (Form().dtype, Form().compress):
            log.warning("--dtype and --compress are for your own folders: the platform takes float32")
        form = Form(axes=form.axes, platform=True)
        log.info("%s is the challenge's platform's: answers are float32 TIFFs as its importer takes them", source)
    else:
        log.info("%s is your own: answers keep the metadata of the images", source)
    try:
        jobs, problems = find_jobs(source, output, recursive, existing, tiffs=form.platform)
    except FileNotFoundError as error:
        log.error("%s", error)
        return Outcome(0, (str(error),), nothing=True)
    return run(denoiser, jobs, problems, options, form=form, dry=dry)


def denoise(denoiser: Denoiser, job: Job, options: Options, form: Form | None = None) -> str:
    """Do one job, and log what was seen; a failure is logged, and given in words."""
    try:
        with Bar(job.source.name) as bar:
            report = denoise_file(denoiser, job.source, job.target, options, bar, form)
    except Exception as error:  # whatever befalls one image, the others are still to be done
        return _failure(error, job)
    for number, one in enumerate((report, *report.others), 1):
        which = f"{job.source}: image {number} of {len(report.others) + 1}" if report.others else f"{job.source}"
        for level, words in one.lines():
            log.log(level, "%s: %s", which, words)
    for one in report.others:
        log.info("%s: with %s", job.source, one.summary())
    log.info("%s -> %s: %s", job.source, job.target, report.summary())
    return ""


def explain(denoiser: Denoiser, job: Job, options: Options, form: Form | None = None) -> str:
    """Print what would be done to one file, and how long it may take."""
    lines, seconds = [f"{job.source} -> {job.target}"], 0.0
    try:
        with open_images(job.source, form or Form()) as found:
            for stack in found:
                check_channels(str(job.source), stack, options, denoiser.network.scale)
                check_memory(denoiser, str(job.source), stack)
            stacks = [with_contrast(str(job.source), stack) for stack in found]
            for stack in stacks:
                works = plan_stack(denoiser, stack, options)
                seconds += estimate(works, stack)
                report = Report.of(stack, [one.part for one in works], several=denoiser.general is not None)
                lines += [report.summary(), *(words for _, words in report.lines())]
            check_disk(denoiser, str(job.source), stacks, job.target.parent, form)
    except Exception as error:
        return _failure(error, job)
    lines += [f"about {seconds:.0f} s" if seconds >= 1 else "less than a second"]
    print("\n  ".join(lines))
    return ""


def _failure(error: Exception, job: Job) -> str:
    """Log a failure, with the file's name and, where nobody foresaw it, the traceback."""
    if isinstance(error, ValueError | OSError | MemoryError | torch.cuda.OutOfMemoryError):
        hint = ": is there room, and leave to write?" if isinstance(error, OSError) else ""
        named = str(error).startswith(str(job.source))
        words = str(error) if named else f"{job.source} -> {job.target}: {error}{hint}"
        log.error("%s", words)
        return words
    words = f"{job.source} -> {job.target}: failed in a way not foreseen"
    log.error("%s", words, exc_info=error)
    return f"{words}: {error!r}"


def stop_in_order(number: int, frame: object) -> None:
    """A handler of Ctrl-C and SIGTERM: leave in order, so that what is half written is removed."""
    log.error("stopped by %s: no image is left half written", signal.Signals(number).name)
    sys.exit(128 + number)


class Bar:
    """A bar on a terminal; else a line every half minute."""

    def __init__(self, name: str, every: float = 30.0) -> None:
        self.name, self.every, self.last = name, every, time.monotonic()
        self.bar = None

    def __enter__(self) -> Bar:
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
