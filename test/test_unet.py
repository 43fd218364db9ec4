"""The network's geometry: any size, a halo that holds, an architecture that stands alone."""

import ast
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from quietfield.network import unet
from quietfield.network.unet import SKIPS, ResidualConv, UNet

SMALL = [((4, 8), 1), ((4, 8, 8), 1), ((4, 8), 2), ((4, 8, 8), 2), ((4, 4, 4), 3)]


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 7), (540, 490)])
def test_any_size_keeps_its_size(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert UNet((2, 3, 4), 2)(torch.randn(2, 1, *size)).shape == (2, 1, *size)
        assert UNet((2, 3, 4))(torch.randn(2, 1, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize(("skips", "planes"), [*((skips, 1) for skips in SKIPS), ("added", 3)])
@pytest.mark.parametrize(("channels", "unshuffle"), SMALL)
def test_no_pixel_beyond_the_halo_has_a_say(channels: tuple[int, ...], unshuffle: int, skips: str, planes: int) -> None:
    if planes > 1 and unshuffle != 2:
        with pytest.raises(ValueError, match="expected an unshuffle of 2 for several planes"):
            UNet(channels, unshuffle, skips=skips, planes=planes)
        return
    """Oracle: gradients. What an output pixel depends on, over every position in the pooling grid."""
    torch.manual_seed(0)
    network = UNet(channels, unshuffle, skips=skips, planes=planes).double()
    with torch.no_grad():  # positive weights and pixels: no ReLU is shut, no path cancels another
        for weight in network.parameters():
            weight.abs_()
    side = 4 * network.halo + 2 * network.multiple
    start = side // 2 - side // 2 % network.multiple
    furthest = 0
    for at in range(start, start + network.multiple):
        # Random, for on a constant the maximum of a pooling window is a tie.
        x = torch.rand(1, planes, side, side, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(x)[0, 0, at, at], x)
        rows = gradient[0].abs().amax(dim=0).nonzero()
        furthest = max(furthest, int((rows - at).abs().max()))
    assert furthest <= network.halo
    assert furthest > network.halo - 2 * network.multiple - unshuffle, "the halo is much too large"


def test_counts_its_parameters() -> None:
    plain = sum(p.numel() for p in UNet((16, 32, 64, 128, 256)).parameters())
    convolutions = 0
    for inputs, outputs in [
        (1, 16),
        (16, 32),
        (32, 64),
        (64, 128),
        (128, 256),
        (32, 16),
        (64, 32),
        (128, 64),
        (256, 128),
    ]:
        convolutions += 9 * inputs * outputs + outputs + 9 * outputs * outputs + outputs
    up = sum(4 * a * 2 * a + a for a in (16, 32, 64, 128))
    assert plain == convolutions + up + 16 + 1


@pytest.mark.parametrize("skips", SKIPS)
def test_the_answer_is_the_exit_of_the_last_block(skips: str) -> None:
    """Oracle: one after the other, which is how the weights are to be read."""
    torch.manual_seed(0)
    network = UNet((4, 8), 2, "residual", residual=False, skips=skips).eval()
    seen: list[torch.Tensor] = []
    network.merge[0].body.register_forward_pre_hook(lambda _, x: seen.append(x[0]))  # type: ignore[union-attr]
    answer = network(torch.randn(2, 1, 16, 24))
    block = network.merge[0]
    assert isinstance(block, ResidualConv)
    assert torch.allclose(answer, functional.pixel_shuffle(network.out(block(seen[0])), 2), atol=1e-6)


@pytest.mark.parametrize("wrong", [{"channels": (4,)}, {"channels": (4, 0)}, {"unshuffle": 0}])
def test_refuses_what_is_no_unet(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected at least two channel counts"):
        UNet(**wrong)  # type: ignore[arg-type]


def test_architecture_file_imports_only_torch() -> None:
    tree = ast.parse(Path(unet.__file__).read_text())
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert {str(m).split(".")[0] for m in modules} == {"torch", "__future__"}
