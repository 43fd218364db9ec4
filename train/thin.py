"""Turn a network that concatenates its skip connections into one that adds them, which takes a fifth less time.

What is concatenated is as wide as two levels, but the block behind it hardly uses more than half of these directions.
So its first convolutions are taken apart, into a projection on the directions that matter most to their answers
(reduced-rank regression; Izenman, 1975) and convolutions of that; and the projection goes into the 1x1 convolution of
the skip and the transposed one from below, in which it costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from denoiser.unet import DoubleConv, UNet

SMALL = 1e-9  # variance of a direction, in the greatest, below which it is taken for constant


def first_convolutions(block: nn.Module) -> list[nn.Conv2d]:
    """Those of a block that see its input."""
    body = block if isinstance(block, DoubleConv) else block.body
    found = [body[0]] if body is block else [body[0], block.short]  # type: ignore[index]
    return [layer for layer in found if isinstance(layer, nn.Conv2d)]


@torch.no_grad()
def thin(thick: UNet, network: UNet, crops: Iterable[Tensor]) -> list[float]:
    """Give `network` the weights that come nearest to those of `thick`.

    Parameters
    ----------
    thick : UNet
        With skips that are concatenated.
    network : UNet
        The same with skips that are added; all of its weights are set.
    crops : iterable of Tensor
        Batches of what the network will see, (N, 1, Y, X), normalised: directions in which they do not
        vary do not matter.

    Returns
    -------
    list of float
        By level, finest first: share of the power of the first convolutions' answers that is lost.

    Raises
    ------
    ValueError
        If they are not two such networks.
    """
    if thick.skip or not network.skip:
        raise ValueError("thin: expected a network that concatenates its skips, and one that adds them")
    ours = network.state_dict()
    theirs = {k: v for k, v in thick.state_dict().items() if k in ours and v.shape == ours[k].shape}
    network.load_state_dict({**ours, **theirs})
    lost = []
    for level, moment in enumerate(_moments(thick, crops)):
        skip = cast(nn.Conv2d, network.skip[level])
        old_up, new_up = (cast(nn.ConvTranspose2d, n.up[level]) for n in (thick, network))
        width = skip.out_channels
        pairs = list(zip(first_convolutions(thick.merge[level]), first_convolutions(network.merge[level]), strict=True))
        weights = torch.cat([c.weight.double().permute(0, 2, 3, 1).flatten(0, 2) for c, _ in pairs])  # (., 2 width)
        values, vectors = torch.linalg.eigh(moment)
        values = values.clamp(min=SMALL * float(values[-1]))
        root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
        power, directions = torch.linalg.eigh(root @ weights.T @ weights @ root)
        project, expand = directions[:, -width:].T @ inverse, root @ directions[:, -width:]
        lost.append(float(power[:-width].sum() / power.sum()))
        for old, new in pairs:
            new.weight.copy_(torch.einsum("oiyx,ij->ojyx", old.weight.double(), expand))
        skipped, below = project[:, :width], project[:, width:]
        skip.weight.copy_(skipped[..., None, None])
        new_up.weight.copy_(torch.einsum("ioyx,jo->ijyx", old_up.weight.double(), below))
        for bias, value in ((skip.bias, torch.zeros(width)), (new_up.bias, below @ _bias(old_up))):
            if bias is not None:
                bias.copy_(value)
    return lost


def _bias(layer: nn.ConvTranspose2d) -> Tensor:
    return torch.zeros(layer.out_channels).double() if layer.bias is None else layer.bias.double()


def _moments(network: UNet, crops: Iterable[Tensor]) -> list[Tensor]:
    """Second moments of what the blocks of the expanding path are given, (C, C), finest first."""
    sums = [torch.zeros((), dtype=torch.float64) for _ in network.merge]

    def look(level: int) -> RemovableHandle:
        def hook(_: nn.Module, given: tuple[Tensor]) -> None:
            x = given[0].permute(1, 0, 2, 3).flatten(1).double()
            sums[level] = sums[level] + x @ x.T / x.shape[1]

        return network.merge[level].register_forward_pre_hook(hook)

    hooks = [look(level) for level in range(len(sums))]
    network.eval()
    for batch in crops:
        network(batch)
    for hook in hooks:
        hook.remove()
    return sums
