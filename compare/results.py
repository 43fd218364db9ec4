"""Methods side by side: what each measured, what each costs, and the table of both."""

from __future__ import annotations

import dataclasses
import math
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from train.measure import results
from train.measure.results import Row

COSTS = "costs.csv"
PACKAGES = ("numpy", "scipy", "scikit-image", "bm3d", "careamics", "torch")


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
    """Metrics of each image below a line that says how they were made; `train.measure.results.read` reads them."""
    versions = ", ".join(f"{package} {found}" for package in PACKAGES if (found := _version(package)))
    comment = f"{how}; {versions}, Python {platform.python_version()}, {torch.get_num_threads()} threads"
    results.write(path, rows, comment=comment)


def write_costs(folder: Path, costs: dict[str, Cost]) -> None:
    """The costs of all methods, one a line."""
    titles = ["method", *(field.name for field in dataclasses.fields(Cost))]
    rows = []
    for name, cost in sorted(costs.items()):
        peak = results.text(cost.peak_mib, ".0f")
        rows.append([name, f"{cost.megapixels_per_second:.3g}", peak, str(cost.parameters), str(cost.threads)])
    results.write_table(folder / COSTS, titles, rows)


def read_costs(folder: Path) -> dict[str, Cost]:
    """The costs that `write_costs` wrote; none if there is no such file."""
    path = folder / COSTS
    if not path.is_file():
        return {}
    names = [row["method"] for row in results.read_table(path)]
    return dict(zip(names, results.read(path, Cost), strict=True))


def table(measured: dict[str, list[Row]], costs: dict[str, Cost]) -> str:
    """The means of each set by method, and what each costs; the best SI-PSNR of each set in bold."""
    sets = _sets(measured)
    best = {s: np.nanmax([_mean(rows, s)[0] for rows in measured.values()]) for s in sets}
    titles = ["mean SI-PSNR (dB) / SSIM / MicroSSIM", *sets, "MPix/s", "parameters", "peak memory (MiB)"]
    lines = []
    for name, rows in measured.items():
        cells = []
        for s in sets:
            quality, structure, micro = _mean(rows, s)
            text = f"{quality:.2f} / {structure:.3f} / " + ("-" if math.isnan(micro) else f"{micro:.3f}")
            cells.append("" if math.isnan(quality) else f"**{text}**" if quality == best[s] else text)
        lines.append([name, *cells, *_cost_cells(costs.get(name))])
    return results.markdown(titles, lines)


def points(measured: dict[str, list[Row]], costs: dict[str, Cost]) -> dict[str, dict[str, tuple[float, float]]]:
    """MPix/s and mean SI-PSNR by set and method; without those whose speed is not known."""
    found: dict[str, dict[str, tuple[float, float]]] = {s: {} for s in _sets(measured)}
    for name, rows in measured.items():
        for s in results.sets(rows) if name in costs else ():
            found[s][name] = costs[name].megapixels_per_second, _mean(rows, s)[0]
    return found


def _mean(rows: list[Row], name: str) -> tuple[float, ...]:
    """Mean SI-PSNR, SSIM and MicroSSIM of a set; NaN if one of its images lacks the metric."""
    return results.mean(results.of_set(rows, name), "si_psnr", "ssim", "micro_ssim")


def _sets(measured: dict[str, list[Row]]) -> list[str]:
    return results.sets(row for rows in measured.values() for row in rows)


def _cost_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return ["", "", ""]
    parameters = f"{cost.parameters / 1e6:.2f} M" if cost.parameters else ""
    memory = "" if math.isnan(cost.peak_mib) else f"{cost.peak_mib:.0f}"
    return [f"{cost.megapixels_per_second:.2g}", parameters, memory]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
