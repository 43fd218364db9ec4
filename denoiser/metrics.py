"""Figures of quality, as the challenge and the field define them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _pair(truth: Array, prediction: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = np.asarray(truth, dtype=np.float64)
    p = np.asarray(prediction, dtype=np.float64)
    if t.shape != p.shape:
        raise ValueError(f"metrics: expected equal shapes, found truth {t.shape} and prediction {p.shape}")
    if np.ptp(t) == 0:
        raise ValueError("metrics: the truth is constant, so no figure is defined for it")
    return t, p


def psnr(truth: Array, prediction: Array, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB; infinite where nothing differs."""
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    mse = float(((t - p) ** 2).mean())
    return float("inf") if mse == 0 else float(10 * np.log10(data_range**2 / mse))


def si_psnr(truth: Array, prediction: Array) -> float:
    """Scale-invariant PSNR in dB, the challenge's measure.

    g = (truth - mean) / std, p = prediction - mean, a = sum(g p) / sum(p p), and the PSNR of
    a p against g with the range of g. No affine change of the prediction alters it. (As in the
    microssim and CAREamics code of the organisers; standard deviation without Bessel's term.)

    Parameters
    ----------
    truth, prediction : ndarray
        Equal shapes, any real dtype and units.

    Raises
    ------
    ValueError
        If the shapes differ or the truth is constant.
    """
    t, p = _pair(truth, prediction)
    g = (t - t.mean()) / t.std()
    p = p - p.mean()
    power = float((p * p).sum())
    a = float((g * p).sum()) / power if power > 0 else 0.0
    return psnr(g, a * p, float(np.ptp(g)))


def affine_fit(truth: Array, prediction: Array) -> NDArray[np.float64]:
    """k * prediction + b with the k and b that come closest to the truth in least squares."""
    t, p = _pair(truth, prediction)
    centred = p - p.mean()
    power = float((centred * centred).sum())
    k = float((centred * (t - t.mean())).sum()) / power if power > 0 else 0.0
    result: NDArray[np.float64] = k * centred + t.mean()
    return result


def ssim(truth: Array, prediction: Array) -> float:
    """Structural similarity of the affinely fitted prediction, with the truth's max - min as range.

    scikit-image's `structural_similarity` with its defaults (uniform 7x7 windows).

    Parameters
    ----------
    truth, prediction : ndarray
        (Y, X), at least 7x7, any real dtype and units.
    """
    from skimage.metrics import structural_similarity

    t, p = _pair(truth, prediction)
    return float(structural_similarity(t, affine_fit(t, p), data_range=float(np.ptp(t))))
