"""Stacks with drawn noise: each plane by itself, with the rules for neighbours, and by a network for stacks.

    python lab/scripts/stacks.py DATA [NETWORK] [--held-out] [--photons N ...] [--scenes WORD] [--pictures FOLDER]

Mean SI-PSNR of the planes in dB, and how much the plane that fares worst differs from itself alone. The movies are
those below DATA/clean/lysosome; the still and moving scenes are made of one clean plane each. NETWORK is a checkpoint
or a model folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quietfield.adapt.stacks import of_stack
from quietfield.machine import keep_memory
from quietfield.network.model import load_model
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.noise.camera import correlate
from train.checkpoint import load_network
from train.data.clean import HELD_OUT_EVERY, read_named
from train.measure.metrics import si_psnr

Array = NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[2]
PHOTONS = (5, 20, 80)  # photo-electrons of the brightest
BACKGROUND, READ_NOISE = 0.05, 1.0  # of the brightest; photo-electrons
PLANES, SIDE = 12, 256
STEPS = (0.3, 1.4)  # pixels a plane, along the diagonal
# Of the training files and of the held-out ones.
SCENES = {
    False: ("biosr-mt/Cell_002_SIM_gt.tif", "ccby/bian_BPAE_actin.tif"),
    True: ("biosr-mt/Cell_011_SIM_gt.tif", "ccby/neubias_xy_calibrated_16bit__nuclear_protein_treated.tif"),
}


def scenes(data: Path, held_out: bool) -> Iterator[tuple[str, Array, float]]:
    """Name, light (P, Y, X) from 0 to 1, and sigma of the noise's correlation."""
    paths = sorted((data / "clean" / "lysosome").glob("*.tif"))
    movies = []
    for i, path in enumerate(paths):
        if (i % HELD_OUT_EVERY == 0) == held_out:
            # As one: planes that are scaled each by itself would flicker.
            planes = tifffile.imread(path).astype(np.float64)
            low, high = np.percentile(planes, [0.1, 99.9])
            movies.append(((planes - low) / (high - low)).clip(0))
            if held_out or len(movies) <= 3:
                yield f"moving, lysosome/{path.stem}", movies[-1], 0.0
    yield "moving, noise correlated", movies[-1], 0.8
    named = {image.name: image.planes.double().numpy() for image in read_named(data / "clean", held_out)}
    for name in SCENES[held_out]:
        plane = _middle(named[name][0])
        still = np.repeat(plane[None], PLANES, axis=0)
        short = Path(name).stem.removeprefix("neubias_xy_calibrated_16bit__")
        yield f"still, {short}", still, 0.0
        yield "still, noise correlated", still, 0.8
        for step in STEPS:
            shifts = step / 2**0.5 * np.arange(PLANES)
            yield f"drift {step} pixel", np.stack([ndimage.shift(plane, (s, s), mode="reflect") for s in shifts]), 0.0
        blinking = still.copy()
        yy, xx = np.mgrid[: plane.shape[0], : plane.shape[1]]
        blinking[PLANES // 2] += 0.5 * np.exp(-((yy - 90) ** 2 + (xx - 120) ** 2) / 8)
        yield "object in one plane", blinking, 0.0
        yield "bleaching, 5 % a plane", still * 0.95 ** np.arange(PLANES)[:, None, None], 0.0
        yield "cut to another scene", np.concatenate([still[:6], still[:6, ::-1, ::-1]]), 0.0
    others = [_middle(image[0]) for image in named.values() if min(image.shape[1:]) >= SIDE][:PLANES]
    yield "unrelated planes", np.stack(others), 0.0


def _middle(plane: Array) -> Array:
    y, x = ((side - min(side, SIDE)) // 2 for side in plane.shape)
    return plane[y : y + SIDE, x : x + SIDE].clip(0)


def photograph(light: Array, photons: float, sigma: float) -> Array:
    """By a camera of offset 100 and gain 2."""
    random = np.random.default_rng(int(photons))
    mean = photons * (light + BACKGROUND)
    electrons = random.poisson(mean) + READ_NOISE * random.standard_normal(mean.shape)
    if sigma:
        noise = torch.from_numpy((electrons - mean).astype(np.float32))[:, None]
        electrons = mean + correlate(noise, sigma)[:, 0].double().numpy()
    return np.rint(100 + 2 * electrons)


def with_rules(shipped: Denoiser, denoiser: Denoiser, noisy: Array, alone: Array) -> tuple[Array, str]:
    """The answer of the rules for neighbours, where there still are such, and why they are not used."""
    from quietfield.adapt.neighbours import Together, look

    chance, words = look(denoiser, noisy)
    if not chance or shipped.general is None:
        return alone, f" ({words})"
    together = Together(denoiser, shipped.general, chance)
    return np.concatenate([together(noisy), together.rest()]), ""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("network", type=Path, nargs="?", help="without, the rules alone are measured")
    parser.add_argument("--held-out", action="store_true", help="the files that nothing was chosen on")
    parser.add_argument("--photons", type=int, nargs="+", default=PHOTONS)
    parser.add_argument("--scenes", default="", help="those alone whose names hold this word")
    parser.add_argument("--pictures", type=Path, help="folder for the planes as .npz")
    arguments = parser.parse_args()
    keep_memory()
    shipped = Denoiser.of(load_model(ROOT / "resources"))
    stack = Denoiser(load_network(arguments.network), Normalisation("plane")) if arguments.network else None
    print("| scene | photo-electrons | by itself | rules | stack network | least change | time |\n" + 7 * "|---" + "|")
    every = []
    for photons in arguments.photons:
        for name, light, sigma in scenes(arguments.data, arguments.held_out):
            if arguments.scenes not in name:
                continue
            noisy = photograph(light, photons, sigma)
            denoiser, _ = shipped.suited(noisy)
            start = time.perf_counter()
            alone = denoiser(noisy)
            took = time.perf_counter() - start
            ruled, note = with_rules(shipped, denoiser, noisy, alone)
            start = time.perf_counter()
            answer = of_stack(stack, noisy) if stack else ruled
            ratio = (time.perf_counter() - start) / took
            before, rules, after = (
                np.array([si_psnr(*pair) for pair in zip(light, y, strict=True)]) for y in (alone, ruled, answer)
            )
            if name.startswith("object"):
                spot = np.s_[88:93, 118:123]
                true, *found = (
                    float((y[PLANES // 2] - y[PLANES // 2 - 2])[spot].mean())
                    for y in (2 * photons * light, alone, ruled, answer)
                )
                note += " (of its intensity " + ", ".join(f"{value / true:.2f}" for value in found) + ")"
            means = [float(values.mean()) for values in (before, rules, after)]
            every.append(means)
            cells = " | ".join(f"{value:.2f}" for value in means)
            print(f"| {name}{note} | {photons} | {cells} | {(after - before).min():+.2f} | {ratio:.1f} |", flush=True)
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                path = arguments.pictures / f"{name.replace('/', ' ')} {photons}.npz"
                np.savez(path, noisy=noisy, alone=alone, rules=ruled, answer=answer, light=light)
    print("| mean | | " + " | ".join(f"{value:.2f}" for value in np.mean(every, axis=0)) + " | | |")


if __name__ == "__main__":
    main()
