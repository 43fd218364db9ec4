"""Neighbouring planes help where they show one scene, and do no harm where they do not."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from quietfield import pipeline, work
from quietfield.adapt import plan
from quietfield.adapt.neighbours import LEVELS, REACH, Seen, Together, look, reason_against
from quietfield.adapt.plan import Options
from quietfield.adapt.series import series_of
from quietfield.files.stack import Stack
from quietfield.network.predict import Denoiser
from quietfield.pipeline import denoise_file
from train.data.clean import read_named
from train.measure.metrics import si_psnr


def scene(side: int = 96) -> np.ndarray:
    """Photo-electrons: rings and a background."""
    yy, xx = np.mgrid[:side, :side]
    rings = sum(np.exp(-((np.hypot(yy - y, xx - x) - 12) ** 2) / 5) for y, x in [(30, 30), (60, 65), (25, 75)])
    return 1 + 15 * np.asarray(rings)


def frames(light: np.ndarray, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.rint(100 + 2 * (random.poisson(light) + random.standard_normal(light.shape)))


def both(denoiser: Denoiser, planes: np.ndarray, block: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Each plane by itself, and with neighbours."""
    chosen, _ = denoiser.suited(planes)
    chance, words = look(chosen, planes)
    assert chance, words
    assert denoiser.general
    together = Together(chosen, denoiser.general, chance)
    parts = [together(planes[i : i + block]) for i in range(0, len(planes), block)]
    return chosen(planes), np.concatenate([*parts, together.rest()])


def change(truth: np.ndarray, alone: np.ndarray, answer: np.ndarray) -> np.ndarray:
    return np.array([si_psnr(t, b) - si_psnr(t, a) for t, a, b in zip(truth, alone, answer, strict=True)])


def test_a_still_scene_gains(denoiser: Denoiser) -> None:
    light = np.repeat(scene()[None], 10, axis=0)
    gain = change(light, *both(denoiser, frames(light)))
    assert gain.mean() > 2
    assert gain.min() > 1


def test_a_drifting_scene_gains(denoiser: Denoiser) -> None:
    wide = np.pad(scene(), 24, mode="reflect")
    light = np.stack([wide[24 + 2 * i : 120 + 2 * i, 24 - i : 120 - i] for i in range(10)])
    planes = frames(light)
    gain = change(light, *both(denoiser, planes))
    assert gain.mean() > 1.5
    assert gain.min() > 0.5
    assert (
        look(denoiser, planes)[1] == "structure repeats in 8 of 8 steps, drifts by 2.2 pixels a plane, and is followed"
    )


def test_a_scene_that_bleaches_and_flickers_gains_and_keeps_its_light(denoiser: Denoiser) -> None:
    course = 0.95 ** np.arange(12.0) * (1 + 0.1 * (-1.0) ** np.arange(12))
    light = 2 * scene() * course[:, None, None]
    alone, answer = both(denoiser, frames(light))
    gain = change(light, alone, answer)
    assert gain.mean() > 1.8
    assert gain.min() > 0.8
    assert (answer - 100).mean(axis=(1, 2)) == pytest.approx(2 * light.mean(axis=(1, 2)), rel=0.02)
    assert np.polyfit(light.ravel(), answer.ravel(), 1)[0] == pytest.approx(2, rel=0.05)


def test_a_plane_of_another_gain_is_one_of_the_same_scene() -> None:
    random = np.random.default_rng(0)
    plane = random.gamma(2.0, 30.0, (64, 64)).astype(np.float32)

    def seen(image: np.ndarray) -> Seen:
        return Seen(image, image, np.ones_like(image), (0.0, 0.0), np.percentile(image, LEVELS))

    _, noisy, denoised, expected = seen(1.5 * plane - 20).beside(seen(plane))
    assert np.allclose(noisy, plane, atol=1e-2)
    assert np.allclose(denoised, plane, atol=1e-2)
    assert np.allclose(expected, 1 / 1.5**2, rtol=1e-3)
    high = np.float32(1e7) + plane  # an offset beside which the contrast is small
    assert np.allclose(seen(high).beside(seen(high))[1], high, rtol=1e-6)
    for other in (3 * plane, np.zeros_like(plane)):  # of another scene
        assert np.array_equal(seen(other).beside(seen(plane))[1], other)
    assert np.array_equal(seen(plane).beside(seen(np.ones_like(plane)))[1], plane)


def test_an_object_in_one_plane_stays_there(denoiser: Denoiser) -> None:
    light = np.repeat(scene()[None], 10, axis=0)
    light[5, 68:72, 26:30] += 15
    alone, answer = both(denoiser, frames(light))
    spot = np.s_[68:72, 26:30]

    def height(planes: np.ndarray, plane: int) -> float:
        return float(planes[plane][spot].mean() - planes[1][spot].mean())

    assert height(answer, 5) == pytest.approx(height(alone, 5), rel=0.1)
    for other in (3, 4, 6, 7):
        assert abs(height(answer, other)) < 0.1 * height(alone, 5), "no ghost in the planes beside"


def test_a_plane_unlike_all_others_is_as_by_itself(denoiser: Denoiser) -> None:
    light = np.repeat(scene()[None], 10, axis=0)
    light[5] = 80 - 3 * light[5]
    alone, answer = both(denoiser, frames(light))
    assert np.abs(answer[5] - alone[5]).max() < 0.02 * np.ptp(alone[5])


def test_the_result_does_not_depend_on_the_blocks(denoiser: Denoiser) -> None:
    planes = frames(np.repeat(scene(64)[None], 13, axis=0))
    whole = both(denoiser, planes, 13)[1]
    assert whole.shape == planes.shape
    for block in (1, 4):
        assert np.allclose(both(denoiser, planes, block)[1], whole, rtol=1e-4)


def test_no_more_planes_are_held_than_neighbours(denoiser: Denoiser) -> None:
    planes = frames(np.repeat(scene(64)[None], 40, axis=0))
    chance, _ = look(denoiser, planes)
    assert chance
    together = Together(denoiser, denoiser, chance)
    answered = 0
    for plane in planes:
        answered += len(together(plane[None]))
        assert len(together.held) <= 2 * REACH
    assert answered + len(together.rest()) == 40


def stack(shape: tuple[int, ...], axes: str, samples: int = 1) -> Stack:
    plane = shape[-2:] if samples == 1 else shape[-3:-1]
    return Stack(shape, np.dtype(np.uint16), axes, (plane[0], plane[1]), np.empty, 0, samples)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (stack((12, 64, 64), "TYX"), ""),
        (stack((12, 1, 64, 64), "TCYX"), ""),
        (stack((12, 64, 64), "QYX"), ""),
        (stack((3, 64, 64), "ZYX"), ""),
        (stack((3, 64, 64), "QYX"), "3 planes, at least 5 of an axis without a name"),
        (stack((64, 64), "YX"), "1 plane, at least 3 along time or depth"),
        (stack((2, 64, 64), "ZYX"), "2 planes, at least 3 along time or depth"),
        (stack((3, 64, 64), "CYX"), "1 plane, at least 3 along time or depth"),
        (stack((12, 2, 64, 64), "TCYX"), ""),
        (stack((64, 64, 3), "YXS", 3), "1 plane, at least 3 along time or depth"),
        (stack((12, 8, 64), "TYX"), "smaller than 32"),
        (stack((1001, 1024, 1024), "TYX"), "1050 MPix would take too long"),
    ],
)
def test_what_is_off_by_shape_and_axes(given: Stack, reason: str) -> None:
    found = reason_against(given, series_of(given)[0])
    assert reason in found
    assert bool(found) == bool(reason)


def test_planes_of_different_scenes_are_off(denoiser: Denoiser) -> None:
    light = np.stack([np.roll(scene(), (17 * i, 31 * i), axis=(0, 1)) for i in range(6)])
    chance, words = look(denoiser, frames(light))
    assert chance is None
    assert words == "structure repeats in 0 of 3 steps"


@pytest.mark.parametrize("planes", [np.zeros((5, 64, 64)), np.full((5, 64, 64), np.nan), frames(np.ones((5, 64, 64)))])
def test_planes_without_structure_are_off(denoiser: Denoiser, planes: np.ndarray) -> None:
    assert look(denoiser, planes)[0] is None


def test_of_a_file(tmp_path: Path, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    """On by default, off when asked, and for want of memory; and the same whatever the blocks."""
    planes = frames(np.repeat(scene(64)[None], 12, axis=0)).astype(np.uint16)
    source = tmp_path / "x.tif"
    tifffile.imwrite(source, planes, photometric="minisblack", metadata={"axes": "TYX"})

    def done(name: str, neighbours: str = "auto") -> tuple[np.ndarray, str]:
        report = denoise_file(denoiser, source, tmp_path / name, Options(neighbours=neighbours))
        return tifffile.imread(tmp_path / name), report.plan.neighbours

    auto, words = done("auto.tif")
    assert words == "used: structure repeats in 8 of 8 steps"
    off, words = done("off.tif", neighbours="off")
    assert words == "off: as asked"
    assert auto.shape == off.shape
    assert not np.allclose(auto, off, rtol=1e-3)
    monkeypatch.setattr(work, "BLOCK_PIXELS", 64 * 64)
    single, _ = done("single.tif")
    assert np.allclose(single, auto, rtol=1e-4)
    needed = pipeline.work(denoiser, stack((12, 64, 64), "TYX"))
    for module in (pipeline, plan):
        monkeypatch.setattr(module, "available", lambda: needed + planes.nbytes)
    scarce, words = done("scarce.tif")
    assert words.startswith("off: they need about")
    assert np.allclose(scarce, off, rtol=1e-4)


@pytest.mark.parametrize("photons", [5, 80])
def test_movies_lose_nothing(denoiser: Denoiser, data: Path, photons: int) -> None:
    (movie,) = (i for i in read_named(data / "clean" / "lysosome") if i.name == "3.tif")
    light = movie.planes.double().numpy()
    assert change(light, *both(denoiser, frames(photons * (light + 0.05)))).min() > -0.1
