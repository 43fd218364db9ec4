"""On the real test images, the shipped network is as good as the README's table says."""

import csv
import re
from pathlib import Path

import pytest

from denoiser.model import Model
from denoiser.predict import Denoiser
from train.measure.cases import RAW, W2S, w2s_cases
from train.measure.evaluate import Result, evaluate, means
from train.measure.reports import BARS, replace_table, table, write_csv


@pytest.fixture(scope="session")
def results(shipped: Model, data: Path) -> list[Result]:
    return evaluate(Denoiser.of(shipped), w2s_cases(data), micro=False)


@pytest.mark.parametrize(("name", "count", "noisy"), [(W2S, 60, 18.80), (RAW, 6, 20.53)])
def test_the_images_are_the_ones_that_the_peers_were_measured_on(
    results: list[Result], name: str, count: int, noisy: float
) -> None:
    assert sum(r.set == name for r in results) == count
    assert means(results, name)[0] == pytest.approx(noisy, abs=0.005)


@pytest.mark.parametrize("name", [W2S, RAW])
def test_the_bar_is_passed(results: list[Result], name: str) -> None:
    assert means(results, name)[2] >= BARS[name]


def test_it_beats_the_published_peers_on_the_test_fields(results: list[Result], data: Path) -> None:
    with (data / "w2s" / "peers_081_100.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for peer in ("vst_bm3d", "n2n_unet_fmd"):
        assert means(results, W2S)[2] > sum(float(r[f"{peer}_si_psnr"]) for r in rows) / len(rows) + 0.7
        assert means(results, W2S)[3] > sum(float(r[f"{peer}_ssim"]) for r in rows) / len(rows)


def test_no_image_gets_worse(results: list[Result]) -> None:
    for r in results:
        assert r.si_psnr > r.noisy_si_psnr + 5, r
        assert r.ssim > r.noisy_ssim, r


def test_the_readme_shows_these_figures(results: list[Result], data: Path) -> None:
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    lines = table(results, data / "w2s" / "peers_081_100.csv").splitlines()
    for line in (line for line in lines if not line.startswith("|---")):
        shown = [other for other in readme.splitlines() if other.split("|")[1:2] == line.split("|")[1:2]]
        assert len(shown) == 1, f"expected once in README.md: {line}"
        expected, found = (re.findall(r"[\d.]+", text.split("|", 2)[2]) for text in (line, shown[0]))
        # The last digit may differ with the processor.
        assert [float(f) for f in found] == pytest.approx([float(f) for f in expected], abs=0.011)


def test_the_table_goes_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table: make readme -->\nold\n<!-- end of table -->\nafter\n")
    replace_table(readme, "| new |")
    assert readme.read_text() == "before\n<!-- table: make readme -->\n| new |\n<!-- end of table -->\nafter\n"
    replace_table(readme, "| new |")
    assert readme.read_text().count("| new |") == 1


def test_per_image_values_are_written(results: list[Result], tmp_path: Path) -> None:
    write_csv(results, tmp_path / "x.csv")
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 67


def test_a_readme_without_markers_is_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ValueError, match="expected the markers"):
        replace_table(tmp_path / "README.md", "x")
