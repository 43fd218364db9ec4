"""The stand-in for the platform's evaluation gives the figures of the library, case by case."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from denoiser.metrics import si_psnr, ssim

SCRIPT = Path(__file__).with_name("evaluate") / "evaluate.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    for case, count in (("a", 1), ("b", 3)):
        truth = random.gamma(2, 50, (count, 40, 41))
        for folder, image in (("truth", truth), ("found/images/x", truth + random.normal(0, 9, truth.shape))):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{case}.tif", image.astype(np.float32), photometric="minisblack")
    return tmp_path / "found", tmp_path / "truth"


def test_cases_and_aggregates(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*folders, tmp_path / "metrics.json")
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["case"] for row in metrics["results"]] == ["a", "b"]
    for row in metrics["results"]:
        truth, found = (
            tifffile.imread(f"{folder}/{row['case']}.tif").reshape(-1, 40, 41)
            for folder in (folders[1], folders[0] / "images" / "x")
        )
        assert row["si_psnr"] == pytest.approx(np.mean([si_psnr(t, f) for t, f in zip(truth, found, strict=True)]))
        assert row["ssim"] == pytest.approx(np.mean([ssim(t, f) for t, f in zip(truth, found, strict=True)]))
        assert row["rmse"] == pytest.approx(9, rel=0.1)
    mean = metrics["aggregates"]["si_psnr"]["mean"]
    assert mean == pytest.approx(np.mean([row["si_psnr"] for row in metrics["results"]]))
    assert metrics["aggregates"]["si_psnr"]["count"] == 2


def test_a_missing_prediction_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "images" / "x" / "b.tif").unlink()
    result = run(*folders, tmp_path / "metrics.json")
    assert result.returncode == 1
    assert "expected a prediction for b, found none" in result.stderr
    assert not (tmp_path / "metrics.json").exists()
    assert "found none" in run(folders[0], tmp_path / "nowhere").stderr
