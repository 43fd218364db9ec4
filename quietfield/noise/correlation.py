"""What neighbouring pixels, rows, columns and planes share of the noise, told apart from the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SECOND, FOURTH = np.array([1.0, -2.0, 1.0]), np.array([1.0, -4.0, 6.0, -4.0, 1.0])
LAGS = 8  # pixels
BLOCK = 32  # side of the patches, at least, that are measured one by one, and of which the median counts
BLURRED = 0.3  # correlation of neighbours, along both axes, above which fourth differences see too little of the noise
LEAST_PASSED = 0.005  # share of the noise's power below which it is not estimated from what is left


@dataclass(frozen=True)
class Correlation:
    """What pixels share of their noise.

    Attributes
    ----------
    along_y, along_x
        Correlation at 1 to at most 8 pixels along Y and along X, without what whole columns and rows share.
    along_stack
        Correlation with the same pixel of the next plane; NaN of a single plane.
    rows, columns
        Power that whole rows and columns share, as a share of that of the noise without it.
    passed
        Share of the noise's power that fourth differences along both axes leave: 1 of white noise.
    """

    along_y: Array
    along_x: Array
    along_stack: float
    rows: float
    columns: float
    passed: float

    @staticmethod
    def of(planes: NDArray[Any], repeated: bool = False) -> Correlation:
        """Measure planes (P, Y, X): images each by itself, or repeated frames, by what they deviate from their mean.

        Differences along Y take the image away, and leave the correlation of the noise along X as it is; and the
        other way round. That holds of noise whose correlation is the product of one along Y and one along X.
        Noise that is blurred along both is taken away as well: second differences leave more of it, but of the
        image too, and are used only there.
        """
        planes, count = np.asarray(planes, dtype=np.float64), len(planes)
        if repeated:
            planes = planes - planes.mean(axis=0)
        mask = FOURTH
        along_y, along_x = _lags(planes, 1, mask), _lags(planes, 2, mask)
        if min(along_y[0], along_x[0]) > BLURRED:
            mask = SECOND
            along_y, along_x = _lags(planes, 1, mask), _lags(planes, 2, mask)
        rough = differences(planes, 1, FOURTH)
        passed = max(LEAST_PASSED, _passed(along_y) * _passed(along_x))
        power = float((differences(rough, 2, FOURTH) ** 2).mean()) / passed
        rows, columns = (_in_common(x, power) for x in (rough, differences(planes, 2, FOURTH).swapaxes(1, 2)))
        along_stack = _along_stack(differences(differences(planes, 1, mask), 2, mask))
        if repeated:  # deviations of white frames from their mean are themselves correlated, by -1 / (count - 1)
            along_stack = (along_stack * (count - 1) + 1) / count
        return Correlation(along_y, along_x, along_stack, rows, columns, passed)

    def map(self) -> Array:
        """The autocorrelation (2 L + 1, 2 L + 1) at shifts along Y and X: the axes' product, and the patterns."""
        y, x = (np.concatenate([lags[::-1], [1.0], lags]) for lags in (self.along_y, self.along_x))
        result: Array = np.outer(y, x)
        result[len(self.along_y)] += max(0.0, self.rows)
        result[:, len(self.along_x)] += max(0.0, self.columns)
        result /= result.max()
        return result

    def smoothed(self, sigma: float) -> float:
        """Share of the noise's power that a Gaussian leaves of it, wider than what neighbours share."""
        y, x = (1 + 2 * float(np.maximum(0, lags).sum()) for lags in (self.along_y, self.along_x))
        patterns = max(0.0, self.rows) + max(0.0, self.columns)
        wide = 2 * np.sqrt(np.pi) * sigma
        return float((y * x / wide**2 + patterns / wide) / (1 + patterns))


def differences(planes: Array, axis: int, mask: Array) -> Array:
    """Along one axis, which gets shorter; scaled so as to leave white noise its power."""
    length = planes.shape[axis] - len(mask) + 1
    moved = np.moveaxis(planes, axis, 0)
    result = sum(c * moved[i : i + length] for i, c in enumerate(mask / np.sqrt((mask**2).sum())))
    return np.moveaxis(np.asarray(result), 0, axis)


def _lags(planes: Array, axis: int, mask: Array) -> Array:
    """Correlation at 1, 2, ... pixels along an axis, after differences along the other one.

    The median over patches passes over those with much of the image in them.
    """
    rough = differences(planes, 3 - axis, mask)
    rough = rough.swapaxes(axis, 2)
    # What a row shares is its median part: its mean has its brightest structure in it as well.
    shared = np.median(_parts(rough), axis=2, keepdims=True)
    noisy = _power(_patches(rough)) > 0  # not so of a margin of zeros
    patches = _patches(rough - shared)[noisy]
    side, power = patches.shape[2], _power(patches)
    shifts = range(1, min(LAGS, side // 2) + 1)
    if not (power > 0).any():
        return np.zeros(len(shifts))
    products = [np.einsum("nij,nij->n", patches[..., k:], patches[..., :-k]) * side / (side - k) for k in shifts]
    result: Array = np.median(np.array(products)[:, power > 0] / power[power > 0], axis=1)
    return result


def _patches(planes: Array) -> Array:
    """(P, Y, X) cut into (N, y, x), each side of 32 pixels or a little more; what is left over is dropped."""
    height, width = planes.shape[1:]
    rows, columns = max(1, height // BLOCK), max(1, width // BLOCK)
    y, x = height // rows, width // columns
    cut = planes[:, : rows * y, : columns * x].reshape(-1, rows, y, columns, x)
    return np.ascontiguousarray(cut.swapaxes(2, 3)).reshape(-1, y, x)


def _power(patches: Array) -> Array:
    power: Array = np.einsum("nij,nij->n", patches, patches)
    return power


def _passed(lags: Array) -> float:
    """Share of the power of noise of this correlation that fourth differences along its axis leave."""
    reach = len(FOURTH) - 1
    own = np.correlate(FOURTH, FOURTH, "full")[reach:] / (FOURTH**2).sum()
    return float(1 + 2 * (own[1 : len(lags) + 1] * lags[:reach]).sum())


def _in_common(rough: Array, power: float) -> float:
    """Power that the rows share, as a share of a power; of what differences along Y leave (P, Y, X).

    By analysis of variance: what the means of whole rows vary by, less what those of parts of a row would give
    them. The medians pass over the few rows in which an edge of the image runs along.
    """
    parts = _parts(rough)
    means = parts.mean(axis=2, keepdims=True)
    within = _variance(parts - means) / (parts.shape[2] - 1)
    # Where there are rows and nothing else, there is no noise to compare them with.
    return (_variance(means) - within) / power if power > 1e-12 * float(means.var()) else 0.0


def _parts(rough: Array) -> Array:
    """Means (P, Y, parts) of parts of the rows (P, Y, X), of at most 32 pixels each."""
    width = rough.shape[2]
    length = max(1, min(BLOCK, width // 4))
    count = width // length
    parts: Array = rough[..., : count * length].reshape(*rough.shape[:2], count, length).mean(axis=3)
    return parts


def _variance(deviations: Array) -> float:
    return (float(np.median(np.abs(deviations))) / 0.6745) ** 2


def _along_stack(rough: Array) -> float:
    """Correlation with the next plane, of what differences along Y and X leave."""
    if len(rough) < 2:
        return float("nan")
    patches = _patches(rough)
    patches = patches.reshape(len(rough), -1, *patches.shape[1:])
    power = np.einsum("tnij,tnij->tn", patches, patches)
    power = (power[1:] + power[:-1]).sum(axis=0) / 2
    products = np.einsum("tnij,tnij->n", patches[1:], patches[:-1])
    return float(np.median(products[power > 0] / power[power > 0])) if (power > 0).any() else 0.0
