"""The endless stream of training batches: batch number i is the same whoever draws it, and whenever."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from quietfield.network.window import reach
from quietfield.noise.camera import poisson_frame

from ..config import Config
from .augment import augment
from .clean import draw_clean, plan_clean
from .movies import MARGIN
from .pairs import Images, Sampling, Windows, draw_batch, plan_batch
from .resident import Map, Plan, Resident
from .synthetic import Cameras, degrade

# Third moment of the noise, in that of Poisson noise, that tells a camera which multiplies electrons (1.5).
MULTIPLIES = 1.25
SAMPLES = 256  # crops, and frames, that tell what a network is trained on


@dataclass(frozen=True)
class Crops:
    """One batch as it is drawn on the CPU; synthetic noise is added on the device, by `expose`."""

    index: int
    noisy: Tensor  # (N, 1, Y, X), intensity units
    truth: Tensor  # (N, 1, sY, sX), ground truth, or what `draw_batch` gives in place of it
    camera: Tensor  # (N, 3), gain, offset and skewness
    clean: Tensor  # (M, P, sY, sX), without noise, from 0 to about 1; P is 1, or the planes of a movie
    most: Tensor  # (M,), most photo-electrons that it is good for

    def to(self, device: torch.device) -> Crops:
        """The same on a device."""
        moved = (t.to(device, non_blocking=True) for t in (self.noisy, self.truth, self.camera, self.clean, self.most))
        return Crops(self.index, *moved)


class Stream(IterableDataset[Any]):
    """Batches number `first`, `first` + 1, ... without end; several workers take turns.

    Parameters
    ----------
    images : Images
        What to draw from.
    config : Config
        Batch, crop, shares and seed.
    first : int
        Number of the first batch; a resumed run goes on where it stopped.
    planned : bool
        Give the `Plan` of each batch, for `cut`, in place of its `Crops`.
    """

    def __init__(self, images: Images, config: Config, first: int = 0, planned: bool = False) -> None:
        super().__init__()
        self.images, self.config, self.first = images, config, first
        self.map = Map(images) if planned else None

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        turn, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for index in itertools.count(self.first + turn, workers):
            yield self.plan(index, self.map) if self.map else self.draw(index)

    def draw(self, index: int) -> Crops:
        """Batch number `index`."""
        c, images = self.config, self.images
        generator = _generator(c, index)
        synthetic = round(c.synthetic * c.batch)
        real, empty = c.batch - synthetic, torch.empty(0)
        noisy, truth, camera, clean, most = empty, empty, empty, empty, empty
        if real:
            samples = range(index * real, (index + 1) * real)
            noisy, truth, camera = draw_batch(images.training, samples, Sampling.of(c), generator)
        if synthetic:
            side = c.scale * c.crop + (2 * MARGIN if c.planes > 1 else 0)
            clean, most = draw_clean(
                images.clean, synthetic, side, generator, 2 * reach(c.planes) + 1 if c.planes > 1 else 1
            )
        return Crops(index, noisy, truth, camera, clean, most)

    def plan(self, index: int, where: Map) -> Plan:
        """Where the pixels of batch number `index` are, those that `draw` copies."""
        c, images = self.config, self.images
        generator = _generator(c, index)
        synthetic = round(c.synthetic * c.batch)
        real, crop = c.batch - synthetic, c.scale * c.crop
        windows = Windows([], [], (c.crop, c.crop))
        if real:
            samples = range(index * real, (index + 1) * real)
            windows = plan_batch(images.training, samples, Sampling.of(c), generator)
        clean = plan_clean(images.clean, synthetic, crop, generator) if synthetic else []
        return where.plan(index, windows, clean, crop)


def first_crops(images: Images, config: Config) -> Iterator[tuple[Tensor, Tensor]]:
    """The first `SAMPLES` crops of a run, by batches, with their noise and their ground truths (`expose`)."""
    stream = Stream(images, config)
    for index in range(-(-SAMPLES // config.batch)):
        yield expose(stream.draw(index), config)


def cut(plan: Plan, resident: Resident, config: Config) -> Crops:
    """The crops of a plan, from the images on their device."""
    empty = torch.empty(0, device=resident.device)
    noisy, truth, camera, clean, most = empty, empty, empty, empty, empty
    if len(plan.numbers):
        noisy, truth, camera = resident.pairs(plan)
    if len(plan.planes):
        clean, most = resident.clean(plan, config.scale * config.crop)
    return Crops(plan.index, noisy, truth, camera, clean, most)


def expose(crops: Crops, config: Config) -> tuple[Tensor, Tensor]:
    """Add the synthetic noise, and augment, on the device of the crops.

    Returns
    -------
    noisy, truth : Tensor
        float32, (batch, P, Y, X) and (batch, 1, sY, sX), intensity units; of movies what the network is given, and
        the ground truth of the plane in the middle.
    """
    device = crops.truth.device if len(crops.truth) else crops.clean.device
    generator = _generator(config, crops.index, device)
    pairs = []
    if len(crops.noisy):
        pairs.append((_redrawn(crops, config, generator), crops.truth))
    if len(crops.clean):
        c = config
        cameras = Cameras(
            c.photons, c.read_noise, c.correlated, c.rows, c.smooth, c.multiplied, c.origins, c.additive, c.fields,
            c.planes,
        )  # fmt: skip
        pairs.append(degrade(crops.clean, generator, config.scale, cameras=cameras, most=crops.most))
    noisy, truth = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    if config.planes > 1:  # turned and mirrored when they were cut
        return noisy, truth
    return augment(noisy, truth, config, _generator(config, crops.index))


def _redrawn(crops: Crops, config: Config, generator: torch.Generator) -> Tensor:
    """The frames, a share of them with synthetic noise; a camera that is not known keeps its frame."""
    if config.redraw == 0:
        return crops.noisy
    gain, offset = (crops.camera[:, i].view(-1, 1, 1, 1) for i in range(2))
    known = torch.isfinite(gain)
    if config.levels != (1.0, 1.0):
        low, high = (math.log(frames) for frames in config.levels)
        draw = torch.rand(gain.shape, generator=generator, device=gain.device)
        gain = gain / (low + (high - low) * draw).exp()
    # Where the ground truth is darker than the offset that was measured, that was too high.
    offset = torch.minimum(offset.where(known, 0.0), crops.truth.amin(dim=(2, 3), keepdim=True))
    multiplies = crops.camera[:, 2].view(-1, 1, 1, 1) > MULTIPLIES
    drawn = poisson_frame(crops.truth, gain.where(known, 1.0), offset, generator, multiplies)
    anew = torch.rand(gain.shape, generator=generator, device=gain.device) < config.redraw
    return torch.where(anew & known, drawn, crops.noisy)


def _generator(config: Config, index: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed((config.seed << 40) + index)


def loader(images: Images, config: Config, first: int, workers: int, planned: bool = False) -> DataLoader[Any]:
    """Batches as a `DataLoader`, drawn ahead by so many processes (0: by this one, when they are needed).

    With `planned` their plans alone.
    """
    options: dict[str, Any] = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
    return DataLoader(Stream(images, config, first, planned), batch_size=None, num_workers=workers, **options)
