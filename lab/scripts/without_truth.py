"""Recipes without ground truth, judged by one: `without_truth.py DATA OUT [MINUTES] [finetune]`.

Every recipe learns for MINUTES (2) from a real stack (TCYX, two frames of W2S field 001 in three channels), and with
"finetune" also from noisy confocal and two-photon images alone, starting from the shipped general network. A line each:
mean SI-PSNR (dB) of the noisy images, of the general network's answers, and of the trained network's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.checkpoint import load_network
from train.measure.metrics import si_psnr

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ("recorrupted", "corrected", "noise2void", "noise2noise", "neighbours")
Planes = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def fitted(image: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image in the grey scale of another, by least squares."""
    slope, offset = np.polyfit(image.ravel(), to.ravel(), 1)
    return np.asarray(slope * image + offset)


def write_sets(data: Path, out: Path) -> dict[str, tuple[Path, Planes]]:
    """The noisy images that are learnt from, on disk, and what they are judged by."""

    def read(path: str) -> NDArray[np.float64]:
        return tifffile.imread(data / path).astype(np.float64)

    raw = read("w2s-raw16/w2s_noisy_0.tiff")
    truths = [read(f"w2s/clean/001_{c}.tif") for c in range(3)]
    # The other frame of this field has a grey scale of 8 bits of its own; the ground truth tells how the two relate.
    frames = []
    for c, truth in enumerate(truths):
        other = read(f"w2s/noisy/001_{c}.tif")
        slope, offset = np.polyfit(truth.ravel(), other.ravel(), 1)
        frames.append((other - offset) / slope * np.polyfit(truth.ravel(), raw[c].ravel(), 1)[0])
        frames[-1] += raw[c].mean() - frames[-1].mean()
    stack = np.stack([raw, np.stack(frames)]).astype(np.float32)
    out.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(out / "stack.tif", stack, imagej=True, metadata={"axes": "TCYX"})
    sets: dict[str, tuple[Path, Planes]] = {
        "w2s stack": (out / "stack.tif", list(zip(stack[0].astype(np.float64), truths, strict=True)))
    }
    pairs = {
        "fmd": [(f"fmd-extra/raw/{n}.tif", f"fmd-extra/gt/{n}.tif") for n in ("BPAE_B", "BPAE_G", "BPAE_R", "mice")],
        "flim": [
            (f"flim-2p-pairs/{n}_Ax1.tif", f"flim-2p-pairs/{n}_Ax5.tif")
            for n in ("BPAE_Sample1", "BPAE_sample2_largeFOV", "Mousekidney_sample2", "Mousekidney_sample3_largerFOV")
        ],
    }
    for name, files in pairs.items():
        folder = out / name / "noisy"
        folder.mkdir(parents=True, exist_ok=True)
        for i, (noisy, _) in enumerate(files):
            tifffile.imwrite(folder / f"mine {i}.tif", tifffile.imread(data / noisy))
        sets[name] = (folder, [(read(noisy), read(truth)) for noisy, truth in files])
    return sets


def quality(path: Path, planes: Planes) -> float:
    """Mean SI-PSNR of a network's answers, dB."""
    denoiser = Denoiser(load_network(path), Normalisation("plane"))
    return float(np.mean([si_psnr(t, denoiser(n[None])[0]) for n, t in planes]))


def main() -> None:
    """Train by each recipe, and measure."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    minutes = sys.argv[3] if len(sys.argv) > 3 else "2"
    finetune = sys.argv[4:] == ["finetune"]
    for name, (learnt, planes) in write_sets(data, out).items():
        if not finetune and name != "w2s stack":
            continue
        noisy = np.mean([si_psnr(t, n) for n, t in planes])
        general = quality(ROOT / "resources" / "general", planes)
        print(f"{name}: noisy {noisy:.2f}, general network {general:.2f} dB", flush=True)
        for recipe in RECIPES:
            run = out / f"{name} {recipe} {minutes}{' tuned' if finetune else ''}"
            command = [sys.executable, "-m", "train", "fit", "--data", str(learnt), "--recipe", recipe]
            command += ["--out", str(run), "--max-minutes", minutes]
            if finetune:
                command += ["--finetune"]
            elif recipe == "corrected":
                command += ["--initial", str(out / f"{name} recorrupted {minutes}" / "checkpoint.ckpt")]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            said = done.stderr.strip().splitlines()[-1:] if done.returncode else []
            figure = f"{quality(run / 'checkpoint.ckpt', planes):.2f}" if (run / "checkpoint.ckpt").exists() else "none"
            print(f"  {recipe}: exit {done.returncode}, {figure} {' '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
