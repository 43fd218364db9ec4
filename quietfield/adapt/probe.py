"""What is looked at of a series, before anything is decided: some of its planes, from its beginning to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.adapt.series import Series
from quietfield.files.stack import Stack
from quietfield.network.normalise import noise_std
from quietfield.planes import middle
from quietfield.repair.outliers import find_outliers
from quietfield.repair.repair import Findings, Repair, Repaired

LOOKED = 8  # planes, spread over the series
KEPT = 4  # of them, those with the most contrast
LEAST_CONTRAST = 0.5  # of the best one's, that the others have: a blank plane tells nothing
PERSISTENT = 4  # planes at least, whose mean tells what is an outlier in each of them
LARGEST = 512  # side of what is kept of each plane, in the middle

Planes = NDArray[Any]


@dataclass(frozen=True)
class Probe:
    """Planes that tell what a series is like.

    Attributes
    ----------
    planes : ndarray
        (N, Y, X), intensity units, repaired: the middle of those with contrast.
    best : tuple of int
        Line and place in it of the one in the middle of those.
    always : ndarray or None
        bool, (Y, X) of whole planes: pixels that are outliers in every plane.
    seen : dict
        The middle of each plane that was looked at, by its index, unless there is more to repair in it.
    alone : tuple or None
        Of a series of one plane: the plane, repaired, and what was found in it.
    """

    planes: Planes
    best: tuple[int, int]
    always: NDArray[np.bool_] | None
    alone: tuple[Repaired, Findings] | None = None
    seen: dict[int, Planes] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(stack: Stack, series: Series, repair: Repair) -> Probe:
        """Look at a series of a stack."""
        length = len(series.lines[0])
        every = len(series.lines) * length
        places = dict.fromkeys(int(k) for k in np.linspace(0, every - 1, min(every, LOOKED)))
        if every == 1:
            findings = Findings()
            repaired = repair(stack.plane(series.lines[0][0]), findings)
            return Probe(middle(repaired.plane, LARGEST)[None], (0, 0), None, (repaired, findings))
        crops, mean = [], np.zeros(1)
        for k in places:
            plane = repair(stack.plane(series.lines[k // length][k % length])).plane
            mean = mean + plane.astype(np.float64) / len(places)
            crops.append(middle(plane, LARGEST).copy())
        contrast = np.array([_contrast(crop) for crop in crops])
        order = np.argsort(-contrast, kind="stable")
        chosen = sorted(k for k in order[:KEPT] if contrast[k] >= LEAST_CONTRAST * contrast[order[0]])
        best = list(places)[int(chosen[len(chosen) // 2])]
        always = find_outliers(mean) if len(places) >= PERSISTENT and repair.outliers != "off" else None
        always = always if always is not None and always.any() else None
        indices = [series.lines[k // length][k % length] for k in places]
        seen = dict(zip(indices, crops, strict=True)) if always is None else {}
        return Probe(np.stack([crops[k] for k in chosen]), (best // length, best % length), always, seen=seen)

    def beside(self, stack: Stack, series: Series, count: int, repair: Repair) -> Planes:
        """The middle of so many planes (N, Y, X) at most, around the best one, without blank ones among them."""
        line, least = series.lines[self.best[0]], LEAST_CONTRAST * min(map(_contrast, self.planes))
        start = min(max(0, self.best[1] - count), max(0, len(line) - 2 * count))
        found: list[Planes] = []
        middle_one = 0
        for place in range(start, min(len(line), start + 2 * count)):
            crop = self.seen.get(line[place])
            if crop is None:
                crop = middle(repair(stack.plane(line[place])).plane, LARGEST).copy()
            if _contrast(crop) >= least:
                middle_one = len(found) if place <= self.best[1] else middle_one
                found.append(crop)
        first = min(max(0, middle_one - count // 2), max(0, len(found) - count))
        return np.stack(found[first : first + count])


def _contrast(plane: Planes) -> float:
    """Spread of a plane in that of its noise: about 1 where there is nothing but noise, 0 where there is nothing."""
    x = plane.astype(np.float64)
    spread, noise = float(x.std()), float(noise_std(x[None])[0, 0, 0])
    return 0.0 if spread <= 1e-12 * abs(float(x.mean())) else spread / max(noise, 1e-9 * spread)
