"""Stacks whose planes, or channels, are unlike each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compare.bench import ALL, OUTSIDE, TENFOLD, Bench, Found, ratio
from compare.scenes import cells, exposed, grating, pixels


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
