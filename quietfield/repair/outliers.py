"""Isolated outliers: hot, dead and stuck pixels, cosmic rays, bright and dead lines. Found by the image's own noise.

An optic spreads the light of a point over neighbouring pixels. A pixel (or a cluster of up to 2 x 2, or a short track)
that stands out of its surroundings by far more than noise, while its neighbours do not, is no point of the specimen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from quietfield.noise.line import AROUND, NoiseLine

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

FAR = 8.0  # standard deviations of the noise, by which an outlier stands out at least
TAIL, LONG_TAIL = 0.75, 2.0  # of that: noise that reaches so far has so many times more pixels there than beyond
CONTRAST = (
    0.1  # of nine tenths of the values' range, by which an outlier stands out at least: some images have no noise
)
BESIDE_BY_CHANCE = 6.0  # standard deviations of the noise, that they have besides
BESIDE_IT = 0.06  # of its excess, that those beside it have in all
SHARP = 1.0  # pixels, the least standard deviation of a point of light that an optic makes
OUT = 64.0  # squared standard deviations, of a pixel near an outlier that is another outlier perhaps
LINE = 0.5  # of the excess of a pixel, that the pixels on both sides of it have where it is part of a line
BENT = 0.55  # of it, that those on either side have where the line is not straight
TRACK, STRONG = (3, 12), 3.0  # pixels of a track's length; and times as far as others, it stands out
NARROW = 0.5  # pixels, the greatest standard deviation across a track; a sharp optic makes it 0.7
PHOTON, RARE = 30.0, 12.0  # standard deviations, single photons have in the mean at most; times that mean, none has
ALIKE = 1.6  # times the lower quartile of heights, the upper one is at least where they are exponential
SAMPLED, MEDIAN_OF_BORDER = 2**11, 0.8  # pixels that tell the level; and nine tenths of its range, in the noise
LEVEL = 1.3  # times that, it is where there is light
ROUNDS = 3  # as long as outliers hide each other
SMALLEST = 8  # pixels of a side, below which nothing is said
LINE_FAR = 8.0  # times as far as others, stands a bright or dead row out, or a column
LINE_PARTS, LINE_SHARE = 8, 0.9  # in that share of its parts
LIGHT = 1.25  # times the noise of the rows beside it, a row has that is bright by light
BESIDE = 0.25  # of its excess, that the rows beside it have at most, or the pixels beside a track


# What lies around a pixel, as shifts along Y and X.
BORDER = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if max(abs(i), abs(j)) == 2]
AXES, DIAGONALS = [(-2, 0), (2, 0), (0, -2), (0, 2)], [(-2, -2), (-2, 2), (2, -2), (2, 2)]
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1))
DIRECTIONS = [[(k * i, k * j) for k in (-2, -1, 1, 2)] for i, j in STEPS]
REACH = 4  # pixels, of these
# The border again, around it.
RING = sorted(BORDER, key=lambda place: math.atan2(*place))
PATCH = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
# Where the other pixels of a patch are outside of each of the four squares of 2 x 2 that hold its middle.
OUTSIDE = np.array(
    [[not (a in (0, i) and b in (0, j)) for a, b in PATCH] for i in (-1, 1) for j in (-1, 1)], np.float32
)
EDGE = [PATCH.index(place) for place in BORDER]
RINGS = [
    [PATCH.index((a, b)) for a in (-i, 0, i, 2 * i) for b in (-j, 0, j, 2 * j) if (a in (0, i)) != (b in (0, j))]
    for i in (-1, 1)
    for j in (-1, 1)
]
# What a point of light gives them, wherever in the middle pixel it is.
POINTS = np.array(
    [
        [np.exp(-((a - y) ** 2 + (b - x) ** 2) / 2 / SHARP**2) for a, b in PATCH]
        for y in (-0.5, -0.25, 0, 0.25, 0.5)
        for x in (-0.5, -0.25, 0, 0.25, 0.5)
    ],
    np.float32,
)


def find_outliers(plane: NDArray[Any]) -> Mask:
    """Where a plane has isolated outliers.

    Parameters
    ----------
    plane : ndarray
        (Y, X), any real dtype, finite, intensity units.

    Returns
    -------
    ndarray
        bool, (Y, X).

    Examples
    --------
    >>> import numpy
    >>> plane = numpy.random.default_rng(0).normal(100, 2, (64, 64))
    >>> plane[20, 30] += 500
    >>> numpy.argwhere(find_outliers(plane)).tolist()
    [[20, 30]]
    """
    found = np.zeros(plane.shape, bool)
    if min(plane.shape) < SMALLEST:
        return found
    x = _single(plane)
    low, high = np.quantile(x.ravel()[:: max(1, x.size // 2**13)], (0.05, 0.95))
    least = np.float32(CONTRAST * (high - low))
    for _ in range(ROUNDS):
        noise = NoiseLine.robust(x)
        new = _isolated(x, noise, least, dark=False) | _isolated(x, noise, least, dark=True)
        for axis in (0, 1):
            new |= _lines(x, axis)
        new &= ~found
        if not new.any():
            break
        found |= new
        x = replaced(x, found)
    return found


def _single(plane: NDArray[Any]) -> Array:
    """In float32, centred and scaled, so that no offset and no gain costs digits."""
    x = np.asarray(plane, np.float64)
    low, middle, high = np.quantile(x.ravel()[:: max(1, x.size // 2**13)], (0.05, 0.5, 0.95))
    scale = float(high - low) or float(np.abs(x - middle).max()) or 1.0
    result: Array = ((x - middle) / scale).astype(np.float32)
    return result


def _isolated(plane: Array, noise: NoiseLine, least: np.float32, dark: bool) -> Mask:
    """Where single pixels or small clusters stand out, upwards or downwards, and their surroundings do not."""
    padded = np.pad(plane, REACH, mode="symmetric")
    sign = -1 if dark else 1
    rows, columns = _candidates(plane, padded, noise, dark)

    def values(shifts: list[tuple[int, int]]) -> Array:
        return sign * np.stack([padded[REACH + rows + i, REACH + columns + j] for i, j in shifts], axis=1)

    found = np.zeros(plane.shape, bool)
    base = np.median(values(BORDER), axis=1)
    own = sign * plane[rows, columns] - base
    far = np.maximum(_far(noise, sign * base), least)
    keep = own > TAIL * far
    rows, columns, base, own, far = rows[keep], columns[keep], base[keep], own[keep], far[keep]
    if len(rows):
        if not dark:
            very = own > far
            found |= _tracks(plane, rows[very], columns[very], base[very], far[very])
        excess = values(PATCH) - base[:, None]
        along = [
            _mean_inside(values(shifts) - base[:, None], _inside(rows, columns, shifts, plane.shape))
            for shifts in DIRECTIONS
        ]
        bent = _bent(excess, _inside(rows, columns, PATCH, plane.shape))
        by_chance = BESIDE_BY_CHANCE * np.sqrt(noise.variance(sign * base))
        chosen = _misfit_alone(excess, base, noise, sign) < _misfit_light(excess, base, noise, sign)
        chosen &= _beside(excess) < BESIDE_IT * own + by_chance
        chosen &= (np.max(along, axis=0) < LINE * own) & (bent < BENT * own)
        if not dark and chosen.any():
            deviation = np.sqrt(noise.variance(base[chosen]))
            far = far + _photons((own - TAIL * far)[chosen] / deviation, plane, noise) * np.sqrt(noise.variance(base))
        beyond = chosen & (own > far)
        # Noise with a long tail has more pixels that are nearly as far than beyond.
        if chosen.sum() - beyond.sum() <= LONG_TAIL * beyond.sum():
            found[rows[beyond], columns[beyond]] = True
    return found


def _photons(heights: NDArray[Any], plane: Array, noise: NoiseLine) -> float:
    """How much farther single photons reach behind an electron multiplier, in standard deviations of the noise.

    Where there is next to no light, their heights are exponential, and hardly above the noise.
    """
    low, middle, high = np.quantile(heights, (0.25, 0.5, 0.75))
    mean = float(middle / np.log(2))
    alike = len(heights) >= 8 and high < ALIKE * low
    return 0.0 if mean > PHOTON or alike or _has_light(plane, noise) else RARE * mean


def _has_light(plane: Array, noise: NoiseLine) -> bool:
    """Whether the level of a plane (its medians, which no outlier reaches) differs by more than noise."""
    random = np.random.default_rng(0)
    y, x = (random.integers(2, side - 2, SAMPLED) for side in plane.shape)
    level = np.median([plane[y + i, x + j] for i, j in BORDER], axis=0)
    low, middle, high = np.quantile(level, (0.1, 0.5, 0.9))
    by_chance = MEDIAN_OF_BORDER * float(noise.variance(np.array([middle]))[0]) ** 0.5
    return bool(high - low > LEVEL * by_chance)


def _inside(rows: Places, columns: Places, shifts: list[tuple[int, int]], shape: tuple[int, ...]) -> Mask:
    """Which of the pixels around others are inside of a plane: what is beyond its border says nothing of lines."""
    places = [(rows + i, columns + j) for i, j in shifts]
    result: Mask = np.stack([(y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1]) for y, x in places], axis=1)
    return result


def _mean_inside(values: Array, inside: Mask) -> Array:
    """Means of some pixels, of those that are inside; none are minus infinity."""
    count = inside.sum(axis=1)
    mean = np.where(inside, values, 0).sum(axis=1) / np.maximum(count, 1)
    result: Array = np.where(count > 0, mean, -np.inf)
    return result


def _bent(excess: Array, inside: Mask) -> Array:
    """What the pixels on either side have in patches (N, 25), along the brightest line through the middle.

    The line may bend a little, and end at the plane's border.
    """
    known = np.where(inside, excess, np.nan)
    sides = []
    for y, x in RING:
        next_to_it = [known[:, PATCH.index(place)] for place in {(_half(y, up), _half(x, up)) for up in (0, 1)}]
        sides.append((np.fmax.reduce(next_to_it), known[:, PATCH.index((y, x))]))
    means = np.stack([np.where(np.isnan(far), near, (near + far) / 2) for near, far in sides], axis=1)
    least = [np.fmin(means, np.roll(means, len(RING) // 2 + k, axis=1)) for k in (-1, 0, 1)]
    result: Array = np.nan_to_num(np.fmax.reduce([np.fmax.reduce(one, axis=1) for one in least]), nan=-np.inf)
    return result


def _half(k: int, up: int) -> int:
    """Half of a step; where it is none, either of the two."""
    return int(np.sign(k)) * ((abs(k) + up) // 2)


def _tracks(plane: Array, rows: Places, columns: Places, base: Array, far: Array) -> Mask:
    """Of pixels that stand out (N), with the level around them, those of tracks: short, narrow, and alone."""
    found, level, least = (np.zeros(plane.shape, kind) for kind in (bool, np.float32, np.float32))
    if len(rows) < TRACK[0]:
        return found
    level[rows, columns], least[rows, columns] = base, far
    labels, count = ndimage.label(least > 0, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    for k, (y, x) in enumerate(ndimage.find_objects(labels), 1):
        length = max(y.stop - y.start, x.stop - x.start)
        if sizes[k] < TRACK[0] or not TRACK[0] <= length <= TRACK[1]:
            continue
        if min(y.start, x.start) < REACH or y.stop + REACH > plane.shape[0] or x.stop + REACH > plane.shape[1]:
            continue  # something longer may end there
        window = slice(y.start - REACH, y.stop + REACH), slice(x.start - REACH, x.stop + REACH)
        seen = labels[window] == k
        excess = plane[window] - np.median(level[window][seen])
        limit = np.median(least[window][seen])
        track = ndimage.binary_propagation(seen, np.ones((3, 3)), mask=excess > limit)
        beside = ndimage.maximum_filter(track, 5, mode="constant") & ~track
        mean = np.average(excess[track], weights=excess[track])
        if (
            mean > STRONG * limit
            and excess[beside].max() < BESIDE * mean
            and _is_narrow(np.where(track | beside, excess, 0).clip(0))
        ):
            found[window] |= track
    return found


def _is_narrow(light: Array) -> bool:
    """Whether light is narrower across than an optic makes it, and longer than broad."""
    places = np.argwhere(light > 0)
    across, along = np.linalg.eigvalsh(np.cov(places.T, aweights=light[light > 0], ddof=0))
    return bool(across < NARROW**2 and along > 2 * across)


def _far(noise: NoiseLine, level: Array) -> Array:
    """How far above a level noise does not reach: of Gaussian noise, and with the long tail of Poisson noise."""
    result: Array = (FAR * np.sqrt(noise.variance(level)) + FAR**2 / 4 * noise.photon).astype(np.float32)
    return result


def _candidates(
    plane: Array, padded: Array, noise: NoiseLine, dark: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A sieve over the whole plane: what stands out of four pixels two steps away, of either four."""
    y, x = plane.shape
    most, least = (np.minimum, np.maximum) if dark else (np.maximum, np.minimum)

    def four(shifts: list[tuple[int, int]]) -> Array:
        views = [padded[REACH + i : REACH + i + y, REACH + j : REACH + j + x] for i, j in shifts]
        result: Array = most(views[0], views[1])
        for view in views[2:]:
            most(result, view, out=result)
        return result

    level = four(AXES)
    least(level, four(DIAGONALS), out=level)
    excess = np.subtract(level, plane, out=level) if dark else np.subtract(plane, level, out=level)
    rows, columns = np.nonzero(excess > TAIL * _far(noise, plane.min(keepdims=True))[0, 0])
    return rows, columns


def _misfit_alone(excess: Array, base: Array, noise: NoiseLine, sign: int) -> Array:
    """How badly the patches (N, 25) around pixels are a flat level outside of a square of 2 x 2, in the noise."""
    variance = noise.variance(sign * base)[:, None]
    result: Array = np.min(np.minimum(excess**2 / variance, OUT) @ OUTSIDE.T, axis=1)
    return result


def _beside(excess: Array) -> Array:
    """What the eight pixels beside a square of 2 x 2 have in all, but for one; of the square that has the least."""
    level = np.quantile(excess[:, EDGE], 0.3, axis=1)[:, None]  # a point of light raises half of them
    sums = [(beside := excess[:, places] - level).sum(axis=1) - beside.max(axis=1) for places in RINGS]
    result: Array = np.min(sums, axis=0)
    return result


def _misfit_light(excess: Array, base: Array, noise: NoiseLine, sign: int) -> Array:
    """How badly they are points of light, as sharp as an optic makes them, on a flat level."""
    least = np.full(len(excess), np.inf, np.float32)
    for point in POINTS:
        model = np.maximum(excess @ point / (point @ point), 0)[:, None] * point
        variance = noise.variance(sign * base)[:, None] + np.float32(noise.photon) * model
        np.minimum(least, np.minimum((excess - model) ** 2 / variance, OUT).sum(axis=1), out=least)
    return least


def _lines(plane: Array, axis: int) -> Mask:
    """Rows (axis 0) or columns (1), single or in pairs, that are off by an electronic offset, or say nothing.

    They may be so over a part of their length. An optic spreads a line over its neighbours; and what is off by light
    has the noise of so much more light.
    """
    lines = plane if axis == 0 else plane.T
    found = np.zeros(plane.shape, bool)
    if min(lines.shape) < 4 * SMALLEST:
        return found
    target, length = found if axis == 0 else found.T, lines.shape[1]
    for part in (slice(0, length), slice(0, length // 2), slice(length // 2, length)):
        for group, off in _off(lines[:, part]):
            if target[group, part].any():
                continue  # it was found with its whole length
            near = _near(lines, group)
            for k in group:
                # As far along the line as most of the pixels are off.
                along = ndimage.median_filter((lines[k] - near) / off, 2 * SMALLEST + 1) > 0.5
                labels, _ = ndimage.label(along)
                target[k] |= np.isin(labels, np.unique(labels[part][along[part]]))
    return found


def _near(lines: Array, group: NDArray[np.int64]) -> Array:
    """What a group of lines would be by those two steps away."""
    result: Array = lines[[k for k in (group[0] - 2, group[-1] + 2) if 0 <= k < len(lines)]].mean(axis=0)
    return result


def _off(lines: Array) -> Iterator[tuple[NDArray[np.int64], float]]:
    """Groups of one or two lines of a piece (N, L) that are off, and by how much."""
    count, length = lines.shape
    level = lines.mean(axis=1)
    padded = np.pad(level, 3, mode="reflect")
    around = np.median([padded[3 + k : 3 + k + count] for k in (-3, -2, 2, 3)], axis=0)
    off = level - around
    usual = float(np.median(np.abs(off - np.median(off)))) / 0.6745
    chance = float(np.median(lines.std(axis=1))) / length**0.5
    far = np.flatnonzero(np.abs(off) > LINE_FAR * max(usual, chance, 1e-30))
    for group in np.split(far, np.flatnonzero(np.diff(far) > 1) + 1):
        if 0 < len(group) <= 2 and _electronic(lines, group, off):
            yield group, float(off[group].mean())


def _electronic(lines: Array, group: NDArray[np.int64], off: Array) -> bool:
    """Whether lines are off by as much as noise all along, without the noise of light, and their neighbours are not."""
    inside = [k for k in (group[0] - 1, group[-1] + 1) if 0 <= k < len(lines)]
    if any(abs(off[k]) > BESIDE * np.abs(off[group]).min() for k in inside):
        return False
    near = _near(lines, group)
    for k in group:
        parts = np.array_split(lines[k] - near, LINE_PARTS)
        same = np.mean([np.median(part) / off[k] > 0.5 for part in parts])
        # Differences along the line see its noise, and next to nothing of the specimen.
        own, usual = (float(np.abs(np.diff(line)).mean()) for line in (lines[k], lines[inside].ravel()))
        if same < LINE_SHARE or abs(off[k]) < usual or (off[k] > 0 and own > LIGHT * usual):
            return False
    return True


def replaced(plane: NDArray[Any], mask: Mask) -> Any:
    """A plane whose masked pixels are the median of their neighbours that are not; the nearest ones where all are."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return plane
    result = plane.copy()
    values = np.pad(np.where(mask, np.nan, plane), 2, mode="reflect")
    for shifts in (AROUND, AROUND + BORDER):
        around = np.sort(np.stack([values[2 + rows + i, 2 + columns + j] for i, j in shifts]), axis=0)
        known = (~np.isnan(around)).sum(axis=0)
        there = np.arange(len(rows))
        low, high = (around[k, there] for k in (np.maximum(known - 1, 0) // 2, known // 2 * (known > 0)))
        some = known > 1
        result[rows[some], columns[some]] = ((low + high) / 2)[some]
        rows, columns = rows[~some], columns[~some]
        if not len(rows):
            return result
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    result[rows, columns] = plane[tuple(nearest[:, rows, columns])]
    return result
