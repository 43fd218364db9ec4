"""Bring an image into the network's units, and the answer back into the image's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = ("plane", "noise", "dataset")


@dataclass(frozen=True)
class Normalisation:
    """How centre and scale are chosen; z = (x - centre) / scale.

    Attributes
    ----------
    kind : str
        "plane": mean and standard deviation of each plane. "noise": its mean, and the standard
        deviation of its noise. "dataset": `mean` and `std` as given, for every image (the only
        kind that does not follow a gain or an offset of the input).
    mean, std : float
        Intensity units of the training images; used by "dataset" alone.
    """

    kind: str = "plane"
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or not self.std > 0:
            raise ValueError(
                f"normalisation: expected a kind of {', '.join(KINDS)} and std > 0, "
                f"found kind={self.kind!r}, std={self.std}"
            )

    def statistics(self, planes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre and scale of each plane.

        Parameters
        ----------
        planes : ndarray
            (N, Y, X), any real dtype, finite values.

        Returns
        -------
        centre, scale : ndarray
            float64, (N, 1, 1), intensity units. The scale of a constant plane is 0.
        """
        x = np.asarray(planes, dtype=np.float64)
        if self.kind == "dataset":
            shape = (len(x), 1, 1)
            return np.full(shape, self.mean), np.full(shape, self.std)
        centre = x.mean(axis=(1, 2), keepdims=True)
        scale = x.std(axis=(1, 2), keepdims=True)
        if self.kind == "noise":
            noise = noise_std(x)
            scale = np.where(noise > 0, noise, scale)
        # What rounding leaves of a constant plane is not contrast.
        return centre, np.where(scale <= 1e-12 * np.abs(centre), 0.0, scale)


def noise_std(planes: NDArray[Any]) -> NDArray[np.float64]:
    """Standard deviation of the white noise, from second differences along both axes.

    A smooth image all but vanishes in x[i,j] - x[i,j+1] - x[i+1,j] + x[i+1,j+1], while white
    noise of variance s2 leaves 4 s2 (the smallest of the masks of Immerkaer, 1996).

    Parameters
    ----------
    planes : ndarray
        (N, Y, X), any real dtype.

    Returns
    -------
    ndarray
        float64, (N, 1, 1), intensity units; 0 for planes with a side of one pixel.
    """
    x = np.asarray(planes, dtype=np.float64)
    if min(x.shape[1:]) < 2:
        return np.zeros((len(x), 1, 1))
    result: NDArray[np.float64] = np.sqrt((second_differences(x) ** 2).mean(axis=(1, 2), keepdims=True) / 4)
    return result


def second_differences(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of planes (..., Y, X) when smooth structure is taken away: (..., Y - 1, X - 1)."""
    result: NDArray[np.float64] = np.diff(np.diff(planes, axis=-2), axis=-1)
    return result


def normalise(planes: NDArray[Any], centre: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Apply `Normalisation.statistics`: (N, Y, X) in intensity units to float32 network units.

    A constant plane (scale 0) becomes zeros, and `undo` makes of it the very constant again.
    """
    contrast = np.asarray(planes, dtype=np.float64) - centre
    return np.divide(contrast, scale, out=np.zeros_like(contrast), where=scale > 0).astype(np.float32)


def undo(values: NDArray[np.float32], centre: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Invert `normalise`: (N, Y, X) in network units to float32 intensity units."""
    return (values.astype(np.float64) * scale + centre).astype(np.float32)
