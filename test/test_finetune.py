"""A network that is there is made to suit one's own images: its architecture, its limits, and what is exported."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile

from demo.simulate import simulate_field
from quietfield.network.model import load_model
from train.__main__ import main
from train.checkpoint import like, load_checkpoint
from train.config import Config
from train.data.pairs import Pair, parted
from train.data.sources import find_images
from train.export import export
from train.measure.baselines import NOISY, OURS, START, is_behind, verdict
from train.recipes import RECIPES, finetuning

FINETUNE = RECIPES["finetune"][1]


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["train", *map(str, words)])
    return main()


def folder(root: Path, count: int, side: int = 96) -> Path:
    for i in range(count):
        noisy, truth = simulate_field(i, side=side)
        for kind, image in (("noisy", noisy), ("gt", truth.astype(np.float32))):
            (root / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / kind / f"cell {i}.tif", image)
    return root


def test_the_network_is_that_of_what_it_starts_from(tiny_model: Path) -> None:
    config = like(Config(), tiny_model, ())
    assert (config.channels, config.unshuffle, config.block) == ((4, 8), 2, "plain"), (
        "what the record does not say is as the network has it"
    )
    assert config.biases is any(p.any() for n, p in load_model(tiny_model).network.named_parameters() if "bias" in n)
    assert like(Config(channels=(8, 16)), tiny_model, {"channels"}).channels == (8, 16), "what is given stays"


def test_one_pair_is_parted_by_its_rows(tmp_path: Path) -> None:
    data = folder(tmp_path, 1, side=128)
    images = find_images(data, Config(crop=32))
    (upper,), (lower,) = images.training, images.validation
    assert (upper.frames.shape, lower.frames.shape) == ((1, 96, 128), (1, 32, 128))
    assert images.shares == "1, whose last rows are to validate on"
    both = np.concatenate([upper.ground_truth, lower.ground_truth])
    assert np.corrcoef(both.ravel(), tifffile.imread(data / "gt" / "cell 0.tif").ravel())[0, 1] > 0.999
    double = Pair("a", "a", np.zeros((1, 128, 64)), np.arange(256 * 128, dtype=np.float32).reshape(256, 128), 1, 0)
    assert [part.ground_truth.shape for part in parted(double)] == [(192, 128), (64, 128)]
    (upper,) = find_images(data, Config(crop=128)).training
    assert upper.frames.shape == (1, 128, 128), "96 rows, mirrored up to the crop"
    with pytest.raises(ValueError, match=r"expected at least 64 x 32 pixels .* found 60 x 60: add images"):
        parted(Pair("a", "a", np.zeros((1, 60, 60)), np.zeros((60, 60), np.float32), 1, 0))


def test_a_share_of_the_crops_are_phantoms_where_there_are_no_clean_images(tmp_path: Path) -> None:
    images = find_images(folder(tmp_path, 2), dataclasses.replace(FINETUNE, crop=32, phantoms=2))
    assert [image.name for image in images.clean] == ["phantom 0", "phantom 1"]
    assert len(images.drawn) == 4, "others, to see whether something is forgotten"
    assert not {p.frames.tobytes() for p in images.drawn} & {c.planes.numpy().tobytes() for c in images.clean}


def test_recipes_without_a_ground_truth_are_finetuned_as_they_learn() -> None:
    for name in ("noise2void", "noise2noise", "recorrupted", "neighbours"):
        config = finetuning(RECIPES[name][1])
        assert (config.learn, config.lr, config.synthetic) == (name, FINETUNE.lr, 0)
    assert finetuning(Config()) == FINETUNE


def test_finetuned_from_the_command_line_and_exported_with_both_networks(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data, out = folder(tmp_path / "data", 2), tmp_path / "run"
    words = ("--data", data, "--out", out, "--crop", 32, "--batch", 4, "--no-cache", "--precision", "float32")
    code = run(monkeypatch, "fit", "--finetune", tiny_model, *words, "--steps", 3, "--phantoms", 2, "--patience", 0)
    assert code in (0, 3)
    saved = load_checkpoint(out / "checkpoint.ckpt")["run"]
    assert saved["config"]["channels"] == (4, 8)
    assert (saved["finetuned"], saved["initial"]) == (True, str(tiny_model))
    assert START in saved["baselines"]
    assert (f"export {out / 'best.ckpt'}" in caplog.text) is (code == 0), "what is worse is not to be exported"
    assert json.loads((out / "run.json").read_text())["arguments"]["initial"] == str(tiny_model)

    assert run(monkeypatch, "export", "--checkpoint", out / "best.ckpt", "--model", tmp_path / "mine") == 0
    mine = load_model(tmp_path / "mine")
    assert mine.general is not None
    assert mine.general.sha256 == load_model(tiny_model).sha256
    frames = [tifffile.imread(path).astype(float) for path in sorted((data / "noisy").iterdir())]
    assert mine.record["domain"], "what it is for"
    assert len(frames) == 2


def test_export_warns_of_a_network_that_is_no_better(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data, out = folder(tmp_path / "data", 2), tmp_path / "run"
    words = ("--data", data, "--out", out, "--crop", 32, "--batch", 4, "--no-cache", "--precision", "float32")
    run(monkeypatch, "fit", *words, "--channels", 4, 8, "--steps", 2)
    export(out / "checkpoint.ckpt", tmp_path / "bad", "bad")
    assert "this network is no better than the noisy input on its validation images" in caplog.text
    assert load_model(tmp_path / "bad").general is None


def test_a_network_behind_the_one_before_is_told() -> None:
    baselines = {NOISY: 20.0, START: 30.0}
    line, warning = verdict(29.5, baselines, 3)
    assert line.endswith(f"noisy input 20.00 dB, {START} 30.00 dB, {OURS} 29.50 dB")
    assert warning.startswith("this network is behind the one that it started from (29.50 dB, found 30.00 dB)")
    assert is_behind(29.5, baselines)
    _, warning = verdict(baselines[START] + 0.003, baselines, 3)
    assert warning.startswith("this network is no better than the one that it started from: keep that one")
    assert not is_behind(baselines[START] + 0.003, baselines)
    assert verdict(baselines[START] + 0.02, baselines, 3)[1] == ""
    assert not is_behind(30.5, baselines)


def test_two_networks_to_start_from_are_one_too_many(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", folder(tmp_path / "data", 1), "--out", tmp_path / "run", "--initial", tiny_model)
    assert run(monkeypatch, "fit", "--finetune", tiny_model, *words) == 1
    assert "finetune: expected one network to start from, found --initial" in capsys.readouterr().err
