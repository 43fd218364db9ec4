"""Every kind of what a microscope adds, on scenes with and without it; and what must not be taken for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from compare.scenes import (
    GAIN,
    OFFSET,
    READ,
    SIDE,
    Array,
    Mask,
    Scene,
    as_counts,
    cells,
    exposed,
    grating,
    grid,
    grown,
    pixels,
    places,
    rotated_frame,
    spots,
    text,
)


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
        What `quietfield.load` gives.
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

    def __call__(self, image: NDArray[Any], axes: str = "YX") -> Array:
        """The answer to an image, float64; NaN all over where there is none."""
        try:
            answer, self.report = self.model.denoise(image, axes=axes, report=True)
        except (ValueError, ArithmeticError, RuntimeError, IndexError, MemoryError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            return np.full(image.shape, np.nan)
        return np.asarray(answer, np.float64)

    def found(self) -> float:
        """Outliers that were found in the last image; NaN where the version does not say."""
        parts = getattr(self.report, "parts", ())
        counts = [part.findings.bright + part.findings.dark for part in parts if hasattr(part, "findings")]
        return float(sum(counts)) if counts else np.nan

    def together(self) -> float:
        """The share of series whose planes help each other."""
        parts = getattr(self.report, "parts", None) or [self.report]
        return float(np.mean([part.plan.chance is not None for part in parts]))

    def show(self, name: str, image: NDArray[Any], answer: Array, truth: Array) -> None:
        """Keep a picture; it is shown in the range of values that the ground truth has."""
        low, high = np.nanpercentile(truth, (0.5, 99.8))
        self.pictures[name] = Picture(np.asarray(image), answer, truth, float(low), float(high))


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


# Outliers


def _spoilt(bench: Bench, scene: Scene, plain: Array, case: str, image: NDArray[Any], spoilt: Mask) -> Iterator[Found]:
    """What outliers do to the rest, and how much of them stays."""
    answer, truth, excess = bench(image), scene.truth, image.astype(np.float64) - scene.noisy
    near = grown(spoilt, BESIDE) & ~spoilt
    yield case, "RMSE outside, of that without", ratio(answer, plain, truth, ~spoilt), OUTSIDE
    yield case, f"RMSE within {BESIDE} px, of that without", ratio(answer, plain, truth, near), OUTSIDE
    kept = float(np.median((answer - truth)[spoilt] / excess[spoilt]))
    yield case, "share of the outlier that is left", kept, TENFOLD


def hot_pixels(bench: Bench) -> Iterator[Found]:
    """Single pixels with more dark current."""
    scene = exposed(cells(11), 12)
    plain = bench(scene.counts)
    for excess, share in (
        (100, 1e-3),
        (300, 1e-4),
        (300, 1e-2),
        (1000, 1e-5),
        (1000, 1e-3),
        (10000, 1e-5),
        (10000, 1e-3),
        (10000, 1e-2),
    ):
        hot = pixels(np.random.default_rng(13), scene.light.shape, share)
        image = scene.plus(excess * hot).counts
        yield from _spoilt(bench, scene, plain, f"{excess} counts, {share:g} of the pixels", image, hot)
        if (excess, share) == (1000, 1e-3):
            bench.show("hot pixels", image, bench(image), scene.truth)
    hot = pixels(np.random.default_rng(14), scene.light.shape, 1e-3)
    for name, peak in (("1e5", 1e5), ("1e7", 1e7)):
        image = np.where(hot, peak, scene.noisy).astype(np.float32)
        yield from _spoilt(bench, scene, plain, f"float, up to {name}", image, hot)
    mixed = np.random.default_rng(15).exponential(800, scene.light.shape) * pixels(
        np.random.default_rng(16), scene.light.shape, 2e-3
    )
    image = scene.plus(mixed).counts
    answer = bench(image)
    yield (
        "exponential, 800 counts in the mean",
        "RMSE outside, of that without",
        ratio(answer, plain, scene.truth, mixed == 0),
        OUTSIDE,
    )


def dead_and_stuck(bench: Bench) -> Iterator[Found]:
    """Pixels that say nothing."""
    scene = exposed(cells(21, bright=3.0), 22)
    plain = bench(scene.counts)
    some = pixels(np.random.default_rng(23), scene.light.shape, 1e-3)
    for name, value in (("dead, 0", 0), ("stuck at 65535", 65535), ("stuck at 1000", 1000)):
        image = np.where(some, value, scene.counts).astype(np.uint16)
        yield from _spoilt(bench, scene, plain, name, image, some)


def salt_and_pepper(bench: Bench) -> Iterator[Found]:
    """Pixels of either end of the scale."""
    scene = exposed(cells(31), 32)
    plain, random = bench(scene.counts), np.random.default_rng(33)
    for name, salt, pepper, share in (
        ("0 and 65535, 1 %", 65535, 0, 0.01),
        ("0 and 4095, 1 %", 4095, 0, 0.01),
        ("0 and 65535, 0.1 %", 65535, 0, 0.001),
    ):
        some = pixels(random, scene.light.shape, share)
        image = np.where(some, np.where(random.random(some.shape) < 0.5, salt, pepper), scene.counts).astype(np.uint16)
        yield from _spoilt(bench, scene, plain, name, image, some)
        if share == 0.01 and salt == 65535:
            bench.show("salt and pepper", image, bench(image), scene.truth)


def cosmic_rays(bench: Bench) -> Iterator[Found]:
    """Clusters of pixels, and short tracks."""
    scene = exposed(cells(41), 42)
    plain, random = bench(scene.counts), np.random.default_rng(43)
    shapes = {
        "2 x 2 pixels, 3000 counts": np.full((2, 2), 3000.0),
        "3 pixels of 2 x 2, 1500 counts": np.array([[1500.0, 1500.0], [0, 1500.0]]),
        "2 pixels, 2000 and 700 counts": np.array([[2000.0, 700.0]]),
        "tracks of 5 pixels, 2000 counts": 2000.0 * np.eye(5),
    }
    for name, shape in shapes.items():
        added = np.zeros(scene.light.shape)
        for y, x in random.integers(8, SIDE - 12, (25, 2)):
            window = added[y : y + shape.shape[0], x : x + shape.shape[1]]
            np.maximum(window, shape, out=window)
        yield from _spoilt(bench, scene, plain, name, scene.plus(added).counts, added > 0)


def bad_lines(bench: Bench) -> Iterator[Found]:
    """Rows and columns of the camera that are bright or dead."""
    scene = exposed(cells(51), 52)
    plain = bench(scene.counts)

    def image_of(*lines: tuple[Any, float | None]) -> tuple[NDArray[np.uint16], Mask]:
        values, mask = scene.noisy.copy(), np.zeros(scene.light.shape, bool)
        for where, added in lines:
            values[where] = 0 if added is None else values[where] + added
            mask[where] = True
        return as_counts(values), mask

    whole = slice(None)
    cases = {
        "a column 200 counts brighter": [((whole, 70), 200.0)],
        "a column 30 counts brighter": [((whole, 70), 30.0)],
        "a dead column": [((whole, 171), None)],
        "two dead rows": [((slice(90, 92), whole), None)],
        "a bright row, a dead column": [((40, whole), 500.0), ((whole, 200), None)],
        "half a dead column": [((slice(0, 128), 120), None)],
        "half a bright column": [((slice(100, 256), 33), 300.0)],
    }
    for name, lines in cases.items():
        image, mask = image_of(*lines)
        yield from _spoilt(bench, scene, plain, name, image, mask)


def weak_hot_pixels(bench: Bench) -> Iterator[Found]:
    """Hot pixels no brighter than noise, which only the mean of a stack tells."""
    side, frames = 128, 12
    light = np.repeat(cells(61, side)[None], frames, 0)
    scene = exposed(light, 62)
    plain = bench(scene.counts, "TYX")
    for times in (4.0, 6.0):
        hot = pixels(np.random.default_rng(63), (side, side), 1e-3)
        image = scene.plus(times * scene.noise * hot).counts
        answer = bench(image, "TYX")
        case = f"{times:g} times the noise, {frames} frames"
        outside = np.broadcast_to(~hot, light.shape)
        yield case, "RMSE outside, of that without", ratio(answer, plain, scene.truth, outside), OUTSIDE
        kept = float(((answer - scene.truth).mean(axis=0)[hot]).mean() / (times * scene.noise))
        yield case, "share of the outlier that is left", kept, TENFOLD


# What belongs to the specimen


def _fluxes(values: Array, at: Array, background: Array, reach: int = 3) -> Array:
    """Photo-electrons in a square around each place, without the background."""
    electrons = (values - OFFSET) / GAIN - background
    corners = np.rint(at).astype(int)
    return np.array([electrons[y - reach : y + reach + 1, x - reach : x + reach + 1].sum() for y, x in corners])


def _beads(bench: Bench, case: str, at: Array, photons: Array, sigma: float, background: float) -> Iterator[Found]:
    scene = exposed(background + spots(SIDE, at, photons, sigma), 72)
    answer = bench(scene.counts)
    flat = np.full(scene.light.shape, background)
    before, after = (_fluxes(image, at, flat) for image in (scene.counts.astype(float), answer))
    yield case, "flux of all, of the noisy image's", float(after.sum() / before.sum()), FLUX
    if photons.min() >= 1000:
        worst = float((after / before)[np.argmax(np.abs(after / before - 1))])
        yield case, "flux of the worst, of the noisy image's", worst, FLUX
    number = float((after > photons / 2).sum() / max(1, (before > photons / 2).sum()))
    yield case, "number, of the noisy image's", number, Limit(low=0.95)
    yield case, "taken for outliers", bench.found(), NONE
    dark = scene.light < background + 0.1
    noise = float((scene.noisy - scene.truth)[dark].std())
    yield case, "bias between them, in the noise", float((answer - scene.truth)[dark].mean()) / noise, TENFOLD


def beads(bench: Bench) -> Iterator[Found]:
    """Points of light behind a sharp optic."""
    at = places(np.random.default_rng(71), SIDE, 21)
    for sigma in (1.0, 1.3):
        for photons in (30, 100, 1000, 10000):
            case = f"sigma {sigma:g} px, {photons} photons"
            yield from _beads(bench, case, at, np.full(len(at), float(photons)), sigma, 2.0)


def molecules(bench: Bench) -> Iterator[Found]:
    """Single molecules of unequal brightness on a background."""
    random = np.random.default_rng(81)
    for case, photons, background in (("some 300 photons", 300, 5.0), ("some 1000 photons", 1000, 10.0)):
        at = places(random, SIDE, 17)
        at = at[random.random(len(at)) < 0.5]
        yield from _beads(bench, case, at, random.gamma(4.0, photons / 4, len(at)), 1.1, background)


def counts_of_photons(bench: Bench) -> Iterator[Found]:
    """Frames of 0 and 1, in which no count is an outlier."""
    places_of_spots = places(np.random.default_rng(91), SIDE, 42)
    shape = spots(SIDE, places_of_spots, np.ones(len(places_of_spots)), 4.0)
    for mean in (0.01, 0.05):
        light = mean * (0.5 + 0.5 * shape / shape.mean())
        image = np.random.default_rng(92).poisson(light).clip(0, 1).astype(np.uint8)
        answer = bench(image)
        case, near = f"{mean:g} photons a pixel", shape > 0.25 * shape.max()
        number = float(answer.sum() / image.sum())
        yield case, "number of counts, of the image's", number, Limit(0.995, 1.005)
        flux = float(answer[near].sum() / image[near].sum())
        yield case, "counts in bright spots, of the image's", flux, FLUX
        yield case, "taken for outliers", bench.found(), NONE


def thin_lines(bench: Bench) -> Iterator[Found]:
    """Lines one pixel wide."""
    y, x = grid()
    masks = {"upright": x % 40 == 20, "flat": y % 40 == 20, "oblique": (y - 2 * x) % 90 == 0}
    for name, mask in masks.items():
        for background, height in ((4, 10), (4, 40), (20, 250)):
            scene = exposed(background + height * mask.astype(float), 102)
            answer = bench(scene.counts)
            near = grown(mask, 3)
            electrons = ((answer - OFFSET) / GAIN - background)[near].sum()
            noisy = ((scene.counts - OFFSET) / GAIN - background)[near].sum()
            case = f"{name}, {height} photons"
            yield case, "flux, of the noisy image's", float(electrons / noisy), FLUX
            yield case, "taken for outliers", bench.found(), NONE


# Areas that are no measurement


def borders(bench: Bench) -> Iterator[Found]:
    """Constant borders of registration and stitching."""
    scene = exposed(cells(111), 112)
    y, x = grid()
    plain = bench(scene.counts)
    corner = y + 0.6 * x < 90
    usual = float(np.median(scene.counts))
    cases: dict[str, tuple[Mask, float]] = {
        "black, 30 rows and 50 columns": ((y < 30) | (x >= SIDE - 50), 0),
        "black, 2 pixels all round": (np.minimum(np.minimum(y, x), SIDE - 1 - np.maximum(y, x)) < 2, 0),
        "black, 40 % of the width": (x < 0.4 * SIDE, 0),
        "white, 40 columns": (x >= SIDE - 40, 65535),
        "of the background's value, 40 columns": (x >= SIDE - 40, usual),
        "black, an oblique corner": (corner, 0),
        "white, an oblique corner": (corner, 65535),
        "black, turned by 7 degrees": (rotated_frame(SIDE, 7), 0),
        "of the background's value, turned by 20 degrees": (rotated_frame(SIDE, 20), usual),
    }
    for case, (mask, value) in cases.items():
        image = np.where(mask, value, scene.counts).astype(np.uint16)
        answer = bench(image)
        yield case, "RMSE inside, of that without", ratio(answer, plain, scene.truth, ~mask), OUTSIDE
        edge = grown(mask, 8) & ~mask
        yield case, "RMSE within 8 px, of that without", ratio(answer, plain, scene.truth, edge), Limit(high=1.5)
        yield case, "pixels of the border that changed", changed(answer, image, mask), NONE
        if case == "black, turned by 7 degrees":
            bench.show("a black border", image, answer, np.where(mask, 0, scene.truth))
    raised = np.where(corner, 0, scene.counts + 3000.0).astype(np.uint16)
    answer = bench(raised) - 3000
    yield (
        "black, at an offset of 3000",
        "RMSE inside, of that without",
        ratio(answer, plain, scene.truth, ~corner),
        OUTSIDE,
    )
    turned = ndimage.rotate(scene.noisy, 7, reshape=False, order=1, cval=0.0)
    inside = ~grown(rotated_frame(SIDE, 7), 3)
    truth = ndimage.rotate(scene.truth, 7, reshape=False, order=1, cval=0.0)
    same = bench(as_counts(ndimage.rotate(scene.noisy, 7, reshape=False, order=1, mode="mirror")))
    answer = bench(as_counts(turned))
    yield "black, turned and interpolated", "RMSE inside, of that without", ratio(answer, same, truth, inside), OUTSIDE


def not_numbers(bench: Bench) -> Iterator[Found]:
    """NaN and infinities."""
    scene = exposed(cells(121), 122)
    plain, random = bench(scene.counts), np.random.default_rng(123)
    y, x = grid()
    holes = pixels(random, scene.light.shape, 0.01)
    cases: dict[str, tuple[Mask, float]] = {
        "NaN, a border of 50 rows": (y < 50, np.nan),
        "NaN, turned by 12 degrees": (rotated_frame(SIDE, 12), np.nan),
        "infinite, a border of 30 columns": (x < 30, np.inf),
        "NaN, 1 % of the pixels": (holes, np.nan),
        "NaN, a hole of 40 x 40": ((abs(y - 130) < 20) & (abs(x - 100) < 20), np.nan),
        "infinite of both signs, 0.1 %": (pixels(random, scene.light.shape, 1e-3), -np.inf),
    }
    for case, (mask, value) in cases.items():
        image = np.where(mask, value, scene.counts).astype(np.float32)
        if value == -np.inf:
            image[mask & (x > y)] = np.inf
        answer = bench(image)
        yield case, "RMSE outside, of that without", ratio(answer, plain, scene.truth, ~mask), OUTSIDE
        yield case, "pixels that changed, of the invalid", changed(answer, image, mask), NONE
        yield case, "other pixels without a number", float((~np.isfinite(answer[~mask])).sum()), NONE


def saturated(bench: Bench) -> Iterator[Found]:
    """Structures too bright for the camera."""
    for name, bright, most in (("12 bit, bright cells", 120.0, 4095), ("8 bit, bright cells", 6.0, 255)):
        light = cells(131, bright=bright)
        y, x = grid()
        light = light + 60 * bright * np.exp(-((y - 90) ** 2 + (x - 150) ** 2) / 2 / 14**2)
        scene = exposed(light, 132)
        image = scene.counts.clip(0, most)
        full = image == most
        plain, answer = bench(scene.counts), bench(image)
        far = ~grown(full, BESIDE)
        yield name, f"RMSE beyond {BESIDE} px, of that without", ratio(answer, plain, scene.truth, far), OUTSIDE
        inner = ndimage.binary_erosion(full, np.ones((5, 5)))
        yield (
            name,
            "deviation inside, of the greatest value",
            float(abs(answer[inner] / most - 1).max()),
            Limit(high=0.01),
        )


def burnt_in(bench: Bench) -> Iterator[Found]:
    """A scale bar and words that a program wrote into the pixels."""
    scene = exposed(cells(141), 142)
    plain = bench(scene.counts)
    y, x = grid()
    bar = (y >= 236) & (y < 241) & (x >= 180) & (x < 240)
    cases: dict[str, tuple[Mask, float]] = {
        "a bar, 65535": (bar, 65535),
        "a bar, 255": (bar, 255),
        "a black bar": (bar, 0),
        "a bar and a word of 3 px strokes, 65535": (bar | text(SIDE, "SCALE", (205, 150), 3), 65535),
        "a word of 2 px strokes, 65535": (text(SIDE, "SCALE", (20, 20), 2), 65535),
        "a word of 1 px strokes, 4095": (text(SIDE, "SCALE", (20, 20), 1), 4095),
    }
    for case, (mask, value) in cases.items():
        image = np.where(mask, value, scene.counts).astype(np.uint16)
        answer = bench(image)
        yield case, "RMSE outside, of that without", ratio(answer, plain, scene.truth, ~mask), OUTSIDE
        yield (
            case,
            f"RMSE within {BESIDE} px, of that without",
            ratio(answer, plain, scene.truth, grown(mask, BESIDE) & ~mask),
            OUTSIDE,
        )
        yield case, "pixels that changed, of the burnt-in", changed(answer, image, mask), NONE
        if "3 px" in case:
            bench.show("a scale bar and a word", image, answer, np.where(mask, value, scene.truth))


# A wide range of brightness


def wide_range(bench: Bench) -> Iterator[Found]:
    """Something dim beside something bright."""
    dim = cells(151)
    plain = exposed(dim, 152)
    alone = bench(plain.counts)
    y, x = grid()
    distance = np.hypot(y - 170, x - 180)
    added: dict[str, Array] = {}
    for bright in (300, 3000):
        added[f"half of {bright} photons, sharp edge"] = bright * (x < SIDE / 2)
        added[f"half of {bright} photons, gradual edge"] = bright / (1 + np.exp(np.clip((x - SIDE / 2) / 5, -50, 50)))
    for bright in (1000, 3000, 10000, 30000):
        added[f"debris of {bright} photons"] = ndimage.gaussian_filter(float(bright) * (distance < 22), 1.3)
    added["debris of 10000 photons, gradual edge"] = 10000 / (1 + np.exp(np.clip((distance - 30) / 3, -50, 50)))
    halo = 1 / (1 + (distance / 2.2) ** 2) ** 2.5
    added["a fiducial of 3e5 photons with its tail"] = 3e5 * halo / halo.sum()
    added["a fiducial of 3e6 photons with its tail"] = 3e6 * halo / halo.sum()
    for case, light in added.items():
        scene = exposed(dim + light, 152)
        answer, where = bench(scene.noisy.astype(np.float32)), light < DARK
        if case.startswith("half"):
            # What is cropped out is a plane of its own.
            first = int(np.flatnonzero(where.all(axis=0))[0])
            reference = np.full_like(answer, np.nan)
            reference[:, first:] = bench(scene.noisy[:, first:].astype(np.float32))
            where = np.broadcast_to(x >= first, x.shape)
            value = ratio(answer, reference, scene.truth, where)
        else:
            # Its noise is that of the whole plane where the light is the same.
            value = rms((answer - scene.truth)[where]) / rms((alone - plain.truth)[where])
        yield case, "RMSE of the dim part, of that cropped out", value, OUTSIDE
        near = where & grown(light >= DARK, 8)
        level = float((answer - scene.truth)[near].mean() / rms((plain.noisy - plain.truth)[near]))
        yield case, "bias within 8 px of the bright part, in the noise", level, TENFOLD
        if case in ("half of 3000 photons, sharp edge", "debris of 10000 photons"):
            bench.show(case, scene.noisy, answer, scene.truth)
            picture = bench.pictures[case]
            picture.low, picture.high = (float(v) for v in np.percentile(scene.truth[where], (0.5, 99.8)))
    for case, fall in (("vignette, gradual", 75.0), ("vignette, strong", 45.0)):
        shade = np.exp(-((y - 100) ** 2 + (x - 100) ** 2) / 2 / fall**2)
        scene = exposed(1.0 + dim * 40 * shade, 153)
        answer = bench(scene.noisy.astype(np.float32))
        corner = (slice(168, SIDE), slice(168, SIDE))
        cropped = bench(scene.noisy[corner].astype(np.float32))
        value = rms((answer - scene.truth)[corner]) / rms(cropped - scene.truth[corner])
        yield case, "RMSE of the dim part, of that cropped out", value, OUTSIDE


# Rows, columns and gratings


def row_offsets(bench: Bench) -> Iterator[Found]:
    """Offsets of the electronics that rows or columns share."""
    scene = exposed(cells(161), 162)
    plain = bench(scene.counts)
    for axis, name in ((0, "rows"), (1, "columns")):
        for strength in (0.2, 0.5, 1.0):
            drawn = strength * scene.noise * np.random.default_rng(163).standard_normal(SIDE)
            offsets = drawn[:, None] if axis == 0 else drawn[None]
            image = scene.plus(np.broadcast_to(offsets, scene.light.shape)).counts
            answer = bench(image)
            case = f"{name}, {strength:g} of the noise"
            left = (answer - plain).mean(axis=1 - axis)
            yield case, "share of the offsets that is left", float(np.polyfit(drawn, left, 1)[0]), TENFOLD
            everywhere = np.ones(scene.light.shape, bool)
            yield case, "RMSE, of that without", ratio(answer, plain, scene.truth, everywhere), OUTSIDE
            if (axis, strength) == (0, 1.0):
                bench.show("rows with offsets", image, answer, scene.truth)


def gratings(bench: Bench) -> Iterator[Found]:
    """Lines that repeat, upright and tilted."""
    for contrast in (0.25, 0.75):
        for period in (5, 6, 8, 12):
            for degrees in (0, 1, 3, 10, 20):
                scene = exposed(grating(period, degrees, contrast), 172)
                answer = bench(scene.counts)
                case = f"period {period} px, {degrees} degrees, contrast {contrast:g}"
                yield case, "slope of answer to ground truth", slope(answer, scene.truth), SLOPE
                if (period, degrees, contrast) == (6, 3, 0.75):
                    bench.show("a grating", scene.counts, answer, scene.truth)


def kymographs(bench: Bench) -> Iterator[Found]:
    """Lines all along an axis that are no stripes of a camera."""
    y, x = grid()
    random = np.random.default_rng(181)
    wobble = np.cumsum(random.normal(0, 0.25, SIDE))[:, None]
    still = sum(
        a * np.exp(-((x - at) ** 2) / 2 / 1.2**2)
        for at, a in zip(random.uniform(6, 250, 28), random.uniform(5, 40, 28), strict=True)
    )
    moving = sum(
        25 * np.exp(-((x - at - v * y) ** 2) / 2 / 1.3**2)
        for at, v in zip(random.uniform(-40, 250, 14), random.uniform(-0.4, 0.4, 14), strict=True)
    )
    ripples = 22 + 16 * np.sin(2 * np.pi * (x + 0.5 * wobble) / 9)
    fibres = 0.35 + 0.65 * (np.sin(2 * np.pi * y / 52 + 0.5) > -0.3)
    walls = ndimage.gaussian_filter1d(((x % 31) < 13).astype(float), 1.0, axis=1)
    lanes = ndimage.gaussian_filter1d(((y % 18) < 7).astype(float), 0.8, axis=0)
    scenes = {
        "kymograph, still": 3 + still,
        "kymograph, still and moving": 3 + 0.6 * still + moving,
        "kymograph, 64 columns of 512": np.tile(3 + still[:1, :64] * 2, (512, 1)),
        "sarcomeres, period 9 px": ripples * fibres,
        "channels, 13 of 31 px": 5 + 30 * walls,
        "channels, 7 of 18 px": 4 + 12 * lanes,
    }
    for case, light in scenes.items():
        scene = exposed(np.asarray(light, float), 182)
        answer = bench(scene.counts)
        yield case, "slope of answer to ground truth", slope(answer, scene.truth), SLOPE
        if case == "kymograph, still and moving":
            bench.show("a kymograph", scene.counts, answer, scene.truth)


# Brightness


def means(bench: Bench) -> Iterator[Found]:
    """The mean of a plane of few photons."""
    light = cells(191)
    for mean in (0.01, 0.03, 0.1, 0.3, 1, 3, 10):
        image = np.random.default_rng(192).poisson(mean * light / light.mean()).astype(np.uint16)
        answer = bench(image)
        yield (
            f"{mean:g} photons a pixel",
            "mean, of the image's",
            float(answer.mean() / image.mean()),
            Limit(0.995, 1.005),
        )


def classes(bench: Bench) -> Iterator[Found]:
    """Ten classes of pixels by the brightness of the ground truth."""
    light = cells(201)
    for mean in (0.1, 1, 3, 10, 100):
        # Few photons are counted; more of them are read from a camera.
        scene = exposed(mean * light / light.mean(), 202, read=0 if mean <= 1 else READ)
        answer = bench(scene.noisy.astype(np.float32))
        off = []
        for chosen in np.array_split(np.argsort(light.ravel()), 10):
            got, had = ((image.ravel()[chosen] - OFFSET).mean() for image in (answer, scene.noisy))
            off.append(float(got / had))
        worst = off[int(np.argmax(np.abs(np.array(off) - 1)))]
        yield f"{mean:g} photons a pixel", "mean of the worst class, of the image's", worst, Limit(0.98, 1.02)


# Stacks


def first_planes(bench: Bench) -> Iterator[Found]:
    """Stacks that begin blank, or in the dark."""
    side, count, first = 128, 20, 8
    scene = exposed(np.repeat(cells(211, side)[None], count, 0), 212)
    dark = exposed(np.full((first, side, side), 0.3), 213)
    still = bench(scene.counts, "TYX")
    everywhere = np.ones((count - first, side, side), bool)
    for case, beginning in (
        ("blank", 0 * scene.counts[:first]),
        ("constant", 0 * scene.counts[:first] + 100),
        ("dark", dark.counts),
    ):
        image = np.concatenate([beginning, scene.counts[first:]])
        answer = bench(image, "TYX")
        value = ratio(answer[first:], still[first:], scene.truth[first:], everywhere)
        yield f"{case}, {first} of {count} planes", "RMSE of the others, of that without", value, OUTSIDE
        yield f"{case}, {first} of {count} planes", "neighbours used", bench.together(), ALL


def channels(bench: Bench) -> Iterator[Found]:
    """Channels that are unlike each other."""
    side, count = 128, 10
    one = exposed(np.repeat(cells(221, side)[None], count, 0), 222)
    two = exposed(np.repeat(grating(9, 30, 0.5, 60, side)[None] + 20 * cells(223, side), count, 0), 224)
    drawn = one.noise * np.random.default_rng(225).standard_normal((count, side, 1))
    striped = one.plus(np.broadcast_to(drawn, one.light.shape))
    everywhere = np.ones(one.light.shape, bool)
    alone = {name: bench(scene.counts, "TYX") for name, scene in (("one", one), ("two", two))}
    cases = {
        "TCYX, row noise in the second channel": ("TCYX", 1, two, striped),
        "TCYX, unlike channels": ("TCYX", 1, one, two),
        "ZCYX, unlike channels": ("ZCYX", 1, one, two),
        "CZYX, unlike channels": ("CZYX", 0, one, two),
    }
    for case, (axes, axis, first, second) in cases.items():
        answer = bench(np.stack([first.counts, second.counts], axis), axes)
        for name, scene, got in zip(("first", "second"), (first, second), np.moveaxis(answer, axis, 0), strict=True):
            reference = alone["two"] if scene is two else alone["one"]
            value = ratio(got, reference, scene.truth, everywhere)
            yield case, f"RMSE of the {name} channel, of that alone", value, OUTSIDE
            if scene is striped:
                left = (got - reference).mean(axis=2).ravel()
                share = float(np.polyfit(drawn.ravel(), left, 1)[0])
                yield case, "share of the offsets that is left", share, TENFOLD
        yield case, "channels whose neighbours are used", bench.together(), ALL


KINDS: dict[str, Callable[[Bench], Iterator[Found]]] = {
    "hot pixels": hot_pixels,
    "dead and stuck pixels": dead_and_stuck,
    "salt and pepper": salt_and_pepper,
    "cosmic rays": cosmic_rays,
    "bright and dead lines": bad_lines,
    "weak hot pixels of a stack": weak_hot_pixels,
    "beads": beads,
    "single molecules": molecules,
    "counts of 0 and 1": counts_of_photons,
    "lines one pixel wide": thin_lines,
    "constant borders": borders,
    "NaN and infinities": not_numbers,
    "saturated areas": saturated,
    "burnt-in bar and text": burnt_in,
    "wide range": wide_range,
    "offsets of rows and columns": row_offsets,
    "gratings": gratings,
    "kymographs and channels": kymographs,
    "mean of a plane": means,
    "classes of brightness": classes,
    "blank or dark first planes": first_planes,
    "unlike channels": channels,
}
