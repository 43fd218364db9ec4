"""The command of the challenge's platform, which gives no arguments: denoise /input into /output."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from quietfield.command import add_options, prepare, start_log, there
from quietfield.runner import NOTHING_TO_DO, Outcome, run_folder
from quietfield.serve import add_interface, serve

PLATFORM_INPUT = Path("/input")
PLATFORM_MODEL = Path("/opt/ml/model")  # where the platform unpacks a model that was uploaded apart


def main() -> int:
    """Denoise all inputs; the exit code is 0, 1 if any failed, 2 if there was no input or no model."""
    given = parser().parse_args()
    start_log()
    try:
        denoiser, options, form = prepare(given, PLATFORM_MODEL)
    except ValueError as error:
        logging.error("%s", error)
        return NOTHING_TO_DO

    def work() -> Outcome:
        chosen: dict[str, Any] = {"recursive": given.recursive, "existing": there(given), "dry": given.dry_run}
        platform = True if given.input == PLATFORM_INPUT else None
        return run_folder(denoiser, given.input, given.output, options, form=form, platform=platform, **chosen)

    return serve(work, given.port) if given.api == "invoke" else work().code


def parser() -> argparse.ArgumentParser:
    """The command line; the platform gives none."""
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("--input", type=Path, default=PLATFORM_INPUT, help="the platform's input, a folder, or an image")
    found.add_argument("--output", type=Path, default=Path("/output"), help="folder for the denoised images")
    add_options(found)
    add_interface(found)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
