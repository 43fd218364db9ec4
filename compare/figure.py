"""Quality against speed, one panel for each set of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMNS = 3
MARKERS = "osD^vP*Xphd<>8"  # one for each method of a colour
Point = tuple[float, float]  # MPix/s, mean SI-PSNR in dB


def draw(points: dict[str, dict[str, Point]], colour: Callable[[str], str], path: Path) -> None:
    """Draw the means of every method.

    Parameters
    ----------
    points : dict of dict
        By set, then by method: MPix/s and mean SI-PSNR (dB).
    colour : callable
        Of a method; those of one colour differ by their marker.
    path : Path
        The image file.
    """
    rows = -(-len(points) // COLUMNS)
    methods = list(dict.fromkeys(method for found in points.values() for method in found))
    styles = {m: (colour(m), MARKERS[[n for n in methods if colour(n) == colour(m)].index(m)]) for m in methods}
    figure = Figure(figsize=(3.6 * COLUMNS, 3.0 * rows + 1), layout="constrained")
    FigureCanvasAgg(figure)
    marks = {}
    for panel, (name, found) in enumerate(points.items()):
        axes = figure.add_subplot(rows, COLUMNS, panel + 1, xscale="log")
        axes.set_title(name, fontsize=9)
        for method, point in found.items():
            c, marker = styles[method]
            (marks[method],) = axes.plot(*point, marker, color=c, markersize=6, alpha=0.85, linestyle="none")
        axes.grid(alpha=0.25)
        axes.margins(0.1)
        axes.tick_params(labelsize=7)
        if panel % COLUMNS == 0:
            axes.set_ylabel("mean SI-PSNR (dB)", fontsize=8)
        if panel >= len(points) - COLUMNS:
            axes.set_xlabel("MPix/s on two CPU cores", fontsize=8)
    figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
