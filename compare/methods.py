"""Denoisers to compare with, each a function of one plane and a setting; and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from compare import noise2void, peers
from quietfield.adapt.ensemble import self_ensemble
from quietfield.machine import choose_device
from quietfield.network.model import Model, load_model
from quietfield.network.predict import Denoiser

Image = NDArray[np.float64]
OURS, OURS_EIGHT, NOISY = "this network", "this network, eight-fold", "noisy input"
GENERAL = "its general network alone"  # resources/general
OURS_NAMES = (OURS, OURS_EIGHT, GENERAL)
NOISE2VOID = "Noise2Void 2, by CAREamics"


@dataclass(frozen=True)
class Method:
    """A denoiser.

    Attributes
    ----------
    run : callable
        Takes a plane and a setting.
    settings : tuple
        Of these, the best on training images is taken.
    learn : callable, optional
        Makes the setting for one set instead, of its name and noisy images.
    parameters : callable
        How many its networks have, of a setting.
    note : str
        How it was trained.
    """

    run: Callable[[Image, Any], Image]
    settings: tuple[Any, ...] = (None,)
    learn: Callable[[str, list[Image]], Any] | None = None
    parameters: Callable[[Any], int] = lambda setting: 0
    note: str = ""


def noise_level(image: Image) -> float:
    """Standard deviation of white noise, from what a plane of constant slopes would not have.

    Immerkaer (1996), with the median instead of the mean.
    """
    return float(np.median(np.abs(_beyond_slopes(image)))) / 0.6745


def poisson_gaussian(image: Image) -> tuple[float, float]:
    """Gain and intercept of variance = gain * mean + intercept, from one image.

    Pixels are sorted into forty classes by their smoothed value; each gives its variance (by the
    median) and mean, and a line is fitted.
    """
    smooth = ndimage.gaussian_filter(image, 2.0).ravel()
    residual = _beyond_slopes(image).ravel()
    order = np.argsort(smooth)
    classes = [part for part in np.array_split(order, 40) if len(part)]
    mean = np.array([smooth[part].mean() for part in classes])
    variance = np.array([(np.median(np.abs(residual[part])) / 0.6745) ** 2 for part in classes])
    # The variance of a variance is proportional to its square: the dark classes are the surest.
    gain, intercept = np.polyfit(mean, variance, 1, w=1 / (variance + 1e-3 * variance.max() + 1e-12))
    return float(gain), float(intercept)


def _beyond_slopes(image: Image) -> Image:
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6.0
    result: Image = ndimage.convolve(image, mask, mode="mirror")
    return result


def stabilise(photons: Image) -> Image:
    """Anscombe's transform: Poisson noise becomes white with unit variance."""
    result: Image = 2 * np.sqrt(np.maximum(photons + 3 / 8, 0))
    return result


def unstabilise(image: Image) -> Image:
    """Its exact unbiased inverse, in closed form (Makitalo & Foi 2011)."""
    d = np.maximum(image, 2 * np.sqrt(3 / 8))
    root = np.sqrt(3 / 2)
    result: Image = d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 1 / 8
    return result


def vst_bm3d(image: Image, setting: None = None) -> Image:
    """BM3D after Anscombe's transform, gain and offset estimated blindly from the image."""
    import bm3d

    gain, intercept = poisson_gaussian(image)
    if gain <= 1e-6 * np.ptp(image):  # the noise does not grow with the signal
        plain: Image = bm3d.bm3d(image, noise_level(image))
        return plain
    stable = stabilise((gain * image + intercept) / gain**2)
    # What the fit leaves is measured again, so that BM3D gets the level that is there.
    photons = unstabilise(bm3d.bm3d(stable, noise_level(stable)))
    return gain * photons - intercept / gain


def _nl_means(image: Image, strength: float) -> Image:
    from skimage.restoration import denoise_nl_means

    sigma = noise_level(image)
    smoothed = denoise_nl_means(image, patch_size=5, patch_distance=6, h=strength * sigma, sigma=sigma, fast_mode=True)
    return np.asarray(smoothed)


def _total_variation(image: Image, strength: float) -> Image:
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(image, weight=strength * noise_level(image)))


def _wavelet(image: Image, strength: float) -> Image:
    from skimage.restoration import denoise_wavelet

    return np.asarray(denoise_wavelet(image, sigma=strength * noise_level(image), rescale_sigma=False))


def ours(folder: Path, eight: bool) -> Method:
    """The network of a model folder that suits the image, alone or with test-time augmentation (eight-fold)."""
    model = load_model(folder)
    denoiser = Denoiser.of(model, choose_device())

    def run(image: Image, setting: None) -> Image:
        denoise, _ = denoiser.suited(image[None])
        answer = self_ensemble(denoise, image[None]) if eight else denoise(image[None])
        return np.asarray(answer[0], dtype=np.float64)

    return Method(run, parameters=lambda setting: _parameters(model))


def _parameters(model: Model | None) -> int:
    """Of a model's network, and of those for images beyond its domain."""
    return sum(p.numel() for p in model.network.parameters()) + _parameters(model.general) if model else 0


def peer(name: str, folder: Path) -> Method:
    """A baseline that `compare.peers` trained."""
    network, note = peers.load(name, folder)
    denoise = peers.denoiser_of(network)

    def run(image: Image, setting: None) -> Image:
        return np.asarray(denoise(image[None])[0], dtype=np.float64)

    return Method(run, parameters=lambda setting: sum(p.numel() for p in network.parameters()), note=note)


METHODS: dict[str, Method] = {
    NOISY: Method(lambda image, setting: image),
    "Gaussian filter": Method(ndimage.gaussian_filter, (0.8, 1.0, 1.2, 1.5, 1.8, 2.2, 2.7)),
    "median filter": Method(lambda image, size: ndimage.median_filter(image, size), (3, 5, 7, 9)),
    "Wiener filter": Method(lambda image, size: signal.wiener(image, (size, size)), (3, 5, 7, 9, 13)),
    "non-local means": Method(_nl_means, (0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0, 3.0)),
    "total variation": Method(_total_variation, (0.5, 0.8, 1.2, 1.8, 2.5, 3.5)),
    "wavelet shrinkage": Method(_wavelet, (0.7, 1.0, 1.4, 2.0)),
    "VST+BM3D, blind": Method(vst_bm3d),
}
NAMES = (*METHODS, *peers.CONFIGS, NOISE2VOID, *OURS_NAMES)


def find_method(name: str, model: Path, trained: Path) -> Method:
    """The method of a name; our networks are those of the folder `model`, the trained baselines those of `trained`."""
    if name in METHODS:
        return METHODS[name]
    if name in peers.CONFIGS:
        return peer(name, trained)
    if name == NOISE2VOID:
        return Method(
            noise2void.run,
            learn=lambda set_name, images: noise2void.learn(set_name, images, trained),
            parameters=noise2void.parameters,
            note=noise2void.NOTE,
        )
    return ours(model / "general" if name == GENERAL else model, name == OURS_EIGHT)
