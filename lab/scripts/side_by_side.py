"""Where is one network worse than another? `side_by_side.py BEFORE AFTER [--data DATA] [--worst N] [--picture PNG]`.

Some fifty structures, few of which are like what networks are trained on, under noise of two dozen kinds and
strengths, each denoised by both networks alone. Printed is the ratio of their errors (RMSE), as geometric mean of all,
of each noise and of each structure, then the worst cases; these are drawn as noisy, before, after, ground truth and
the error after, within half the contrast.
"""

from __future__ import annotations

import argparse
import io
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compare.scenes import spots, text
from lab.scripts.labels import labelled
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.checkpoint import load_network
from train.data import phantoms

Array = NDArray[np.float64]
SIDE = 192
LEAST = 0.02  # of the contrast: smaller errors are alike
BACKGROUND = 0.05  # of the contrast
COLUMNS = ("noisy", "before", "after", "ground truth", "error after")
Y, X = np.mgrid[:SIDE, :SIDE].astype(float)


@dataclass(frozen=True)
class Case:
    """A structure under a noise: errors of both answers in the structure's spread, and slopes to the ground truth."""

    structure: str
    noise: str
    errors: tuple[float, float]
    slopes: tuple[float, float]

    @property
    def ratio(self) -> float:
        before, after = (max(error, LEAST) for error in self.errors)
        return after / before


def blurred(image: Array, sigma: float) -> Array:
    """By a Gaussian."""
    return np.asarray(ndimage.gaussian_filter(image, sigma), float)


def structures() -> dict[str, Array]:
    """Drawn structures (Y, X), by name."""
    r = np.hypot(Y - SIDE / 2, X - SIDE / 2)
    angle = np.arctan2(Y - SIDE / 2, X - SIDE / 2)
    found = {
        "Siemens star of 36": 0.5 + 0.5 * np.sign(np.cos(36 * angle)),
        "soft Siemens star of 60": 0.5 + 0.5 * np.cos(60 * angle),
        "rings of 5 px": 0.5 + 0.5 * np.cos(2 * np.pi * r / 5),
        "sharp rings of 9 px": (0.5 + 0.5 * np.cos(2 * np.pi * r / 9)) ** 3,
        "chirp": 0.5 + 0.5 * np.cos(r**2 / 70),
        "lines of 0.6 px": lines(25, 0.6, 1),
        "lines of 1 px": lines(40, 1, 2),
        "lines of 2 px": lines(25, 2, 3),
        "lines of 1 px on light": 3 + lines(25, 1, 5),
        "double lines": np.maximum(lines(10, 0.9, 8), np.roll(lines(10, 0.9, 8), 4, 1)),
        "squares": squares(4),
        "soft squares": blurred(squares(4), 1),
        "tissue": tissue(9),
        "filaments, sharp": phantoms.filaments(np.random.default_rng(77), SIDE),
        "filaments in haze": blurred(phantoms.filaments(np.random.default_rng(78), SIDE), 1)
        + 3 * blurred(phantoms.filaments(np.random.default_rng(79), SIDE), 12),
    }
    for period, sigma in ((3, 0.5), (4, 0.6), (6, 0.8), (6, 1.5)):
        lattice = np.zeros((SIDE, SIDE))
        lattice[::period, ::period] = 1
        found[f"lattice of {period} px, {sigma} px"] = blurred(lattice, sigma)
    words = np.zeros((SIDE, SIDE))
    for row in range(4, SIDE - 16, 11):
        for column in range(4, SIDE - 48, 36):
            words += text(SIDE, "SCALE", (row, column + row % 7), 1)
    found |= {"words": words, "soft words": blurred(words, 0.8)}
    for slope in (1.0, 1.5, 2.0):
        found[f"clouds, slope {slope}"] = np.exp(0.6 * phantoms.clouds(np.random.default_rng(11), SIDE, slope))
    for count, length, sigma in ((900, 8, 1.2), (150, 10, 1), (300, 6, 0.6)):
        found[f"{count} rods of {length} px, {sigma} px"] = rods(count, length, sigma)
    for count, sigma in ((50, 0.4), (300, 0.6), (2000, 0.5), (2000, 0.8), (8000, 0.7), (8000, 1), (500, 1.5), (80, 4)):
        random = np.random.default_rng(count)
        at, bright = random.uniform(0, SIDE, (count, 2)), random.gamma(0.8, size=count)
        found[f"{count} points of {sigma} px"] = spots(SIDE, at, np.ones(count), sigma)
        found[f"{count} unlike points of {sigma} px"] = spots(SIDE, at, bright, sigma)
    for cut, grain in ((0.16, 3), (0.08, 6)):
        found[f"speckle of {grain} px"] = speckle(cut)
    for draw in (phantoms.filaments, phantoms.cells, phantoms.membranes, phantoms.texture, phantoms.leaves):
        found[f"phantom, {draw.__name__}"] = blurred(draw(np.random.default_rng(90), SIDE), 1)
    return found


def lines(count: int, sigma: float, seed: int) -> Array:
    """Straight ones of any direction and brightness."""
    random, image = np.random.default_rng(seed), np.zeros((SIDE, SIDE))
    for _ in range(count):
        angle, offset, bright = random.uniform(0, np.pi), random.uniform(-0.5, 0.5) * SIDE, random.uniform(0.2, 1)
        across = (X - SIDE / 2) * np.cos(angle) + (Y - SIDE / 2) * np.sin(angle) - offset
        image = np.maximum(image, bright * np.exp(-((across / sigma) ** 2) / 2))
    return image


def squares(seed: int) -> Array:
    """Sharp ones, one above the other."""
    random, image = np.random.default_rng(seed), np.zeros((SIDE, SIDE))
    for _ in range(60):
        (y, x), (height, width) = random.integers(0, SIDE, 2), random.integers(3, 25, 2)
        image[y : y + height, x : x + width] = random.uniform(0.1, 1)
    return image


def tissue(seed: int) -> Array:
    """Cells of one brightness each that touch."""
    random = np.random.default_rng(seed)
    at = random.uniform(0, SIDE, (120, 2))
    nearest = ((Y[..., None] - at[:, 0]) ** 2 + (X[..., None] - at[:, 1]) ** 2).argmin(-1)
    return np.asarray(random.uniform(0.1, 1, 120)[nearest])


def rods(count: int, length: float, sigma: float) -> Array:
    """Straight ones of any direction."""
    random, along = np.random.default_rng(count), np.linspace(-0.5, 0.5, round(3 * length)) * length
    at, angle, bright = (
        random.uniform(0, SIDE, (count, 2)),
        random.uniform(0, np.pi, count),
        random.uniform(0.5, 1, count),
    )
    places = at[:, None] + along[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)[:, None]
    return spots(SIDE, places.reshape(-1, 2), bright.repeat(len(along)), sigma)


def speckle(cut: float) -> Array:
    """Of coherent light; nothing is finer than `cut` (cycles a pixel) in its field."""
    random = np.random.default_rng(1)
    field = random.standard_normal((SIDE, SIDE)) + 1j * random.standard_normal((SIDE, SIDE))
    passed = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)) < cut
    return np.asarray(np.abs(np.fft.ifft2(np.fft.fft2(field) * passed)) ** 2)


def photographs(data: Path) -> dict[str, Array]:
    """An image of each kind of the clean ones, its pixels binned 2x2 and 3x3."""
    found = {}
    for folder in sorted(path for path in (data / "clean").iterdir() if any(path.glob("*.tif"))):
        files = sorted(folder.glob("*.tif"))
        planes = np.squeeze(tifffile.imread(files[len(files) // 2]))
        plane = planes.reshape(-1, *planes.shape[-2:])[len(planes) // 2 if planes.ndim > 2 else 0].astype(float)
        for by in (2, 3):
            h, w = (side // by for side in plane.shape)
            binned = plane[: h * by, : w * by].reshape(h, by, w, by).mean((1, 3))
            y, x = (max(0, side - SIDE) // 2 for side in binned.shape)
            found[f"{folder.name}, binned {by}x{by}"] = binned[y : y + SIDE, x : x + SIDE]
    return found


def noises() -> dict[str, Callable[[Array, Generator], Array]]:
    """What makes a noisy image of light from `BACKGROUND` to about 1, by name."""

    def poisson(photons: float) -> Callable[[Array, Generator], Array]:
        return lambda light, random: random.poisson(light * photons) / photons

    def additive(spread: float) -> Callable[[Array, Generator], Array]:
        return lambda light, random: light + spread * random.standard_normal(light.shape)

    def shared(by: Callable[[Array], Array], spread: float) -> Callable[[Array, Generator], Array]:
        def noisy(light: Array, random: Generator) -> Array:
            noise = by(random.standard_normal(light.shape))
            return np.asarray(light + spread * np.sqrt(light * light.mean()) * noise / noise.std())

        return noisy

    def doubled(noise: Array) -> Array:
        h, w = noise.shape
        return np.asarray(ndimage.zoom(noise[: (h + 1) // 2, : (w + 1) // 2], 2, order=1)[:h, :w])

    def power_law(noise: Array) -> Array:
        f = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in noise.shape), indexing="ij"))
        return np.asarray(np.fft.ifft2(np.fft.fft2(noise) * (f + 0.01) ** -0.4 * np.exp(-((f / 0.3) ** 2))).real)

    def jpeg(light: Array, random: Generator) -> Array:
        image, stored = random.poisson(light * 100) / 100, io.BytesIO()
        top = 1.2 * image.max()
        Image.fromarray((image / top * 255).clip(0, 255).astype(np.uint8)).save(stored, "JPEG", quality=85)
        return np.asarray(Image.open(stored), float) / 255 * top

    found: dict[str, Callable[[Array, Generator], Array]] = {"no noise": lambda light, _: light}
    found |= {f"{photons} photons": poisson(photons) for photons in (2, 10, 50, 300, 3000, 30000)}
    found |= {f"additive, {spread}": additive(spread) for spread in (0.02, 0.1, 0.4)}
    for spread in (0.05, 0.3):
        found |= {
            f"blurred by 0.5 px, {spread}": shared(lambda noise: blurred(noise, 0.5), spread),
            f"blurred by 0.9 px, {spread}": shared(lambda noise: blurred(noise, 0.9), spread),
            f"power law, {spread}": shared(power_law, spread),
            f"median of 3x3, {spread}": shared(lambda noise: np.asarray(ndimage.median_filter(noise, 3)), spread),
            f"doubled, {spread}": shared(doubled, spread),
        }
    found |= {
        "EMCCD, 20 photons": lambda light, random: random.gamma(np.maximum(random.poisson(light * 20), 1e-9)) / 20,
        "JPEG, 100 photons": jpeg,
        "rows, 50 photons": lambda light, random: (
            random.poisson(light * 50) / 50 + 0.05 * random.standard_normal((len(light), 1))
        ),
    }
    return found


def measure(networks: list[Denoiser], truth: Array, structure: str, name: str) -> tuple[Case, list[Array]]:
    """Both answers to one case, and the noisy image before them."""
    random = np.random.default_rng(zlib.crc32(f"{structure} {name}".encode()))
    noisy = np.asarray(noises()[name](truth, random), float)
    answers = [np.asarray(network(noisy[None])[0], float) for network in networks]
    spread = truth.std()
    errors = [float(np.sqrt(((answer - truth) ** 2).mean()) / spread) for answer in answers]
    slopes = [float(np.cov(answer.ravel(), truth.ravel())[0, 1] / spread**2) for answer in answers]
    return Case(structure, name, (errors[0], errors[1]), (slopes[0], slopes[1])), [noisy, *answers]


def means(cases: list[Case], by: Callable[[Case], str]) -> str:
    """Geometric means of the ratios, the worst first."""
    groups: dict[str, list[float]] = {}
    for case in cases:
        groups.setdefault(by(case), []).append(float(np.log(case.ratio)))
    ordered = sorted(((float(np.exp(np.mean(logs))), name) for name, logs in groups.items()), reverse=True)
    return " | ".join(f"{name} {value:.2f}" for value, name in ordered)


def main() -> None:
    """Measure every case and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", type=Path, nargs=2, metavar=("BEFORE", "AFTER"), help="folders or checkpoints")
    parser.add_argument("--data", type=Path, help="folder of the images, whose clean ones are added")
    parser.add_argument("--worst", type=int, default=40)
    parser.add_argument("--picture", type=Path, help="where the ten worst are drawn")
    options = parser.parse_args()
    networks = [Denoiser(load_network(path), Normalisation("plane")) for path in options.networks]
    truths = structures() | (photographs(options.data) if options.data else {})
    for name, image in truths.items():
        light = image - image.min()
        truths[name] = BACKGROUND + light / np.percentile(light, 99.9)
    cases = [measure(networks, truth, name, noise)[0] for name, truth in truths.items() for noise in noises()]
    print(f"{len(cases)} cases: {means(cases, lambda case: 'all')}")
    print(means(cases, lambda case: case.noise), means(cases, lambda case: case.structure), sep="\n")
    worst = sorted(cases, key=lambda case: -case.ratio)[: options.worst]
    for case in worst:
        errors, slopes = (" -> ".join(f"{value:.3f}" for value in pair) for pair in (case.errors, case.slopes))
        print(f"{case.ratio:.2f}: {case.structure}, {case.noise}: error {errors} of the contrast, slope {slopes}")
    if options.picture:
        rows = []
        for case in worst[:10]:
            truth = truths[case.structure]
            _, images = measure(networks, truth, case.structure, case.noise)
            low, high = np.percentile(truth, [0.5, 99.8])
            panels = [(image - low) / (high - low) for image in (*images, truth)]
            rows.append([*panels, (images[-1] - truth) / (high - low) + 0.5])
        shape = [min(row[0].shape[axis] for row in rows) for axis in (0, 1)]
        cut = [[panel[: shape[0], : shape[1]] for panel in row] for row in rows]
        labelled(cut, COLUMNS, [f"{case.structure}, {case.noise}" for case in worst[:10]]).save(options.picture)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
