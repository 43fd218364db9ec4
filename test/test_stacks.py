"""A network for stacks is given the planes around each one, whatever the blocks and the order in the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from demo.simulate import simulate_field
from quietfield import work
from quietfield.adapt.plan import Adaptation, Options
from quietfield.adapt.stacks import Windows, of_stack
from quietfield.network.model import ModelError, load_model, save_model
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.pipeline import denoise_file

PLANES = 9


def network(planes: int = PLANES) -> UNet:
    torch.manual_seed(0)
    found = UNet((4, 8), 2, "residual", residual=False, planes=planes)
    for name, value in found.named_parameters():
        if name.endswith("bias"):
            value.data.zero_()
    return found


def movie(count: int = 20, side: int = 64) -> np.ndarray:
    light = simulate_field(1, side=side)[1]
    shifted = np.stack([np.roll(light, i, axis=0) for i in range(count)])
    return np.random.default_rng(0).poisson(shifted / 20).astype(np.uint16)


@pytest.fixture
def stack() -> Denoiser:
    return Denoiser(network(), Normalisation(), name="for stacks")


@pytest.fixture
def denoiser(stack: Denoiser) -> Denoiser:
    torch.manual_seed(1)
    return Denoiser(UNet((4, 8)), Normalisation(), name="for planes", stack=stack)


@pytest.mark.parametrize("block", [1, 3, 20])
def test_blocks_change_nothing(stack: Denoiser, block: int) -> None:
    planes, worker = movie(), Windows(stack)
    answers = [answer for i in range(0, len(planes), block) for answer in worker(planes[i : i + block])]
    assert len(answers) == len(planes) - 8, "the last ones wait for those behind them"
    assert len(worker.planes) == 2 * 8
    answers += worker.rest()
    assert np.array_equal(np.stack(answers), of_stack(stack, planes.astype(np.float32)))


def test_few_planes_are_answered_too(stack: Denoiser) -> None:
    worker = Windows(stack)
    planes = movie(3)
    answers = [*worker(planes), *worker.rest()]
    assert np.array_equal(np.stack(answers), of_stack(stack, planes.astype(np.float32)))
    assert np.array_equal(stack(planes[:1])[0], of_stack(stack, planes[:1])[0])
    assert np.array_equal(stack(planes)[2], stack(planes[2:])[0]), "called as for single planes, each is by itself"


def test_turns_are_averaged(stack: Denoiser) -> None:
    planes = movie(4).astype(np.float32)
    worker = Windows(stack, eightfold=True)
    answers = np.stack([*worker(planes), *worker.rest()])
    turned = Windows(stack, eightfold=True)
    mirrored = np.stack([*turned(planes[:, ::-1]), *turned.rest()])
    assert np.allclose(mirrored[:, ::-1], answers, rtol=1e-4)


def test_of_a_file(tmp_path: Path, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    """On by default along time and depth, off when asked; channels never help each other."""
    planes = movie(12)
    both = np.stack([planes, planes[::-1]], axis=1)
    tifffile.imwrite(tmp_path / "x.ome.tif", both, photometric="minisblack", metadata={"axes": "TCYX"})
    monkeypatch.setattr(work, "BLOCK_PIXELS", 2 * 64 * 64)
    report = denoise_file(denoiser, tmp_path / "x.ome.tif", tmp_path / "auto.ome.tif")
    assert [part.plan.neighbours for part in report.parts] == ["used: 8 on either side"] * 2
    assert report.plan.network == "for stacks"
    answer = tifffile.imread(tmp_path / "auto.ome.tif")
    for channel in range(2):
        one = tmp_path / f"{channel}.ome.tif"
        tifffile.imwrite(one, both[:, channel], photometric="minisblack", metadata={"axes": "TYX"})
        denoise_file(denoiser, one, tmp_path / "one.ome.tif")
        assert np.allclose(answer[:, channel], tifffile.imread(tmp_path / "one.ome.tif"), rtol=1e-4)
    report = denoise_file(denoiser, tmp_path / "x.ome.tif", tmp_path / "off.ome.tif", Options(neighbours="off"))
    assert report.plan.neighbours == "off: as asked"
    assert report.plan.network == "for planes"
    report = denoise_file(denoiser, tmp_path / "x.ome.tif", tmp_path / "a.ome.tif", Options(Adaptation(1.0, True)))
    assert "the network is not fine-tuned: it is one for stacks" in report.plan.adapted
    tifffile.imwrite(tmp_path / "c.ome.tif", planes[:5], photometric="minisblack", metadata={"axes": "CYX"})
    report = denoise_file(denoiser, tmp_path / "c.ome.tif", tmp_path / "c-answer.ome.tif")
    assert report.plan.neighbours.startswith("off: 1 plane")


def test_it_alone_is_a_model(tmp_path: Path, stack: Denoiser) -> None:
    tifffile.imwrite(tmp_path / "x.ome.tif", movie(5), photometric="minisblack", metadata={"axes": "TYX"})
    report = denoise_file(stack, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif")
    assert report.plan.neighbours == "used: 8 on either side"
    tifffile.imwrite(tmp_path / "one.tif", movie(1)[0], photometric="minisblack")
    assert denoise_file(stack, tmp_path / "one.tif", tmp_path / "two.tif").plan.neighbours.startswith("off: 1 plane")


def test_it_lies_in_a_folder_of_the_model(tmp_path: Path, tiny_model: Path) -> None:
    shape = {"channels": [4, 8], "unshuffle": 2, "block": "residual", "residual": False}
    save_model(tiny_model / "stack", network(), {"kind": "plane"}, {"architecture": {**shape, "planes": PLANES}})
    record = json.loads((tiny_model / "model.json").read_text())
    (tiny_model / "model.json").write_text(json.dumps({**record, "stack": "stack"}))
    model = load_model(tiny_model)
    assert model.stack
    assert model.parts == (model, model.stack)
    assert Denoiser.of(model).stack
    save_model(tiny_model / "stack", network(1), {"kind": "plane"}, {"architecture": shape})
    with pytest.raises(ModelError, match="stack: expected a network for stacks, found one for single planes"):
        load_model(tiny_model)
    (tiny_model / "model.json").write_text(json.dumps({**record, "stack": "../stack"}))
    with pytest.raises(ModelError, match=r"stack '../stack', which is no name of a folder"):
        load_model(tiny_model)


def test_memory_is_told(denoiser: Denoiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "x.ome.tif", movie(5), photometric="minisblack", metadata={"axes": "TYX"})
    monkeypatch.setattr("quietfield.adapt.plan.available", lambda: 1000)
    report = denoise_file(denoiser, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif")
    assert report.plan.neighbours.startswith("off: they need about")
