"""Photon transfer: the camera, from a frame and its ground truth, from repeated frames, or from single images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.noise.camera import Camera
from quietfield.noise.correlation import FOURTH, Array, differences

CLASSES = 40  # of equal numbers of pixels, by brightness


@dataclass(frozen=True)
class Transfer:
    """Variance over mean, and the camera that it tells of.

    Attributes
    ----------
    mean, variance
        Of each class of pixels, intensity units and their square.
    slope, intercept
        Of the line through them.
    scatter
        Root mean square of the points' relative distance from it.
    camera
        None where the variance does not grow with the mean.
    read_noise_known
        Whether the read noise was told apart from the offset, and not just taken to be none.
    """

    mean: Array
    variance: Array
    slope: float
    intercept: float
    scatter: float
    camera: Camera | None
    read_noise_known: bool


def photon_transfer(noisy: NDArray[Any], truth: NDArray[Any]) -> tuple[float, float]:
    """Gain and offset of a camera with Poisson noise, from one frame and its ground truth.

    Every pixel is a point of the line variance = gain * (mean - offset), with equal weight: the squared error of
    a single pixel is too noisy for the robust fit of classes (`fit_line`).

    Parameters
    ----------
    noisy, truth : ndarray
        One frame and its ground truth in the same units and shape.

    Returns
    -------
    gain : float
        Intensity units per photo-electron.
    offset : float
        Intensity units of no light.

    Raises
    ------
    ValueError
        If the variance does not grow with the mean: such noise is not Poisson noise.
    """
    mean = np.asarray(truth, dtype=np.float64).ravel()
    variance = (np.asarray(noisy, dtype=np.float64).ravel() - mean) ** 2
    centred = mean - mean.mean()
    power = float((centred**2).sum())
    gain = float((centred * variance).sum()) / power if power > 0 else 0.0
    if not gain > 0:
        raise ValueError(f"photon transfer: expected a variance that grows with the mean, found a slope of {gain:.3g}")
    return gain, float(mean.mean() - variance.mean() / gain)


def transfer_of_frames(stack: NDArray[Any], offset: float | None = None) -> Transfer:
    """Photon transfer of repeated frames: mean and variance of each pixel.

    The line alone cannot tell offset and read noise apart. The third moment can: that of Poisson noise
    is gain ** 2 * (mean - offset), that of read noise is nothing. Read noise within two standard errors
    of none is taken to be none.

    Parameters
    ----------
    stack : ndarray
        (F, Y, X), any real dtype, at least three frames of one scene.
    offset : float, optional
        The camera's, where it is known from a dark frame.

    Raises
    ------
    ValueError
        If there are fewer than three frames.
    """
    count = len(stack)
    if count < 3:
        raise ValueError(f"photon transfer: expected at least 3 frames of one scene, found {count}")
    frames = np.asarray(stack, dtype=np.float64)
    average = frames.mean(axis=0)
    # Of Poisson noise, the variance and the third moment are unbiased at any given mean of the frames, so
    # that these may choose the classes. Of read noise they are not quite: a little smoothing makes up for it.
    order = np.argsort(ndimage.gaussian_filter(average, 1.0), axis=None)
    second = frames.var(axis=0, ddof=1).ravel()
    third = ((frames - average) ** 3).sum(axis=0).ravel() * count / ((count - 1) * (count - 2))
    classes = np.array_split(order, CLASSES)
    mean, variance, skew = (np.array([x.ravel()[c].mean() for c in classes]) for x in (average, second, third))
    slope, intercept, scatter = fit_line(mean, variance)
    if offset is None and _grows(mean, variance, slope):
        errors = np.array([third[c].std() / math.sqrt(len(c)) for c in classes]) / slope**2
        weights = 1 / np.maximum(errors, 1e-9 * errors.max() + 1e-300) ** 2
        dark = float(np.average(mean - skew / slope**2, weights=weights))
        if intercept + slope * dark > 2 * slope / math.sqrt(weights.sum()):
            offset = dark
    return _transfer(mean, variance, (slope, intercept, scatter), offset)


def transfer_of_images(planes: NDArray[Any], offset: float | None = None, passed: float = 1.0) -> Transfer:
    """Photon transfer of single images of one camera, from what is finer than a microscope resolves.

    Fourth differences along both axes leave the noise and next to nothing of the image. The classes are
    those of a smoothed image; the mean of a class is weighted as the differences weight the noise.

    Parameters
    ----------
    planes : ndarray
        (P, Y, X), any real dtype.
    offset : float, optional
        The camera's, where it is known from a dark frame. Otherwise no read noise is supposed.
    passed : float
        Share of the noise's power that the differences leave (`Correlation.passed`); 1 of white noise.
    """
    weights, points, edge = FOURTH**2 / (FOURTH**2).sum(), [], len(FOURTH) // 2
    for plane in np.asarray(planes, dtype=np.float64):
        power = (differences(differences(plane, 0, FOURTH), 1, FOURTH) ** 2).ravel() / passed
        local = ndimage.convolve1d(ndimage.convolve1d(plane, weights, axis=0), weights, axis=1)
        smooth = ndimage.gaussian_filter(plane, 3.0)
        local, smooth = (x[edge:-edge, edge:-edge].ravel() for x in (local, smooth))
        classes = np.array_split(np.argsort(smooth), CLASSES)
        points += [(local[c].mean(), power[c].mean()) for c in classes]
    mean, variance = np.array(points).T
    return _transfer(mean, variance, fit_line(mean, variance), offset)


def fit_line(mean: Array, variance: Array) -> tuple[float, float, float]:
    """Slope and intercept of the line through the points, and their relative scatter about it.

    The variance of a variance is proportional to its square, so the darkest points are the surest; points
    far off (edges that are too sharp, saturation) lose weight (Huber, 1964).
    """
    weight = np.ones_like(variance)
    floor = max(0.05 * float(np.median(variance)), 1e-9 * float(variance.max())) or 1.0
    for _ in range(8):
        slope, intercept = _line(mean, variance, (weight / weight.max()) ** 2)
        line = np.maximum(slope * mean + intercept, floor)
        off = np.abs(variance - line) / line
        usual = max(float(np.median(off)) / 0.6745, 1e-9)
        weight = np.sqrt(np.minimum(1, 1.5 * usual / np.maximum(off, 1e-9))) / line
    return float(slope), float(intercept), float(np.sqrt((off**2).mean()))


def _line(x: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Slope and intercept by least squares; flat where all of x is one number."""
    middle, level = np.average(x, weights=weight), np.average(y, weights=weight)
    power = (weight * (x - middle) ** 2).sum()
    slope = (weight * (x - middle) * (y - level)).sum() / power if np.ptp(x) > 0 and power > 0 else 0.0
    return slope, level - slope * middle


def _grows(mean: Array, variance: Array, slope: float) -> bool:
    """Whether the line is more than chance: a tenth of the variance, from the darkest class to the brightest."""
    return slope > 0 and slope * float(np.ptp(mean)) > 0.1 * float(variance.mean())


def _transfer(mean: Array, variance: Array, line: tuple[float, float, float], offset: float | None) -> Transfer:
    slope, intercept, scatter = line
    if not _grows(mean, variance, slope):
        return Transfer(mean, variance, slope, intercept, scatter, None, False)
    if offset is None:
        camera = Camera(slope, -intercept / slope)
    else:
        camera = Camera(slope, offset, math.sqrt(max(0.0, intercept + slope * offset)))
    return Transfer(mean, variance, slope, intercept, scatter, camera, offset is not None)
