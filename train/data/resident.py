"""All images of a run in the memory of the device that trains, where windows of them are read without a copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import Config
from .augment import pixels, walk
from .clean import Place
from .pairs import Images, Windows


@dataclass(frozen=True)
class Plan:
    """Where the pixels of one batch are (`Resident`), in tensors on the CPU."""

    index: int
    shape: tuple[int, int]  # of the windows of the frames
    numbers: Tensor  # (N,), which images
    noisy: Tensor  # (N, 3), how to read each window (`train.data.augment.pixels`)
    truth: Tensor  # (N, 3)
    planes: Tensor  # (M,), which planes of clean images
    clean: Tensor  # (M, 3)


class Map:
    """Where each image of a run lies when all pixels of one kind are in one line.

    Parameters
    ----------
    images : Images
        Of which the first frames are taken.
    """

    def __init__(self, images: Images) -> None:
        self.scale = images.training[0].scale if images.training else 1
        self.frames = _Line([p.frames.shape[-2:] for p in images.training])
        self.truths = _Line([p.ground_truth.shape for p in images.training])
        self.planes = _Line([image.planes.shape[1:] for image in images.clean for _ in image.planes])
        self.before = np.cumsum([0] + [len(image.planes) for image in images.clean]).tolist()

    def plan(
        self,
        index: int,
        windows: Windows,
        clean: Sequence[Place],
        crop: int,
    ) -> Plan:
        """The plan of batch `index`, of what `plan_batch` gives, and `plan_clean` with crops of so many pixels."""
        s, (numbers, corners, shape) = self.scale, windows
        noisy = [self.frames.window(n, corner, shape) for n, corner in zip(numbers, corners, strict=True)]
        truth = [self.truths.window(n, (s * y, s * x), shape) for n, (y, x) in zip(numbers, corners, strict=True)]
        planes = [self.before[p.image] + p.plane for p in clean]
        cut = [
            self.planes.window(n, (p.y, p.x), (crop, crop), p.turns, p.mirrored)
            for n, p in zip(planes, clean, strict=True)
        ]
        return Plan(index, shape, *(torch.tensor(part) for part in (numbers, noisy, truth, planes, cut)))


class _Line:
    """Planes of these shapes, one after the other."""

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.starts = np.cumsum([0] + [math.prod(shape) for shape in shapes]).tolist()
        self.widths = [shape[1] for shape in shapes]

    def window(
        self, number: int, corner: tuple[int, int], shape: tuple[int, int], turns: int = 0, mirrored: int = 0
    ) -> tuple[int, int, int]:
        """How to read a window of a plane, by its upper left corner."""
        stride: int = self.widths[number]
        first, down, right = walk(turns, mirrored, shape, stride)
        return self.starts[number] + corner[0] * stride + corner[1] + first, down, right


class Resident:
    """The frames, ground truths and clean images of a run on a device, as `Map` says.

    Parameters
    ----------
    images : Images
        Of which the first frames are taken.
    device : torch.device
        Where to keep them, in float32.
    """

    def __init__(self, images: Images, device: torch.device) -> None:
        pairs, clean = images.training, images.clean
        self.scale, self.device = pairs[0].scale if pairs else 1, device
        self.frames = _join([p.frames[0] for p in pairs], device)
        self.truths = _join([p.ground_truth for p in pairs], device)
        self.planes = _join([plane.numpy() for image in clean for plane in image.planes], device)
        self.camera = torch.tensor([[p.gain, p.offset, p.skew] for p in pairs], device=device)
        self.most = torch.tensor([most for image in clean for most in image.most], device=device)

    @staticmethod
    def suits(config: Config, images: Images) -> bool:
        """Whether one frame of each image is all that is learnt from."""
        single = config.frames == "first" or all(len(pair.frames) == 1 for pair in images.training)
        return config.supervised and single and config.average == config.planes == 1

    @staticmethod
    def size(images: Images) -> int:
        """Bytes that they take."""
        pixels = sum(math.prod(p.frames.shape[-2:]) + p.ground_truth.size for p in images.training)
        return 4 * (pixels + sum(image.planes.numel() for image in images.clean))

    def pairs(self, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
        """What `train.data.pairs.draw_batch` gives."""
        truths = (self.scale * plan.shape[0], self.scale * plan.shape[1])
        noisy = self.frames[pixels(self._here(plan.noisy), plan.shape)]
        return noisy, self.truths[pixels(self._here(plan.truth), truths)], self.camera[self._here(plan.numbers)]

    def clean(self, plan: Plan, crop: int) -> tuple[Tensor, Tensor]:
        """What `train.data.clean.draw_clean` gives."""
        return self.planes[pixels(self._here(plan.clean), (crop, crop))], self.most[self._here(plan.planes)]

    def _here(self, part: Tensor) -> Tensor:
        return part.to(self.device, non_blocking=True)


def _join(planes: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    line = [torch.from_numpy(np.ascontiguousarray(p, dtype=np.float32)).ravel().to(device) for p in planes]
    return torch.cat(line) if line else torch.empty(0, device=device)
