"""Means of others' published results on the same images, from the file that comes with the data."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from compare.results import Row
from compare.sets import W2S

PUBLISHED = {"VST+BM3D, published": "vst_bm3d", "N2N U-Net trained on FMD, published": "n2n_unet_fmd"}
FIGURES = ("si_psnr", "ssim")


def published(name: str, data: Path) -> list[Row]:
    """One row, the means over the images; only these are kept, as in the README.

    Parameters
    ----------
    name : str
        One of `PUBLISHED`.
    data : Path
        Folder with `w2s/peers_081_100.csv`.
    """
    with (data / "w2s" / "peers_081_100.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    means = [float(np.mean([float(row[f"{PUBLISHED[name]}_{figure}"]) for row in rows])) for figure in FIGURES]
    return [Row(W2S, f"mean of {len(rows)}", *means)]
