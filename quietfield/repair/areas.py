"""Areas of one constant value: borders of registration and stitching, saturated areas, burnt-in bars and text.

Such pixels are no measurement. Noise repeats a value now and then; it does not repeat it all over an area.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.repair.fill import filled

Mask = NDArray[np.bool_]

SIDES = (
    2,
    3,
    5,
    9,
    17,
    33,
)  # pixels, of the solid squares that an area is made of: the less its value is rare, the larger
CHANCE = 1e-3  # solid squares that a plane of noise may have
AROUND = 8  # pixels, as far as is looked how rare the value is
VALUES = 8  # of a plane that are looked at, those with the most solid squares
MORE = 3.0  # times as many squares of 2 x 2 as independent pixels would make: else their value is not looked at
SATURATED = 64  # pixels of an area, that passes into what is nearly as bright, at least
SHARP = 0.5  # of an area's height above the rest, that a step at its edge has
MUCH = 0.2  # of a plane, in squares of one value: it is looked at in any case
LONG = 32  # pixels of a line that is dead or stuck, at least
RUN = 5  # pixels that follow each other
SAMPLED = 2**14  # pixels that tell the usual value
STROKES, GAP = 0.1, 0.5  # burnt-in strokes: of the pixels, at most; and of their height, that no other pixel reaches
FULL, NEARLY, NEARLY_FULL = 0.02, 0.8, 0.1  # of them at least have the very value; and that share so much of it
REST = 0.1  # of them at most, are something else
LEFT, SOFT = 0.5, 4.0  # times the noise, that is left beside a soft edge at most; and is in it at least
HIGH = 500.0  # times the noise: of what is as high, an optic leaves more than that beside
LEAST, MOST, SOME = 0.003, 0.1, 0.05  # of the height, that a soft edge has at least; and that this share of it has
BROAD = 0.11  # of the height, that an optic makes the pixels have that are beside what is half as high, in the mean
MEDIAN_STEP = 0.6745 * 2**0.5  # median of the differences between neighbours, in the noise
STEPS = 2.0  # of the least difference between values, that an area differs from what is beside it


@dataclass(frozen=True)
class Area:
    """The pixels of one value that are no measurement.

    Attributes
    ----------
    mask : ndarray
        bool, (Y, X).
    value : float
        Of all of them but a soft edge, intensity units.
    border : bool
        Whether they lie along the plane's border, and are not just saturated there.
    brightest : bool
        Whether nothing is brighter: saturated pixels, or something burnt in.
    sharp : bool
        Whether it ends in a step, so that the network must not see it. What is saturated passes into what is bright.
    """

    mask: Mask
    value: float
    border: bool
    brightest: bool
    sharp: bool = True

    def words(self) -> str:
        """What a user sees of a border."""
        rows, columns = (_full(np.asarray(self.mask.all(axis=axis))) for axis in (1, 0))
        rest = self.mask.copy()
        y, x = rest.shape
        rest[: rows[0]] = rest[y - rows[1] :] = rest[:, : columns[0]] = rest[:, x - columns[1] :] = False
        parts = [f"{n} {name}" for name, n in (("rows", sum(rows)), ("columns", sum(columns))) if n]
        if rest.sum() > 0.01 * self.mask.sum():
            parts = [f"{100 * self.mask.mean():.2g} % of the plane"]
        return f"a constant border of {' and '.join(parts)} (value {self.value:g})"


def _large(mask: Mask, least: int) -> Mask:
    """The connected parts of a mask that have so many pixels at least."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    result: Mask = (sizes >= least)[labels]
    return result


def _is_sharp(mask: Mask, plane: NDArray[Any], value: float) -> bool:
    """Whether what is beside an area is nearer to the rest of the plane than to it."""
    window = _bounds(mask, 2)
    beside = plane[window][_grown(mask[window], 1) & ~mask[window]].astype(np.float64)
    rest = float(np.nanmedian(plane[~mask]))
    return bool(value - np.nanmedian(beside) > SHARP * (value - rest))


def _full(lines: Mask) -> tuple[int, int]:
    """How many lines are full, from the first on and from the last."""
    empty = np.flatnonzero(~lines)
    return (int(empty[0]), len(lines) - 1 - int(empty[-1])) if len(empty) else (len(lines), 0)


def find_areas(plane: NDArray[Any]) -> list[Area]:
    """The areas of a constant value; none in a plane that is constant all over.

    Parameters
    ----------
    plane : ndarray
        (Y, X), any real dtype, intensity units; NaN is equal to nothing.

    Returns
    -------
    list of Area
        Values at the plane's border, and inside of it only its darkest and its brightest one.

    Examples
    --------
    >>> import numpy
    >>> plane = numpy.random.default_rng(0).poisson(50, (64, 64))
    >>> plane[:12] = 0
    >>> [area.words() for area in find_areas(plane)]
    ['a constant border of 12 rows (value 0)']
    """
    if min(plane.shape) < max(SIDES[:3]):
        return []
    finite = plane[np.isfinite(plane)]
    if not finite.size or (least := finite.min()) == (most := finite.max()):
        return []
    masks = [(value, mask) for value in (most, least) if (mask := _burnt_in(plane, value)) is not None]
    gone = [value for value, _ in masks]
    solid = _solid(plane)
    values, counts = np.unique(plane[:-1, :-1][solid], return_counts=True)
    for k in np.argsort(-counts)[:VALUES]:
        value, same = values[k], plane == values[k]
        chance = MORE * (1 + plane.size * float(same.mean()) ** 4)
        if value in gone or counts[k] <= min(chance, MUCH * plane.size):
            continue
        at_border = _runs_along_border(same)
        if value not in (least, most) and not at_border:
            continue
        if (mask := _area(same, plane, value, SIDES if at_border else SIDES[2:])) is not None:
            masks.append((value, mask))
    for value, mask in _frame(plane, (most, least)):
        if not any(found[mask].all() for _, found in masks):
            masks.append((value, mask))
    return [
        Area(mask, float(value), border, bool(value == most), sharp)
        for value, found in masks
        for border, mask, sharp in _parts(_without_lines(found), plane, value, brightest=value == most)
        if border or value in (least, most)
    ]


def _frame(plane: NDArray[Any], extremes: tuple[Any, Any]) -> Iterator[tuple[Any, Mask]]:
    """Borders of a single pixel, by their values: sides all of the least or the greatest value, far from all others."""
    sides = ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1))
    for value in extremes:
        mask = np.zeros(plane.shape, bool)
        for side in sides:
            if (plane[side][1:-1] == value).all():  # corners belong to other sides, too
                mask[side] = plane[side] == value
        if mask.any():
            beside = plane[_grown(mask, 1) & ~mask].astype(np.float64)
            far = np.median(np.abs(beside - float(value))) >= STEPS * _step(plane)
            if far and np.mean(beside == value) ** (min(plane.shape) - 2) < CHANCE:
                yield value, mask


def _solid(plane: NDArray[Any]) -> Mask:
    """Where squares of 2 x 2 are of one value, by their first pixel."""
    right = plane[:, 1:] == plane[:, :-1]
    result: Mask = right[1:] & right[:-1] & (plane[1:, :-1] == plane[:-1, :-1])
    return result


def _burnt_in(plane: NDArray[Any], value: Any) -> Mask | None:
    """Strokes of the darkest or brightest value, however thin, if there is nothing between them and the rest.

    Their edges may be soft.
    """
    same = plane == value
    number = np.count_nonzero(same)
    if not RUN <= number <= STROKES * plane.size:
        return None
    some = plane.ravel()[:: max(1, plane.size // SAMPLED)]
    usual = float(np.median(some[np.isfinite(some)])) if np.isfinite(some).any() else float(value)
    beyond = _beyond(plane, usual, value, GAP)
    count = np.count_nonzero(beyond)
    if count == number:
        between = (_beyond(plane, usual, value, 0.0) & ~same).any()
        return _without_bad_lines(_large(same, RUN)) if between else None
    if count > min(STROKES * plane.size, number / FULL):
        return None
    window = _bounds(beyond, AROUND)
    strokes = _large_and_full(beyond[window], _beyond(plane[window], usual, value, NEARLY))
    if np.count_nonzero(strokes) < (1 - REST) * count:
        return None
    strokes |= beyond[window] & _grown(strokes, AROUND)  # what thin strokes are broken into
    rim = _soft_edge(strokes, plane[window], usual, float(value))
    if rim is None:
        return None
    result: Mask = np.zeros(plane.shape, bool)
    result[window] = strokes | rim
    return result


def _large_and_full(beyond: Mask, full: Mask) -> Mask:
    """The connected parts of a mask that have some pixels, and a share of them full."""
    labels, count = ndimage.label(beyond, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    shares = np.bincount(labels[full], minlength=count + 1) / np.maximum(sizes, 1)
    result: Mask = ((sizes >= RUN) & (shares >= NEARLY_FULL))[labels]
    return result


def _beyond(plane: NDArray[Any], usual: float, value: Any, share: float) -> Mask:
    """What is farther from the usual value than a share of the way to another one."""
    limit = usual + share * (float(value) - usual)
    result: Mask = (plane > limit if value > usual else plane < limit) & np.isfinite(plane)
    return result


def _soft_edge(strokes: Mask, plane: NDArray[Any], usual: float, value: float) -> Mask | None:
    """What is beside strokes with a soft edge; None where it is not soft, or as broad as all that an optic makes."""
    height, values = value - usual, plane.astype(np.float64)
    rings = [_grown(strokes, by) for by in (1, 2, 4)]
    edge = rings[0] & ~strokes
    # Nothing else that is so bright is near.
    outside = np.isfinite(plane) & ~_grown(_beyond(plane, usual, value, GAP) & ~strokes, 4)
    steps = np.abs(np.diff(values, axis=1))[(outside & ~rings[1])[:, 1:]]
    beside, further = values[rings[1] & ~rings[0] & outside], values[rings[2] & ~rings[1] & outside]
    if not (len(steps) and len(beside) and len(further) and edge.any()):
        return None
    noise = max(float(np.nanmedian(steps)) / MEDIAN_STEP, 1e-6 * abs(height))
    off = np.sign(height) * (values - filled(values, rings[1] | ~np.isfinite(plane)))
    soft = off > max(LEAST * abs(height), SOFT * noise)
    some = np.mean((off > max(MOST * abs(height), 2 * SOFT * noise))[edge])
    broad = abs(height) < HIGH * noise and np.clip(off[edge], 0, None).mean() > BROAD * abs(height)
    if some < SOME or broad or abs(np.median(beside) - np.median(further)) > LEFT * noise:
        return None
    result: Mask = edge & soft
    return result


def _without_bad_lines(mask: Mask) -> Mask:
    """A mask without thin lines along an axis that begin at the plane's border: they are dead or stuck."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    result = mask.copy()
    for place in ndimage.find_objects(labels):
        sides = sorted(zip((s.stop - s.start for s in place), place, mask.shape, strict=True), key=lambda side: side[0])
        (thin, across, breadth), (long, along, length) = sides
        inside = across.start > 0 and across.stop < breadth
        if thin <= 2 and long >= LONG and inside and (along.start == 0 or along.stop == length):
            result[place] = False
    return result


def _without_lines(mask: Mask) -> Mask:
    """A mask without whole rows and columns inside of the plane, single or in pairs: they are dead or stuck."""
    result = mask.copy()
    for view, full in ((result, mask.all(axis=1)), (result.T, mask.all(axis=0))):
        lines = np.flatnonzero(np.asarray(full))
        for group in np.split(lines, np.flatnonzero(np.diff(lines) > 1) + 1):
            if 0 < len(group) <= 2 and group[0] > 0 and group[-1] < len(view) - 1:
                view[group] = False
    return result


def _runs_along_border(same: Mask) -> bool:
    """Whether some pixels of a value follow each other on one of the four sides."""
    sides = [same[0], same[-1], same[:, 0], same[:, -1]]
    return any(np.convolve(side, np.ones(RUN), "valid").max() > RUN - 0.5 for side in sides)


def _area(same: Mask, plane: NDArray[Any], value: Any, sides: tuple[int, ...] = SIDES) -> Mask | None:
    """Of the pixels of a value, those of areas that are no chance, made of squares of some sides."""
    window = _bounds(same, 2 * AROUND)
    inside = same[window]
    for side in sides:
        opened = _opened(inside, side)
        if not opened.any():
            return None
        near = _grown(opened, AROUND)
        rare = near & ~opened
        share = float(inside[rare].mean()) if rare.any() else 0.0
        if share ** (side * side) * plane.size < CHANCE:
            edge = _grown(opened, 1) & ~inside
            step = _step(plane)
            if edge.any() and np.median(np.abs(plane[window][edge].astype(np.float64) - float(value))) < STEPS * step:
                return None  # a smooth picture in few steps has such areas
            result = np.zeros_like(same)
            result[window] = ndimage.binary_propagation(opened, mask=inside & near)
            return result
    return None


def _bounds(mask: Mask, margin: int) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    y, x = (slice(max(0, int(found[0]) - margin), int(found[-1]) + 1 + margin) for found in (rows, columns))
    return y, x


def _opened(mask: Mask, side: int) -> Mask:
    """What squares of a side inside of a mask cover."""
    corners = ndimage.minimum_filter(mask, side, mode="constant", cval=False, origin=-(side // 2))
    result: Mask = ndimage.maximum_filter(corners, side, mode="constant", cval=False, origin=(side - 1) // 2)
    return result


def _grown(mask: Mask, by: int) -> Mask:
    result: Mask = ndimage.maximum_filter(mask, 2 * by + 1, mode="constant", cval=False)
    return result


def _step(plane: NDArray[Any]) -> float:
    """The least difference between values."""
    values = np.unique(plane.ravel()[:: max(1, plane.size // 2**14)])
    values = values[np.isfinite(values)].astype(np.float64)
    return float(np.diff(values).min()) if len(values) > 1 else 0.0


def _parts(area: Mask, plane: NDArray[Any], value: Any, brightest: bool) -> Iterator[tuple[bool, Mask, bool]]:
    """The part that touches the plane's border, and the part that does not: whether so, where, and whether sharp."""
    labels, count = ndimage.label(area, np.ones((3, 3)))
    touches = np.zeros(count + 1, bool)
    touches[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    touches[0] = False
    for border, mask in ((True, touches[labels]), (False, area & ~touches[labels])):
        sharp, part = not brightest, mask
        if brightest and mask.any():
            sharp = _is_sharp(mask, plane, float(value))
            window = _bounds(mask, AROUND)
            usual = float(np.nanmedian(plane[~mask]))
            if not border and (rim := _soft_edge(mask[window], plane[window], usual, float(value))) is not None:
                sharp = True
                part[window] |= rim
        part = part if sharp else _large(part, SATURATED)
        full = any(np.asarray(part.all(axis=axis)).any() for axis in (0, 1))
        if part.any():  # what is saturated may lie at the border, too
            yield border and (full or not brightest), part, sharp
