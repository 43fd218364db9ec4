"""Measure a model on the test images, through the very pipeline of the container."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from denoiser.metrics import si_psnr, ssim
from denoiser.pipeline import denoise_file
from denoiser.predict import Denoiser
from train.data import W2S_TEST

W2S, RAW = "W2S FOV 081-100", "w2s-raw16"
BARS = {W2S: 32.3, RAW: 35.2}


@dataclass(frozen=True)
class Result:
    """SI-PSNR in dB and SSIM of one plane, before and after."""

    set: str
    image: str
    noisy_si_psnr: float
    noisy_ssim: float
    si_psnr: float
    ssim: float


def evaluate(denoiser: Denoiser, data: Path) -> list[Result]:
    """Every plane of both test sets.

    Parameters
    ----------
    denoiser : Denoiser
        The model.
    data : Path
        Folder with `w2s/noisy`, `w2s/clean` and `w2s-raw16`.

    Raises
    ------
    ValueError
        If an image is missing or unreadable.
    """
    results = []
    for name, image, noisy, denoised, truth in _planes(denoiser, data):
        before, after = (si_psnr(truth, x) for x in (noisy, denoised))
        results.append(Result(name, image, before, ssim(truth, noisy), after, ssim(truth, denoised)))
    return results


def _planes(denoiser: Denoiser, data: Path) -> Iterator[tuple[str, str, NDArray[Any], NDArray[Any], NDArray[Any]]]:
    with TemporaryDirectory() as folder:
        target = Path(folder) / "denoised.tif"
        for fov in W2S_TEST:
            for channel in range(3):
                name = f"{fov:03}_{channel}"
                noisy = data / "w2s" / "noisy" / f"{name}.tif"
                denoise_file(denoiser, noisy, target)
                truth = tifffile.imread(data / "w2s" / "clean" / f"{name}.tif")
                yield W2S, name, tifffile.imread(noisy), tifffile.imread(target), truth
        for index in range(2):
            stack = data / "w2s-raw16" / f"w2s_noisy_{index}.tiff"
            denoise_file(denoiser, stack, target)
            for channel, (noisy, denoised) in enumerate(
                zip(tifffile.imread(stack), tifffile.imread(target), strict=True)
            ):
                name = f"{index + 1:03}_{channel}"
                yield RAW, name, noisy, denoised, tifffile.imread(data / "w2s" / "clean" / f"{name}.tif")


def means(results: list[Result], name: str) -> tuple[float, float, float, float]:
    """Mean SI-PSNR and SSIM of a set: noisy, noisy, denoised, denoised."""
    rows = [(r.noisy_si_psnr, r.noisy_ssim, r.si_psnr, r.ssim) for r in results if r.set == name]
    a, b, c, d = np.mean(rows, axis=0)
    return float(a), float(b), float(c), float(d)


def table(results: list[Result], peers: Path) -> str:
    """A Markdown table of the two sets with the peers' published figures beside ours."""
    with peers.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [
        "| mean SI-PSNR (dB) / SSIM | " + f"{W2S}, 60 images | {RAW}, 6 raw planes |",
        "|---|---|---|",
    ]
    w2s, raw = means(results, W2S), means(results, RAW)
    lines.append(f"| noisy input | {w2s[0]:.2f} / {w2s[1]:.3f} | {raw[0]:.2f} / {raw[1]:.3f} |")
    for title, key in (("N2N U-Net trained on FMD", "n2n_unet_fmd"), ("VST+BM3D", "vst_bm3d")):
        figures = [np.mean([float(row[f"{key}_{f}"]) for row in rows]) for f in ("si_psnr", "ssim")]
        lines.append(f"| {title} (published results) | {figures[0]:.2f} / {figures[1]:.3f} | |")
    lines.append(f"| **this network** | **{w2s[2]:.2f} / {w2s[3]:.3f}** | **{raw[2]:.2f} / {raw[3]:.3f}** |")
    lines.append(f"| bar to pass | {BARS[W2S]} | {BARS[RAW]} |")
    return "\n".join(lines)


def write_csv(results: list[Result], path: Path) -> None:
    """Per-image values."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "image", "noisy_si_psnr", "noisy_ssim", "si_psnr", "ssim"])
        for r in results:
            figures = (r.noisy_si_psnr, r.noisy_ssim, r.si_psnr, r.ssim)
            writer.writerow([r.set, r.image, *(f"{f:.4f}" for f in figures)])


def replace_table(readme: Path, text: str) -> None:
    """Put the table between the README's markers.

    Raises
    ------
    ValueError
        If the markers are not there.
    """
    begin, end = "<!-- table: make readme -->", "<!-- end of table -->"
    before, found, rest = readme.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{readme}: expected the markers {begin} and {end}, found none: put them where the table goes")
    readme.write_text(f"{before}{begin}\n{text}\n{end}{after}")
