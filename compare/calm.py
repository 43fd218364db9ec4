"""`python -m compare.calm`: what is left of noise where an image has no fine structure, and what is invented there.

Fields of light that changes slowly, or not at all, under noise of every kind and strength. Beside ours stand the best
Gaussian filter, whose width is chosen for each image by its ground truth, and VST+BM3D, blind, whose values lie in
docs/compare and are measured again with --bm3d.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

import quietfield
from compare.bench import rms
from compare.figure import save_grey
from compare.methods import vst_bm3d
from compare.scenes import Array, cells, grid
from train.measure.calm import Calm, fine, measure_calm
from train.measure.results import markdown, read_table, text, write_table

ROOT = Path(__file__).resolve().parents[1]
BM3D = ROOT / "docs" / "compare" / "calm-vst-bm3d.csv"
OURS, OTHER, EVERY = "denoised", "other network", 9
TITLES = ("set", "field", "left", "invented", "gaussian", "bm3d", "limit")
SIDE = 320  # pixels
WIDTHS = (0.7, 1, 1.5, 2, 3, 5, 8, 12, 18, 30, 60)  # pixels, of the Gaussian filters
SMOOTH, SHARED, EMPTY = "smooth light, white noise", "smooth light, noise that neighbours share", "empty field"
CELLS = "calm parts of cells, noise that neighbours share"
PHOTONS, SPREADS, STRENGTHS = (1, 5, 20, 80, 320, 1000, 3000), (1, 4, 16, 64), (1, 4, 10, 30)
READ = 1.5  # electrons


@dataclass(frozen=True)
class Field:
    """A smooth field: its set, its name, with noise and without, (Y, X)."""

    set: str
    name: str
    noisy: Array
    truth: Array


def light() -> dict[str, Array]:
    """Fields of light from 0.05 to 1."""
    y, x = grid(SIDE)
    r2 = ((y - 0.45 * SIDE) ** 2 + (x - 0.55 * SIDE) ** 2) / SIDE**2
    clouds = ndimage.gaussian_filter(np.random.default_rng(7).standard_normal((SIDE, SIDE)), 35, mode="wrap")
    return {
        "vignette": 0.15 + 0.85 / (1 + 4 * r2) ** 2,
        "two cells out of focus": 0.1
        + 0.9 * np.exp(-((y - 90) ** 2 + (x - 100) ** 2) / 2 / 60**2)
        + 0.5 * np.exp(-((y - 230) ** 2 + (x - 220) ** 2) / 2 / 45**2),
        "clouds": (0.5 + 0.2 * clouds / clouds.std()).clip(0.05),
    }


def shares() -> dict[str, Callable[[np.random.Generator], Array]]:
    """Noise that neighbouring pixels share, of any spread, (`SIDE`, `SIDE`)."""

    def white(random: np.random.Generator, side: int = SIDE) -> Array:
        return random.standard_normal((side, side))

    def of_colours(random: np.random.Generator) -> Array:
        seen = np.zeros((SIDE, SIDE))
        seen[::2, ::2] = white(random, SIDE // 2)
        return np.asarray(ndimage.convolve(seen, np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]), mode="wrap"))

    def power_law(random: np.random.Generator) -> Array:
        f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
        spectrum = (f + 0.01) ** -0.4 * np.exp(-((f / 0.3) ** 2))
        return np.asarray(np.fft.irfft2(np.fft.rfft2(white(random)) * spectrum, (SIDE, SIDE)))

    def blurred(sigma: float | tuple[float, float]) -> Callable[[np.random.Generator], Array]:
        return lambda random: np.asarray(ndimage.gaussian_filter(white(random), sigma, mode="wrap"))

    return {
        "blurred by 0.5 px": blurred(0.5),
        "blurred by 0.7 px": blurred(0.7),
        "blurred by 0.9 px": blurred(0.9),
        "blurred by 1.2 px": blurred(1.2),
        "blurred by 0.8 px along x": blurred((0, 0.8)),
        "doubled": lambda random: np.asarray(ndimage.zoom(white(random, SIDE // 2), 2, order=1)),
        "of a colour camera": of_colours,
        "median of 3x3": lambda random: np.asarray(ndimage.median_filter(white(random), 3, mode="wrap")),
        "power law": power_law,
    }


def fields() -> Iterator[Field]:
    """Every field, always with the same noise."""
    random = np.random.default_rng(2028)
    for name, shape in light().items():
        for photons in PHOTONS:
            mean = photons * shape
            yield Field(SMOOTH, f"{name}, {photons} photons", random.poisson(mean).astype(float), mean)
        for spread in SPREADS:
            mean = 300 + 100 * shape
            noisy = mean + spread * random.standard_normal(mean.shape)
            yield Field(SMOOTH, f"{name}, additive, {spread} % of the light", noisy, mean)
    shape = light()["vignette"]
    for photons in (2, 20, 200):  # a camera that multiplies electrons
        electrons = random.poisson(photons * shape)
        noisy = random.gamma(np.maximum(electrons, 1e-9)) * (electrons > 0) + 0.05 * random.standard_normal(shape.shape)
        yield Field(SMOOTH, f"vignette, EMCCD, {photons} photons", noisy, photons * shape)
    for photons in (5, 50):  # an sCMOS camera: every pixel has its own read noise
        own = READ * np.exp(0.4 * random.standard_normal(shape.shape))
        noisy = random.poisson(photons * shape) + own * random.standard_normal(shape.shape)
        yield Field(SMOOTH, f"vignette, sCMOS, {photons} photons", noisy, photons * shape)
    shape = light()["two cells out of focus"]
    mean = 20 * shape / shape.mean()
    for name, draw in shares().items():
        for strength in STRENGTHS:
            noise = draw(random)
            noisy = mean + strength * np.sqrt(shape / shape.mean()) * noise / noise.std()
            yield Field(SHARED, f"{name}, SNR {20 / strength:.2g}", noisy, mean)
    mean = cells(31, SIDE)
    for name in ("blurred by 0.9 px", "of a colour camera", "median of 3x3", "power law"):
        for ratio in (6, 2, 0.7):
            noise = shares()[name](random)
            noisy = mean + np.sqrt(mean * mean.mean()) / ratio * noise / noise.std()
            yield Field(CELLS, f"{name}, SNR {ratio:g}", noisy, mean)
    flat = np.ones((SIDE, SIDE))
    for photons in (1, 100, 1000):
        yield Field(EMPTY, f"{photons} photons", random.poisson(photons * flat).astype(float), photons * flat)
    yield Field(EMPTY, "dark, read noise", np.rint(100 + READ * random.standard_normal(flat.shape)), 100 * flat)
    dark = shares()["of a colour camera"](random)
    yield Field(EMPTY, "dark, of a colour camera", 100 + 3 * dark / dark.std(), 100 * flat)
    yield Field(EMPTY, "10 photons, EMCCD", random.gamma(np.maximum(random.poisson(10 * flat), 1e-9)), 10 * flat)


def left(field: Field, answer: Array) -> Calm:
    """What an answer leaves of the noise of a field; of cells, in their calm parts."""
    if field.set == CELLS:
        return measure_calm(field.truth, field.noisy, answer)
    noise = rms(field.noisy - field.truth)
    return Calm(rms(answer - field.truth) / noise, rms(fine(answer - field.truth)) / noise)


def best_gaussian(field: Field) -> float:
    """What the best of `WIDTHS`, by the error of the whole image, leaves of the noise."""
    answers = [ndimage.gaussian_filter(field.noisy, width) for width in WIDTHS]
    return left(field, min(answers, key=lambda answer: rms(answer - field.truth))).left


def limit(field: Field, gaussian: float, bm3d: float) -> float:
    """The most that may be left."""
    if field.set == SMOOTH:
        return min(2.5 * gaussian, bm3d)
    return {SHARED: 1.5 * gaussian, CELLS: gaussian, EMPTY: 0.03}[field.set]


def measure_bm3d(path: Path) -> None:
    """Write what VST+BM3D leaves of every field."""
    rows = ([f.set, f.name, text(left(f, vst_bm3d(f.noisy)).left)] for f in fields())
    write_table(path, ("set", "field", "left"), rows, "python -m compare.calm --bm3d")


@dataclass(frozen=True)
class Shown:
    """A field and the answers to it, by their titles."""

    field: Field
    answers: dict[str, Array]


def draw(shown: list[Shown], path: Path) -> None:
    """A row of each field: noisy, what was made of it, ground truth, and the error of our answer."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 3 + len(shown[0].answers)
    figure = Figure(figsize=(2.4 * columns, 2.6 * len(shown)), layout="constrained", dpi=80)
    FigureCanvasAgg(figure)
    for row, one in zip(figure.subplots(len(shown), columns, squeeze=False), shown, strict=True):
        field, noise = one.field, rms(one.field.noisy - one.field.truth)
        margin = 0.25 * float(np.ptp(field.truth)) or 4 * noise
        low, high = float(field.truth.min()) - margin, float(field.truth.max()) + margin
        panels = {field.name: field.noisy}
        panels |= {f"{title}: {left(field, found).left:.3f} left": found for title, found in one.answers.items()}
        panels |= {"ground truth": field.truth}
        for axes, (title, image) in zip(row, panels.items(), strict=False):
            axes.imshow(image, cmap="gray", vmin=low, vmax=high)
            axes.set_title(title, fontsize=8)
        row[-1].imshow(one.answers[OURS] - field.truth, cmap="gray", vmin=-0.3 * noise, vmax=0.3 * noise)
        row[-1].set_title("error, within 0.3 of the noise", fontsize=8)
        for axes in row:
            axes.set_axis_off()
    save_grey(figure, path, greys=96)  # fewer draw contours into smooth light


def main() -> int:
    """Measure every field, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a network; else what is shipped")
    parser.add_argument("--beside", type=Path, help="folder of another network, for the table and the picture")
    parser.add_argument("--csv", type=Path, help="where the values are written")
    parser.add_argument("--picture", type=Path, help=f"where one field of every {EVERY} is drawn")
    parser.add_argument("--bm3d", action="store_true", help="measure VST+BM3D again (minutes)")
    arguments = parser.parse_args()
    if arguments.bm3d:
        measure_bm3d(BM3D)
    theirs = {(row["set"], row["field"]): float(row["left"]) for row in read_table(BM3D)}
    models = {OURS: quietfield.load(arguments.model, device="cpu")}
    if arguments.beside:
        models[OTHER] = quietfield.load(arguments.beside, device="cpu")
    rows, shown, kept = [], [], 0
    for number, field in enumerate(fields()):
        image = field.noisy.astype(np.float32)
        answers = {title: np.asarray(m.denoise(image, axes="YX"), np.float64) for title, m in models.items()}
        found, gaussian, bm3d = left(field, answers[OURS]), best_gaussian(field), theirs[field.set, field.name]
        most = limit(field, gaussian, bm3d)
        kept += found.left <= most
        values = [found.left, found.invented, gaussian, bm3d, most]
        values += [left(field, answers[OTHER]).left] if arguments.beside else []
        rows.append([field.set, field.name, *(f"{value:.3f}" for value in values)])
        if number % EVERY == 0:
            shown.append(Shown(field, answers))
    titles = [*TITLES, *([OTHER] if arguments.beside else [])]
    print(markdown(titles, rows))
    print(f"{kept} of {len(rows)} fields keep their limits")
    if arguments.csv:
        write_table(arguments.csv, titles, rows, "python -m compare.calm")
    if arguments.picture:
        draw(shown, arguments.picture)
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
