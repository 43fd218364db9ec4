"""The figures of `train.measure.evaluate` as tables, JSON, CSV and a picture."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from .evaluate import Result

FIGURES = {  # name in a result: name for people, format
    "si_psnr": ("SI-PSNR (dB)", ".2f"),
    "psnr": ("PSNR after fit (dB)", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "micro_ssim": ("MicroSSIM", ".3f"),
    "rmse": ("RMSE", ".4g"),
    "st_snr": ("stSNR (dB)", ".2f"),
}
# Time is no property of an image: a table that is kept would differ each time.
COLUMNS = [field.name for field in dataclasses.fields(Result) if field.name != "mpix_per_s"]


def groups(results: list[Result]) -> dict[str, list[Result]]:
    """The results of each set, and of each channel of it if it has several."""
    found: dict[str, list[Result]] = {}
    for name in dict.fromkeys(r.set for r in results):
        found[name] = [r for r in results if r.set == name]
        channels = sorted({r.channel for r in found[name]})
        for channel in channels if len(channels) > 1 else ():
            found[f"{name}, channel {channel}"] = [r for r in found[name] if r.channel == channel]
    return found


def averages(results: list[Result]) -> dict[str, float | None]:
    """The mean of every figure; None of one that no image has."""
    names = [f.name for f in dataclasses.fields(Result)[3:]]
    return {name: _number(float(np.mean([getattr(r, name) for r in results]))) for name in names}


def summary(results: list[Result]) -> str:
    """A Markdown table of the means, before -> after."""
    titles = [title for title, _ in FIGURES.values()]
    lines = ["| mean | images | " + " | ".join(titles) + " | MPix/s |", "|" + (3 + len(titles)) * "---|"]
    for name, rows in groups(results).items():
        mean = averages(rows)
        cells = [name, str(len(rows))]
        for figure, (_, digits) in FIGURES.items():
            before, after = mean[f"noisy_{figure}"], mean[figure]
            cells.append("" if before is None or after is None else f"{before:{digits}} -> {after:{digits}}")
        lines.append("| " + " | ".join([*cells, f"{mean['mpix_per_s'] or 0:.2f}"]) + " |")
    return "\n".join(lines)


def write_csv(results: list[Result], path: Path) -> None:
    """Per-image values; a figure that there is none of is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for r in results:
            values = [getattr(r, name) for name in COLUMNS]
            writer.writerow([("" if math.isnan(v) else f"{v:.4f}") if isinstance(v, float) else v for v in values])


def write_json(results: list[Result], path: Path) -> None:
    """Means of each set and channel, and per-image values; a figure that there is none of is null."""
    record: dict[str, Any] = {"means": {}, "images": []}
    for name, rows in groups(results).items():
        record["means"][name] = {"images": len(rows), **averages(rows)}
    for r in results:
        values = dataclasses.asdict(r).items()
        record["images"].append({k: _number(v) if isinstance(v, float) else v for k, v in values})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def draw(results: list[Result], path: Path) -> None:
    """Every image as a dot for each figure, noisy and denoised side by side in each channel, with the means."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [f for f in FIGURES if averages(results)[f] is not None]
    strips = {k: v for k, v in groups(results).items() if v[0].set != k or len({r.channel for r in v}) == 1}
    figure = Figure(figsize=(2.6 * len(shown) + 1, 1.5 + 0.5 * len(strips)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(shown), sharey=True)), shown, strict=True):
        for place, rows in enumerate(strips.values()):
            for prefix, colour, shift in (("noisy_", "tab:gray", -0.18), ("", "tab:blue", 0.18)):
                values = [getattr(r, prefix + name) for r in rows]
                axes.plot(values, len(values) * [place + shift], ".", color=colour, alpha=0.5)
                axes.plot(np.mean(values), place + shift, "|", color=colour, markersize=14, markeredgewidth=2)
        axes.set_xlabel(FIGURES[name][0])
        axes.set_yticks(range(len(strips)), list(strips))
        axes.set_ylim(len(strips) - 0.5, -0.5)
        axes.grid(axis="x", alpha=0.3)
    figure.suptitle("noisy (grey) and denoised (blue); bars are means")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def save(results: list[Result], folder: Path) -> None:
    """`evaluation.json`, `evaluation.csv` and `evaluation.png` in a folder, which is made if need be."""
    write_json(results, folder / "evaluation.json")
    write_csv(results, folder / "evaluation.csv")
    draw(results, folder / "evaluation.png")


def _number(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None
