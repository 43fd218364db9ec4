"""Metrics of quality, as the challenge and the field define them."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _pair(truth: Array, prediction: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = np.asarray(truth, dtype=np.float64)
    p = np.asarray(prediction, dtype=np.float64)
    if t.shape != p.shape:
        raise ValueError(f"metrics: expected equal shapes, found ground truth {t.shape} and prediction {p.shape}")
    if np.ptp(t) == 0:
        raise ValueError("metrics: the ground truth is constant, so no metric is defined for it")
    return t, p


def psnr(truth: Array, prediction: Array, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB; infinite where nothing differs."""
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    mse = float(((t - p) ** 2).mean())
    return float("inf") if mse == 0 else float(10 * np.log10(data_range**2 / mse))


def rmse(truth: Array, prediction: Array) -> float:
    """Root of the mean squared difference, in the units of both."""
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if t.shape != p.shape:
        raise ValueError(f"metrics: expected equal shapes, found ground truth {t.shape} and prediction {p.shape}")
    return float(np.sqrt(((t - p) ** 2).mean()))


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
        If the shapes differ or the ground truth is constant.
    """
    t, p = _pair(truth, prediction)
    g = (t - t.mean()) / t.std()
    p = p - p.mean()
    power = float((p * p).sum())
    a = float((g * p).sum()) / power if power > 0 else 0.0
    return psnr(g, a * p, float(np.ptp(g)))


def affine_fit(truth: Array, prediction: Array) -> NDArray[np.float64]:
    """k * prediction + b with the k and b that come closest to the ground truth in least squares."""
    t, p = _pair(truth, prediction)
    centred = p - p.mean()
    power = float((centred * centred).sum())
    k = float((centred * (t - t.mean())).sum()) / power if power > 0 else 0.0
    result: NDArray[np.float64] = k * centred + t.mean()
    return result


def ssim(truth: Array, prediction: Array) -> float:
    """Structural similarity of the affinely fitted prediction, with the ground truth's max - min as range.

    scikit-image's `structural_similarity` with its defaults (uniform 7x7 windows).

    Parameters
    ----------
    truth, prediction : ndarray
        (Y, X), at least 7x7, any real dtype and units.
    """
    from skimage.metrics import structural_similarity

    t, p = _pair(truth, prediction)
    return float(structural_similarity(t, affine_fit(t, p), data_range=float(np.ptp(t))))


def psnr_affine(truth: Array, prediction: Array) -> float:
    """PSNR in dB of the affinely fitted prediction, with the ground truth's max - min as range.

    With this range it is the SI-PSNR: standardising the ground truth changes neither the fit nor the ratio.
    """
    return psnr(truth, affine_fit(truth, prediction), float(np.ptp(np.asarray(truth, dtype=np.float64))))


def micro_ssim(truth: Array, prediction: Array) -> float:
    """MicroSSIM (Ashesh et al., 2024): structural similarity for images of few photons.

    Backgrounds (the third percentiles) are subtracted and the one factor is found that makes the two
    most alike; a stack shares them. By the `microssim` package.

    Parameters
    ----------
    truth, prediction : ndarray
        (Y, X) or (T, Y, X), at least 11x11, any real dtype and units.

    Raises
    ------
    ValueError
        If the shapes differ, the ground truth is constant, or the package is not installed.
    """
    t, p = _pair(truth, prediction)
    try:
        from microssim import micro_structural_similarity  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise ValueError("MicroSSIM: expected the package microssim, found none: pip install microssim") from error
    # The package also takes roots of variances that rounding made negative, for terms that do not count here,
    # and shows a progress bar.
    with np.errstate(invalid="ignore"), contextlib.redirect_stderr(io.StringIO()):
        return float(np.mean(micro_structural_similarity(t, p)))


def st_snr(truth: Array, prediction: Array) -> float:
    """Spatio-temporal signal-to-noise ratio in dB, the measure of the calcium imaging challenge (CIDC25).

    Half the mean over the frames, and half the mean over the pixels' traces in time, of
    10 log10(sum(y y) / sum((y - x) (y - x))), y being the ground truth. Gain and offset count.

    Parameters
    ----------
    truth, prediction : ndarray
        (T, Y, X), any real dtype, the same units. Frames and traces in which the ground truth is zero
        throughout are left out.

    Raises
    ------
    ValueError
        If the shapes differ or are not (T, Y, X), or the ground truth is constant.
    """
    t, p = _pair(truth, prediction)
    if t.ndim != 3:
        raise ValueError(f"stSNR: expected a stack (T, Y, X), found {t.shape}")
    means = []
    for axes in ((1, 2), (0,)):
        signal, noise = (t**2).sum(axis=axes), ((t - p) ** 2).sum(axis=axes)
        there = signal > 0
        with np.errstate(divide="ignore"):  # where nothing differs it is infinite
            means.append(float((10 * np.log10(signal[there] / noise[there])).mean()))
    return (means[0] + means[1]) / 2
