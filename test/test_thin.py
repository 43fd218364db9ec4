"""From skips that are concatenated to skips that are added."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from quietfield.network.normalise import Normalisation
from quietfield.network.unet import UNet
from train.checkpoint import load_network
from train.data.stream import first_crops
from train.export import export
from train.fit import fit
from train.learn.units import normalised
from train.module import build
from train.thin import BATCH, LEAST, first_convolutions, thin, thin_checkpoint

from training import TINY, images  # isort: skip

ARCHITECTURES = [{}, {"block": "residual"}, {"block": "residual", "norm": "batch", "unshuffle": 2}]


def networks(**arguments: object) -> tuple[UNet, UNet]:
    torch.manual_seed(0)
    made = [UNet((4, 6, 8), skips=skips, **arguments).eval() for skips in ("concatenated", "added")]  # type: ignore[arg-type]
    return made[0], made[1]


@torch.no_grad()
def limit(network: UNet) -> None:
    """Have each merging block see no more directions than its level is wide."""
    for level, block in enumerate(network.merge):
        width = network.up[level].out_channels
        basis = torch.linalg.qr(torch.randn(2 * width, width)).Q
        for layer in first_convolutions(block):
            layer.weight.copy_(torch.einsum("oiyx,ij->ojyx", layer.weight, basis @ basis.T))


@pytest.mark.parametrize("arguments", ARCHITECTURES, ids=str)
def test_where_half_of_the_directions_suffice_it_is_the_same_network(
    arguments: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the thick network, on images that were not looked at; biases, borders and odd sides included."""
    monkeypatch.setattr("train.thin.LEAST", 1e-6)
    thick, network = networks(**arguments)
    limit(thick)
    lost = thin(thick, network, [torch.randn(8, 1, 32, 32)])
    assert max(lost) < 1e-6
    x = torch.randn(2, 1, 37, 51)
    with torch.no_grad():
        assert torch.allclose(network(x), thick(x), atol=2e-5)
    assert sum(p.numel() for p in network.parameters()) < sum(p.numel() for p in thick.parameters())


@torch.no_grad()
def test_what_is_lost_is_told_and_is_the_least_that_can_be() -> None:
    """Of pointwise convolutions, whose answers are all that is told of; any other weights lose more."""
    torch.manual_seed(0)
    thick, network = (UNet((4, 8), block="residual", skips=skips).eval() for skips in ("concatenated", "added"))
    for layer in first_convolutions(thick.merge[0]):
        corners = torch.ones(layer.kernel_size, dtype=torch.bool)
        corners[layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = False
        layer.weight.masked_fill_(corners, 0)
    x = torch.randn(8, 1, 32, 32)

    def error() -> float:
        before, after = answers(thick, x), answers(network, x)
        return float((after - before).square().sum() / before.square().sum())

    (lost,) = thin(thick, network, [x])
    assert lost > 0.001
    assert error() == pytest.approx(lost, rel=1e-3)
    for weight in (network.up[0].weight, network.merge[0].short.weight):
        step = 0.05 * weight.std() * torch.randn(weight.shape)
        for sign in (1, -2):
            weight += sign * step
            assert error() > lost
        weight += step


@torch.no_grad()
def test_what_comes_from_below_does_not_drown_the_skip() -> None:
    """Where the skip tells next to nothing, it would have to be enlarged without end to be left as it is."""
    torch.manual_seed(0)
    thick, network = (UNet((4, 8), block="residual", skips=skips).eval() for skips in ("concatenated", "added"))
    for layer in first_convolutions(thick.merge[0]):
        layer.weight[:, :4] *= 1e-6
    x = torch.randn(8, 1, 32, 32)
    thin(thick, network, [x])
    found: dict[str, torch.Tensor] = {}
    network.up[0].register_forward_hook(lambda _, __, y: found.update(below=y.clone()))
    network.down[0].register_forward_hook(lambda _, __, y: found.update(skip=y))
    after = network(x)
    assert found["below"].square().mean() < 1.01 * found["skip"].square().mean() / LEAST**2
    assert functional.mse_loss(after, thick(x)) < 0.01 * after.var()


@torch.no_grad()
def test_channels_that_are_dead_do_no_harm() -> None:
    torch.manual_seed(0)
    thick, network = (UNet((4, 8), block="residual", skips=skips).eval() for skips in ("concatenated", "added"))
    for layer in (thick.down[0].body[2], thick.down[0].short):  # type: ignore[index, union-attr]
        layer.weight[:2] = 0  # type: ignore[index, union-attr]
        layer.bias[:2] = 0  # type: ignore[index, union-attr]
    x = torch.randn(8, 1, 32, 32)
    (lost,) = thin(thick, network, [x])
    after = network(x)
    assert functional.mse_loss(after, thick(x)) < 0.1 * after.var()
    assert 0 <= lost < 0.1


def answers(network: UNet, x: torch.Tensor) -> torch.Tensor:
    """Of the first convolutions of the finest merging block, without their biases."""
    given: list[torch.Tensor] = []
    layers = first_convolutions(network.merge[0])
    hook = layers[0].register_forward_pre_hook(lambda _, x: given.append(x[0]))
    network(x)
    hook.remove()
    return torch.cat([functional.conv2d(given[0], c.weight, padding="same") for c in layers], dim=1)


def test_only_a_network_that_concatenates_becomes_one_that_adds() -> None:
    thick, network = networks()
    for wrong in ((network, network), (thick, thick), (network, thick)):
        with pytest.raises(ValueError, match="expected a network that concatenates"):
            thin(*wrong, [])


def test_a_checkpoint_is_thinned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """To the weights that come of the first crops of its run, which the checkpoint's own record names."""
    first = fit(TINY, images(), tmp_path / "first")
    with caplog.at_level(logging.INFO):
        second = thin_checkpoint(first, images(), tmp_path / "second")
    assert "what the skips tell is lost by" in caplog.text
    thick, network = load_network(first).eval(), load_network(second).eval()
    assert (thick.skips, network.skips) == ("concatenated", "added")
    config = dataclasses.replace(TINY, skips="added", batch=BATCH)
    normalisation = Normalisation(TINY.normalisation)
    expected = build(config)
    thin(thick, expected, [normalised(*pair, normalisation)[0] for pair in first_crops(images(), config)])
    assert all(torch.equal(network.state_dict()[name], value) for name, value in expected.state_dict().items())
    x = torch.from_numpy(images().training[0].frames[0]).float()[None, None]
    x = (x - x.mean()) / x.std()
    with torch.no_grad():
        before, after = thick(x), network(x)
    assert functional.mse_loss(after, before) < 0.1 * before.var()
    with pytest.raises(ValueError, match=r"best.ckpt: expected a folder without a checkpoint, found one"):
        thin_checkpoint(first, images(), tmp_path / "second")
    with pytest.raises(ValueError, match="expected a network with skips=concatenated, found skips=added"):
        thin_checkpoint(second, images(), tmp_path / "third")
    export(second, tmp_path / "model", "thin")
    assert load_network(tmp_path / "model").skips == "added"


def test_a_run_does_not_start_from_another_architecture(tmp_path: Path) -> None:
    first = fit(dataclasses.replace(TINY, steps=1), images(), tmp_path / "first")
    added = dataclasses.replace(TINY, skips="added", steps=1)
    message = "expected weights of a network with --skips added, found --skips concatenated: make one .*'train thin'"
    with pytest.raises(ValueError, match=message):
        fit(added, images(), tmp_path / "second", initial=first)
    second = thin_checkpoint(first, images(), tmp_path / "thin")
    fit(added, images(), tmp_path / "third", initial=second)
    with pytest.raises(ValueError, match="found --skips added: give the options of that network"):
        fit(TINY, images(), tmp_path / "fourth", initial=second)
