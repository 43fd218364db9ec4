"""`python -m compare.finetune`: what fine-tuning gains, by minutes and by pairs, on microscopes never trained on.

Without arguments the metrics in docs/finetune.csv are drawn; `--measure` makes those that are missing.
The networks learn from some fields of view and are measured on others.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage

from demo.simulate import simulate_field
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.callbacks import BEST, CHECKPOINT
from train.checkpoint import like, load_checkpoint, load_network
from train.config import Config
from train.data.sources import find_images
from train.fit import fit
from train.measure.metrics import si_psnr
from train.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
GENERAL, METRICS, PICTURE = (
    ROOT / "resources" / "general",
    ROOT / "docs" / "finetune.csv",
    ROOT / "docs" / "finetune.png",
)
MINUTES = (0.5, 1.0, 2.0)
COLUMNS = ("set", "pairs", "minutes", "way", "steps", "si_psnr")
NOISY, BEFORE, TUNED, NEW = "noisy input", "general network", "fine-tuned", "from nothing"
SETS = {  # their titles
    "camera": "simulated camera\nthat filters by 3 x 3 pixels",
    "fmd": "FMD confocal: fish, mice\nmeasured on BPAE cells",
    "flim": "FLIM two-photon: kidney\nmeasured on BPAE cells",
}
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


def sets(data: Path) -> dict[str, tuple[list[Pairs], Pairs]]:
    """Pairs to learn from, in growing numbers, and others to measure on; never of one field."""
    read = tifffile.imread
    fmd = {p.stem: (read(data / "fmd-extra/raw" / p.name), read(p)) for p in sorted((data / "fmd-extra/gt").iterdir())}
    flim = {
        p.stem[:-4]: (read(p), read(p.with_name(p.name.replace("_Ax1", "_Ax5"))))
        for p in sorted((data / "flim-2p-pairs").glob("*_Ax1.tif"))
    }
    fmd_learnt, flim_learnt = ("fish", "mice"), [k for k in flim if "Mouse" in k]
    camera = {str(seed): filtered(seed) for seed in range(100, 110)}
    return {
        "camera": (
            [{k: camera[k] for k in list(camera)[:n]} for n in (1, 3, 10)],
            {str(seed): filtered(seed) for seed in range(4)},
        ),
        "fmd": ([{k: fmd[k] for k in fmd_learnt[:n]} for n in (1, 2)], {k: v for k, v in fmd.items() if "BPAE" in k}),
        "flim": ([{k: flim[k] for k in flim_learnt[:n]} for n in (1, 2)], {k: flim[k] for k in flim if "BPAE" in k}),
    }


def filtered(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A simulated field whose noise neighbouring pixels share, and its ground truth."""
    noisy, truth = simulate_field(seed, 256)
    return ndimage.uniform_filter(noisy.astype(np.float32), 3), truth.astype(np.float32)


def quality(network: Path, pairs: Pairs) -> float:
    """Mean SI-PSNR of the answers, dB."""
    denoiser = Denoiser(load_network(network), Normalisation("plane"))
    return float(np.mean([si_psnr(t, denoiser(n[None].astype(np.float64))[0]) for n, t in pairs.values()]))


def ways() -> dict[str, tuple[Config, Path | None]]:
    """Both ways to train, and what they start from."""
    return {
        TUNED: (like(RECIPES["finetune"][1], GENERAL, ()), GENERAL),
        NEW: (dataclasses.replace(Config(), crop=128), None),
    }


def write_pairs(folder: Path, pairs: Pairs) -> Path:
    """A folder as people have it."""
    for key, images in pairs.items():
        for kind, image in zip(("noisy", "gt"), images, strict=True):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / kind / f"{key} of mine.tif", image)
    return folder


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows so far."""
    return list(csv.DictReader(path.open())) if path.exists() else []


def add_row(path: Path, *values: object) -> None:
    """One more row; the first one is written below the names of the columns."""
    new = not path.exists()
    with path.open("a") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(values)
    print(*values, flush=True)


def measure(data: Path, out: Path) -> None:
    """Train and measure what docs/finetune.csv lacks; a row each."""
    for name, (learnt, measured) in sets(data).items():
        done = {tuple(row[c] for c in COLUMNS[:4]) for row in read_table(METRICS)}
        if (name, "0", "0", NOISY) not in done:
            noisy = np.mean([si_psnr(t, n) for n, t in measured.values()])
            add_row(METRICS, name, 0, 0, NOISY, 0, f"{noisy:.2f}")
            add_row(METRICS, name, 0, 0, BEFORE, 0, f"{quality(GENERAL, measured):.2f}")
        for pairs in learnt:
            folder = write_pairs(out / f"{name}-{len(pairs)}", pairs)
            for minutes in MINUTES:
                for way, (config, initial) in ways().items():
                    if (name, str(len(pairs)), f"{minutes:g}", way) in done:
                        continue
                    run = folder / f"{way} {minutes:g}"
                    shutil.rmtree(run, ignore_errors=True)
                    images = find_images(folder, config)
                    fit(config, images, run, max_minutes=minutes, by_time=True, initial=initial, finetune=bool(initial))
                    steps = load_checkpoint(run / CHECKPOINT)["run"]["step"]
                    found = quality(run / BEST, measured)
                    add_row(METRICS, name, len(pairs), f"{minutes:g}", way, steps, f"{found:.2f}")


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """A panel for each set: SI-PSNR in dB against minutes, a line for each number of pairs and way to train."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    lines = {}
    for panel, (name, title) in enumerate(SETS.items(), 1):
        axes = figure.add_subplot(1, len(SETS), panel)
        axes.set_title(title, fontsize=9)
        mine = [row for row in rows if row["set"] == name]
        (before,) = (float(row["si_psnr"]) for row in mine if row["way"] == BEFORE)
        lines[BEFORE] = axes.axhline(before, color="black", linestyle=":", linewidth=1)
        counts = sorted({int(row["pairs"]) for row in mine} - {0})
        for way, colour in ((TUNED, "tab:red"), (NEW, "0.6")):
            for count, marker in zip(counts, "os^", strict=False):
                chosen = [row for row in mine if row["way"] == way and int(row["pairs"]) == count]
                start = [(0.0, before)] if way == TUNED else []
                points = start + [(float(row["minutes"]), float(row["si_psnr"])) for row in chosen]
                label = f"{way}, {'2 or 3 pairs' if 1 < count < 4 else f'{count} pairs' if count > 1 else '1 pair'}"
                (lines[label],) = axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=5)
        axes.grid(alpha=0.25)
        axes.set_xlabel("minutes of training")
        if panel == 1:
            axes.set_ylabel("SI-PSNR (dB)")
    counted = ["1 pair", "2 or 3 pairs", "10 pairs", BEFORE]
    order = sorted(lines, key=lambda label: (counted.index(label.split(", ")[-1]), label.startswith(NEW)))
    figure.legend([lines[label] for label in order], order, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=100)


def main() -> int:
    """Measure if asked to, then draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="train what the table lacks: some fifty minutes for all")
    parser.add_argument("--data", type=Path, help="folder with fmd-extra/ and flim-2p-pairs/; to measure")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "finetune", help="folder for the runs")
    arguments = parser.parse_args()
    if arguments.measure and not arguments.data:
        parser.error("--measure: expected the folder of the images, found none: give it by --data")
    if arguments.measure:
        logging.disable(logging.INFO)
        measure(arguments.data, arguments.out)
    draw(read_table(METRICS), PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
