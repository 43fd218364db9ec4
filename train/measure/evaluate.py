"""Measure a model on whole images, through the very pipeline of the container."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
import torch
from torch.nn import functional

from quietfield.network.predict import Denoiser
from quietfield.pipeline import denoise_file
from quietfield.planes import fill_invalid

from .calm import measure_calm
from .cases import Image, Listed, as_file, read_case
from .metrics import affine_fit, micro_ssim, psnr_affine, rmse, si_psnr, ssim, st_snr
from .results import NAN

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """The metrics of one image, before (`noisy_`) and after; of a stack, their means over its planes.

    SI-PSNR, and PSNR and SSIM after the least-squares affine fit (dB, dB, none), MicroSSIM, RMSE,
    stSNR (dB; NaN unless it is a stack), and what is left of the noise and what is invented in calm regions
    (`train.measure.calm`). The last four are of the answer as it is, in the frame's intensity units;
    the ground truth, whose units may be others, is mapped onto the frame by least squares.
    For a model that enlarges, before is the frame's bicubic enlargement. `mpix_per_s` is of the input.
    """

    set: str
    image: str
    channel: int
    noisy_si_psnr: float
    noisy_ssim: float
    si_psnr: float
    ssim: float
    noisy_psnr: float = NAN
    psnr: float = NAN
    noisy_micro_ssim: float = NAN
    micro_ssim: float = NAN
    noisy_rmse: float = NAN
    rmse: float = NAN
    noisy_st_snr: float = NAN
    st_snr: float = NAN
    noisy_left: float = NAN
    left: float = NAN
    noisy_invented: float = NAN
    invented: float = NAN
    mpix_per_s: float = NAN


def evaluate(
    denoiser: Denoiser, cases: Iterable[Listed], micro: bool = True, left_out: list[str] | None = None
) -> list[Result]:
    """Denoise every case from file to file, and measure it.

    Parameters
    ----------
    denoiser : Denoiser
        The model.
    cases : iterable of Listed
        See `train.measure.cases`.
    micro : bool
        Whether to compute MicroSSIM, which takes longer than all else.
    left_out : list of str, optional
        Gets why each case that cannot be read is left out; without, the first such case is an error.

    Raises
    ------
    ValueError
        If there are no cases, a file is missing or unreadable, the shapes do not match, or a ground truth
        is constant or holds NaN.
    """
    results = []
    if micro and importlib.util.find_spec("microssim") is None:
        log.warning("MicroSSIM is left out: expected the package microssim, found none: pip install microssim")
        micro = False
    with TemporaryDirectory() as folder:
        for case in cases:
            try:
                volume, truth = read_case(case, denoiser.network.scale)
            except ValueError as error:
                if left_out is None:
                    raise
                left_out.append(str(error))
                continue
            frame = volume.planes
            source, target = as_file(case.noisy, volume, Path(folder)), Path(folder) / "denoised.tif"
            start = time.perf_counter()
            denoise_file(denoiser, source, target)
            speed = frame.size / 1e6 / (time.perf_counter() - start)
            truth = truth.reshape(-1, *truth.shape[-2:]) if truth.ndim > 3 else truth
            answer = np.asarray(tifffile.imread(target)).reshape(truth.shape)
            planes = fill_invalid(frame.reshape(-1, *frame.shape[-2:]))
            before = enlarge(planes, denoiser.network.scale).reshape(truth.shape)
            try:
                matched = affine_fit(before, truth)
                found = {f"noisy_{k}": v for k, v in metrics_of(truth, matched, before, before, micro).items()}
                found |= metrics_of(truth, matched, before, answer, micro)
            except ValueError as error:
                raise ValueError(f"{case.image}: {error}") from error
            results.append(Result(case.set, case.image, case.channel, **found, mpix_per_s=speed))
    if not results:
        why = left_out[0] if left_out else "name other fields, or other data"
        raise ValueError(f"evaluate: expected images to measure on, found none: {why}")
    return results


def metrics_of(truth: Image, matched: Image, frame: Image, image: Image, micro: bool = True) -> dict[str, float]:
    """All metrics of an image (Y, X) or stack (T, Y, X) made of a frame.

    `matched` is the ground truth in the frame's units.
    """
    pairs = list(zip(truth, image, strict=True)) if truth.ndim == 3 else [(truth, image)]

    def mean(metric: Callable[[Image, Image], float]) -> float:
        return float(np.mean([metric(t, i) for t, i in pairs]))

    planes = [np.asarray(a, np.float64).reshape(-1, *truth.shape[-2:]) for a in (matched, frame, image)]
    left, invented = np.mean([measure_calm(*plane) for plane in zip(*planes, strict=True)], axis=0).tolist()
    return {
        "si_psnr": mean(si_psnr),
        "psnr": mean(psnr_affine),
        "ssim": mean(ssim),
        "micro_ssim": micro_ssim(truth, image) if micro else NAN,
        "rmse": rmse(matched, image),
        "st_snr": st_snr(matched, image) if truth.ndim == 3 else NAN,
        "left": left,
        "invented": invented,
    }


def enlarge(planes: Image, scale: int) -> Image:
    """Planes (N, Y, X), bicubically: what a model that enlarges has to beat."""
    if scale == 1:
        return planes
    image = torch.from_numpy(planes.astype(np.float64))[None]
    return functional.interpolate(image, scale_factor=scale, mode="bicubic", align_corners=False)[0].numpy()
