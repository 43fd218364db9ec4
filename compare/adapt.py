"""`python -m compare.adapt`: the shipped networks as they are, and suited to each file, on other microscopes' images.

Without arguments the metrics in docs/compare/adapt.csv are tabulated; `--measure` makes them anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compare.sets import BACKGROUND, LARGEST, SEEN_BESIDE, cases
from quietfield.front import load
from quietfield.machine import keep_memory
from quietfield.noise.camera import correlate, expose, row_noise
from train.data.clean import read_clean
from train.measure.cases import Case, Loaded
from train.measure.metrics import si_psnr
from train.measure.results import markdown, mean, of_set, read, sets, write

ROOT = Path(__file__).resolve().parents[1]
METRICS = ROOT / "docs" / "compare" / "adapt.csv"
SETS = ("w2s-raw16", "FMD confocal", "FLIM two-photon")
# Photo-electrons of the brightest, electrons of read noise, pixels of blur, and spread of the rows in that of the
# rest: the networks were trained on at least 3, at most 3, at most 1 and at most 0.7.
NOISES = {
    "clean, low light": (5, 0.0, 0.0, 0.0),
    "clean, strong": (20, 10.0, 0.0, 0.0),
    "clean, correlated": (20, 1.0, 1.2, 0.0),
    "clean, rows": (20, 1.0, 0.0, 1.0),
}


@dataclass(frozen=True)
class Row:
    """SI-PSNR (dB) of an image as it is, denoised, and denoised with each `--adapt`; and the last one's seconds."""

    set: str
    image: str
    noisy: float
    plain: float
    auto: float
    minute: float
    seconds: float


def images(data: Path) -> Iterator[Loaded]:
    """Images that no network was trained on, of other microscopes than W2S's, and W2S's raw planes."""
    yield from (case for case in cases(data) if case.set in SETS)
    for name, noise in NOISES.items():
        for i, planes in enumerate(read_clean(data / "clean", held_out=True)):
            if i != SEEN_BESIDE:
                light = planes[len(planes) // 2][:LARGEST, :LARGEST]
                yield Case(name, f"{i}", *exposed(light, noise, i))


def exposed(light: torch.Tensor, noise: tuple[float, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy frame and its ground truth, (Y, X), float64, of light (Y, X) from 0 to about 1.

    Drawn in torch, unlike the other sets: correlated and row noise are those of the training (`expose`).
    """
    photons, read, blur, rows = noise
    generator = torch.Generator().manual_seed(seed)
    mean = photons * (light[None, None] + BACKGROUND)
    drawn = expose(mean, 1.0, 0.0, 0.0, generator) - mean
    drawn = drawn + read * torch.randn(mean.shape, generator=generator)
    drawn = correlate(drawn, blur) if blur else drawn
    drawn = drawn + rows * drawn.std() * row_noise(mean, 1.0, generator) if rows else drawn
    return (mean + drawn)[0, 0].double().numpy(), mean[0, 0].double().numpy()


def measure(model: Path, data: Path) -> Iterator[Row]:
    """Each image as it is, with the network alone, adapted to by itself, and adapted to within a minute."""
    loaded = load(model)
    for case in images(data):
        metrics = [si_psnr(case.truth, case.noisy)]
        for how in ("off", "auto", "1"):
            start = time.perf_counter()
            metrics.append(si_psnr(case.truth, loaded.denoise(case.noisy, adapt=how)))
            seconds = time.perf_counter() - start
        yield Row(case.set, case.image, *[*metrics, seconds])


TITLES = (
    "mean SI-PSNR (dB)", "images", "noisy", "as it is", "`--adapt auto`", "`--adapt 1`", "gain", "least of any image",
)  # fmt: skip


def table(rows: list[Row]) -> str:
    """Means of each set, and the least that any image gains."""
    lines = []
    for name, chosen in (*((name, of_set(rows, name)) for name in sets(rows)), ("all images", rows)):
        gains = np.array([row.minute - row.plain for row in chosen])
        cells = [f"{value:.2f}" for value in mean(chosen, "noisy", "plain", "auto", "minute")]
        lines.append([name, f"{len(chosen)}", *cells, f"{gains.mean():+.2f}", f"{gains.min():+.2f}"])
    return markdown(TITLES, lines)


def main() -> int:
    """Measure if asked to, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure anew")
    parser.add_argument("--data", type=Path, help="the test images; to measure")
    parser.add_argument("--model", type=Path, default=ROOT / "resources")
    arguments = parser.parse_args()
    keep_memory()
    if arguments.measure and not arguments.data:
        parser.error("--measure: expected the folder of the test images, found none: give it by --data")
    if arguments.measure:
        write(METRICS, list(measure(arguments.model, arguments.data)))
    print(table(read(METRICS, Row)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
