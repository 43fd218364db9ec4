"""The front door for Python: arrays of any axes in, float32 of the same shape and units out."""

from __future__ import annotations

import doctest
import importlib
import logging
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import quietfield
from quietfield.adapt.plan import Adaptation, Options
from quietfield.front import ImageDenoiser
from quietfield.pipeline import denoise_file

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> ImageDenoiser:
    return quietfield.load(device="cpu")


@pytest.mark.parametrize("name", ["quietfield", "quietfield.front", "quietfield.whole"])
def test_its_examples_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.attempted
    assert not results.failed


def test_an_array_is_answered_as_its_file_is(model: ImageDenoiser, tmp_path: Path) -> None:
    noisy = RANDOM.poisson(20, (6, 60, 70)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", noisy, photometric="minisblack")
    denoise_file(model.denoiser, tmp_path / "x.tif", tmp_path / "y.tif", Options(Adaptation.of("auto")))
    answer = model.denoise(noisy, "QYX")
    assert answer.dtype == np.float32
    assert np.array_equal(answer, tifffile.imread(tmp_path / "y.tif"))


def test_axes_may_be_in_any_order(model: ImageDenoiser) -> None:
    noisy = RANDOM.poisson(20, (2, 40, 3, 50)).astype(np.int16)
    answer = model.denoise(noisy, axes="cxty")
    assert answer.shape == noisy.shape
    usual = model.denoise(np.ascontiguousarray(noisy.transpose(0, 2, 3, 1)), axes="CTYX")
    assert np.array_equal(answer.transpose(0, 2, 3, 1), usual)


@pytest.mark.parametrize("kind", [list, torch.as_tensor, lambda a: torch.as_tensor(a).to(torch.bfloat16), np.asarray])
def test_what_is_like_an_array_is_taken(model: ImageDenoiser, kind: type) -> None:
    noisy = RANDOM.poisson(20, (32, 40)).astype(np.float32)
    assert np.array_equal(model.denoise(kind(noisy)), model.denoise(noisy))


@pytest.mark.parametrize(
    ("image", "axes", "words"),
    [
        (np.zeros((3, 8, 8)), None, "axes: expected a name for each axis of the shape .*, as axes='ZYX'"),
        (np.zeros((3, 8, 8)), "YX", "axes: expected 3 different letters"),
        (np.zeros((3, 8, 8)), "ZZX", "axes: expected 3 different letters"),
        (np.zeros((3, 8, 8)), "TZX", "with Y and X"),
        (np.zeros((8, 8), complex), None, "expected real numbers, found complex128"),
        (np.zeros(8), None, r"expected at least one plane of pixels, found shape \(8,\)"),
        (np.zeros((0, 8)), None, r"expected at least one plane of pixels, found shape \(0, 8\)"),
        ("image.tif", None, "expected real numbers, found <U9"),
    ],
)
def test_what_makes_no_sense_is_named(model: ImageDenoiser, image: object, axes: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model.denoise(image, axes)


def test_options_are_checked_and_reported(model: ImageDenoiser) -> None:
    noisy = RANDOM.poisson(20, (6, 40, 50))
    with pytest.raises(ValueError, match="adapt: expected auto, off, or minutes"):
        model.denoise(noisy, "TYX", adapt="always")
    with pytest.raises(ValueError, match="neighbours: expected auto or off"):
        model.denoise(noisy, "TYX", neighbours="some")
    told: list[tuple[int, int]] = []
    _, report = model.denoise(noisy, "TYX", progress=lambda *n: told.append(n), report=True)
    assert told[-1] == (6, 6)
    assert (report.shape, report.axes, report.invalid) == ((6, 40, 50), "TYX", 0)
    assert "structure repeats" in report.plan.neighbours
    assert [words for _, words in report.lines()]


def test_channels_that_are_not_asked_for_are_copied(model: ImageDenoiser) -> None:
    noisy = RANDOM.poisson(20, (2, 40, 50, 3))
    answer = model.denoise(noisy, "TYXC", channels=[2], adapt="off")
    assert np.array_equal(answer[..., :2], noisy[..., :2])
    assert np.allclose(answer[..., 2], model.denoise(noisy, "TYXC", adapt="off")[..., 2])
    with pytest.raises(ValueError, match=r"image: channels: expected numbers from 0 to 2 for the axes .* found -1"):
        model.denoise(noisy, "TYXC", channels=[-1])


def test_not_a_number_stays_and_is_counted(model: ImageDenoiser) -> None:
    noisy = RANDOM.poisson(20, (40, 50)).astype(np.float32)
    noisy[3, 4] = np.nan
    answer, report = model.denoise(noisy, report=True)
    assert np.array_equal(np.isnan(answer), np.isnan(noisy))
    assert report.invalid == 1


@pytest.mark.parametrize(("kind", "offset"), [(np.float64, 1e9), (np.uint32, 1e8)])
def test_a_contrast_that_float32_cannot_hold_is_kept(model: ImageDenoiser, kind: type, offset: float) -> None:
    noisy = RANDOM.poisson(20, (40, 50))
    answer = model.denoise((noisy + offset).astype(kind))
    assert answer.dtype == np.float64
    assert np.allclose(answer - offset, model.denoise(noisy), atol=0.01)
    assert model.denoise((noisy + 1e5).astype(kind)).dtype == np.float32
    assert (model.denoise(np.full((40, 50), offset, kind)) == np.float32(offset)).all()


def test_several_threads_may_share_a_model(model: ImageDenoiser) -> None:
    images = [RANDOM.poisson(20, (64, 48 + i)) for i in range(4)]
    alone = [model.denoise(image) for image in images]
    answers: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: answers.update({i: model.denoise(images[i])})) for i in range(len(images))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(alone[i], answers[i], atol=1e-4) for i in range(len(images)))


def test_nothing_is_printed_and_importing_is_cheap() -> None:
    code = "import quietfield, sys; assert 'torch' not in sys.modules; print(quietfield.__version__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == quietfield.__version__
    warning = "import quietfield.network, logging; logging.getLogger('quietfield.network.model').warning('loud')"
    result = subprocess.run([sys.executable, "-c", warning], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert logging.getLogger("quietfield").handlers
    with pytest.raises(AttributeError, match="no attribute 'undo'"):
        quietfield.undo  # noqa: B018


def test_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no model: expected a folder with model\.json"):
        quietfield.load(tmp_path)
