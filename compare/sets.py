"""The images that denoisers are compared on, each with its ground truth; no network here was trained on any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from demo.simulate import simulate_field
from quietfield.noise.camera import Camera, expose_array
from train.config import Config
from train.data.clean import read_clean
from train.data.sources import find_images
from train.data.w2s import TEST
from train.measure.cases import Case, Loaded

PHOTONS = (5, 20, 80, 320)  # photo-electrons of the brightest structures of the clean images
CAMERA = Camera(gain=2.0, offset=100.0, read_noise=2.0)  # counts; the read noise is one electron
BACKGROUND = 0.05  # of the brightest
SEEN_BESIDE = 4  # bian_membrane2d: a plane beside it, alike by a correlation of 0.66, was trained on
LARGEST = 512  # pixels: clean images are cut to this side, so that the slow ones get done
W2S = "W2S 081-100"


def cases(data: Path) -> Iterator[Loaded]:
    """Every image of every set.

    Parameters
    ----------
    data : Path
        Folder with `w2s`, `w2s-raw16`, `fmd-extra`, `flim-2p-pairs` and `clean`.
    """
    yield from _w2s(data)
    for path in sorted((data / "fmd-extra" / "raw").glob("*.tif")):
        yield _case("FMD confocal", path.stem, path, data / "fmd-extra" / "gt" / path.name)
    for path in sorted((data / "flim-2p-pairs").glob("*_Ax1.tif")):
        mean = path.with_name(path.name.replace("_Ax1", "_Ax5"))
        yield _case("FLIM two-photon", path.stem.removesuffix("_Ax1"), path, mean)
    for photons in PHOTONS:
        yield from _clean(data / "clean", photons)
    noisy, truth = simulate_field()
    yield Case("demo", "simulated", noisy.astype(np.float64), truth)


def _w2s(data: Path) -> Iterator[Loaded]:
    for fov in TEST:
        for channel in range(3):
            name = f"{fov:03}_{channel}"
            folder = data / "w2s"
            yield _case(W2S, name, folder / "noisy" / f"{name}.tif", folder / "clean" / f"{name}.tif")
    for index in range(2):
        stack = tifffile.imread(data / "w2s-raw16" / f"w2s_noisy_{index}.tiff").astype(np.float64)
        for channel, plane in enumerate(stack):
            name = f"{index + 1:03}_{channel}"
            truth = tifffile.imread(data / "w2s" / "clean" / f"{name}.tif").astype(np.float64)
            yield Case("w2s-raw16", name, plane, truth)


def _case(name: str, image: str, noisy: Path, truth: Path) -> Loaded:
    return Case(name, image, tifffile.imread(noisy).astype(np.float64), tifffile.imread(truth).astype(np.float64))


def _clean(folder: Path, photons: float) -> Iterator[Loaded]:
    """The middle plane of each held-out file, as `CAMERA` would see it."""
    for i, planes in enumerate(read_clean(folder, held_out=True)):
        if i == SEEN_BESIDE:
            continue
        light = planes[len(planes) // 2].double().numpy()[:LARGEST, :LARGEST]
        mean = photons * (light + BACKGROUND)
        random = np.random.default_rng([i, int(photons)])
        yield Case(f"clean, {photons} photons", f"{i}", np.rint(expose_array(mean, CAMERA, random)), mean)


def training_crops(data: Path) -> list[Loaded]:
    """Twelve training images of W2S, to choose the settings of filters on."""
    result = []
    for fov in (5, 20, 40, 60):
        for channel in range(3):
            name = f"{fov:03}_{channel}"
            folder = data / "w2s"
            whole = _case("training", name, folder / "noisy" / f"{name}.tif", folder / "clean" / f"{name}.tif")
            result.append(Case("training", name, whole.noisy[:256, :256], whole.truth[:256, :256]))
    return result


def to_learn_from(name: str, images: list[Loaded], data: Path) -> list[NDArray[np.float64]]:
    """The noisy images for a method that learns from such alone: of W2S the training fields', else the set's own."""
    if name != W2S:
        return [case.noisy for case in images]
    return [np.asarray(pair.frames[0], np.float64) for pair in find_images(data / "w2s", Config()).training]
