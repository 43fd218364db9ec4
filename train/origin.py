"""Where a run comes from: its command and its data, kept in `run.json` for people to read and for `fit` to repeat."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from quietfield.whole import whole

from .config import Config, from_record

log = logging.getLogger(__name__)

RUN = "run.json"
BEGAN = ("date", "command", "arguments", "fingerprints")  # what stays that of the command that began a run
PATHS = ("data", "clean", "initial")  # folders and files that a run reads
# What a command line says besides the configuration, and a repeated run takes over.
REPEATED = (
    *PATHS, "noisy", "truth", "strict", "finetune", "max_minutes", "by_time", "accelerator", "devices", "nodes",
    "workers", "resident", "compile", "logger",
)  # fmt: skip


def origin(arguments: argparse.Namespace, program: str) -> dict[str, Any]:
    """What `run.json` says of the command that began a run, and of what it reads.

    Parameters
    ----------
    arguments : Namespace
        Of `fit`.
    program : str
        How it was started.
    """
    from .data.fingerprint import fingerprint

    given = {name: getattr(arguments, name) for name in REPEATED}
    paths = {name: given[name].resolve() for name in PATHS if given[name] is not None}
    plain = {name: None if value == math.inf else value for name, value in given.items()}
    return {
        "command": f"{program} {shlex.join(sys.argv[1:])}",
        "arguments": {**plain, **{name: str(path) for name, path in paths.items()}},
        "fingerprints": {name: fingerprint(path) for name, path in paths.items()},
    }


def read_run(path: Path) -> dict[str, Any]:
    """What a `run.json` says.

    Raises
    ------
    ValueError
        If it is missing, or none.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        from_record(found["config"])
    except FileNotFoundError as error:
        raise ValueError(f"{path}: expected the run.json of a run, found no file: give the right folder") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected the run.json of a run, found another file ({error!r}): name one") from error
    return found


def run_config(path: Path) -> Config:
    """The configuration of a `run.json`."""
    return from_record(read_run(path)["config"])


def is_run(path: Path | None) -> bool:
    """Whether a file of `--config` is the `run.json` of a run, by its name."""
    return path is not None and path.suffix == ".json"


def repeat(arguments: argparse.Namespace, usual: argparse.Namespace, *, steps: bool) -> None:
    """Take over what `--config run.json` says of the run's command, where the command line has what is usual.

    Parameters
    ----------
    arguments : Namespace
        Of `fit`; they are changed.
    usual : Namespace
        What they are if nothing is given.
    steps : bool
        Whether the command line gives other steps, which then are the plan.
    """
    found = read_run(arguments.config)
    names = [name for name in REPEATED if not steps or name not in ("max_minutes", "by_time")]
    for name in names:
        value = found.get("arguments", {}).get(name)
        if value is not None and getattr(arguments, name) == getattr(usual, name):
            setattr(arguments, name, Path(value) if name in PATHS else value)
    if found.get("arguments") and (differ := _changed(arguments, found)):
        log.warning(
            "%s: expected the files that the run has read, found others in %s: this run will not be the same",
            arguments.config, " and ".join(differ),
        )  # fmt: skip


def _changed(arguments: argparse.Namespace, found: dict[str, Any]) -> list[str]:
    from .data.fingerprint import fingerprint

    now = {name: getattr(arguments, name) for name in PATHS}
    before = found.get("fingerprints", {})
    return [str(p) for name, p in now.items() if p and p.exists() and before.get(name) != fingerprint(p)]


def write_run(out: Path, record: dict[str, Any], *, resumed: bool) -> None:
    """Write `run.json`; of a run that is resumed, the command that began it stays, and this one is noted beside it."""
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    whole_record = {"date": date, **record}
    if resumed and (out / RUN).is_file():
        before = read_run(out / RUN)
        part = {"date": date, "command": record.get("command", "")}
        kept: dict[str, Any] = {name: before[name] for name in BEGAN if name in before}
        whole_record = {**record, **kept, "resumed": [*before.get("resumed", []), part]}
    _write(out, whole_record)


def add_to_run(out: Path, facts: dict[str, Any]) -> None:
    """Add to `run.json` what is known only now."""
    _write(out, {**read_run(out / RUN), **facts})


def _write(out: Path, record: dict[str, Any]) -> None:
    with whole(out / RUN) as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
