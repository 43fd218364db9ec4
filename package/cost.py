"""`python -m package.cost`: what the networks of the packages take on this machine, into docs/package-cost.csv.

Each is measured in a process of its own with one thread: the best of three answers, and the peak memory of the process.
"""

from __future__ import annotations

import csv
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "package-cost.csv"
SIDES = (512, 1024)
FIELDS = ("package", "side", "seconds", "peak_mib", "threads", "processor", "torch")


def measure(package: str, side: int) -> list[str]:
    """One row of the table, in this process, which should do nothing else."""
    torch.set_num_threads(1)
    network = torch.jit.load(str(ROOT / "runs" / package / "weights.torchscript.pt"))  # type: ignore[no-untyped-call]
    image = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    seconds = []
    with torch.inference_mode():
        for _ in range(3):
            start = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        package,
        str(side),
        f"{min(seconds):.2f}",
        f"{peak:.0f}",
        "1",
        _processor(),
        torch.__version__.split("+")[0],
    ]


def sentences(package: str, table: Path = TABLE) -> tuple[str, str]:
    """Time and memory of a package's network in words.

    Raises
    ------
    ValueError
        If the table has no row of it.
    """
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["package"] == package]
    if not rows:
        raise ValueError(f"{table}: expected rows of {package!r}, found none: run 'python -m package.cost'")
    where = f"one CPU core ({rows[0]['processor']}), torch {rows[0]['torch']}, no GPU"
    seconds = ", ".join(f"{row['side']} x {row['side']} pixels {row['seconds']} s" for row in rows)
    memory = ", ".join(f"{row['side']} x {row['side']} pixels {row['peak_mib']} MiB" for row in rows)
    return f"{seconds}; measured on {where}", f"{memory} of main memory for the whole process; measured on {where}"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main(packages: list[str]) -> int:
    """Measure every package that `make package` made."""
    rows = []
    for package in packages:
        for side in SIDES:
            command = [sys.executable, "-W", "ignore", "-m", "package.cost", package, str(side)]
            rows.append(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    TABLE.write_text(",".join(FIELDS) + "\n" + "".join(rows), encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        csv.writer(sys.stdout, lineterminator="\n").writerow(measure(sys.argv[1], int(sys.argv[2])))
    else:
        sys.exit(main(["package", "package-general", "package-super-resolution"]))
