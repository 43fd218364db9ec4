"""What a camera or a program adds to a plane, and what it does to the rest of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from compare.bench import BESIDE, DARK, NONE, OUTSIDE, TENFOLD, Bench, Found, Limit, changed, ratio, rms
from compare.scenes import (
    SIDE,
    Array,
    Mask,
    Scene,
    as_counts,
    cells,
    exposed,
    grid,
    grown,
    pixels,
    rotated_frame,
    soft_text,
    text,
)


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
        (100, 1e-2),
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
        "steep tracks of 7 pixels, 3000 counts": 3000.0 * np.eye(7)[[0, 0, 0, 1, 1, 2, 2]][:, :3],
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

    def image_of(lines: list[tuple[Any, float | None]]) -> tuple[NDArray[np.uint16], Mask]:
        values, mask = scene.noisy.copy(), np.zeros(scene.light.shape, bool)
        for where, added in lines:
            values[where] = 0 if added is None else values[where] + added
            mask[where] = True
        return as_counts(values), mask

    whole = slice(None)
    cases: dict[str, list[tuple[Any, float | None]]] = {
        "a column 200 counts brighter": [((whole, 70), 200.0)],
        "a column 30 counts brighter": [((whole, 70), 30.0)],
        "a dead column": [((whole, 171), None)],
        "two dead rows": [((slice(90, 92), whole), None)],
        "a bright row, a dead column": [((40, whole), 500.0), ((whole, 200), None)],
        "half a dead column": [((slice(0, 128), 120), None)],
        "half a bright column": [((slice(100, 256), 33), 300.0)],
    }
    for name, lines in cases.items():
        image, mask = image_of(lines)
        yield from _spoilt(bench, scene, plain, name, image, mask)


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
            bench.show("a black border", image, answer, np.where(mask, 0, scene.truth), ~mask)
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
    cases: dict[str, tuple[NDArray[Any], float]] = {
        "a bar, 65535": (bar, 65535),
        "a bar, 255": (bar, 255),
        "a black bar": (bar, 0),
        "a bar and a word of 3 px strokes, 65535": (bar | text(SIDE, "SCALE", (205, 150), 3), 65535),
        "a word of 2 px strokes, 65535": (text(SIDE, "SCALE", (20, 20), 2), 65535),
        "a word of 1 px strokes, 4095": (text(SIDE, "SCALE", (20, 20), 1), 4095),
        "a soft word of 3.25 px strokes, 65535": (soft_text(SIDE, "SCALE", (20, 20), 13), 65535),
        "a soft word of 2.5 px strokes, 4095": (soft_text(SIDE, "SCALE", (20, 20), 10), 4095),
        "a soft word of 2.5 px strokes, 255": (soft_text(SIDE, "SCALE", (20, 20), 10), 255),
        "a soft word of 1.75 px strokes, 65535": (soft_text(SIDE, "SCALE", (20, 20), 7), 65535),
    }
    for case, (covered, value) in cases.items():
        image = as_counts(scene.counts + covered * (value - scene.counts.astype(np.float64)))
        answer, mask = bench(image), covered > 0
        yield case, "RMSE outside, of that without", ratio(answer, plain, scene.truth, ~mask), OUTSIDE
        yield (
            case,
            f"RMSE within {BESIDE} px, of that without",
            ratio(answer, plain, scene.truth, grown(mask, BESIDE) & ~mask),
            OUTSIDE,
        )
        yield case, "pixels that changed, of the burnt-in", changed(answer, image, covered > 0.5), NONE
        if "3 px" in case:
            bench.show("a scale bar and a word", image, answer, np.where(mask, value, scene.truth), ~mask)


def wide_range(bench: Bench) -> Iterator[Found]:
    """Something dim beside something bright."""
    dim = cells(151)
    plain = exposed(dim, 152)
    alone = bench(plain.counts, truth=plain.truth)
    y, x = grid()
    distance = np.hypot(y - 170, x - 180)
    added: dict[str, Array] = {}
    for bright in (300, 3000):
        added[f"half of {bright} photons, sharp edge"] = bright * (x < SIDE / 2).astype(np.float64)
        added[f"half of {bright} photons, gradual edge"] = bright / (1 + np.exp(np.clip((x - SIDE / 2) / 5, -50, 50)))
    for bright in (1000, 3000, 10000, 30000):
        added[f"debris of {bright} photons"] = ndimage.gaussian_filter(float(bright) * (distance < 22), 1.3)
    added["debris of 10000 photons, gradual edge"] = 10000 / (1 + np.exp(np.clip((distance - 30) / 3, -50, 50)))
    halo = 1 / (1 + (distance / 2.2) ** 2) ** 2.5
    added["a fiducial of 3e5 photons with its tail"] = 3e5 * halo / halo.sum()
    added["a fiducial of 3e6 photons with its tail"] = 3e6 * halo / halo.sum()
    for case, light in added.items():
        scene = exposed(dim + light, 152)
        answer, where = bench(scene.noisy.astype(np.float32), truth=scene.truth), light < DARK
        if case.startswith("half"):
            # What is cropped out is a plane of its own.
            first = int(np.flatnonzero(where.all(axis=0))[0])
            reference = np.full_like(answer, np.nan)
            reference[:, first:] = bench(scene.noisy[:, first:].astype(np.float32), truth=scene.truth[:, first:])
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
            bench.show("a bright half" if "half" in case else "debris", scene.noisy, answer, scene.truth, where)
    for case, fall in (("vignette, gradual", 75.0), ("vignette, strong", 45.0)):
        shade = np.exp(-((y - 100) ** 2 + (x - 100) ** 2) / 2 / fall**2)
        scene = exposed(1.0 + dim * 40 * shade, 153)
        answer = bench(scene.noisy.astype(np.float32), truth=scene.truth)
        corner = (slice(168, SIDE), slice(168, SIDE))
        cropped = bench(scene.noisy[corner].astype(np.float32), truth=scene.truth[corner])
        value = rms((answer - scene.truth)[corner]) / rms(cropped - scene.truth[corner])
        yield case, "RMSE of the dim part, of that cropped out", value, OUTSIDE


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
