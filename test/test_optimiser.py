"""Muon agrees with torch's own, and leaves to AdamW what is not a matrix."""

import copy

import pytest
import torch

from quietfield.network.unet import UNet
from train.config import Config
from train.optimiser import Muon, build_optimiser, orthogonal


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_muon_agrees_with_torchs_own(shape: tuple[int, int]) -> None:
    """torch's takes matrices only: the same weights as a convolution of one tap."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(shape, generator=generator))
    convolution = torch.nn.Conv2d(shape[1], shape[0], 1, bias=False)
    convolution.weight.data.copy_(matrix.data[:, :, None, None])
    theirs = torch.optim.Muon([matrix], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    ours = Muon(convolution, lr=0.01, weight_decay=0.1)
    for _ in range(5):
        matrix.grad = torch.randn(shape, generator=generator)
        convolution.weight.grad = matrix.grad[:, :, None, None].clone()
        theirs.step()
        ours.step()
    assert torch.allclose(convolution.weight.flatten(1), matrix, atol=1e-3)


def test_steps_in_either_precision_lead_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = torch.randn((24, 90), generator=torch.Generator().manual_seed(0))
    found = []
    for fast in (True, False):
        monkeypatch.setattr("train.optimiser.has_bfloat16", lambda device, fast=fast: fast)
        found.append(orthogonal(matrix))
    half, single = found
    assert half.dtype == single.dtype == torch.float32
    assert 1e-4 < float((half - single).abs().max()) < 0.02


def test_muon_leaves_the_rest_to_adamw() -> None:
    torch.manual_seed(0)
    network = UNet((8, 16), 1)
    again = copy.deepcopy(network)
    ours, theirs = Muon(network, 1e-2, 1e-2), torch.optim.AdamW(again.parameters(), lr=1e-2, weight_decay=1e-2)
    for step in range(3):
        for p, q in zip(network.parameters(), again.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
            q.grad = p.grad.clone()
        ours.step()
        theirs.step()
    rest = [n for n, p in network.named_parameters() if p.ndim == 1 or min(p.shape[:2]) < 8]
    assert {"down.0.0.weight", "out.weight", "out.bias"} <= set(rest)
    for name, p in network.named_parameters():
        assert torch.allclose(p, again.get_parameter(name), atol=1e-6) == (name in rest)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("muon", Muon)])
def test_optimisers_by_name_leave_out_what_is_not_trained(name: str, kind: type) -> None:
    network = UNet((8, 16))
    network.out.bias.requires_grad_(False)
    optimiser = build_optimiser(Config(optimiser=name), network)
    assert type(optimiser) is kind
    assert sum(len(g["params"]) for g in optimiser.param_groups) == len(list(network.parameters())) - 1


def test_muon_evaluates_the_closure() -> None:
    network = UNet((8, 16))
    x = torch.randn(1, 1, 16, 16)

    def closure() -> torch.Tensor:
        loss = network(x).square().mean()
        loss.backward()
        return loss

    optimiser = Muon(network, 1e-2, 0.0)
    first, second = (float(optimiser.step(closure).detach()) for _ in range(2))
    assert first > second
