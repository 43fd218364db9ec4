"""Counts of so few photons that most pixels have none are binned, and brought back to their pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from compare.scenes import cells, exposed, spots
from quietfield.network.predict import Denoiser
from quietfield.network.sparse import SMALLEST, binned, enlarged, sparse_side
from quietfield.repair.corrections import with_mean_of

LIGHT = cells(1, 128)


def counts(mean: float, seed: int = 2, light: NDArray[np.float64] = LIGHT) -> NDArray[np.int64]:
    return np.random.default_rng(seed).poisson(mean * light / light.mean())


@pytest.mark.parametrize(("mean", "side"), [(0.003, 4), (0.01, 4), (0.025, 4), (0.05, 2), (0.2, 1), (1, 1), (30, 1)])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (2.5, 110.0), (1e-3, -5.0)])
def test_the_fewer_photons_the_larger_the_squares(mean: float, side: int, gain: float, offset: float) -> None:
    assert sparse_side(gain * counts(mean) + offset) == side


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_any_type_of_numbers(dtype: str) -> None:
    assert sparse_side(counts(0.01).astype(dtype)) == 4


@pytest.mark.parametrize("plane", [np.zeros((96, 96)), np.full((96, 96), 7.0), counts(0.01)[: 4 * SMALLEST - 1]])
def test_constant_and_small_planes_are_not_binned(plane: NDArray[np.float64]) -> None:
    assert sparse_side(plane) == 1


def test_planes_of_a_camera_are_not_binned() -> None:
    for mean in (0.01, 0.1, 1):
        assert sparse_side(exposed(np.full((96, 96), mean), 3).counts) == 1


@pytest.mark.parametrize("shape", [(64, 64), (65, 79), (67, 130)])
@pytest.mark.parametrize("side", [2, 4])
def test_squares_keep_the_light_and_the_place(shape: tuple[int, int], side: int) -> None:
    plane = np.random.default_rng(0).random(shape)
    small = binned(plane, side)
    assert small.shape == tuple(-(-length // side) for length in shape)
    assert small[3, 5] == pytest.approx(plane[3 * side : 4 * side, 5 * side : 6 * side].mean())
    large = enlarged(small.astype(np.float32), side, shape)
    assert large.shape == shape
    y, x = np.mgrid[: shape[0], : shape[1]]
    ramp = (2.0 * y + 3 * x).astype(np.float64)
    back = enlarged(binned(ramp, side).astype(np.float32), side, shape)
    inside = (slice(12, -12), slice(12, -12))
    assert back[inside] == pytest.approx(ramp[inside], abs=0.15), "nothing is shifted"


def test_an_answer_that_a_network_enlarged_is_cut_to_its_size() -> None:
    assert enlarged(np.ones((2 * 17, 2 * 20), np.float32), 4, (66, 79)).shape == (132, 158)


def halves(mean: float, denoiser: Denoiser) -> list[float]:
    """The mean of the answer, of that of the image: of both halves, and of the bright and the dark one."""
    light = np.ones((192, 192))
    light[:, :96] = 6
    plane = counts(mean, light=light).astype(np.float64)
    answer = with_mean_of(denoiser.general(plane[None])[0], plane)
    assert answer.min() >= 0
    parts = (slice(None), slice(0, 96), slice(96, None))
    return [float(answer[:, part].mean() / plane[:, part].mean()) for part in parts]


@pytest.mark.parametrize("mean", [0.005, 0.02, 0.06])
def test_light_is_kept(mean: float, denoiser: Denoiser) -> None:
    both, bright, _ = halves(mean, denoiser)
    assert both == pytest.approx(1, abs=0.003)
    assert bright == pytest.approx(1, abs=0.06)


DIM = pytest.mark.xfail(strict=True, reason="the network brightens what is dim among so few photons")


@pytest.mark.parametrize("mean", [pytest.param(0.005, marks=DIM), pytest.param(0.02, marks=DIM), 0.06])
def test_what_is_dim_stays_dim(mean: float, denoiser: Denoiser) -> None:
    assert halves(mean, denoiser)[2] == pytest.approx(1, abs=0.1)


def test_a_dense_plane_beside_a_sparse_one_is_answered_as_alone(denoiser: Denoiser) -> None:
    sparse, dense = counts(0.01).astype(np.float64), counts(5.0).astype(np.float64)
    answers = denoiser.general(np.stack([sparse, dense]))
    assert np.array_equal(answers[1], denoiser.general._answer(dense[None])[0])


def test_a_spot_of_light_is_still_there(denoiser: Denoiser) -> None:
    at = np.array([[40.0, 50.0], [90.0, 30.0], [70.0, 100.0]])
    light = 0.004 + spots(128, at, np.full(3, 60.0), 3.0)
    answer = denoiser.general(np.random.default_rng(4).poisson(light)[None])[0]
    for y, x in at.astype(int):
        window = answer[y - 10 : y + 11, x - 10 : x + 11]
        assert window.sum() == pytest.approx(60, rel=0.3)
        assert np.hypot(*(np.unravel_index(window.argmax(), window.shape) - np.array(10))) < 4
