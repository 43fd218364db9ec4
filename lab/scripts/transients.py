"""Simulated calcium and voltage movies, by a network for stacks: `transients.py NETWORK [--rules]`.

Cells of unlike brightness on neuropil, jitter of 0.4 pixels, 3 photo-electrons a pixel of a cell at rest, 1.6 electrons
of read noise. Calcium jumps up and decays over three planes; a voltage spike lasts one plane. A line each: mean SI-PSNR
of the planes (dB) noisy, by itself, with the rules where asked for, and by the network; the least correlation of a
cell's trace with the true one, raw and answered; and what is left of the peaks, in the mean of all cells and of the
cell that keeps least.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quietfield.adapt.stacks import of_stack
from quietfield.network.model import load_model
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.checkpoint import load_network
from train.measure.metrics import si_psnr

Array = NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[2]
PLANES, SIDE, CELLS = 60, 160, 16


def movie(lasting: float, seed: int = 0) -> tuple[Array, list[tuple[NDArray[np.bool_], Array]]]:
    """Light in photo-electrons, (P, Y, X), and each cell's pixels with the course of its light beyond its rest."""
    random = np.random.default_rng(seed)
    yy, xx = np.mgrid[:SIDE, :SIDE]
    neuropil = ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), 3)
    still = 1.5 + 0.4 * neuropil / neuropil.std()
    parts = [(still.clip(0.3), np.ones(PLANES))]
    cells = []
    for k in range(CELLS):
        y, x = 20 + 40 * (k // 4) + random.uniform(-4, 4), 20 + 40 * (k % 4) + random.uniform(-4, 4)
        shape = 1 / (1 + np.exp(1.5 * (np.hypot(yy - y, xx - x) - 5)))
        course = np.zeros(PLANES)
        for start in random.choice(np.arange(8, PLANES - 8), 3, replace=False):
            after = np.arange(PLANES - start)
            course[start:] += (after == 0) if lasting == 0 else np.exp(-after / lasting)
        course *= random.uniform(0.4, 1.5)
        parts.append((3 * shape, 1 + course))
        cells.append((shape > 0.8, course))
    shifts = 0.4 * random.normal(size=(PLANES, 2))
    planes = []
    for t, shift in enumerate(shifts):
        plane = sum(image * course[t] for image, course in parts)
        planes.append(ndimage.shift(plane, shift, order=3, mode="reflect").clip(0.05))
    return np.stack(planes), cells


def photographed(light: Array) -> Array:
    """By a camera of offset 100 and gain 2."""
    random = np.random.default_rng(1)
    return np.rint(100 + 2 * (random.poisson(light) + 1.6 * random.standard_normal(light.shape)))


def traces(planes: Array, cells: list[tuple[NDArray[np.bool_], Array]]) -> list[Array]:
    """Mean of each cell's pixels, (P,)."""
    return [planes[:, inside].mean(axis=1) for inside, _ in cells]


def main() -> None:
    """Print the table."""
    shipped = Denoiser.of(load_model(ROOT / "resources"))
    stack = Denoiser(load_network(Path(sys.argv[1])), Normalisation())
    print("| movie | answer | SI-PSNR | least correlation of a trace | peaks kept | least |\n" + 6 * "|---" + "|")
    for name, lasting in (("calcium", 3.0), ("voltage", 0.0)):
        light, cells = movie(lasting)
        noisy = photographed(light)
        denoiser, _ = shipped.suited(noisy)
        answers = {"noisy": noisy, "by itself": denoiser(noisy).astype(np.float64)}
        if "--rules" in sys.argv:
            from quietfield.adapt.neighbours import Together, look

            chance, words = look(denoiser, noisy)
            print(f"rules: {words}", file=sys.stderr)
            if chance and shipped.general:
                together = Together(denoiser, shipped.general, chance)
                answers["rules"] = np.concatenate([together(noisy), together.rest()]).astype(np.float64)
        answers["stack network"] = of_stack(stack, noisy).astype(np.float64)
        true = traces(light, cells)
        for answer, planes in answers.items():
            quality = np.mean([si_psnr(a, b) for a, b in zip(light, planes, strict=True)])
            found = traces(planes, cells)
            least = min(np.corrcoef(a, b)[0, 1] for a, b in zip(true, found, strict=True))
            kept = []
            for mine, theirs, (_, course) in zip(true, found, cells, strict=True):
                peaks, rest = course > 0.9 * course.max(), course < 0.02
                kept.append((theirs[peaks].mean() - theirs[rest].mean()) / (mine[peaks].mean() - mine[rest].mean()) / 2)
            print(
                f"| {name} | {answer} | {quality:.2f} | {least:.3f} | {np.mean(kept):.3f} | {min(kept):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
