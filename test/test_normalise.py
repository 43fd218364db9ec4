"""Normalise and undo are inverse, and follow a gain and an offset of the image."""

import numpy as np
import pytest

from quietfield.network.normalise import KINDS, Normalisation, noise_std, normalise, undo


@pytest.fixture
def planes() -> np.ndarray:
    return np.random.default_rng(0).gamma(2.0, 30.0, (3, 40, 50)) + 100


@pytest.mark.parametrize("kind", KINDS)
def test_undo_inverts_normalise(kind: str, planes: np.ndarray) -> None:
    statistics = Normalisation(kind, 154.5, 66.0).statistics(planes)
    assert np.allclose(undo(normalise(planes, *statistics), *statistics), planes, rtol=1e-6)


@pytest.mark.parametrize("kind", ["plane", "noise"])
@pytest.mark.parametrize(("gain", "offset"), [(0.1, 0), (100, 0), (1, 1000), (13.4, -500)])
def test_network_units_know_no_gain_and_no_offset(kind: str, gain: float, offset: float, planes: np.ndarray) -> None:
    normalisation = Normalisation(kind)
    plain = normalise(planes, *normalisation.statistics(planes))
    other = gain * planes + offset
    assert np.allclose(normalise(other, *normalisation.statistics(other)), plain, atol=1e-5)


def test_plane_statistics_are_the_planes_own(planes: np.ndarray) -> None:
    z = normalise(planes, *Normalisation("plane").statistics(planes))
    assert np.allclose(z.mean((1, 2)), 0, atol=1e-6)
    assert np.allclose(z.std((1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize("kind", ["plane", "noise"])
@pytest.mark.parametrize("value", [0.0, -3.25, 0.1, 65535.0, 1e30])
def test_a_constant_plane_comes_back_whatever_the_network_says(kind: str, value: float) -> None:
    flat = np.full((1, 9, 7), value)
    statistics = Normalisation(kind).statistics(flat)
    assert not normalise(flat, *statistics).any()
    answer = undo(np.ones((1, 9, 7), np.float32), *statistics)
    assert np.array_equal(answer, flat.astype(np.float32))


def test_noise_std_finds_white_noise_under_a_smooth_image() -> None:
    yy, xx = np.mgrid[:256, :256]
    smooth = 500 * np.sin(yy / 40) * np.cos(xx / 40)
    noise = np.random.default_rng(1).normal(0, 7.0, (1, 256, 256))
    assert noise_std(smooth + noise) == pytest.approx(7.0, rel=0.02)


def test_integers_do_not_overflow() -> None:
    plane = np.array([[[0, 255], [255, 0]]], np.uint8)
    centre, scale = Normalisation().statistics(plane)
    assert centre.item() == 127.5
    assert scale.item() == 127.5
    big = np.array([[[2**31 - 1, 2**31 - 2], [2**31 - 3, 2**31 - 1]]], np.int32)
    z = normalise(big, *Normalisation().statistics(big))
    assert len(np.unique(z)) == 3, "neighbouring counts must stay apart"


@pytest.mark.parametrize("wrong", [{"kind": "median"}, {"kind": "dataset", "std": 0.0}])
def test_refuses_unknown_kinds(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected a kind of plane, noise, dataset"):
        Normalisation(**wrong)  # type: ignore[arg-type]
