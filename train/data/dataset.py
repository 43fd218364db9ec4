"""A torch data set of .npy files, in the terms of the original report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .frames import scale_of
from .reading import open_image


class NumpyDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of .npy files as tensors, (C, Y, X), float32, in the files' units.

    A file of low resolution is an image (Y, X), a stack of frames (F, Y, X), or one with channels
    (F, C, Y, X); one of high resolution is (Y, X) or (C, sY, sX). Files are memory-mapped: of a
    stack only the frames that are used are read.

    Parameters
    ----------
    low, high : sequence of Path
        Files of equal count and order.
    frame : str
        "first" or "random" of a stack.
    average : int
        How many frames an item is the mean of: the first ones, or random ones without repetition.
    seed : int
        With the epoch and the item's index, decides the random frames.

    Raises
    ------
    ValueError
        If the lists differ in length, or (from an item) a file cannot be read or does not fit.
    """

    def __init__(
        self, low: Sequence[Path], high: Sequence[Path], frame: str = "first", average: int = 1, seed: int = 0
    ) -> None:
        if len(low) != len(high):
            raise ValueError(f"expected as many files of low as of high resolution, found {len(low)} and {len(high)}")
        if frame not in ("first", "random") or average < 1:
            raise ValueError(f"expected frame first or random and average of 1 or more, found {frame!r} and {average}")
        self.low, self.high = tuple(low), tuple(high)
        self.frame, self.average, self.seed, self.epoch = frame, average, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other random frames from here on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        index = range(len(self))[index]  # as a list: negative from the end, IndexError beyond it
        low, high = open_image(self.low[index]), open_image(self.high[index])
        low = low[None] if low.ndim == 2 else low
        if self.average > len(low):
            raise ValueError(f"{self.low[index]}: expected at least {self.average} frames, found {len(low)}")
        picks = np.arange(self.average)
        if self.frame == "random":
            random = np.random.default_rng([self.seed, self.epoch, index])
            picks = random.choice(len(low), self.average, replace=False)
        frame: NDArray[np.float64] = np.stack([low[f] for f in picks]).mean(axis=0, dtype=np.float64)
        result = tuple(torch.from_numpy(np.array(i[None] if i.ndim == 2 else i, np.float32)) for i in (frame, high))
        scale_of(self.high[index], tuple(result[0].shape[1:]), tuple(result[1].shape[1:]))
        if result[0].shape[0] != result[1].shape[0]:
            raise ValueError(
                f"{self.high[index]}: expected {result[0].shape[0]} channels as in {self.low[index]}, "
                f"found {result[1].shape[0]}"
            )
        return result[0], result[1]
