"""`python -m compare.kinds`: what a microscope adds to images, kind by kind, and what the denoiser makes of it.

Every scene is simulated, with a disturbance and without it. What is outside of the disturbance should come out as well
as without it; and what belongs to the specimen should stay.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import quietfield
from compare import kept, spoilt, stacks
from compare.bench import Bench, Found, Limit, Picture
from compare.figure import save_grey
from train.measure.results import markdown, read_table, write_table

TITLES = ("kind", "case", "measure", "value", "limit")
FAILS = "fails"
KINDS: dict[str, Callable[[Bench], Iterator[Found]]] = {
    "hot pixels": spoilt.hot_pixels,
    "dead and stuck pixels": spoilt.dead_and_stuck,
    "salt and pepper": spoilt.salt_and_pepper,
    "cosmic rays": spoilt.cosmic_rays,
    "bright and dead lines": spoilt.bad_lines,
    "weak hot pixels of a stack": stacks.weak_hot_pixels,
    "beads": kept.beads,
    "single molecules": kept.molecules,
    "counts of 0 and 1": kept.counts_of_photons,
    "lines one pixel wide": kept.thin_lines,
    "constant borders": spoilt.borders,
    "NaN and infinities": spoilt.not_numbers,
    "saturated areas": spoilt.saturated,
    "burnt-in bar and text": spoilt.burnt_in,
    "wide range": spoilt.wide_range,
    "offsets of rows and columns": spoilt.row_offsets,
    "gratings": kept.gratings,
    "dense textures": kept.textures,
    "kymographs and channels": kept.kymographs,
    "bright specimens": kept.bright_specimens,
    "mean of a plane": kept.means,
    "classes of brightness": kept.classes,
    "blank or dark first planes": stacks.first_planes,
    "unlike channels": stacks.channels,
}


@dataclass(frozen=True)
class Row:
    """What was measured of a case of a kind; `value` is NaN where the version could not do it."""

    kind: str
    case: str
    measure: str
    value: float
    limit: Limit

    @property
    def ok(self) -> bool:
        """Whether it keeps its limit."""
        return self.limit.holds(self.value)

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others."""
        return self.kind, self.case, self.measure


def measured(bench: Bench, wanted: list[str] | None = None) -> Iterator[Row]:
    """Every case of the kinds whose names hold one of the given words; of all kinds by default."""
    for kind, cases in KINDS.items():
        if wanted and not any(word in kind for word in wanted):
            continue
        start = time.perf_counter()
        for case, measure, value, limit in cases(bench):
            yield Row(kind, case, measure, value, limit)
        print(f"{kind}: {time.perf_counter() - start:.1f} s", file=sys.stderr)


def text_of(value: float) -> str:
    """A value as the CSV has it."""
    return FAILS if math.isnan(value) else f"{value:.4g}"


def table(rows: list[Row], before: dict[tuple[str, str, str], str]) -> str:
    """All values, in Markdown."""
    lines = [
        [r.kind, r.case, r.measure, before.get(r.key, ""), text_of(r.value), str(r.limit), "yes" if r.ok else "NO"]
        for r in rows
    ]
    return markdown(["kind", "case", "measured", "before", "now", "limit", "ok"], lines)


def read_values(path: Path) -> dict[tuple[str, str, str], str]:
    """Values of a CSV file that this command wrote, by kind, case and measure."""
    return {(row["kind"], row["case"], row["measure"]): row["value"] for row in read_table(path)}


def draw(pictures: dict[str, Picture], before: dict[str, np.ndarray], path: Path) -> None:
    """A row of labelled panels for each picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = ["input", *(["without the repair"] if before else []), "denoised", "ground truth", "residual"]
    size = 2.4
    figure = Figure(figsize=(size * len(names), (size + 0.3) * len(pictures)), layout="constrained", dpi=80)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(pictures), len(names), squeeze=False)
    for row, (name, picture) in zip(grid, pictures.items(), strict=True):
        image = picture.image.astype(np.float64)
        residual = image - picture.answer
        usual = 4 * float(np.median(np.abs(residual)[np.isfinite(residual)])) / 0.6745
        shown = {
            "input": image,
            "without the repair": before.get(name),
            "denoised": picture.answer,
            "ground truth": picture.truth,
        }
        for axes, panel in zip(row, names, strict=True):
            values, low, high = shown.get(panel), picture.low, picture.high
            if panel == "residual":
                values, low, high = residual, -usual, usual
            if values is not None:
                axes.imshow(values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes.set_title(f"{name}: {panel}" if panel == "input" else panel, fontsize=10)
            axes.set_axis_off()
    save_grey(figure, path)


def main() -> int:
    """Measure all kinds, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help="words of the kinds that are measured; all by default")
    parser.add_argument("--model", type=Path, help="folder of a network; else what is shipped")
    parser.add_argument("--csv", type=Path, help="where the values are written")
    parser.add_argument("--before", type=Path, help="the CSV of an older version, to set beside")
    parser.add_argument("--picture", type=Path, help="where a picture of some kinds is drawn")
    parser.add_argument("--answers", type=Path, help="where the answers of the picture are kept, for --answers-before")
    parser.add_argument("--answers-before", type=Path, help="the answers of an older version, for the picture")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    bench = Bench(quietfield.load(arguments.model, device="cpu"))
    rows = list(measured(bench, arguments.kinds))
    before = read_values(arguments.before) if arguments.before else {}
    print(table(rows, before))
    missed = [row for row in rows if not row.ok]
    print(f"{len(rows) - len(missed)} of {len(rows)} values keep their limits; {time.perf_counter() - start:.0f} s")
    for words in dict.fromkeys(bench.failed):
        print(f"could not be denoised: {words}")
    if arguments.csv:
        lines = ([r.kind, r.case, r.measure, text_of(r.value), str(r.limit)] for r in rows)
        write_table(arguments.csv, TITLES, lines)
    if arguments.answers:
        arguments.answers.parent.mkdir(parents=True, exist_ok=True)
        answers: dict[str, Any] = {name: p.answer.astype(np.float32) for name, p in bench.pictures.items()}
        np.savez_compressed(arguments.answers, **answers)
    if arguments.picture:
        older = dict(np.load(arguments.answers_before)) if arguments.answers_before else {}
        draw(bench.pictures, older, arguments.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
