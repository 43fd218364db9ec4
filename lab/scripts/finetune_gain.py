"""What fine-tuning gains on images of another kind: `finetune_gain.py DATA OUT TABLE [SET ...]`.

TABLE (CSV) gets a row for each set, number of pairs, minutes and way to train: mean SI-PSNR (dB) of images of other
fields. Rows that are there are not trained again. The sets: `fmd` (confocal), `flim` (two-photon), `camera` (simulated
fields behind a filter of 3x3 pixels), `w2s` (few fields to learn from; the validation fields to measure on).
"""

from __future__ import annotations

import csv
import dataclasses
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

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

GENERAL = Path(__file__).resolve().parents[2] / "resources" / "general"
MINUTES = (0.5, 1.0, 2.0)
SHOWN = ("camera", "fmd", "flim")  # sets of the figure
COLUMNS = ("set", "pairs", "minutes", "way", "steps", "si_psnr")
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

    def filtered(seed: int) -> tuple[np.ndarray, np.ndarray]:
        noisy, truth = simulate_field(seed, 256)
        return ndimage.uniform_filter(noisy.astype(np.float32), 3), truth.astype(np.float32)

    camera = {str(seed): filtered(seed) for seed in range(100, 110)}
    w2s = {
        f"{f:03}_1": tuple(read(data / "w2s" / kind / f"{f:03}_1.tif") for kind in ("noisy", "clean"))
        for f in (3, 8, 14, 19, 24, 30, 44, 60, 66, 73, 11, 23, 27, 53, 72, 80)
    }
    seen = list(w2s)[:10]
    return {
        "fmd": ([{k: fmd[k] for k in fmd_learnt[:n]} for n in (1, 2)], {k: v for k, v in fmd.items() if "BPAE" in k}),
        "flim": ([{k: flim[k] for k in flim_learnt[:n]} for n in (1, 2)], {k: flim[k] for k in flim if "BPAE" in k}),
        "camera": (
            [{k: camera[k] for k in list(camera)[:n]} for n in (1, 3, 10)],
            {str(seed): filtered(seed) for seed in range(4)},
        ),
        "w2s": ([{k: w2s[k] for k in seen[:n]} for n in (1, 3, 10)], {k: w2s[k] for k in w2s if k not in seen}),
    }


def quality(network: Path, pairs: Pairs) -> float:
    """Mean SI-PSNR of the answers, dB."""
    denoiser = Denoiser(load_network(network), Normalisation("plane"))
    return float(np.mean([si_psnr(t, denoiser(n[None].astype(np.float64))[0]) for n, t in pairs.values()]))


def ways() -> dict[str, tuple[Config, Path | None]]:
    """Both ways to train, and what they start from."""
    return {
        "fine-tuned": (like(RECIPES["finetune"][1], GENERAL, ()), GENERAL),
        "from nothing": (dataclasses.replace(Config(), crop=128), None),
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


def main() -> None:
    """Train and measure."""
    logging.disable(logging.INFO)
    data, out, table = map(Path, sys.argv[1:4])
    for name, (learnt, measured) in sets(data).items():
        if name not in (sys.argv[4:] or SHOWN):
            continue
        done = {tuple(row[c] for c in COLUMNS[:4]) for row in read_table(table)}
        if (name, "0", "0", "noisy input") not in done:
            add_row(
                table, name, 0, 0, "noisy input", 0, f"{np.mean([si_psnr(t, n) for n, t in measured.values()]):.2f}"
            )
            add_row(table, name, 0, 0, "general network", 0, f"{quality(GENERAL, measured):.2f}")
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
                    add_row(table, name, len(pairs), f"{minutes:g}", way, steps, f"{found:.2f}")


if __name__ == "__main__":
    main()
