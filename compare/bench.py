"""What cases have in common: their limits, the public API that denoises them, and how answers are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.scenes import Array, Mask


@dataclass(frozen=True)
class Limit:
    """The least and the greatest value that are well."""

    low: float = -np.inf
    high: float = np.inf

    def holds(self, value: float) -> bool:
        """Whether a value is well; NaN never is."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:g}"
        if np.isinf(self.low):
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if np.isinf(self.high) else f"{self.low:g} to {self.high:g}"


OUTSIDE = Limit(high=1.3)  # RMSE outside of a disturbance, in that of the scene without it
NONE, ALL = Limit(0, 0), Limit(1, 1)
FLUX = Limit(0.95, 1.05)
SLOPE = Limit(0.95, 1.05)
TENFOLD = Limit(-0.1, 0.1)
BESIDE = 3  # pixels
DARK = 1.0  # photo-electrons of something bright, below which a pixel belongs to the dim part

Found = tuple[str, str, float, Limit]  # case, measure, value, limit


@dataclass
class Picture:
    """A scene that is shown: (Y, X) each, and the range of values."""

    image: NDArray[Any]
    answer: Array
    truth: Array
    low: float
    high: float


@dataclass
class Bench:
    """Denoises by the public API, and keeps what is shown.

    Attributes
    ----------
    model
        What `quietfield.load` gives; of `Other`, a function of an image and its ground truth.
    report
        Of the last image.
    pictures : dict
        By kind and case.
    failed : list of str
        What the API said of images that it could not denoise.
    """

    model: Any
    report: Any = None
    pictures: dict[str, Picture] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def __call__(self, image: NDArray[Any], axes: str = "YX", truth: Array | None = None) -> Array:
        """The answer to an image, float64; NaN all over where there is none. A ground truth is for `Other` alone."""
        try:
            answer, self.report = self.model.denoise(image, axes=axes, report=True)
        except (ValueError, ArithmeticError, RuntimeError, IndexError, MemoryError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            return np.full(image.shape, np.nan)
        return np.asarray(answer, np.float64)

    def found(self) -> float:
        """Outliers that were found in the last image; none where the version does not look for them."""
        parts = getattr(self.report, "parts", ())
        counts = [part.findings.bright + part.findings.dark for part in parts if hasattr(part, "findings")]
        return float(sum(counts))

    def together(self) -> float:
        """The share of series whose planes help each other."""
        parts = getattr(self.report, "parts", None) or [self.report]
        return float(np.mean([part.plan.chance is not None for part in parts]))

    def show(self, name: str, image: NDArray[Any], answer: Array, truth: Array, where: Mask | None = None) -> None:
        """Keep a picture; it is shown in the range of values that the ground truth has, at some pixels or at all."""
        low, high = np.percentile(truth if where is None else truth[where], (0.5, 99.8))
        self.pictures[name] = Picture(np.asarray(image), answer, truth, float(low), float(high))


@dataclass
class Other(Bench):
    """Another method in place of the public API: of an image and its ground truth, which some are chosen by."""

    def __call__(self, image: NDArray[Any], axes: str = "YX", truth: Array | None = None) -> Array:
        """The answer to an image, float64."""
        return np.asarray(self.model(image.astype(np.float64), truth), np.float64)


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt((values**2).mean()))


def ratio(answer: Array, plain: Array, truth: Array, where: Mask) -> float:
    """RMSE of an answer in that of another one, at some pixels."""
    return rms((answer - truth)[where]) / rms((plain - truth)[where])


def slope(answer: Array, truth: Array) -> float:
    """Of the straight line through the values of an answer over those of the ground truth."""
    return float(np.polyfit(truth.ravel(), answer.ravel(), 1)[0]) if np.isfinite(answer).all() else np.nan


def changed(answer: Array, image: NDArray[Any], where: Mask) -> float:
    """How many of some pixels the answer does not have as the image has them."""
    same = np.isclose(answer, image.astype(np.float64), rtol=1e-6, atol=1e-3, equal_nan=True)
    return float((~same & where).sum())
