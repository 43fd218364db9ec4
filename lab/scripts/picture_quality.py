"""Draw quality against speed of all methods: `python lab/scripts/picture_quality.py [PNG]`, docs/compare/speed.png.

One panel for each set of images. Two of ours and three baselines are in colour, the rest is grey. All values are those
of the CSV files in docs/compare/.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = 3
SETS = (
    "W2S 081-100", "w2s-raw16", "FMD confocal", "FLIM two-photon", "clean, 5 photons", "clean, 20 photons",
    "clean, 80 photons", "clean, 320 photons", "demo",
)  # fmt: skip
COLOURED = {
    "this-network": ("quietfield", "tab:red", "o"),
    "this-network-eight-fold": ("quietfield, test-time augmentation", "tab:orange", "D"),
    "vst-bm3d-blind": ("VST+BM3D, blind", "tab:blue", "s"),
    "plain-residual-u-net": ("plain residual U-Net, 30 minutes", "tab:green", "^"),
    "noise2void-2-by-careamics": ("Noise2Void 2 (CAREamics), trained briefly", "tab:purple", "v"),
}


def main(target: Path) -> None:
    spec = importlib.util.spec_from_file_location("measured", ROOT / "docs" / "hooks" / "measured.py")
    assert spec is not None
    assert spec.loader is not None
    measured = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measured)
    quality, speed = measured.quality(), measured.speed()
    figure = Figure(figsize=(11, 10), layout="constrained")
    FigureCanvasAgg(figure)
    marks = {}
    for number, (name, axes) in enumerate(zip(SETS, figure.subplots(3, COLUMNS).flat, strict=True)):
        axes.set(xscale="log", title=name)
        for method in sorted(set(quality) & set(speed), key=lambda m: m in COLOURED):
            if name not in quality[method]:
                continue
            label, colour, marker = COLOURED.get(method, ("other baselines and variants", "0.72", "o"))
            size = 9 if method in COLOURED else 6
            point = speed[method], quality[method][name][0]
            (marks[label],) = axes.plot(*point, marker, color=colour, markersize=size, linestyle="none")
        axes.grid(alpha=0.25)
        axes.margins(0.12)
        if number % COLUMNS == 0:
            axes.set_ylabel("SI-PSNR (dB)")
        if number >= len(SETS) - COLUMNS:
            axes.set_xlabel("MPix/s on two CPU cores")
    order = [label for label, *_ in COLOURED.values()] + ["other baselines and variants"]
    figure.legend([marks[label] for label in order], order, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(target, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "compare" / "speed.png")
