"""The demo denoises what it simulates, and the user's own images."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from demo.fixture import FIXTURE, write_fixture
from demo.simulate import GAIN, OFFSET, simulate_field
from quietfield.metrics import si_psnr

ROOT = Path(__file__).resolve().parents[1]


def test_the_field_is_the_same_each_time_and_its_noise_is_the_cameras() -> None:
    noisy, truth = simulate_field()
    assert noisy.dtype == np.uint16
    assert noisy.shape == truth.shape == (512, 512)
    assert np.array_equal(noisy, simulate_field()[0])
    scaled = (noisy - truth) / np.sqrt(GAIN * (truth - OFFSET))
    assert scaled.mean() == pytest.approx(0, abs=0.01)
    assert scaled.std() == pytest.approx(1, abs=0.01)


def test_the_committed_inputs_are_the_simulated_ones(tmp_path: Path) -> None:
    write_fixture(tmp_path)
    names = sorted(str(p.relative_to(FIXTURE)) for p in FIXTURE.rglob("*.*") if p.is_file())
    assert len(names) == 4
    for name in names:
        if name.endswith(".tif"):
            assert np.array_equal(tifffile.imread(tmp_path / name), tifffile.imread(FIXTURE / name))
        else:
            assert (tmp_path / name).read_text() == (FIXTURE / name).read_text()


def test_on_the_users_own_images(tmp_path: Path) -> None:
    noisy, truth = simulate_field(7, side=128)
    (tmp_path / "mine").mkdir()
    tifffile.imwrite(tmp_path / "mine" / "a.tif", np.stack([noisy, noisy.T]), photometric="minisblack")
    (tmp_path / "mine" / "b.tif").write_text("not an image")
    command = [sys.executable, "-W", "error", "-m", "demo", str(tmp_path / "mine"), "--output", str(tmp_path / "out")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    answer = tifffile.imread(tmp_path / "out" / "a.tif")
    assert answer.shape == (2, 128, 128)
    assert si_psnr(truth, answer[0]) > si_psnr(truth, noisy) + 3
    assert (tmp_path / "out" / "demo.png").read_bytes().startswith(b"\x89PNG")
