"""What was measured: kept as CSV, read again, and drawn up as the table."""

from __future__ import annotations

import csv
import dataclasses
import math
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from train.measure.tables import markdown

NAN = float("nan")
COSTS = "costs.csv"
PACKAGES = ("numpy", "scipy", "scikit-image", "bm3d", "careamics", "torch")


@dataclass(frozen=True)
class Row:
    """What one method makes of one image; a figure that is not known is NaN."""

    set: str
    image: str
    si_psnr: float
    ssim: float
    micro_ssim: float = NAN


@dataclass(frozen=True)
class Cost:
    """What one method takes for a plane of 512² pixels, in a process of its own (`compare.cost`).

    Attributes
    ----------
    megapixels_per_second : float
        Best of three runs.
    peak_mib : float
        Memory beyond that of the process before, the network's weights included; NaN where it is not known.
    parameters : int
        Of a network; 0 of a filter.
    threads : int
        That it was allowed.
    """

    megapixels_per_second: float
    peak_mib: float
    parameters: int
    threads: int


def slug(name: str) -> str:
    """The name of a method as a file's."""
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")


def write(path: Path, how: str, rows: list[Row]) -> None:
    """Per-image figures below a line that says how they were made."""
    versions = ", ".join(f"{package} {found}" for package in PACKAGES if (found := _version(package)))
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {how}; {versions}, Python {platform.python_version()}, {torch.get_num_threads()} threads\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f.name for f in dataclasses.fields(Row)])
        writer.writerows([_text(value) for value in dataclasses.astuple(row)] for row in rows)


def read(path: Path) -> list[Row]:
    """What `write` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        next(file)
        return [
            Row(r["set"], r["image"], *(float(r[k] or NAN) for k in ("si_psnr", "ssim", "micro_ssim")))
            for r in csv.DictReader(file)
        ]


def write_costs(folder: Path, costs: dict[str, Cost]) -> None:
    """The costs of all methods, one a line."""
    with (folder / COSTS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", *(f.name for f in dataclasses.fields(Cost))])
        for name in sorted(costs):
            c = costs[name]
            peak = "" if math.isnan(c.peak_mib) else f"{c.peak_mib:.0f}"
            writer.writerow([name, f"{c.megapixels_per_second:.3g}", peak, c.parameters, c.threads])


def read_costs(folder: Path) -> dict[str, Cost]:
    """What `write_costs` wrote; nothing if there is no such file."""
    path = folder / COSTS
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            r["method"]: Cost(
                float(r["megapixels_per_second"]), float(r["peak_mib"] or NAN), int(r["parameters"]), int(r["threads"])
            )
            for r in csv.DictReader(file)
        }


def table(results: dict[str, list[Row]], costs: dict[str, Cost]) -> str:
    """The means of each set by method, and what each costs; the best SI-PSNR of each set in bold."""
    sets = _sets(results)
    best = {s: np.nanmax([mean(rows, s)[0] for rows in results.values()]) for s in sets}
    titles = ["mean SI-PSNR (dB) / SSIM / MicroSSIM", *sets, "MPix/s", "parameters", "peak memory (MiB)"]
    lines = []
    for name, rows in results.items():
        cells = []
        for s in sets:
            quality, structure, micro = mean(rows, s)
            text = f"{quality:.2f} / {structure:.3f} / " + ("-" if math.isnan(micro) else f"{micro:.3f}")
            cells.append("" if math.isnan(quality) else f"**{text}**" if quality == best[s] else text)
        lines.append([name, *cells, *_cost_cells(costs.get(name))])
    return markdown(titles, lines)


def points(results: dict[str, list[Row]], costs: dict[str, Cost]) -> dict[str, dict[str, tuple[float, float]]]:
    """MPix/s and mean SI-PSNR by set and method; without those whose speed is not known."""
    found: dict[str, dict[str, tuple[float, float]]] = {s: {} for s in _sets(results)}
    for name, rows in results.items():
        for s in dict.fromkeys(r.set for r in rows) if name in costs else ():
            found[s][name] = costs[name].megapixels_per_second, mean(rows, s)[0]
    return found


def mean(rows: list[Row], name: str) -> tuple[float, float, float]:
    """Mean SI-PSNR, SSIM and MicroSSIM of a set; NaN if one of its images lacks the figure."""
    chosen = [(r.si_psnr, r.ssim, r.micro_ssim) for r in rows if r.set == name]
    if not chosen:
        return NAN, NAN, NAN
    quality, structure, micro = np.mean(chosen, axis=0)
    return float(quality), float(structure), float(micro)


def _sets(results: dict[str, list[Row]]) -> list[str]:
    return list(dict.fromkeys(r.set for rows in results.values() for r in rows))


def _cost_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["", "", ""]
    parameters = f"{cost.parameters / 1e6:.2f} M" if cost.parameters else ""
    memory = "" if math.isnan(cost.peak_mib) else f"{cost.peak_mib:.0f}"
    return [f"{cost.megapixels_per_second:.2g}", parameters, memory]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return str(value)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
