"""A denoiser moves light; it makes none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.0025  # of a plane's light, that the answer may have more or less


def with_mean_of(answer: NDArray[np.float32], plane: NDArray[Any]) -> NDArray[np.float32]:
    """An answer that is nowhere darker than the plane's darkest pixel, and has the plane's mean.

    Parameters
    ----------
    answer : ndarray
        float32, (Y, X) or larger, intensity units.
    plane : ndarray
        (Y, X), any real dtype: what was denoised.

    Examples
    --------
    >>> import numpy
    >>> with_mean_of(numpy.array([[-1, 1, 4]], "float32"), numpy.array([[0, 0, 3]])).tolist()
    [[0.0, 0.6000000238418579, 2.4000000953674316]]
    """
    least, mean = float(plane.min()), float(plane.mean(dtype=np.float64))
    if answer.min() < least:
        answer = np.maximum(answer, np.float32(least))
    light, found = mean - least, float(answer.mean(dtype=np.float64)) - least
    if not light > 0 or not found > 0 or abs(light / found - 1) <= TOLERANCE:
        return answer
    return (least + (answer - np.float64(least)) * (light / found)).astype(np.float32)
