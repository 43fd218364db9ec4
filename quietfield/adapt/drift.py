"""Where a scene that drifts lies in each plane: by its correlation with the planes before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 512  # pixels of a side, in the middle of a plane, that are looked at
FINEST, COARSEST = 1.5, 16.0  # pixels, widths of the structure that is compared
MEMORY = 0.85  # of what was seen, that is kept when a plane is added
FOUND = 8.0  # standard deviations of the correlation elsewhere, that a place must stand out by
SURE = 2.0  # standard errors of a place, beyond which the scene has moved
APART = 1.0  # pixels, standard error of a place that is none, as where things move by themselves
NEAR = 4  # pixels, within which the halves of a plane are looked at by themselves
FURTHEST = 0.25  # of a quarter's side, that a scene may move from one plane to the next
SMALLEST = 16  # pixels, side of a quarter

Place = tuple[float, float]  # pixels down and to the right
Part = tuple[slice, ...]
Spectra = NDArray[np.complex128]  # of the four quarters of a plane, (4, Y, X)


class Drift:
    """Follows a scene through planes that are given one after the other.

    The four quarters of a plane are looked at by themselves: how far they disagree tells how sure the place is, so
    that neither noise nor things that move by themselves are taken for a drift.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> scene = gaussian_filter(np.random.default_rng(0).normal(size=(160, 160)), 2)
    >>> drift = Drift()
    >>> [round(at) for plane in (scene[8:136, 8:136], scene[6:134, 11:139]) for at in drift.place(plane)]
    [0, 0, 2, -3]
    """

    def __init__(self) -> None:
        self.mean: Spectra | None = None  # of the planes before, moved to where the first one is
        self.at = np.zeros(2)  # pixels, where the last plane lay
        self.error, self.seen = 0.0, 0.0  # sum of the places' squared errors, and of how many

    def place(self, plane: NDArray[Any]) -> Place:
        """How far the scene has moved since the first plane, in pixels down and to the right.

        Parameters
        ----------
        plane : ndarray
            (Y, X), finite, any real dtype; all planes of one shape.

        Returns
        -------
        tuple of float
            As of the last plane, if the scene is not found again, or not surely elsewhere.
        """
        quarters = _quarters(plane)
        if min(quarters.shape[1:]) < SMALLEST:
            return 0.0, 0.0
        spectra = _spectra(quarters)
        if self.mean is None:
            self.mean = spectra
            return 0.0, 0.0
        shape = quarters.shape[1:]
        product = spectra * np.conj(_moved(self.mean, self.at, shape))
        found = _found(np.fft.irfft2(product, shape, axes=(1, 2)))
        if found is None:
            self.mean = np.zeros_like(spectra)  # another scene
        else:
            step, apart = found
            self.error, self.seen = MEMORY * self.error + apart**2, MEMORY * self.seen + 1
            if apart < APART and np.hypot(*step) > SURE * np.sqrt(self.error / self.seen):
                self.at = self.at + step
        self.mean = MEMORY * self.mean + _moved(spectra, -self.at, shape)
        return float(self.at[0]), float(self.at[1])


def overlap(shape: tuple[int, ...], one: Place, other: Place) -> tuple[Part, Part]:
    """The part of two planes (Y, X) in which both show the same of a scene, to whole pixels, by its places in them.

    Examples
    --------
    >>> overlap((10, 10), (0.0, 0.4), (2.1, -2.8))
    ((slice(0, 8, None), slice(3, 10, None)), (slice(2, 10, None), slice(0, 7, None)))
    """
    steps = [round(b - a) for a, b in zip(one, other, strict=True)]
    here = tuple(slice(max(0, -step), max(0, side - max(0, step))) for step, side in zip(steps, shape, strict=True))
    there = tuple(slice(max(0, step), max(0, side - max(0, -step))) for step, side in zip(steps, shape, strict=True))
    return here, there


def _quarters(plane: NDArray[Any]) -> NDArray[np.float64]:
    """(4, Y, X): of the middle of a plane, what lies opposite each other first."""
    y, x = (min(side, LARGEST) // 2 for side in plane.shape)
    top, left = ((side - 2 * half) // 2 for side, half in zip(plane.shape, (y, x), strict=True))
    part = plane[top : top + 2 * y, left : left + 2 * x].astype(np.float64)
    return np.stack([part[:y, :x], part[y:, x:], part[:y, x:], part[y:, :x]])


def _spectra(quarters: NDArray[np.float64]) -> Spectra:
    """Of the structure that is compared; the borders, where something else appears, count little."""
    y, x = (_window(side) for side in quarters.shape[1:])
    window = y[:, None] * x
    part = (quarters - (quarters * window).sum(axis=(1, 2), keepdims=True) / window.sum()) * window
    down, right = _frequencies(quarters.shape[1:])
    square = (down**2 + right**2) * (2 * np.pi) ** 2 / 2
    return np.asarray(np.fft.rfft2(part, axes=(1, 2)) * (np.exp(-square * FINEST**2) - np.exp(-square * COARSEST**2)))


def _moved(spectra: Spectra, by: NDArray[np.float64], shape: tuple[int, ...]) -> Spectra:
    down, right = _frequencies(shape)
    return np.asarray(spectra * np.exp(-2j * np.pi * (down * by[0] + right * by[1])))


def _window(side: int) -> NDArray[np.float64]:
    return np.hanning(side + 2)[1:-1]


def _shared(side: int) -> NDArray[np.float64]:
    """How much two windows share, the one moved by -side / 2 to side / 2 pixels; 1 if by none."""
    window = _window(side)
    return np.correlate(window, window, "same") / np.sum(window**2)


def _frequencies(shape: tuple[int, ...]) -> tuple[Any, Any]:
    return np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]


def _found(correlations: NDArray[np.float64]) -> tuple[Any, float] | None:
    """How far a plane has moved, pixels (2,), and the standard error of that; None if it may be another scene.

    Parameters
    ----------
    correlations : ndarray
        (4, Y, X), of each quarter with the same one before.
    """
    correlations = np.fft.fftshift(correlations, axes=(1, 2))
    total = correlations.sum(axis=0)
    spread = 1.4826 * np.median(np.abs(total - np.median(total)))
    far = np.array([max(2, int(FURTHEST * side)) for side in total.shape])
    inner = tuple(slice(side // 2 - n, side // 2 + n + 1) for side, n in zip(total.shape, far, strict=True))
    # The farther a scene has moved, the less of what one window shows is in the other.
    y, x = (_shared(side)[part] for side, part in zip(total.shape, inner, strict=True))
    shared = y[:, None] * x
    correlations = correlations[:, *inner] / shared
    total = correlations.sum(axis=0)
    top = np.array(np.unravel_index(int(total.argmax()), total.shape))
    if not total[tuple(top)] * shared[tuple(top)] > FOUND * spread:
        return None
    apart = []
    for other in (1, 2, 3):
        half = correlations[[0, other]].sum(axis=0)
        apart.append(np.hypot(*(_top(half, top) - _top(total - half, top))))
    return _top(total, top) - far, max(apart) / 2


def _top(correlation: NDArray[np.float64], near: NDArray[Any]) -> Any:
    """Where a correlation is highest within some pixels of a place, to below a tenth of a pixel."""
    low, high = np.maximum(near - NEAR, 1), np.minimum(near + NEAR + 1, np.array(correlation.shape) - 1)
    part = correlation[low[0] : high[0], low[1] : high[1]]
    at = low + np.unravel_index(int(part.argmax()), part.shape)
    best, exact = float(correlation[tuple(at)]), at.astype(np.float64)
    for axis, step in enumerate(np.eye(2, dtype=int)):
        before, after = float(correlation[tuple(at - step)]), float(correlation[tuple(at + step)])
        bend = 2 * best - before - after  # of a parabola through three points
        if bend > 0:
            exact[axis] += np.clip(0.5 * (after - before) / bend, -0.5, 0.5)
    return exact
