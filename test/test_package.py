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
from package.__main__ import SOURCES
from package.card import evaluations, load_card
from package.cost import sentences
from package.description import HALO, LEAST, Publisher, describe, disagreements
from package.weights import standardised
from quietfield.network.model import ARGUMENTS, Model, sha256
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import StandardisedUNet, UNet

ROOT = Path(__file__).resolve().parents[1]
CARD = load_card(ROOT / "resources" / "card.yaml")
SUPER_RESOLUTION = load_card(ROOT / "models" / "super-resolution" / "card.yaml")
FILES = [
    *("LICENSE", "weights.pt", "unet.py", "weights.torchscript.pt", "weights.onnx"),
    *("test_input.npy", "test_output.npy", "sample_input.tif", "sample_output.tif"),
]


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
    (tmp_path / "unet.py").write_bytes((ROOT / "quietfield" / "network" / "unet.py").read_bytes())
    architecture = shipped.record["architecture"]
    script = (
        "import torch, unet; n = unet.StandardisedUNet(**{}); "
        "n.load_state_dict(torch.load({!r}, weights_only=True)); print(n.halo)"
    ).format({k: architecture[k] for k in ARGUMENTS if k in architecture}, str(ROOT / "resources" / "weights.pt"))
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(result.stdout) == architecture["halo"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a package whose files hold their names."""
    result = tmp_path / "package"
    result.mkdir()
    for name in FILES:
        (result / name).write_text(name)
    return result


def test_what_the_package_says_follows_from_the_model(shipped: Model, folder: Path) -> None:
    rdf = describe(folder, shipped, standardised(shipped), CARD, tolerance=0.5, publisher=Publisher())
    json.dumps(rdf)  # plain types only
    assert rdf["weights"]["onnx"]["sha256"] == sha256(folder / "weights.onnx")
    assert rdf["attachments"] == [{"source": "LICENSE", "sha256": sha256(folder / "LICENSE")}]
    sizes = [(a["size"]["min"], a["size"]["step"]) for a in rdf["inputs"][0]["axes"] if a["type"] == "space"]
    assert sizes == [(LEAST, 1)] * 2
    assert {a["halo"] for a in rdf["outputs"][0]["axes"] if a["type"] == "space"} == {HALO}
    assert LEAST > 2 * HALO
    assert rdf["weights"]["torchscript"]["pytorch_version"] == torch.__version__.split("+")[0]
    kwargs = rdf["weights"]["pytorch_state_dict"]["architecture"]["kwargs"]
    assert StandardisedUNet(**kwargs).state_dict().keys() == shipped.network.state_dict().keys()


def test_the_typed_card_follows_from_the_records(shipped: Model, folder: Path) -> None:
    card = describe(folder, shipped, standardised(shipped), CARD, tolerance=0.5, publisher=Publisher())["config"][
        "bioimageio"
    ]
    training = shipped.record["training"]
    assert card["model_parameter_count"] == sum(p.numel() for p in shipped.network.parameters())
    assert card["training"]["training_batch_size"] == training["config"]["batch"]
    assert card["training"]["training_duration"] == pytest.approx(training["minutes"] / 60, abs=1e-3)
    assert card["task"] == "denoising"
    assert (card["inference_time"], card["memory_requirements_inference"]) == sentences("package")


def test_only_a_publisher_names_people_and_places(shipped: Model, folder: Path) -> None:
    network = standardised(shipped)
    rdf = describe(folder, shipped, network, CARD, tolerance=0.5, publisher=Publisher())
    assert not {"maintainers", "git_repo", "training_data"} & rdf.keys()
    publisher = Publisher("somebody", "https://example.org/repository", "some-data")
    rdf = describe(folder, shipped, network, CARD, tolerance=0.5, publisher=publisher)
    assert rdf["maintainers"] == [{"github_user": "somebody"}]
    assert (rdf["git_repo"], rdf["training_data"]) == ("https://example.org/repository", {"id": "some-data"})


def test_a_package_that_doubles_the_pixels_says_so(shipped: Model, folder: Path) -> None:
    architecture = {"channels": [4, 8], "unshuffle": 1, "scale": 2}
    record = {**shipped.record, "architecture": {**architecture, "parameters": 1}}
    model = Model(UNet((4, 8), scale=2), Normalisation("plane"), "", None, record)
    rdf = describe(folder, model, standardised(model), SUPER_RESOLUTION, tolerance=0.5, publisher=Publisher())
    spaces = [a for a in rdf["outputs"][0]["axes"] if a["type"] == "space"]
    assert {(a["scale"], a["halo"]) for a in spaces} == {(0.5, 2 * HALO)}
    assert rdf["weights"]["pytorch_state_dict"]["architecture"]["kwargs"] == architecture
    assert "super-resolution" in rdf["tags"]
    assert rdf["config"]["bioimageio"]["task"] == "super-resolution and denoising"


def test_figures_come_from_the_tables_that_the_card_names(tmp_path: Path) -> None:
    for name, quality in (("noisy", (10, 12, 30)), ("denoised", (20, 24, 40))):
        rows = [f"{s},{i},{q},0.5" for i, (s, q) in enumerate(zip("aab", quality, strict=True))]
        (tmp_path / name).write_text("\n".join(["# how it was made", "set,image,si_psnr,ssim", *rows]) + "\n")
    place = {"dataset_id": "x", "dataset_source": "https://example.org", "dataset_role": "test"}
    entries = [{"csv": ["noisy", "denoised"], "set": name, "title": f"set {name}", **place} for name in "ab"]
    found = evaluations(replace(CARD, evaluations=entries), tmp_path)
    assert [e["sample_count"] for e in found] == [2, 1]
    assert [e["results"][0] for e in found] == [[11.0, 22.0], [30.0, 40.0]]
    entries[0]["set"] = "c"
    with pytest.raises(ValueError, match="expected rows of set a, found none: measure them"):
        evaluations(replace(CARD, evaluations=entries), tmp_path)


def test_a_card_without_a_field_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("name: x\n")
    with pytest.raises(ValueError, match=r"card\.yaml: expected the fields .*, found a difference in .*'task'"):
        load_card(tmp_path / "card.yaml")


@pytest.mark.parametrize("name", SOURCES)
def test_cards_are_in_words_and_limits_that_readers_know(name: str) -> None:
    card = load_card(SOURCES[name] / "card.yaml")
    assert re.fullmatch(r"[\w+\- ()]{1,64}", card.name)
    assert len(card.architecture_type) <= 32
    for entry in evaluations(card):
        assert max(len(word) for word in (*entry["evaluation_factors"], *entry["metrics"])) <= 16
        assert "raw16" not in json.dumps(entry)
        assert "1 images" not in json.dumps(entry)
    assert sentences(name)


@pytest.fixture
def committed() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "rdf.yaml").read_text())


def test_the_committed_rdf_agrees_with_the_shipped_model(committed: dict[str, Any], shipped: Model) -> None:
    """The files of `make package` may not have been made; whatever is there must be what it says."""
    said = disagreements(committed, ROOT, shipped, CARD)
    assert [line for line in said if not re.search(r"runs/package/.* found none: run 'make package'", line)] == []


def test_an_rdf_of_other_weights_is_named(committed: dict[str, Any], shipped: Model) -> None:
    other = replace(shipped, sha256="0" * 64)
    assert any(
        "weights.pytorch_state_dict.sha256: expected 000" in line
        for line in disagreements(committed, ROOT, other, CARD)
    )
    committed["weights"]["pytorch_state_dict"]["architecture"]["sha256"] = "1" * 64
    committed["outputs"][0]["axes"][2]["halo"] = 8
    committed["covers"] = ["runs/package/none.png"]
    said = "\n".join(disagreements(committed, ROOT, shipped, CARD))
    assert "unet.py: expected sha256 111" in said
    assert "outputs.axes.halo: expected" in said
    assert "none.png: expected the file that rdf.yaml names, found none: run 'make package'" in said


def test_another_normalisation_is_refused() -> None:
    model = Model(UNet((4, 8)), Normalisation("noise"), "", None, {})
    with pytest.raises(ValueError, match="expected a model with normalisation 'plane', found 'noise'"):
        standardised(model)
