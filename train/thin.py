"""Turn a network that concatenates its skip connections into one that adds them, which takes a fifth less time.

What is concatenated is as wide as two levels, but the block behind it hardly uses more than half of these directions.
So its first convolutions are taken apart, into a projection on the directions that matter most to their answers
(reduced-rank regression; Izenman, 1975) and convolutions of that. Of all bases of these directions one leaves the skip
as it is, and then the projection goes into the transposed convolution from below, in which it costs nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from quietfield.machine import choose_device
from quietfield.network.predict import Denoiser
from quietfield.network.unet import DoubleConv, UNet

from .callbacks import BEST
from .checkpoint import checkpoint_of, load_checkpoint, load_network, run_normalisation, write_checkpoint
from .config import Config, from_record
from .data.pairs import Images
from .data.stream import first_crops
from .folders import make_folder
from .learn.schedule import MONITOR
from .learn.units import normalised
from .measure.score import score
from .module import build

log = logging.getLogger(__name__)

BATCH = 16  # crops that are looked at together

SMALL = 1e-9  # variance of a direction, in the greatest, below which it is taken for constant
# Of a direction that matters, standard deviation in the skip below which it is taken for more: else what comes from
# below would be so large beside the skip that half precision would lose the skip.
LEAST = 0.01


def first_convolutions(block: nn.Module) -> list[nn.Conv2d]:
    """Those of a block that see its input."""
    body = block if isinstance(block, DoubleConv) else block.body
    found = [body[0]] if body is block else [body[0], block.short]  # type: ignore[index]
    return [layer for layer in found if isinstance(layer, nn.Conv2d)]


def thick_config(checkpoint: Path) -> Config:
    """The configuration of a checkpoint that can be thinned.

    Raises
    ------
    ValueError
        If there is none, or its network adds its skips already.
    """
    config = from_record(load_checkpoint(checkpoint)["run"]["config"])
    if config.skips != "concatenated":
        raise ValueError(
            f"{checkpoint}: expected a network with skips=concatenated, found skips={config.skips}: it is thin already"
        )
    return config


def thin_checkpoint(checkpoint: Path, images: Images, out: Path) -> Path:
    """Thin the network of a checkpoint by the first crops that its run learnt from.

    Parameters
    ----------
    checkpoint : Path
        Of a network that concatenates its skips; its averaged weights are taken.
    images : Images
        Those of the run; the ground truths of the validation images tell what is lost.
    out : Path
        Folder for the checkpoint.

    Returns
    -------
    Path
        `out/best.ckpt`, to export or to start a run from with --initial.

    Raises
    ------
    ValueError
        If the checkpoint cannot be thinned, or there is one in `out` already.
    OSError
        If it cannot be written.
    """
    config, target = thick_config(checkpoint), out / BEST
    if target.exists():
        raise ValueError(f"{target}: expected a folder without a checkpoint, found one: give another --out")
    make_folder(out, "--out")
    run = load_checkpoint(checkpoint)["run"]
    normalisation = run_normalisation(run)
    config = dataclasses.replace(config, skips="added")
    torch.manual_seed(config.seed)
    thick, network = load_network(checkpoint), build(config)
    crops = (
        normalised(*pair, normalisation)[0] for pair in first_crops(images, dataclasses.replace(config, batch=BATCH))
    )
    lost = thin(thick, network, crops)
    log.info("what the skips tell is lost by %s, finest level first", ", ".join(map("{:.2%}".format, lost)))
    before, after = (_quality(n, images, run, config) for n in (thick, network))
    if config.supervised:
        log.info("validation SI-PSNR %.3f dB, thinned %.3f dB", before, after)
    run = {**run, "config": dataclasses.asdict(config), MONITOR: after}
    write_checkpoint(checkpoint_of(network, run), target)
    return target


def _quality(network: UNet, images: Images, run: dict[str, object], config: Config) -> float:
    """Mean SI-PSNR of the validation images in dB; NaN without ground truths."""
    if not config.supervised or not images.validation:
        return math.nan
    denoiser = Denoiser(network.to(choose_device()).eval(), run_normalisation(run), choose_device())
    return sum(score(denoiser, pair).quality for pair in images.validation) / len(images.validation)


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
