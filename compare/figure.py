"""Quality against speed, one panel for each set of images: two of ours and three baselines in colour, the rest grey."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMNS = 3
# Label, colour and marker of the methods in colour.
COLOURED = {
    "this network": ("quietfield", "tab:red", "o"),
    "this network, eight-fold": ("quietfield, test-time augmentation", "tab:orange", "D"),
    "VST+BM3D, blind": ("VST+BM3D, blind", "tab:blue", "s"),
    "plain residual U-Net": ("plain residual U-Net, 30 minutes", "tab:green", "^"),
    "Noise2Void 2, by CAREamics": ("Noise2Void 2 (CAREamics), trained briefly", "tab:purple", "v"),
}
OTHERS = ("other baselines and variants", "0.72", "o")
Point = tuple[float, float]  # MPix/s, mean SI-PSNR in dB


def draw(points: dict[str, dict[str, Point]], path: Path) -> None:
    """Draw the means of every method.

    Parameters
    ----------
    points : dict of dict
        By set, then by method: MPix/s and mean SI-PSNR (dB).
    path : Path
        The image file.
    """
    rows = -(-len(points) // COLUMNS)
    figure = Figure(figsize=(11, 3.0 * rows + 1), layout="constrained")
    FigureCanvasAgg(figure)
    marks = {}
    for panel, (name, found) in enumerate(points.items()):
        axes = figure.add_subplot(rows, COLUMNS, panel + 1, xscale="log", title=name)
        for method in sorted(found, key=lambda m: m in COLOURED):
            label, colour, marker = COLOURED.get(method, OTHERS)
            size = 9 if method in COLOURED else 6
            (marks[label],) = axes.plot(*found[method], marker, color=colour, markersize=size, linestyle="none")
        axes.grid(alpha=0.25)
        axes.margins(0.12)
        if panel % COLUMNS == 0:
            axes.set_ylabel("SI-PSNR (dB)")
        if panel >= len(points) - COLUMNS:
            axes.set_xlabel("MPix/s on two CPU cores")
    order = [label for label, *_ in (*COLOURED.values(), OTHERS) if label in marks]
    figure.legend([marks[label] for label in order], order, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=100)


def save_grey(figure: Figure, path: Path, greys: int = 16) -> None:
    """A figure of grey images as PNG with few greys: of noisy ones sixteen tell as much, in a third of the bytes."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    Image.open(path).convert("L").quantize(greys).save(path, optimize=True)
