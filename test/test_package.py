"""The package's network is the shipped one in intensity units, and its files say so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from demo.simulate import simulate_field
from package.description import (
    compared_figures_of,
    denoising,
    describe,
    disagreements,
    figures_of,
    general,
    super_resolution,
)
from package.weights import standardised
from quietfield.network.model import ARGUMENTS, Model, sha256
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import StandardisedUNet, UNet

ROOT = Path(__file__).resolve().parents[1]
FIGURES = figures_of(ROOT / "docs" / "evaluation.csv")
FILES = ["weights.pt", "unet.py", "weights.torchscript.pt", "weights.onnx", "test_input.npy", "test_output.npy"]


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (100, 1000), (0.1, 0)])
def test_it_answers_as_inference_does(shipped: Model, gain: float, offset: float) -> None:
    field = (gain * simulate_field(3, side=333)[0][:, :250] + offset).astype(np.float32)
    expected = Denoiser(shipped.network, shipped.normalisation)(field[None])[0]
    with torch.inference_mode():
        found = standardised(shipped)(torch.from_numpy(field)[None, None])[0, 0].numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.ptp(expected)


def test_each_image_of_a_batch_is_standardised_by_itself() -> None:
    torch.manual_seed(0)
    network = StandardisedUNet((4, 8))
    images = torch.rand(3, 1, 40, 40) * torch.tensor([1.0, 50.0, 3000.0]).view(3, 1, 1, 1)
    together = network(images)
    for image, answer in zip(images, together, strict=True):
        assert torch.allclose(network(image[None])[0], answer, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 123.4, -7.0, 60000.0])
def test_a_constant_image_stays(value: float) -> None:
    image = torch.full((1, 1, 30, 50), value)
    assert torch.allclose(StandardisedUNet((4, 8))(image), image, rtol=1e-6)


def test_the_architecture_stands_alone(tmp_path: Path, shipped: Model) -> None:
    """As a consumer loads it: one file in an empty folder, and a bare state dict."""
    (tmp_path / "unet.py").write_bytes((ROOT / "quietfield" / "unet.py").read_bytes())
    architecture = shipped.record["architecture"]
    script = (
        "import torch, unet; n = unet.StandardisedUNet(**{}); "
        "n.load_state_dict(torch.load({!r}, weights_only=True)); print(n.halo)"
    ).format({k: architecture[k] for k in ARGUMENTS}, str(ROOT / "resources" / "weights.pt"))
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(result.stdout) == architecture["halo"]


def test_what_the_package_says_follows_from_the_model(shipped: Model, tmp_path: Path) -> None:
    for name in [*FILES, "sample_input.tif", "sample_output.tif"]:
        (tmp_path / name).write_text(name)
    rdf = describe(tmp_path, shipped, standardised(shipped), denoising({"set": "1 dB"}), 0.5)
    json.dumps(rdf)  # plain types only
    assert rdf["weights"]["onnx"]["sha256"] == sha256(tmp_path / "weights.onnx")
    (space,) = {(a["size"]["min"], a["size"]["step"]) for a in rdf["inputs"][0]["axes"] if a["type"] == "space"}
    halo = {a["halo"] for a in rdf["outputs"][0]["axes"] if a["type"] == "space"}
    assert halo == {shipped.network.halo}
    assert space[0] > 2 * shipped.network.halo
    assert space[0] % space[1] == 0 == space[1] % shipped.network.multiple
    assert "+" not in rdf["weights"]["torchscript"]["pytorch_version"]
    assert "maintainers" not in rdf
    rdf = describe(tmp_path, shipped, standardised(shipped), denoising({}), 0.5, "somebody")
    assert rdf["maintainers"] == [{"github_user": "somebody"}]
    kwargs = rdf["weights"]["pytorch_state_dict"]["architecture"]["kwargs"]
    assert StandardisedUNet(**kwargs).state_dict().keys() == shipped.network.state_dict().keys()


def test_a_package_that_doubles_the_pixels_says_so(tmp_path: Path, shipped: Model) -> None:
    for name in [*FILES, "sample_input.tif", "sample_output.tif"]:
        (tmp_path / name).write_text(name)
    architecture = {"channels": [4, 8], "unshuffle": 1, "scale": 2}
    model = Model(
        UNet((4, 8), scale=2), Normalisation("plane"), "", None, {**shipped.record, "architecture": architecture}
    )
    network = standardised(model)
    rdf = describe(tmp_path, model, network, super_resolution({}), 0.5)
    spaces = [a for a in rdf["outputs"][0]["axes"] if a["type"] == "space"]
    assert {(a["scale"], a["halo"]) for a in spaces} == {(0.5, 2 * network.halo)}
    assert rdf["weights"]["pytorch_state_dict"]["architecture"]["kwargs"] == architecture
    assert "super-resolution" in rdf["tags"]


def test_the_figures_of_two_methods_are_put_together(tmp_path: Path) -> None:
    for name, quality in (("noisy", (10, 12, 30)), ("denoised", (20, 24, 40))):
        rows = [f"{s},{i},{q},0.5" for i, (s, q) in enumerate(zip("aab", quality, strict=True))]
        (tmp_path / name).write_text("\n".join(["# how it was made", "set,image,si_psnr,ssim", *rows]) + "\n")
    assert compared_figures_of(tmp_path / "noisy", tmp_path / "denoised") == {
        "a": "mean of 2 images: SI-PSNR 11.00 dB noisy, 22.00 dB denoised; SSIM 0.500 and 0.500",
        "b": "mean of 1 images: SI-PSNR 30.00 dB noisy, 40.00 dB denoised; SSIM 0.500 and 0.500",
    }


def test_no_name_is_longer_than_readers_like() -> None:
    for package in (denoising({}), general({}), super_resolution({})):
        assert re.fullmatch(r"[\w+\- ()]{1,64}", package.name)


@pytest.fixture
def committed() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "rdf.yaml").read_text())


def test_the_committed_rdf_agrees_with_the_shipped_model(committed: dict[str, Any], shipped: Model) -> None:
    """The files of `make package` may not have been made; whatever is there must be what it says."""
    said = disagreements(committed, ROOT, shipped, FIGURES)
    assert [line for line in said if not re.search(r"runs/package/.* found none: run 'make package'", line)] == []


def test_an_rdf_of_other_weights_is_named(committed: dict[str, Any], shipped: Model) -> None:
    other = replace(shipped, sha256="0" * 64)
    assert any(
        "weights.pytorch_state_dict.sha256: expected 000" in line
        for line in disagreements(committed, ROOT, other, FIGURES)
    )
    committed["weights"]["pytorch_state_dict"]["architecture"]["sha256"] = "1" * 64
    committed["outputs"][0]["axes"][2]["halo"] = 16
    committed["covers"] = ["runs/package/none.png"]
    said = "\n".join(disagreements(committed, ROOT, shipped, FIGURES))
    assert "unet.py: expected sha256 111" in said
    assert "outputs.axes.halo: expected" in said
    assert "none.png: expected the file that rdf.yaml names, found none: run 'make package'" in said


def test_another_normalisation_is_refused() -> None:
    model = Model(UNet((4, 8)), Normalisation("noise"), "", None, {})
    with pytest.raises(ValueError, match="expected a model with normalisation 'plane', found 'noise'"):
        standardised(model)
