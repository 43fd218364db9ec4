"""A model folder is loaded whole and unharmed, or refused with a reason."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from quietfield.network.domain import TRAITS
from quietfield.network.model import ModelError, find_model, load_model, save_model, sha256
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from train.data.clean import read_named
from train.measure.metrics import si_psnr
from train.measure.superres import cases

ROOT = Path(__file__).resolve().parents[1]


def change(folder: Path, **fields: object) -> None:
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**record, **fields}))


def vouch(folder: Path) -> None:
    """Make the record agree with whatever the weights file now is."""
    change(folder, weights={"file": "weights.pt", "sha256": sha256(folder / "weights.pt")})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    network = UNet((4, 8), 2)
    record = {"architecture": {"channels": [4, 8], "unshuffle": 2}, "autocast": "float16"}
    save_model(tmp_path, network, {"kind": "dataset", "mean": 3.0, "std": 2.0}, record)
    model = load_model(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), model.network.parameters(), strict=True))
    assert (model.normalisation.kind, model.normalisation.mean, model.normalisation.std) == ("dataset", 3.0, 2.0)
    assert model.autocast == torch.float16
    assert model.sha256 == sha256(tmp_path / "weights.pt")


EVERY_ARGUMENT = {
    "channels": [4, 8], "unshuffle": 2, "block": "residual", "norm": "batch", "residual": False, "attention": True,
    "dropout": 0.2, "scale": 2, "skips": "added",
}  # fmt: skip


def test_every_argument_of_the_network_is_restored(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = UNet(**{**EVERY_ARGUMENT, "channels": (4, 8)}).eval()
    remarks = {"network": "quietfield.network.unet.UNet", "parameters": 1, "halo": network.halo}
    save_model(tmp_path, network, {"kind": "plane"}, {"architecture": {**EVERY_ARGUMENT, **remarks}})
    loaded = load_model(tmp_path).network.eval()
    x = torch.rand(1, 1, 20, 30)
    assert loaded(x).shape == (1, 1, 40, 60)
    assert torch.equal(loaded(x), network(x))
    assert (loaded.scale, loaded.halo, loaded.residual) == (2, network.halo, False)


def test_arguments_that_are_missing_take_their_defaults(tmp_path: Path) -> None:
    save_model(tmp_path, UNet((4, 8)), {"kind": "plane"}, {"architecture": {"channels": [4, 8]}})
    network = load_model(tmp_path).network
    assert (network.unshuffle, network.scale, network.residual, len(network.middle)) == (1, 1, True, 0)


def test_the_first_folder_that_holds_a_model_is_taken(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert find_model([tmp_path / "nowhere", tmp_path / "empty", tiny_model]) == tiny_model
    with pytest.raises(ModelError, match=r"looked in .*nowhere, .*; name another .--model"):
        find_model([tmp_path / "nowhere", tmp_path / "empty"])


def test_a_model_one_folder_too_deep_is_taken_and_named(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_model([tmp_path, tmp_path / "nowhere"]) == tiny_model
    assert "found it one folder deeper, in tiny-model" in caplog.text
    shutil.copytree(tiny_model, tmp_path / "other")
    assert find_model([tmp_path, tiny_model]) == tiny_model
    assert "found one in each of other, tiny-model: takes none of them" in caplog.text


def test_a_folder_with_other_files_alone_is_named(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "uploaded" / "a" / "b").mkdir(parents=True)
    assert find_model([tmp_path / "uploaded", tiny_model]) == tiny_model
    assert "uploaded: expected model.json, found other files alone" in caplog.text


def test_weights_that_are_not_the_recorded_ones(tiny_model: Path) -> None:
    torch.save(UNet((4, 8), 2).state_dict(), tiny_model / "weights.pt")
    with pytest.raises(ModelError, match=r"weights\.pt: expected sha256 .*do not belong together"):
        load_model(tiny_model)


def test_weights_of_another_network(tiny_model: Path) -> None:
    torch.save(UNet((4, 6), 2).state_dict(), tiny_model / "weights.pt")
    vouch(tiny_model)
    with pytest.raises(ModelError, match="expected the weights of the network"):
        load_model(tiny_model)


def test_weights_that_try_to_run_code(tiny_model: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"x": Evil()}, tiny_model / "weights.pt")
    vouch(tiny_model)
    with pytest.raises(ModelError, match="expected the weights of the network"):
        load_model(tiny_model)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", b"\x80\x02."])
def test_weights_that_are_damaged_but_vouched_for(tiny_model: Path, content: bytes) -> None:
    (tiny_model / "weights.pt").write_bytes(content)
    vouch(tiny_model)
    with pytest.raises(ModelError, match="expected the weights of the network"):
        load_model(tiny_model)


def test_missing_weights(tiny_model: Path) -> None:
    (tiny_model / "weights.pt").unlink()
    with pytest.raises(ModelError, match=r"weights\.pt: expected the weights that .*model\.json names"):
        load_model(tiny_model)


@pytest.mark.parametrize(
    "fields",
    [
        {"architecture": {}},
        {"architecture": {"channels": [4], "unshuffle": 1}},
        {"architecture": {"channels": "many", "unshuffle": 1}},
        {"architecture": {"channels": [4, 8], "unshuffle": 2, "block": "dense"}},
        {"architecture": {"channels": [4, 8], "unshuffle": 2, "norm": "layer"}},
        {"architecture": {"channels": [4, 8], "unshuffle": 2, "scale": 3}},
        {"architecture": {"channels": [4, 8], "unshuffle": 2, "skips": "none"}},
        {"architecture": {"channels": [4, 8], "unshuffle": 2, "dropout": "some"}},
        {"architecture": {"channels": [4, 8], "unshuffle": 2, "residual": "false"}},
        {"architecture": {"channels": [4, 6], "unshuffle": 2, "attention": True}},
        {"architecture": {"channels": [4, 8], "unshuffle": 2, "gates": 1}},
        {"normalisation": {"kind": "median"}},
        {"normalisation": {"unknown": 1}},
        {"weights": {}},
        {"autocast": "int8"},
        {"format": 2},
    ],
)
def test_a_record_that_makes_no_sense(tiny_model: Path, fields: dict[str, object]) -> None:
    change(tiny_model, **fields)
    with pytest.raises(ModelError, match=r"model\.json: expected a model record of format 1"):
        load_model(tiny_model)


def test_a_record_that_is_no_json(tiny_model: Path) -> None:
    (tiny_model / "model.json").write_text("{")
    with pytest.raises(ModelError, match=r"model\.json: expected a model record"):
        load_model(tiny_model)


def test_the_shipped_model_is_small_and_says_how_it_was_trained(shipped: object) -> None:
    resources = Path(__file__).resolve().parents[1] / "resources"
    record = json.loads((resources / "model.json").read_text())
    assert (resources / record["weights"]["file"]).stat().st_size < 16e6
    general = json.loads((resources / "general" / "model.json").read_text())
    for training in (record["training"], general["training"]):
        fields = [int(f) for part in ("training_fields", "validation_fields") for f in training[part]]
        assert sorted(fields) == [*range(3, 81)], "fields of the official split, 1 and 2 left out"


def test_the_network_that_doubles_the_pixels_is_small_and_never_saw_the_held_out_cells(data: Path) -> None:
    """And it makes of a held-out cell what the committed table says."""
    folder = ROOT / "models" / "super-resolution"
    model = load_model(folder)
    assert (folder / "weights.pt").stat().st_size < 16e6
    assert model.network.scale == 2
    training = model.record["training"]
    held_out = {image.name for image in read_named(data / "clean" / "biosr-mt", held_out=True, scale=2)}
    assert len(held_out) == 3
    assert not held_out & {*training["clean_images"], *training["validation_fields"]}
    assert len(training["clean_images"]) == 6
    with (ROOT / "docs" / "super-resolution.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    case = next(cases(data / "clean"))
    (row,) = [r for r in rows if (r["image"], r["photons"]) == (case.image, "1") and r["method"] == "this network"]
    answer = Denoiser(model.network, model.normalisation)(case.noisy[None])[0]
    assert si_psnr(case.truth, answer) == pytest.approx(float(row["si_psnr"]), abs=0.02)


def test_the_shipped_model_holds_one_for_other_images_which_has_no_biases() -> None:
    resources = Path(__file__).resolve().parents[1] / "resources"
    model = load_model(resources)
    assert model.domain.ranges.keys() == TRAITS.keys()
    assert model.general is not None
    assert all(not p.any() for name, p in model.general.network.named_parameters() if name.endswith("bias"))
    assert (resources / "general" / model.general.record["weights"]["file"]).stat().st_size < 16e6


def test_a_model_holds_another_for_images_that_it_does_not_know(tiny_model: Path) -> None:
    record = json.loads((tiny_model / "model.json").read_text())
    extended = {**record, "domain": {"noise": [0.1, 0.9]}, "general": "other"}
    (tiny_model / "model.json").write_text(json.dumps(extended))
    with pytest.raises(ModelError, match=r"other.model\.json: expected a model record"):
        load_model(tiny_model)
    save_model(tiny_model / "other", UNet((4, 8)), {"kind": "plane"}, {"architecture": {"channels": [4, 8]}})
    model = load_model(tiny_model)
    assert model.domain.ranges == {"noise": (0.1, 0.9)}
    assert model.general is not None
    assert model.general.network.unshuffle == 1
    twice = {"architecture": {"channels": [4, 8], "scale": 2}}
    save_model(tiny_model / "other", UNet((4, 8), scale=2), {"kind": "plane"}, twice)
    with pytest.raises(ModelError, match=r"other: expected a network of scale 1, as in .*model\.json, found 2"):
        load_model(tiny_model)
    (tiny_model / "model.json").write_text(json.dumps({**extended, "general": "../other"}))
    with pytest.raises(ModelError, match=r"general '\.\./other', which is no name of a folder in this one"):
        load_model(tiny_model)
