"""The command of the challenge's platform, which gives no arguments: denoise /input into /output."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from quietfield.command import add_options, prepare, start_log
from quietfield.files.jobs import find_jobs
from quietfield.runner import FAILED, NOTHING_TO_DO, Outcome, run
from quietfield.serve import PORT, answer, serve

log = logging.getLogger("inference")

PLATFORM_MODEL = Path("/opt/ml/model")  # where the platform unpacks a model that was uploaded apart
APIS = ("exec", "invoke")


def main() -> int:
    """Denoise all inputs; the exit code is 0, 1 if any failed, 2 if there was no input or no model."""
    arguments = parse_arguments()
    start_log()
    try:
        denoiser, options = prepare(arguments, PLATFORM_MODEL)
    except ValueError as error:
        log.error("%s", error)
        return NOTHING_TO_DO

    def work() -> Outcome:
        flags = {"recursive": arguments.recursive, "overwrite": arguments.overwrite}
        try:
            jobs, problems = find_jobs(arguments.input, arguments.output, **flags)
        except FileNotFoundError as error:
            log.error("%s", error)
            return Outcome(0, (str(error),), nothing=True)
        return run(denoiser, jobs, problems, options, dry=arguments.dry_run)

    if arguments.api == "exec":
        return work().code
    try:
        serve(lambda: answer(work()), arguments.port)
    except OSError as error:
        log.error("port %d: expected a free one, found %s", arguments.port, error)
    return FAILED


def parse_arguments() -> argparse.Namespace:
    """The command line; the platform gives none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--input", type=Path, default=Path("/input"), help="the platform's input, or a folder of images, or an image"
    )
    parser.add_argument("--output", type=Path, default=Path("/output"), help="folder for the denoised images")
    add_options(parser)
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


if __name__ == "__main__":
    raise SystemExit(main())
