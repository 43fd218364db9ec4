"""What belongs to the specimen, and must not be taken for anything else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from compare.bench import FLUX, NONE, OUTSIDE, SLOPE, TENFOLD, Bench, Found, Limit, rms, slope
from compare.scenes import (
    BACKGROUND,
    GAIN,
    OFFSET,
    READ,
    SIDE,
    Array,
    cells,
    exposed,
    grating,
    grid,
    grown,
    places,
    spots,
)


def _fluxes(values: Array, at: Array, background: Array, reach: int = 3) -> Array:
    """Photo-electrons in a square around each place, without the background."""
    electrons = (values - OFFSET) / GAIN - background
    corners = np.rint(at).astype(int)
    return np.array([electrons[y - reach : y + reach + 1, x - reach : x + reach + 1].sum() for y, x in corners])


def _beads(bench: Bench, case: str, at: Array, photons: Array, sigma: float, background: float) -> Iterator[Found]:
    scene = exposed(background + spots(SIDE, at, photons, sigma), 72)
    answer = bench(scene.counts, truth=scene.truth)
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
        random = np.random.default_rng(93)
        electrons = random.poisson(light)
        gained = random.gamma(np.maximum(electrons, 1)) * (electrons > 0)
        counts = np.rint(OFFSET + 15 * gained + 3 * random.standard_normal(light.shape)).astype(np.uint16)
        answer, case = bench(counts), f"{mean:g} photons a pixel behind an electron multiplier"
        flux = float((answer - OFFSET).mean() / (counts - OFFSET).mean())
        yield case, "mean above the offset, of the image's", flux, Limit(0.99, 1.01)
        yield case, "taken for outliers", bench.found(), NONE


def thin_lines(bench: Bench) -> Iterator[Found]:
    """Lines one pixel wide."""
    y, x = grid()
    masks = {"upright": x % 40 == 20, "flat": y % 40 == 20, "oblique": (y - 2 * x) % 90 == 0}
    for name, mask in masks.items():
        for background, height in ((4, 10), (4, 40), (20, 250)):
            scene = exposed(background + height * mask.astype(float), 102)
            answer = bench(scene.counts, truth=scene.truth)
            near = grown(mask, 3)
            electrons = ((answer - OFFSET) / GAIN - background)[near].sum()
            noisy = ((scene.counts - OFFSET) / GAIN - background)[near].sum()
            case = f"{name}, {height} photons"
            yield case, "flux, of the noisy image's", float(electrons / noisy), FLUX
            yield case, "taken for outliers", bench.found(), NONE


def gratings(bench: Bench) -> Iterator[Found]:
    """Lines that repeat, upright and tilted."""
    for contrast in (0.25, 0.75):
        for period in (4, 5, 6, 8, 12):
            for degrees in (0, 1, 3, 10, 20):
                scene = exposed(grating(period, degrees, contrast), 172)
                answer = bench(scene.counts, truth=scene.truth)
                case = f"period {period} px, {degrees} degrees, contrast {contrast:g}"
                yield case, "slope of answer to ground truth", slope(answer, scene.truth), SLOPE
                if (period, degrees, contrast) == (6, 3, 0.75):
                    bench.show("a grating", scene.counts, answer, scene.truth)


def textures(bench: Bench) -> Iterator[Found]:
    """Dense texture all over, which looks like noise that neighbours share, and has white noise on it, or none."""
    for size in (1.6, 2.0, 3.0):
        yield from _texture(bench, f"mottle of {size:g} px", _mottle((size, size)))
    yield from _texture(bench, "mottle of 1 x 4 px", _mottle((1, 4)))
    for count in (1000, 4000):
        at = np.random.default_rng(3).uniform(0, SIDE, (count, 2))
        packed = spots(SIDE, at, np.ones(count), 1.6)
        yield from _texture(bench, f"{count} vesicles", 0.05 + packed / packed.mean())


def _mottle(size: tuple[float, float]) -> Array:
    grain = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((SIDE, SIDE)), size, mode="wrap")
    result: Array = (1 + 0.3 * grain / grain.std()).clip(0.05)
    return result


def _texture(bench: Bench, case: str, light: Array) -> Iterator[Found]:
    for photons in (20, 100, 500, 3000):
        scene = exposed(photons * light, 174)
        answer = bench(scene.counts, truth=scene.truth)
        yield f"{case}, {photons} photons", "slope of answer to ground truth", slope(answer, scene.truth), SLOPE
    answer = bench(light.astype(np.float32), truth=light)
    yield f"{case}, no noise", "slope of answer to ground truth", slope(answer, light), SLOPE


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
        if case == "kymograph, 64 columns of 512":
            bench.show("a narrow kymograph", scene.counts[:64], answer[:64], scene.truth[:64])


def bright_specimens(bench: Bench) -> Iterator[Found]:
    """Structures in so much light that they span a wide range by themselves."""
    at = np.array([[60.0, 60.0], [180.0, 80.0], [120.0, 190.0], [30.0, 200.0]])
    small, large = (BACKGROUND + 190 * s**2 * spots(SIDE, at, np.ones(4), s) for s in (3.0, 8.0))
    scenes = {
        "cells": (cells(171), (860, 2900, 8600)),
        "spots of sigma 3 px": (small, (60, 200, 600, 2000)),
        "spots of sigma 8 px": (large, (900, 3000, 9000)),
    }
    for name, (light, peaks) in scenes.items():
        there = light > np.quantile(light, 0.5) if name == "cells" else light > BACKGROUND + 1
        left = []
        for peak in (peaks[0] * 0.3, *peaks):
            scene = exposed(light * peak / light.max(), 172)
            error, noise = bench(scene.noisy.astype(np.float32)) - scene.truth, scene.noisy - scene.truth
            left.append(rms(error[there]) / rms(noise[there]))
        for peak, now, before in zip(peaks, left[1:], left, strict=False):
            yield f"{name}, up to {peak} photons", "noise left, of that at a third of the light", now / before, OUTSIDE


def means(bench: Bench) -> Iterator[Found]:
    """The mean of a plane of few photons."""
    light = cells(191)
    for mean in (0.01, 0.03, 0.1, 0.3, 1, 3, 10):
        truth = mean * light / light.mean()
        image = np.random.default_rng(192).poisson(truth).astype(np.uint16)
        answer = bench(image, truth=truth)
        yield (
            f"{mean:g} photons a pixel",
            "mean, of the image's",
            float(answer.mean() / image.mean()),
            Limit(0.995, 1.005),
        )


def classes(bench: Bench) -> Iterator[Found]:
    """Ten classes of pixels by the brightness of the ground truth, at the pixel and in its surroundings.

    A class of this image has 8,800 photons or more from half a photon a pixel on: its own mean is known to about 1 %.
    With fewer nobody can tell whether an answer is 2 % off. At few photons no answer is as sharp as its ground truth,
    and classes of single pixels differ for that alone.
    """
    light = cells(201, 512)
    for mean in (0.5, 1, 3, 10, 100):
        # Few photons are counted; more of them are read from a camera.
        scene = exposed(mean * light / light.mean(), 202, read=0 if mean <= 1 else READ)
        answer = bench(scene.noisy.astype(np.float32))
        for of, brightness in (("pixels", light), ("surroundings", ndimage.gaussian_filter(light, 4))):
            off = []
            for chosen in np.array_split(np.argsort(brightness.ravel()), 10):
                got, had = ((image.ravel()[chosen] - OFFSET).mean() for image in (answer, scene.truth))
                off.append(float(got / had))
            worst = off[int(np.argmax(np.abs(np.array(off) - 1)))]
            measure = f"mean of the worst class of {of}, of the ground truth's"
            yield f"{mean:g} photons a pixel", measure, worst, Limit(0.98, 1.02)
