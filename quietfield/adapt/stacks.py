"""Stacks along time or depth: each plane is denoised with those around it, by a network that was trained for that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.adapt.drift import Drift, Place, overlap
from quietfield.adapt.ensemble import self_ensemble
from quietfield.network.predict import Denoiser, Window
from quietfield.network.window import reach
from quietfield.planes import fill_invalid

Array = NDArray[np.float32]


def of_stack(denoiser: Denoiser, planes: NDArray[Any]) -> Array:
    """Denoise planes (N, Y, X) that follow each other, each with its neighbours, by a network for stacks.

    Returns
    -------
    ndarray
        float32, (N, Y, X), the same intensity units.
    """
    worker = Windows(denoiser)
    return np.stack([*worker(planes), *worker.rest()])


class Windows:
    """Denoises planes that follow each other, block by block, each with those around it, which it holds.

    Where the scene drifts, the others are moved by whole pixels.

    Parameters
    ----------
    denoiser : Denoiser
        Of a network for stacks.
    eightfold : bool
        Test-time augmentation: average the answers to the eight turns and mirrors.
    """

    def __init__(self, denoiser: Denoiser, eightfold: bool = False) -> None:
        self.denoiser, self.eightfold = denoiser, eightfold
        self.far = reach(denoiser.network.planes)
        self.planes: list[Array | None] = [None for _ in range(self.far)]  # from the first that the next one needs
        self.places: list[Place] = [(0.0, 0.0) for _ in range(self.far)]
        self.drift = Drift()

    def __call__(self, block: NDArray[Any]) -> Iterable[Array]:
        """Take planes (n, Y, X), and answer those whose neighbours have all been seen."""
        for plane in fill_invalid(block):
            yield from self._take(plane.astype(np.float32))

    def rest(self) -> Iterable[Array]:
        """Answer the last planes."""
        for _ in range(self.far):
            yield from self._take(None)

    def _take(self, plane: Array | None) -> Iterable[Array]:
        self.planes.append(plane)
        self.places.append((0.0, 0.0) if plane is None else self.drift.place(plane))
        if len(self.planes) > 2 * self.far:
            if (own := self.planes[self.far]) is not None:
                yield self._answer([self._moved(own, i) for i in range(len(self.planes))])
            del self.planes[0], self.places[0]

    def _moved(self, own: Array, i: int) -> Array | None:
        """Another plane as if the scene lay where it lies in the plane to denoise, whose pixels fill what it lacks."""
        plane = self.planes[i]
        if plane is None or plane is own:
            return plane
        here, there = overlap(own.shape, self.places[self.far], self.places[i])
        if here == there:
            return plane
        moved = own.copy()
        moved[here] = plane[there]
        return moved

    def _answer(self, window: Window) -> Array:
        if not self.eightfold:
            return self.denoiser.of_window(window)
        there = [i for i, plane in enumerate(window) if plane is not None]

        def answer(planes: NDArray[Any]) -> Array:
            turned: list[NDArray[Any] | None] = [None for _ in window]
            for i, plane in zip(there, planes, strict=True):
                turned[i] = plane
            return self.denoiser.of_window(turned)[None]

        planes = np.stack([plane for plane in window if plane is not None])
        return np.asarray(self_ensemble(answer, planes)[0])
