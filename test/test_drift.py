"""A scene that drifts is followed; noise, things that move by themselves, and other scenes are not."""

import numpy as np
import pytest
from scipy import ndimage

from quietfield.adapt.drift import Drift, overlap


def texture(side: int = 240, seed: int = 0) -> np.ndarray:
    """Photo-electrons, from about 1 to 12."""
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 2)
    return 1 + 3 * np.clip(image / image.std(), 0, None)


def filmed(light: np.ndarray, path: np.ndarray, shape: tuple[int, int] = (128, 128), read: float = 1.0) -> np.ndarray:
    """Noisy planes that show what lies at the middle, less each step of the path, in which the scene moves."""
    random = np.random.default_rng(1)
    planes = []
    for step in path:
        moved = ndimage.shift(light, step, order=3, mode="mirror").clip(0)
        top, left = ((full - side) // 2 for full, side in zip(light.shape, shape, strict=True))
        planes.append(random.poisson(moved[top : top + shape[0], left : left + shape[1]]))
    return np.stack(planes) + read * random.standard_normal((len(path), *shape))


def places(planes: np.ndarray) -> np.ndarray:
    drift = Drift()
    return np.array([drift.place(plane) for plane in planes])


@pytest.mark.parametrize("shape", [(128, 128), (97, 131)])
@pytest.mark.parametrize("speed", [(0.0, 0.0), (0.3, -0.2), (1.5, 1.0), (-4.0, 2.0)])
def test_a_steady_drift_is_followed(shape: tuple[int, int], speed: tuple[float, float]) -> None:
    path = np.arange(10)[:, None] * np.array(speed)
    assert np.abs(places(filmed(texture(), path, shape)) - path).max() < 0.7


def test_jitter_is_followed() -> None:
    path = 2 * np.random.default_rng(2).normal(size=(20, 2))
    path -= path[0]
    assert np.abs(places(filmed(texture(), path)) - path).max() < 0.5


@pytest.mark.parametrize("width", [0.0, 0.8])
def test_noise_is_not_taken_for_a_drift(width: float) -> None:
    """Noise that neighbouring pixels share is like structure that moves."""
    dim = 0.3 + 0.3 * texture()
    planes = filmed(dim, np.zeros((20, 2)))
    if width:
        planes = ndimage.gaussian_filter(planes, (0, width, width))
    assert np.abs(places(planes)).max() < 0.5


def test_what_moves_by_itself_moves_nothing_else() -> None:
    """Two halves of the scene go to opposite sides."""
    one, other = (filmed(texture(seed=seed), np.outer(np.arange(10), [0, v])) for seed, v in ((0, 2), (1, -2)))
    planes = np.concatenate([one[:, :64], other[:, 64:]], axis=1)
    assert np.abs(places(planes)).max() < 1


def test_other_scenes_are_where_the_last_one_was() -> None:
    planes = np.concatenate([filmed(texture(seed=seed), np.zeros((2, 2))) for seed in range(6)])
    assert np.abs(places(planes)).max() < 1


@pytest.mark.parametrize("planes", [np.zeros((3, 64, 64)), np.ones((3, 32, 33)), np.full((3, 1, 40), 7.0)])
def test_nothing_to_see_is_no_drift(planes: np.ndarray) -> None:
    assert not places(planes).any()


def test_a_drift_does_not_depend_on_gain_and_offset() -> None:
    planes = filmed(texture(), np.outer(np.arange(8), [0.7, 1.2]))
    assert np.allclose(places(3e4 * planes + 1e5), places(planes), atol=1e-4)


def test_overlaps_show_the_same() -> None:
    light = texture(100)
    one, other = light[10:70, 10:70], light[7:67, 14:74]
    here, there = overlap(one.shape, (0, 0), (3, -4))
    assert np.array_equal(one[here], other[there])
    assert one[here].shape == (57, 56)
    assert one[overlap(one.shape, (0, 0), (80, 0))[0]].size == 0
