"""All images of a run in the memory of the device that trains, where windows of them are cut without a copy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.augment import orient
from train.config import Config
from train.images.clean import Place
from train.images.pairs import Images


class Resident:
    """The frames, truths and clean images of a run on a device.

    Parameters
    ----------
    images : Images
        Of which the first frames are taken.
    device : torch.device
        Where to keep them, in float32.

    Attributes
    ----------
    device : torch.device
        Where they are.
    scale : int
        Pixels of a truth to one of its frame, along a side.
    """

    def __init__(self, images: Images, device: torch.device) -> None:
        pairs, self.device = images.training, device
        self.scale = pairs[0].scale if pairs else 1
        self.frames = _Planes((p.frames[0] for p in pairs), device)
        self.truths = _Planes((p.truth for p in pairs), device)
        self.camera = torch.tensor([[p.gain, p.offset, p.skew] for p in pairs], device=device)
        self.planes = _Planes((plane.numpy() for image in images.clean for plane in image.planes), device)
        self.before = np.cumsum([0] + [len(image.planes) for image in images.clean]).tolist()
        self.most = torch.tensor([most for image in images.clean for most in image.most], device=device)

    @staticmethod
    def suits(config: Config) -> bool:
        """Whether one frame of each image is all that is learnt from."""
        return config.learn == "truth" and config.frames == "first" and config.average == 1

    @staticmethod
    def size(images: Images) -> int:
        """Bytes that they take."""
        pixels = sum(math.prod(p.frames.shape[-2:]) + p.truth.size for p in images.training)
        return 4 * (pixels + sum(image.planes.numel() for image in images.clean))

    def pairs(
        self, numbers: Sequence[int], places: Sequence[tuple[int, int]], shape: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What `train.images.pairs.draw_batch` gives for the plan of `plan_batch`."""
        s, y, x = self.scale, [y for y, _ in places], [x for _, x in places]
        noisy = self.frames.windows(numbers, y, x, shape)
        truth = self.truths.windows(numbers, [s * at for at in y], [s * at for at in x], (s * shape[0], s * shape[1]))
        return noisy, truth, self.camera[torch.tensor(numbers, device=self.camera.device)]

    def clean(self, places: Sequence[Place], crop: int) -> tuple[Tensor, Tensor]:
        """What `train.images.clean.draw_clean` gives for the plan of `plan_clean`."""
        numbers = [self.before[p.image] + p.plane for p in places]
        crops = self.planes.windows(numbers, [p.y for p in places], [p.x for p in places], (crop, crop))
        most = self.most[torch.tensor(numbers, device=self.most.device)]
        return orient(crops, [p.turns for p in places], [p.mirrored for p in places]), most


class _Planes:
    """Planes of any shapes, one after the other in one line of pixels."""

    def __init__(self, planes: Iterable[NDArray[Any]], device: torch.device) -> None:
        arrays = [np.ascontiguousarray(plane, dtype=np.float32) for plane in planes]
        self.pixels = torch.cat([torch.from_numpy(a).ravel().to(device) for a in arrays]) if arrays else torch.empty(0)
        self.starts = np.cumsum([0] + [a.size for a in arrays]).tolist()
        self.widths = [a.shape[1] for a in arrays]

    def windows(self, numbers: Sequence[int], y: Sequence[int], x: Sequence[int], shape: tuple[int, int]) -> Tensor:
        """One window of each of these planes by its upper left corner, (N, 1, Y, X)."""
        rows = zip(numbers, y, x, strict=True)
        corners = [(self.starts[n] + top * self.widths[n] + left, self.widths[n]) for n, top, left in rows]
        corner, width = torch.tensor(corners, device=self.pixels.device).T.view(2, -1, 1, 1)
        down, right = (torch.arange(side, device=self.pixels.device) for side in shape)
        return self.pixels[corner + width * down.view(-1, 1) + right][:, None]
