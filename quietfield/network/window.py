"""What a network for stacks is given: the plane to denoise, those beside it, and means of those farther away.

Two planes before and two behind are seen one by one, the next two as their mean, then four, and so on: where a scene
stands still, many planes count, for the price of a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SINGLE = 2  # planes on either side that are seen one by one


def slots(planes: int) -> list[range]:
    """Which planes each input of a network is the mean of, counted from the one to denoise.

    Parameters
    ----------
    planes : int
        Inputs of the network, an odd number.

    Examples
    --------
    >>> [[*slot] for slot in slots(7)]
    [[-4, -3], [-2], [-1], [0], [1], [2], [3, 4]]
    """
    behind, start = [], 1
    for number in range(planes // 2):
        length = 1 if number < SINGLE else 2 ** (number - SINGLE + 1)
        behind.append(range(start, start + length))
        start += length
    before = [range(1 - slot.stop, 1 - slot.start) for slot in reversed(behind)]
    return [*before, range(1), *behind]


def reach(planes: int) -> int:
    """How many planes on either side count."""
    return slots(planes)[-1][-1]


def merged(window: Sequence[NDArray[Any] | None], planes: int) -> list[NDArray[Any] | None]:
    """The inputs of a network, from the planes around one.

    Parameters
    ----------
    window : sequence of ndarray or None
        2 `reach(planes)` + 1 planes (Y, X); None for those that a stack lacks.
    planes : int
        Inputs of the network.

    Returns
    -------
    list of ndarray or None
        (Y, X) each, of the planes' type, or float32 of several; None where a stack has none of them.
    """
    own = len(window) // 2
    result: list[NDArray[Any] | None] = []
    for slot in slots(planes):
        there = [plane for offset in slot if (plane := window[own + offset]) is not None]
        if len(there) > 1:
            total = there[0].astype(np.float32)
            for plane in there[1:]:
                total += plane
            result.append(total / len(there))
        else:
            result.append(there[0] if there else None)
    return result
