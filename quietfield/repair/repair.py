"""Planes as the network should see them, and what has to be put back into its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.planes import invalid
from quietfield.repair.areas import Area, find_areas
from quietfield.repair.fill import filled
from quietfield.repair.outliers import find_outliers, replaced

Mask = NDArray[np.bool_]

OUTLIERS = ("auto", "keep", "off")
LISTED = 1000  # outliers whose places are kept for the report


@dataclass(frozen=True)
class Repaired:
    """A plane that was made fit for the network.

    Attributes
    ----------
    plane : ndarray
        (Y, X); the very plane where nothing was to do.
    kept : ndarray or None
        bool, (Y, X): pixels that the answer has as the input had them; None where there are none.
    original : ndarray
        (Y, X), as it came.
    """

    plane: NDArray[Any]
    kept: Mask | None
    original: NDArray[Any]

    def restored(self, answer: NDArray[Any]) -> NDArray[Any]:
        """The network's answer (scale * Y, scale * X), with the pixels that are kept as they were."""
        if self.kept is None:
            return answer
        scale = len(answer) // len(self.kept)
        kept, original = (x.repeat(scale, 0).repeat(scale, 1) for x in (self.kept, self.original))
        with np.errstate(over="ignore"):
            result: NDArray[Any] = np.where(kept, original.astype(answer.dtype), answer)
        return result


@dataclass
class Findings:
    """What was found in the planes of a series, for the report.

    Attributes
    ----------
    planes : int
        That were looked at.
    invalid : int
        Pixels that are NaN, infinite or too large.
    bright, dark : int
        Isolated outliers.
    places : list of tuple
        (plane, Y, X) of the first outliers.
    borders : Counter
        Planes by the words for a constant border of theirs.
    saturated, constant : int
        Pixels of areas inside of planes, at their greatest value and at their least.
    """

    planes: int = 0
    invalid: int = 0
    bright: int = 0
    dark: int = 0
    places: list[tuple[int, int, int]] = field(default_factory=list)
    borders: Counter[str] = field(default_factory=Counter)
    saturated: int = 0
    constant: int = 0

    def note(self, plane: NDArray[Any], bad: Mask, areas: Iterable[Area], outliers: Mask) -> None:
        """Count what was found in the next plane."""
        self.planes += 1
        self.invalid += int(bad.sum())
        for area in areas:
            if area.border:
                self.borders[area.words()] += 1
            elif area.brightest:
                self.saturated += int(area.mask.sum())
            else:
                self.constant += int(area.mask.sum())
        if outliers.any():
            usual = np.median(plane[~outliers & ~bad])
            bright = int((plane[outliers] > usual).sum())
            self.bright += bright
            self.dark += int(outliers.sum()) - bright
            room = LISTED - len(self.places)
            self.places += [(self.planes - 1, int(y), int(x)) for y, x in np.argwhere(outliers)[:room]]


class Repair:
    """Finds in planes what is no measurement, and has the network see them without it.

    Parameters
    ----------
    outliers : str
        "auto": isolated outliers are replaced. "keep": the network does not see them, but the answer has them as they
        were. "off": nobody looks for them.
    fill_invalid : bool
        The answer has numbers in the place of NaN and infinities.
    always : ndarray, optional
        bool, (Y, X): pixels that are outliers in every plane, as `persistent` finds them.

    Raises
    ------
    ValueError
        If `outliers` is something else.
    """

    def __init__(self, outliers: str = "auto", fill_invalid: bool = False, always: Mask | None = None) -> None:
        if outliers not in OUTLIERS:
            raise ValueError(f"outliers: expected {', '.join(OUTLIERS)}, found {outliers!r}")
        self.outliers, self.fill_invalid, self.always = outliers, fill_invalid, always

    def __call__(self, plane: NDArray[Any], findings: Findings | None = None) -> Repaired:
        """Repair a plane (Y, X) of any real dtype, and note what was found."""
        bad, areas = invalid(plane), find_areas(plane)
        no_measurement = _union([bad, *(area.mask for area in areas)])
        nothing = no_measurement.all() or _constant(plane[~no_measurement])
        seen, found = plane, np.zeros(plane.shape, bool)
        if not nothing:
            unseen = _union([bad, *(area.mask for area in areas if area.sharp)])
            if unseen.any():
                seen = filled(plane.astype(np.float64), unseen)
            found = self._outliers_of(seen) & ~no_measurement
        if findings is not None:
            findings.note(plane, bad, areas, found)
        if nothing:
            return self._as_it_came(plane, bad)
        kept = no_measurement & ~bad if self.fill_invalid else no_measurement
        if self.outliers == "keep":
            kept = kept | found
        if found.any():
            seen = replaced(seen.astype(np.float64), found)
        return Repaired(seen, kept if kept.any() else None, plane)

    def _as_it_came(self, plane: NDArray[Any], bad: Mask) -> Repaired:
        """A plane of one value, beside what is no measurement: there is nothing to denoise."""
        if not bad.any():
            return Repaired(plane, None, plane)
        usual = 0.0 if bad.all() else float(plane[~bad].mean(dtype=np.float64))
        return Repaired(np.full(plane.shape, usual), ~bad if self.fill_invalid else np.ones_like(bad), plane)

    def _outliers_of(self, seen: NDArray[Any]) -> Mask:
        if self.outliers == "off":
            return np.zeros(seen.shape, bool)
        found = find_outliers(seen)
        return found if self.always is None else found | self.always


def _union(masks: list[Mask]) -> Mask:
    result = masks[0].copy()
    for mask in masks[1:]:
        result |= mask
    return result


def _constant(values: NDArray[Any]) -> bool:
    return bool(values.min() == values.max())
