"""Each series of an image is denoised by itself, each plane once, and the answers come in the order of the planes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import quietfield
from compare.scenes import cells, exposed, grating
from quietfield.adapt.series import series_of
from quietfield.files.arrays import ArrayStack
from quietfield.front import ImageDenoiser

SIZES = {"T": 4, "Z": 6, "C": 2, "S": 3, "Q": 5, "P": 2, "I": 7, "R": 2, "A": 2}
COMBINATIONS = ["YX", "TYX", "ZYX", "CYX", "QYX", "IYX", "YXS", "TCYX", "ZCYX", "CZYX", "TZYX", "ZTYX", "QCYX", "CQYX",
                "TZCYX", "TCZYX", "ZCTYX", "CTZYX", "PTCZYX", "PZCYX", "RACYX", "TYXS", "ZCYXS", "YXC", "TYXC", "YTX",
                "CYTX"]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> ImageDenoiser:
    return quietfield.load(device="cpu")


@pytest.fixture
def tiny(tiny_model: Path) -> ImageDenoiser:
    return quietfield.load(tiny_model, device="cpu")


def sizes(axes: str, y: int = 16, x: int = 18) -> tuple[int, ...]:
    return tuple({"Y": y, "X": x}.get(name) or SIZES[name] for name in axes)


def numbered(axes: str) -> NDArray[np.float64]:
    """An image whose planes are noise about their numbers."""
    shape = sizes(axes)
    image = np.random.default_rng(0).normal(0, 1, shape)
    planes = [i for i, name in enumerate(axes) if name not in "YX"]
    counted = np.arange(np.prod([shape[i] for i in planes], dtype=int)).reshape([shape[i] for i in planes])
    for i, name in enumerate(axes):
        if name in "YX":
            counted = np.expand_dims(counted, i)
    return image + 1000.0 * counted


@pytest.mark.parametrize("axes", COMBINATIONS)
def test_each_plane_is_in_one_line_of_one_series(axes: str) -> None:
    stack = ArrayStack(numbered(axes), axes).stack
    planes = [index for series in series_of(stack) for line in series.lines for index in line]
    assert sorted(planes) == list(range(stack.count))


@pytest.mark.parametrize(
    ("axes", "count", "along", "length"),
    [
        ("YX", 1, "", 1),
        ("TYX", 1, "T", 4),
        ("QYX", 1, "Q", 5),
        ("CYX", 2, "", 1),
        ("YXS", 3, "", 1),
        ("TCYX", 2, "T", 4),
        ("ZCYX", 2, "Z", 6),
        ("CZYX", 2, "Z", 6),
        ("TZCYX", 2, "T", 4),
        ("PTCZYX", 4, "T", 4),
        ("TYXS", 3, "T", 4),
    ],
)
def test_a_line_runs_along_time_or_depth_in_one_channel(axes: str, count: int, along: str, length: int) -> None:
    found = series_of(ArrayStack(numbered(axes), axes).stack)
    assert len(found) == count
    assert {series.along for series in found} == {along}
    assert {len(line) for series in found for line in series.lines} == {length}


@pytest.mark.parametrize("axes", ["TCYX", "CZYX", "PTCZYX", "ZCYXS"])
def test_planes_of_a_series_are_of_one_channel(axes: str) -> None:
    image = numbered(axes)
    for name in set(axes) & set("CSP"):
        number = np.broadcast_to(
            np.arange(SIZES[name]).reshape([-1 if other == name else 1 for other in axes]), image.shape
        )
        stack = ArrayStack(number, axes).stack
        for series in series_of(stack):
            numbers = {int(stack.plane(index)[0, 0]) for line in series.lines for index in line}
            assert len(numbers) == 1
            assert f"{name} {numbers.pop()}" in series.name


@pytest.mark.parametrize("axes", COMBINATIONS)
def test_answers_come_in_the_order_of_the_planes(axes: str, tiny: ImageDenoiser) -> None:
    """The mean of an answer tells which plane it is of."""
    image = numbered(axes)
    answer = tiny.denoise(image, axes=axes)
    assert answer.shape == image.shape
    across = (axes.index("Y"), axes.index("X"))
    assert answer.mean(axis=across) == pytest.approx(image.mean(axis=across), abs=5)


@pytest.mark.parametrize("axes", [axes for axes in COMBINATIONS if len(axes) > 2])
def test_without_neighbours_each_plane_is_denoised_as_alone(axes: str, tiny: ImageDenoiser) -> None:
    image = numbered(axes)
    answer = tiny.denoise(image, axes=axes, neighbours="off", adapt="off")
    across = (axes.index("Y"), axes.index("X"))
    planes, answers = (np.moveaxis(x, across, (-2, -1)).reshape(-1, 16, 18) for x in (image, answer))
    for plane, got in zip(planes, answers, strict=True):
        assert got == pytest.approx(tiny.denoise(plane, adapt="off"), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("axes", ["TCYX", "ZCYX", "CTYX"])
def test_channels_that_are_interleaved_are_denoised_as_each_alone(axes: str, model: ImageDenoiser) -> None:
    """With neighbours used in both of them, whose scenes and noise are unlike."""
    along, side, count = axes.replace("C", "")[0], 64, 10
    one = exposed(np.repeat(cells(1, side)[None], count, 0), 2).counts
    two = exposed(np.repeat(grating(11, 30, 0.6, 60, side)[None] + cells(3, side), count, 0), 4).counts
    answer, report = model.denoise(np.stack([one, two], axes.index("C")), axes=axes, report=True)
    assert all(part.plan.chance for part in report.parts), [part.plan.neighbours for part in report.parts]
    for k, channel in enumerate((one, two)):
        alone = model.denoise(channel, axes=f"{along}YX")
        assert np.array_equal(np.take(answer, k, axis=axes.index("C")), alone)


def test_one_channel_of_two_is_denoised_and_the_other_copied(model: ImageDenoiser) -> None:
    image = exposed(np.repeat(cells(1, 48)[None, None], 2, 1).repeat(3, 0), 2).counts
    answer = model.denoise(image, axes="TCYX", channels=[1])
    assert np.array_equal(answer[:, 0], image[:, 0])
    assert answer[:, 1].std() < image[:, 1].std()


def test_progress_counts_each_plane_once(tiny: ImageDenoiser) -> None:
    for axes in ("TCYX", "PTCZYX", "YXS"):
        said: list[tuple[int, int]] = []
        tiny.denoise(numbered(axes), axes=axes, progress=lambda done, every, said=said: said.append((done, every)))
        count = int(np.prod([SIZES[name] for name in axes if name not in "YX"]))
        assert said == list(itertools.product(range(1, count + 1), [count]))
