"""Turn a network that concatenates its skip connections into one that adds them, which takes a fifth less time.

What is concatenated is as wide as two levels, but the block behind it hardly uses more than half of these directions.
So its first convolutions are taken apart, into a projection on the directions that matter most to their answers
(reduced-rank regression; Izenman, 1975) and convolutions of that. Of all bases of these directions one leaves the skip
as it is, and then the projection goes into the transposed convolution from below, in which it costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from quietfield.network.unet import DoubleConv, UNet

SMALL = 1e-9  # variance of a direction, in the greatest, below which it is taken for constant
# Of a direction that matters, standard deviation in the skip below which it is taken for more: else what comes from
# below would be so large beside the skip that half precision would lose the skip.
LEAST = 0.01


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
    if thick.skips != "concatenated" or network.skips != "added":
        raise ValueError("thin: expected a network that concatenates its skips, and one that adds them")
    ours = network.state_dict()
    theirs = {k: v for k, v in thick.state_dict().items() if k in ours and v.shape == ours[k].shape}
    network.load_state_dict({**ours, **theirs})
    lost = []
    for level, moment in enumerate(_moments(thick, crops)):
        old_up, new_up = (cast(nn.ConvTranspose2d, n.up[level]) for n in (thick, network))
        width = new_up.out_channels
        pairs = list(zip(first_convolutions(thick.merge[level]), first_convolutions(network.merge[level]), strict=True))
        weights = torch.cat([c.weight.double().permute(0, 2, 3, 1).flatten(0, 2) for c, _ in pairs])  # (., 2 width)
        root, inverse = _roots(moment)
        project = torch.linalg.eigh(root @ weights.T @ weights @ root)[1][:, -width:].T @ inverse
        skip_root = _roots(moment[:width, :width])[0]
        u, spread, v = torch.linalg.svd(project[:, :width] @ skip_root)
        below = skip_root @ v.T @ ((u / spread.clamp(min=LEAST)).T @ project[:, width:])
        whole = torch.cat([torch.eye(width).double(), below], dim=1)
        expand = moment @ whole.T @ torch.linalg.pinv(whole @ moment @ whole.T, hermitian=True)
        error = weights @ (expand @ whole - torch.eye(2 * width).double()) @ root
        lost.append(float(error.square().sum() / (weights @ root).square().sum()))
        for old, new in pairs:
            new.weight.copy_(torch.einsum("oiyx,ij->ojyx", old.weight.double(), expand))
        new_up.weight.copy_(torch.einsum("ioyx,jo->ijyx", old_up.weight.double(), below))
        if old_up.bias is not None and new_up.bias is not None:
            new_up.bias.copy_(below @ old_up.bias.double())
    return lost


def _roots(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Square root of a matrix of second moments, and its inverse."""
    values, vectors = torch.linalg.eigh(moment)
    values = values.clamp(min=SMALL * float(values[-1]))
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    return root, inverse


def _moments(network: UNet, crops: Iterable[Tensor]) -> list[Tensor]:
    """Second moments of what the blocks of the expanding path are given, (C, C), finest first."""
    sums = [torch.zeros((), dtype=torch.float64) for _ in network.merge]

    def look(level: int) -> RemovableHandle:
        def hook(_: nn.Module, given: tuple[Tensor]) -> None:
            x = given[0].permute(1, 0, 2, 3).flatten(1).double()
            sums[level] = sums[level] + x @ x.T / x.shape[1]

        return first_convolutions(network.merge[level])[0].register_forward_pre_hook(hook)

    hooks = [look(level) for level in range(len(sums))]
    network.eval()
    for batch in crops:
        network(batch)
    for hook in hooks:
        hook.remove()
    return sums
