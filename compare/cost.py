"""The speed, the memory and the size of one method, each in a process of its own."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

from compare.methods import find_method
from compare.results import Cost
from compare.sets import cases
from quietfield.machine import keep_memory

ROOT = Path(__file__).resolve().parents[1]
RUNS, LONG = 3, 5.0  # as many runs, but one alone where it takes so many seconds
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def cost_of(name: str, setting: int, data: Path, model: Path, peers: Path) -> Cost:
    """Measure a method with the setting of that number, in a new process.

    Raises
    ------
    subprocess.CalledProcessError
        If the method fails there.
    """
    places = ["--data", data, "--model", model, "--peers", peers]
    command = [sys.executable, "-m", "compare.cost", name, str(setting), *map(str, places)]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Cost(**json.loads(answer.splitlines()[-1]))


def measure(name: str, setting: int, data: Path, model: Path, peers: Path) -> Cost:
    """The same in this process, which should do nothing else before or after."""
    case = next(cases(data))
    before = _memory("VmRSS")
    if RESET.exists():
        RESET.write_text("5")  # VmHWM, the peak, begins anew
    method = find_method(name, model, peers)
    chosen = method.settings[setting] if method.learn is None else method.learn(case.set, [])
    seconds: list[float] = []
    while len(seconds) < RUNS and not (seconds and seconds[0] > LONG):
        start = time.perf_counter()
        method.run(case.noisy, chosen)
        seconds.append(time.perf_counter() - start)
    rise = _memory("VmHWM") - before
    return Cost(case.noisy.size / 1e6 / min(seconds), rise, method.parameters(chosen), torch.get_num_threads())


def _memory(field: str) -> float:
    """MiB by Linux's account of this process; NaN on other systems."""
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def main() -> int:
    """Print the cost of one method as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("setting", type=int)
    for place in ("data", "model", "peers"):
        parser.add_argument(f"--{place}", type=Path, required=True)
    arguments = parser.parse_args()
    keep_memory()
    print(json.dumps(dataclasses.asdict(measure(**vars(arguments)))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
