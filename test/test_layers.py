"""Planes of a wide range are denoised in layers; ordinary planes go to the network as they are."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from compare.scenes import cells, exposed, grid, places, spots
from quietfield.network.layers import MOST, layers
from quietfield.network.predict import Denoiser

SIDE = 128
Y, X = grid(SIDE)
DIM = cells(1, SIDE)
DISC = 1.0 * (np.hypot(Y - 80, X - 60) < 15)
TAIL = (1 + ((Y - 80) ** 2 + (X - 60) ** 2) / 2.2**2) ** -2.5
BRIGHT = {
    "debris of 3000, soft": ndimage.gaussian_filter(3000 * DISC, 1.3),
    "debris of 30000, soft": ndimage.gaussian_filter(30000 * DISC, 1.3),
    "a fiducial with its tail": 3e6 * TAIL / TAIL.sum(),
}
WIDE = {
    "half of 300": DIM + 300 * (X < 64),
    "half of 3000": DIM + 3000 * (X < 64),
    "debris": DIM + 10000 * DISC,
    "three levels": DIM + 400 * (X < 50) + 20000 * DISC,
    "a fiducial": DIM + BRIGHT["a fiducial with its tail"],
}
ORDINARY = {
    "cells": DIM,
    "bright cells": 30 * DIM,
    "dark": np.full((SIDE, SIDE), 0.05),
    "flat": np.full((SIDE, SIDE), 500.0),
    "a ramp": 10 + 0.2 * X,
    "a vignette": 1 + 300 * DIM * np.exp(-((Y - 40) ** 2 + (X - 40) ** 2) / 2 / 30**2),
    "bright beads": 2 + spots(SIDE, places(np.random.default_rng(2), SIDE, 20), np.full(25, 1e4), 1.2),
    "a specimen in much light": 100 * DIM,
    "dim beads": 2 + spots(SIDE, places(np.random.default_rng(2), SIDE, 20), np.full(25, 500.0), 1.2),
}


def noisy(light: NDArray[np.float64], seed: int = 3) -> NDArray[np.float64]:
    return exposed(light, seed).noisy


@pytest.mark.parametrize("name", WIDE)
def test_weights_add_up_to_one(name: str) -> None:
    cut = layers(noisy(WIDE[name]))
    assert 2 <= len(cut) <= MOST
    assert sum(layer.weight for layer in cut) == pytest.approx(np.ones((SIDE, SIDE)), abs=1e-5)
    assert all(layer.weight.min() >= 0 and layer.weight.max() <= 1 for layer in cut)


@pytest.mark.parametrize("name", WIDE)
def test_each_layer_is_the_plane_where_it_counts_and_has_a_smaller_range(name: str) -> None:
    plane = noisy(WIDE[name])
    *darker, brightest = layers(plane)
    assert brightest.plane == pytest.approx(plane)
    for layer in darker:
        # The level that decides is a median of neighbours: single noisy pixels may lie beyond.
        there = layer.weight > 0.5
        assert layer.plane[there] == pytest.approx(plane[there])
        assert np.ptp(layer.plane) < np.ptp(plane)
        assert np.isin(np.round(layer.plane, 6), np.round(plane, 6)).all(), "it is filled with pixels of the plane"


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("kind", ["counts", "float32", "uint8"])
def test_an_ordinary_plane_is_one_layer(name: str, kind: str) -> None:
    plane = noisy(ORDINARY[name])
    given = {"counts": np.rint(plane), "float32": plane.astype(np.float32), "uint8": (plane / 256).astype(np.uint8)}
    (layer,) = layers(given[kind])
    assert layer.plane is given[kind]
    assert layer.weight is None


@pytest.mark.parametrize("name", ORDINARY)
def test_the_answer_to_an_ordinary_plane_is_the_networks_own(name: str, denoiser: Denoiser) -> None:
    plane = noisy(ORDINARY[name])[None]
    assert np.array_equal(denoiser(plane), denoiser._answer(plane))


def test_a_plane_of_layers_does_not_change_the_others_of_its_block(denoiser: Denoiser) -> None:
    plain = [noisy(ORDINARY[name]) for name in ("cells", "a ramp")]
    answers = denoiser(np.stack([plain[0], noisy(WIDE["debris"]), plain[1]]))
    assert np.array_equal(answers[[0, 2]], np.concatenate([denoiser._answer(plane[None]) for plane in plain]))


@pytest.mark.parametrize("name", ["half of 3000", "debris"])
def test_gain_and_offset_go_through(name: str, denoiser: Denoiser) -> None:
    plane = noisy(WIDE[name])
    answer = denoiser(plane[None])[0].astype(np.float64)
    changed = denoiser(0.5 * plane[None] + 1000)[0].astype(np.float64)
    noise = (plane - exposed(WIDE[name], 3).truth)[WIDE[name] < 30].std()
    off = np.abs(changed - (0.5 * answer + 1000))
    assert np.median(off) < 0.01 * noise
    assert off.max() < 0.5 * noise


@pytest.mark.parametrize("name", ["half of 300", "half of 3000"])
def test_the_dim_part_comes_out_as_if_it_were_alone(name: str, denoiser: Denoiser) -> None:
    scene = exposed(WIDE[name], 3)
    general = denoiser.general
    error = (general(scene.noisy[None])[0] - scene.truth)[:, 64:]
    alone = general(scene.noisy[None, :, 64:])[0] - scene.truth[:, 64:]
    assert (error**2).mean() < 1.3**2 * (alone**2).mean()


@pytest.mark.parametrize("name", BRIGHT)
def test_what_is_dim_comes_out_as_without_what_is_bright(name: str, denoiser: Denoiser) -> None:
    dim = BRIGHT[name] < 1
    errors = []
    for light in (DIM, DIM + BRIGHT[name]):
        scene = exposed(light, 3)
        errors.append((denoiser.general(scene.noisy[None])[0] - scene.truth)[dim])
    alone, beside = ((error**2).mean() ** 0.5 for error in errors)
    assert beside < 1.5 * alone  # the picture is small: much of it lies close to what is bright


@pytest.mark.parametrize("soft", [1.5, 4])
def test_what_is_dim_among_bright_nuclei_comes_out_as_without_them(soft: float, denoiser: Denoiser) -> None:
    y, x = grid(320)
    nuclei = [np.hypot(y - b, x - a) for b in (80, 240) for a in (80, 240)]
    bright = 3000 * sum(1 / (1 + np.exp(((distance - 25) / soft).clip(max=50))) for distance in nuclei)
    dim, left = bright < 0.5, []
    for light in (cells(1, 320), cells(1, 320) + bright):
        scene = exposed(light, 4)
        left.append(float((denoiser.general(scene.noisy[None])[0] - scene.truth)[dim].std()))
    assert left[1] < 1.3 * left[0]


def test_tiny_and_constant_planes_are_one_layer() -> None:
    for shape in [(1, 1), (2, 7), (7, 7), (31, 200), (64, 64)]:
        assert len(layers(np.full(shape, 3.0))) == 1
    spoilt = np.full((31, 31), 3.0)
    spoilt[:5] = 1e6
    assert len(layers(spoilt)) == 1


def test_bright_beads_keep_their_flux(denoiser: Denoiser) -> None:
    at = places(np.random.default_rng(2), SIDE, 21)
    scene = exposed(2 + spots(SIDE, at, np.full(len(at), 1e4), 1.2), 3)
    answer = denoiser.general(scene.noisy[None])[0]
    corners = np.rint(at).astype(int)
    fluxes = [[(v - 113.4)[y - 4 : y + 5, x - 4 : x + 5].sum() for y, x in corners] for v in (answer, scene.noisy)]
    assert np.divide(*fluxes) == pytest.approx(np.ones(len(at)), abs=0.05)
