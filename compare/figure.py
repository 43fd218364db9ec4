"""Quality against speed, one panel for each set of images."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMNS = 3
RIGHT = 10.0  # MPix/s beyond which a name stands to the left of its point
Point = tuple[float, float]  # MPix/s, mean SI-PSNR in dB


def draw(points: dict[str, dict[str, Point]], ours: tuple[str, ...], path: Path) -> None:
    """Draw the means of every method.

    Parameters
    ----------
    points : dict of dict
        By set, then by method: MPix/s and mean SI-PSNR (dB).
    ours : tuple of str
        Methods to draw in colour.
    path : Path
        The image file.
    """
    rows = -(-len(points) // COLUMNS)
    figure = Figure(figsize=(3.6 * COLUMNS, 3.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, (name, methods) in enumerate(points.items()):
        axes = figure.add_subplot(rows, COLUMNS, panel + 1, xscale="log", xlim=(5e-3, 200))
        axes.set_title(name, fontsize=9)
        for method, (speed, quality) in methods.items():
            colour = "tab:red" if method in ours else "0.35"
            axes.plot(speed, quality, "o", color=colour, markersize=5 if method in ours else 3.5)
            axes.annotate(
                method, (speed, quality), (3, 3), textcoords="offset points", fontsize=6, color=colour,
                ha="right" if speed > RIGHT else "left",
            )  # fmt: skip
        axes.margins(y=0.12)
        axes.tick_params(labelsize=7)
        if panel % COLUMNS == 0:
            axes.set_ylabel("mean SI-PSNR (dB)", fontsize=8)
        if panel >= len(points) - COLUMNS:
            axes.set_xlabel("MPix/s on two CPU cores", fontsize=8)
    figure.savefig(path, dpi=110)
