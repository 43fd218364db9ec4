"""Means of others' published results on the same images, from the file that comes with the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compare.sets import W2S
from train.measure.results import Row, read_table

PUBLISHED = {"VST+BM3D, published": "vst_bm3d", "N2N U-Net trained on FMD, published": "n2n_unet_fmd"}
METRICS = ("si_psnr", "ssim")


def published(name: str, data: Path) -> list[Row]:
    """One row, the means over the images; only these are kept, as in the README.

    Parameters
    ----------
    name : str
        One of `PUBLISHED`.
    data : Path
        Folder with `w2s/peers_081_100.csv`.
    """
    rows = read_table(data / "w2s" / "peers_081_100.csv")
    means = [float(np.mean([float(row[f"{PUBLISHED[name]}_{metric}"]) for row in rows])) for metric in METRICS]
    return [Row(W2S, f"mean of {len(rows)}", *means)]
