"""Test-time augmentation: the mean of a network's answers to the turns and mirrors of a plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

TURNS = 8  # turns and mirrors of a plane


def self_ensemble(denoiser: Callable[[NDArray[Any]], NDArray[np.float32]], planes: NDArray[Any]) -> NDArray[np.float32]:
    """Denoise all turns and mirrors of planes, and average the answers.

    Parameters
    ----------
    denoiser : callable
        A `Denoiser`, or what takes and gives planes as one; called eight times.
    planes : ndarray
        (N, Y, X), any real dtype, intensity units.

    Returns
    -------
    ndarray
        float32, (N, Y, X), intensity units.
    """
    total: Any = 0.0
    for turns in range(TURNS // 2):
        for step in (1, -1):
            answer = denoiser(np.rot90(planes, turns, axes=(1, 2))[..., ::step])
            total = total + np.rot90(answer[..., ::step], -turns, axes=(1, 2)).astype(np.float64)
    return np.asarray(total / TURNS, dtype=np.float32)
