"""Mean and standard deviation of any amount of pixels, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 21  # pixels taken at a time: 16 MiB of float64


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations and range of the finite pixels seen.

    Attributes
    ----------
    count : int
        Finite pixels.
    mean, m2 : float
        Their mean, and the sum of the squares of their deviations from it; intensity units.
    nan : int
        Pixels left out: NaN or infinite.
    low, high : float
        Smallest and largest; infinite, and the wrong way round, where there are none.
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    nan: int = 0
    low: float = math.inf
    high: float = -math.inf

    @property
    def std(self) -> float:
        """Standard deviation of the pixels (divided by their count); NaN where there are none."""
        return math.sqrt(self.m2 / self.count) if self.count else math.nan

    @classmethod
    def of(cls, array: NDArray[Any], chunk: int = CHUNK) -> Moments:
        """The moments of an array of any shape and real dtype, which may be memory-mapped."""
        total = cls()
        for piece in chunks(array, chunk):
            total = total.merge(cls._of_piece(piece))
        return total

    @classmethod
    def _of_piece(cls, piece: NDArray[np.float64]) -> Moments:
        finite = np.isfinite(piece)
        valid = piece if finite.all() else piece[finite]
        if not valid.size:
            return cls(nan=piece.size)
        mean = float(valid.mean())
        m2 = float(np.square(valid - mean).sum())
        return cls(valid.size, mean, m2, piece.size - valid.size, float(valid.min()), float(valid.max()))

    def merge(self, other: Moments) -> Moments:
        """The moments of both together, without the cancellation of a sum of squares.

        Source: Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm for computing
        sample variances, 1979.
        """
        count = self.count + other.count
        share = other.count / max(count, 1)
        step = other.mean - self.mean
        return Moments(
            count,
            self.mean + share * step,
            self.m2 + other.m2 + share * self.count * step**2,
            self.nan + other.nan,
            min(self.low, other.low),
            max(self.high, other.high),
        )


def chunks(array: NDArray[Any], chunk: int = CHUNK) -> Iterator[NDArray[np.float64]]:
    """All pixels, float64, so many at a time, in the order in which they lie in memory."""
    pixels = array.ravel(order="K")  # a view of all that `numpy.load` maps, in C or in Fortran order
    for start in range(0, pixels.size, chunk):
        yield np.asarray(pixels[start : start + chunk], dtype=np.float64)


def mean_frame(stack: NDArray[Any], chunk: int = CHUNK) -> NDArray[np.float64]:
    """Mean of the frames of a stack, in constant memory.

    Parameters
    ----------
    stack : ndarray
        (F, Y, X), any real dtype, which may be memory-mapped.
    chunk : int
        Pixels taken at a time, but at least one frame.

    Returns
    -------
    ndarray
        float64, (Y, X), intensity units; the mean of a pixel's finite values, and NaN where there are none.
    """
    total, count = np.zeros(stack.shape[1:]), np.zeros(stack.shape[1:])
    step = max(1, chunk // max(1, total.size))
    for start in range(0, len(stack), step):
        frames = np.asarray(stack[start : start + step], dtype=np.float64)
        finite = np.isfinite(frames)
        total += np.where(finite, frames, 0).sum(axis=0)
        count += finite.sum(axis=0)
    result = np.full(total.shape, np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result
