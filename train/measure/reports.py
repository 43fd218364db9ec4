"""The metrics of `train.measure.evaluate` as tables, JSON, CSV and a picture."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from .evaluate import Result
from .results import markdown, mean, of_set, sets, write

METRICS = {  # name in a result: name for people, format
    "si_psnr": ("SI-PSNR (dB)", ".2f"),
    "psnr": ("PSNR after fit (dB)", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "micro_ssim": ("MicroSSIM", ".3f"),
    "rmse": ("RMSE", ".4g"),
    "st_snr": ("stSNR (dB)", ".2f"),
    "left": ("noise left, calm", ".3f"),
    "invented": ("invented, calm", ".3f"),
}
TIMES = ("mpix_per_s",)  # no property of an image: a table that is kept would differ each time


def groups(results: list[Result]) -> dict[str, list[Result]]:
    """The results of each set, and of each channel of it if it has several."""
    found: dict[str, list[Result]] = {}
    for name in sets(results):
        found[name] = of_set(results, name)
        channels = sorted({r.channel for r in found[name]})
        for channel in channels if len(channels) > 1 else ():
            found[f"{name}, channel {channel}"] = [r for r in found[name] if r.channel == channel]
    return found


def averages(results: list[Result]) -> dict[str, float | None]:
    """The mean of every metric; None of one that no image has."""
    return {field.name: _number(*mean(results, field.name)) for field in dataclasses.fields(Result)[3:]}


def summary(results: list[Result]) -> str:
    """A Markdown table of the means, before -> after."""
    lines = []
    for name, rows in groups(results).items():
        found = averages(rows)
        cells = [name, str(len(rows))]
        for metric, (_, digits) in METRICS.items():
            before, after = found[f"noisy_{metric}"], found[metric]
            cells.append("" if before is None or after is None else f"{before:{digits}} -> {after:{digits}}")
        lines.append([*cells, f"{found['mpix_per_s'] or 0:.2f}"])
    return markdown(["mean", "images", *(title for title, _ in METRICS.values()), "MPix/s"], lines)


def write_csv(results: list[Result], path: Path) -> None:
    """Per-image values; a metric that there is none of is empty."""
    write(path, results, without=TIMES)


def write_json(results: list[Result], path: Path) -> None:
    """Means of each set and channel, and per-image values; a metric that there is none of is null."""
    record: dict[str, Any] = {"means": {}, "images": []}
    for name, rows in groups(results).items():
        record["means"][name] = {"images": len(rows), **averages(rows)}
    for r in results:
        values = dataclasses.asdict(r).items()
        record["images"].append({k: _number(v) if isinstance(v, float) else v for k, v in values})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def draw(results: list[Result], path: Path) -> None:
    """Every image as a dot for each metric, noisy and denoised side by side in each channel, with the means."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [name for name in METRICS if averages(results)[name] is not None]
    strips = {k: v for k, v in groups(results).items() if v[0].set != k or len({r.channel for r in v}) == 1}
    figure = Figure(figsize=(2.6 * len(shown) + 1, 1.5 + 0.5 * len(strips)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(shown), sharey=True)), shown, strict=True):
        for place, rows in enumerate(strips.values()):
            for prefix, colour, shift in (("noisy_", "tab:gray", -0.18), ("", "tab:blue", 0.18)):
                values = [getattr(r, prefix + name) for r in rows]
                axes.plot(values, len(values) * [place + shift], ".", color=colour, alpha=0.5)
                axes.plot(np.mean(values), place + shift, "|", color=colour, markersize=14, markeredgewidth=2)
        axes.set_xlabel(METRICS[name][0])
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
