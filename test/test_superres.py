"""The doubling network and its rivals see the same frames, and the figures are those of what they answer."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quietfield.network.model import load_model, save_model
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from train.data.clean import split_clean
from train.data.synthetic import DOSES
from train.measure.metrics import si_psnr, ssim
from train.measure.superres import cases, figure, measure, table, write_csv

METHODS = ["bicubic", "shipped network, then bicubic", "this network"]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Six files of filaments, of which the first and the fifth are held out; one has an odd side."""
    folder = tmp_path / "clean"
    (folder / "biosr-mt").mkdir(parents=True)
    y, x = np.mgrid[:121, :100]
    for i in range(6):
        image = (np.abs((x + 8 * np.sin(y / 9 + i)) % 20 - 10) < 1.5) * 1000.0
        np.save(folder / "biosr-mt" / f"cell{i}.npy", image)
    np.save(folder / "other.npy", np.eye(64))
    return folder


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """A model folder of scale 2 whose network adds nothing, so that it enlarges bicubically."""
    network = UNet((4, 8), scale=2)
    with torch.no_grad():
        network.out.weight.zero_()
        network.out.bias.zero_()
    folder = tmp_path / "doubling"
    save_model(folder, network, {"kind": "plane"}, {"architecture": {"channels": [4, 8], "scale": 2}})
    return folder


def test_every_method_on_every_held_out_image_and_dose(clean: Path, doubling: Path) -> None:
    results = measure(doubling, clean)
    assert len(results) == 2 * len(DOSES[2]) * len(METHODS)
    assert {r.image for r in results} == {"cell0.npy", "cell4.npy"}, "none that was trained on, none that is no SIM"
    assert list(dict.fromkeys(r.method for r in results)) == METHODS
    assert measure(doubling, clean) == results, "the same noise each time"
    found = {(r.image, r.photons, r.method): r for r in results}
    for r in results:
        if r.method == METHODS[-1]:  # adds nothing, and so must come out as bicubic does
            assert r.si_psnr == pytest.approx(found[r.image, r.photons, "bicubic"].si_psnr, abs=1e-3)
    for method in METHODS:
        by_dose = [np.mean([r.si_psnr for r in results if (r.method, r.photons) == (method, d)]) for d in DOSES[2]]
        assert by_dose == sorted(by_dose), "more light is better"


def test_figures_are_those_of_the_answer(clean: Path, doubling: Path) -> None:
    case = next(cases(clean))
    assert (case.noisy.shape, case.truth.shape) == ((60, 50), (120, 100))
    assert case.truth.mean() == pytest.approx(float(case.set), rel=1e-4)
    model = load_model(doubling)
    answer = Denoiser(model.network, model.normalisation)(case.noisy[None])[0]
    result = next(r for r in measure(doubling, clean) if r.method == METHODS[-1])
    assert result.si_psnr == pytest.approx(si_psnr(case.truth, answer), abs=1e-3)
    assert result.ssim == pytest.approx(ssim(case.truth, answer), abs=1e-4)


def test_table_csv_and_figure(clean: Path, doubling: Path, tmp_path: Path) -> None:
    results = measure(doubling, clean)
    lines = table(results).splitlines()
    assert lines[0].startswith("| mean SI-PSNR (dB) / SSIM of 2 images | 1 photo-electrons | 4 photo-electrons |")
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {method}" for method in METHODS]
    mean = np.mean([r.si_psnr for r in results if (r.method, r.photons) == ("bicubic", 4)])
    assert lines[2].split(" | ")[2].startswith(f"{mean:.2f} / ")
    write_csv(results, tmp_path / "new" / "figures.csv")
    with (tmp_path / "new" / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(r["si_psnr"]) for r in rows] == pytest.approx([r.si_psnr for r in results], abs=1e-4)
    figure(doubling, clean, tmp_path / "new" / "crops.png")
    with Image.open(tmp_path / "new" / "crops.png") as picture:
        assert np.ptp(np.asarray(picture.convert("L"))) > 200


def test_a_model_of_another_scale_is_named(clean: Path, tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=r"tiny-model: expected a model of scale 2, found scale 1"):
        measure(tiny_model, clean)


def test_the_real_cells_are_never_trained_on(data: Path) -> None:
    found = list(cases(data / "clean"))
    seen = {Path(image.name).name for part in split_clean(data / "clean", 0.2, 0, scale=2) for image in part}
    assert {c.image for c in found} == {f"Cell_{i}_SIM_gt.tif" for i in ("001", "011", "052")}
    assert not {c.image for c in found} & seen
    assert all(c.noisy.shape == (502, 502) for c in found)
