"""What every answer of a network is held to: a denoiser moves light and makes none, and leaves no lines out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.repair.periodic import with_lost_lines

SAMPLED = 2**16  # pixels that tell the usual value
TOLERANCE = 0.0025  # of a plane's light, that the answer may have more or less


def corrected(answer: NDArray[np.float32], plane: NDArray[Any]) -> NDArray[np.float32]:
    """A network's answer to a plane (Y, X), with the lines that it took for noise, and with the plane's mean."""
    return with_mean_of(with_lost_lines(answer, plane), plane)


def with_mean_of(answer: NDArray[np.float32], plane: NDArray[Any]) -> NDArray[np.float32]:
    """An answer of the plane's mean; where it was not, and most pixels are dark, none is darker than those.

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
    light = mean - least
    middle = float(np.median(plane.ravel()[:: max(1, plane.size // SAMPLED) | 1]))
    off = abs(float(answer.mean(dtype=np.float64)) - mean)
    # Where the least is noise below many dark pixels, the light is what the mean has above those.
    if not light > 0 or off <= TOLERANCE * min(light, 4 * abs(mean - middle)):
        return answer
    if middle == least:  # counts of photons, most of them none
        answer = np.maximum(answer, np.float32(least))
    found = float(answer.mean(dtype=np.float64)) - least
    return (least + (answer - np.float64(least)) * (light / found)).astype(np.float32)
