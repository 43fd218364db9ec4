"""What fine-tuning gains on images of another kind: `finetune_gain.py DATA OUT [MINUTES] [SET ...]`.

A line for each set, number of pairs and way to train: mean SI-PSNR (dB) of images of other fields, before and after.
The sets: `fmd` (confocal), `flim` (two-photon), `camera` (simulated fields behind a filter of 3x3 pixels), `w2s` (few
fields to learn from; the validation fields to measure on).
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.simulate import simulate_field
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.checkpoint import like, load_network
from train.config import Config
from train.data.sources import find_images
from train.fit import fit
from train.measure.metrics import si_psnr
from train.recipes import RECIPES

GENERAL = Path(__file__).resolve().parents[2] / "resources" / "general"
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


def main() -> None:
    """Train and measure."""
    logging.disable(logging.INFO)
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    for name, (learnt, measured) in sets(data).items():
        if sys.argv[4:] and name not in sys.argv[4:]:
            continue
        noisy = np.mean([si_psnr(t, n) for n, t in measured.values()])
        print(f"{name}: noisy {noisy:.2f}, general network {quality(GENERAL, measured):.2f} dB", flush=True)
        for pairs in learnt:
            folder = out / f"{name}-{len(pairs)}"
            for kind in ("noisy", "gt"):
                (folder / kind).mkdir(parents=True, exist_ok=True)
            for key, images in pairs.items():
                for kind, image in zip(("noisy", "gt"), images, strict=True):
                    tifffile.imwrite(folder / kind / f"{key} of mine.tif", image)
            line = []
            for way, config, initial in (
                ("fine-tuned", like(RECIPES["finetune"][1], GENERAL, ()), GENERAL),
                ("from nothing", dataclasses.replace(Config(), crop=128), None),
            ):
                images = find_images(folder, config)
                run = folder / f"{way} {minutes:g}"
                fit(config, images, run, max_minutes=minutes, by_time=True, initial=initial, finetune=bool(initial))
                line.append(f"{way} {quality(run / 'best.ckpt', measured):.2f}")
            print(f"  {len(pairs)} pairs, {minutes:g} min: {', '.join(line)}", flush=True)


if __name__ == "__main__":
    main()
