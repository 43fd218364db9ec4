"""Run the network over planes: normalise -> tiles -> network -> stitch -> undo."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quietfield.network.domain import Domain
from quietfield.network.layers import Layer, layers
from quietfield.network.model import Model
from quietfield.network.normalise import Normalisation, normalise, undo
from quietfield.network.sparse import binned, enlarged, sparse_side
from quietfield.network.tiling import tiles
from quietfield.network.unet import UNet
from quietfield.network.window import merged, reach
from quietfield.planes import fill_invalid

Window = Sequence[NDArray[Any] | None]

log = logging.getLogger(__name__)

TILE = 1024
SMALLEST_TILE = 64
LOOKS = 4  # planes that tell which denoiser suits


class Denoiser:
    """A network ready to denoise planes of any size on one device.

    Parameters
    ----------
    network : UNet
        In evaluation mode on `device` from here on.
    normalisation : Normalisation
        The one that the network was trained with.
    device : torch.device or str
        Where to compute.
    autocast : torch.dtype, optional
        Half-precision type for the network's inner layers; None computes in float32.
    tile : int
        Side of a tile in pixels of the input. Halved, and kept so, whenever the device runs out of memory.
    name : str
        Of the model, for the log.
    domain : Domain, optional
        What the network was trained on.
    general : Denoiser, optional
        The one for images outside of that; of the same scale.
    stack : Denoiser, optional
        The one for planes that follow each other in time or depth.
    """

    def __init__(
        self,
        network: UNet,
        normalisation: Normalisation,
        device: torch.device | str = "cpu",
        autocast: torch.dtype | None = None,
        tile: int = TILE,
        *,
        name: str = "",
        domain: Domain | None = None,
        general: Denoiser | None = None,
        stack: Denoiser | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.normalisation = normalisation
        self.autocast = autocast
        self.tile = tile
        self.name, self.domain, self.general, self.stack = name, domain or Domain({}), general, stack

    @staticmethod
    def of(model: Model, device: torch.device | str = "cpu") -> Denoiser:
        """The denoiser of a model, and those for images beyond its domain and for stacks."""
        device = torch.device(device)
        autocast = model.autocast if device.type == "cuda" else None
        general = Denoiser.of(model.general, device) if model.general else None
        stack = Denoiser.of(model.stack, device) if model.stack else None
        name = str(model.record.get("name", "without a name"))
        facts: dict[str, Any] = {"name": name, "domain": model.domain, "general": general, "stack": stack}
        return Denoiser(model.network, model.normalisation, device, autocast, **facts)

    def by(self, network: UNet) -> Denoiser:
        """The same with another network of the same kind."""
        facts: dict[str, Any] = {
            "name": self.name, "domain": self.domain, "general": self.general, "stack": self.stack,
        }  # fmt: skip
        return Denoiser(network, self.normalisation, self.device, self.autocast, self.tile, **facts)

    def suited(self, planes: NDArray[Any]) -> tuple[Denoiser, list[str]]:
        """The denoiser that knows images like these.

        Parameters
        ----------
        planes : ndarray
            (N, Y, X), any real dtype, intensity units; a few of them are looked at.

        Returns
        -------
        denoiser : Denoiser
            This one, unless most planes lie outside of its domain and there is one general.
        unlike : list of str
            If most planes lie outside of the chosen one's domain, what of the first is so (`Domain.outside`).
        """
        seen = fill_invalid(planes[:: -(-len(planes) // LOOKS)])
        outside = [words for plane in seen if (words := self.domain.outside(plane))]
        if 2 * len(outside) <= len(seen):
            return self, []
        return self.general.suited(planes) if self.general else (self, outside[0])

    def __call__(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """Denoise planes, each by itself.

        Parameters
        ----------
        planes : ndarray
            (N, Y, X), any real dtype, intensity units; NaN and infinities are filled with the
            plane's mean.

        Returns
        -------
        ndarray
            float32, (N, scale * Y, scale * X) by the network's scale, the same intensity units.
        """
        if self.network.planes > 1:
            none = [None] * reach(self.network.planes)
            return np.stack([self.of_window([*none, plane, *none]) for plane in planes])
        x = fill_invalid(planes)
        cut = [layers(plane) for plane in x]
        sides = [sparse_side(plane) for plane in x]
        if all(len(found) == side == 1 for found, side in zip(cut, sides, strict=True)):
            return self._answer(x)
        answers = [
            self._layered(found)
            if side == 1
            else enlarged(self._answer(binned(plane, side)[None])[0], side, plane.shape)
            for plane, found, side in zip(x, cut, sides, strict=True)
        ]
        return np.stack(answers)

    def of_window(self, window: Window) -> NDArray[np.float32]:
        """Denoise the plane in the middle of some that follow each other, by a network for stacks.

        Parameters
        ----------
        window : sequence of ndarray or None
            The plane and `quietfield.network.window.reach` others on either side, (Y, X), any real dtype, intensity
            units; None for those that a stack lacks before its first plane and behind its last one. NaN and
            infinities are filled with the plane's mean.

        Returns
        -------
        ndarray
            float32, (Y, X), the same intensity units.
        """
        whole = [None if plane is None else fill_invalid(plane[None])[0] for plane in window]
        return self.of_inputs(merged(whole, self.network.planes))

    def of_inputs(self, inputs: Window) -> NDArray[np.float32]:
        """The same from what the network is given (`quietfield.network.window.merged`), of finite values."""
        own = inputs[len(inputs) // 2]
        if own is None:
            raise ValueError("expected a plane in the middle, found none: nothing is to be denoised")
        side = sparse_side(own)
        small = [own if plane is None else plane for plane in inputs]
        small = [binned(plane, side) for plane in small] if side > 1 else small
        centre, scale = self.normalisation.statistics(small[len(inputs) // 2][None])
        z = np.empty((1, len(inputs), *small[0].shape), np.float32)
        for i, plane in enumerate(small):
            z[0, i] = normalise(plane[None], centre, scale)[0]
        answer = undo(self._tiled(z), centre, scale)[0]
        return answer if side == 1 else enlarged(answer, side, own.shape)

    def _layered(self, cut: list[Layer]) -> NDArray[np.float32]:
        """The answer to one plane, from those to its layers."""
        scale, answer = self.network.scale, np.float32(0)
        for layer in cut:
            own = self._answer(layer.plane[None])[0]
            answer = answer + (own if layer.weight is None else layer.weight.repeat(scale, 0).repeat(scale, 1) * own)
        return np.asarray(answer)

    def _answer(self, planes: NDArray[np.float64]) -> NDArray[np.float32]:
        """Of finite planes (N, Y, X)."""
        centre, scale = self.normalisation.statistics(planes)
        return undo(self._tiled(normalise(planes, centre, scale)[:, None]), centre, scale)

    def _tiled(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, Y, X) of windows (N, P, Y, X), both in network units."""
        multiple, scale = self.network.multiple, self.network.scale
        while True:
            try:
                answer = np.empty((len(z), scale * z.shape[2], scale * z.shape[3]), np.float32)
                side = max(multiple, self.tile // multiple * multiple)
                for tile in tiles(z.shape[2:], side, self.network.halo, multiple):
                    larger = tile.enlarged(scale)
                    answer[:, *larger.write] = self._predict(z[..., *tile.read])[:, *larger.keep]
                return answer
            except torch.cuda.OutOfMemoryError:
                if len(z) > 1:
                    log.warning("out of memory on %s: %d planes one by one", self.device, len(z))
                    break
                # Halving from what the plane fills, not from a tile that was never full.
                smaller = min(self.tile, _power_of_two_above(max(z.shape[2:]))) // 2
                if smaller < SMALLEST_TILE:
                    raise
                log.warning("out of memory on %s: tile %d -> %d", self.device, self.tile, smaller)
                self.tile = smaller
            torch.cuda.empty_cache()
        torch.cuda.empty_cache()
        return np.concatenate([self._tiled(plane[None]) for plane in z])

    def _predict(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = torch.from_numpy(np.ascontiguousarray(z)).to(self.device)
        with torch.inference_mode():
            if self.autocast is not None:
                with torch.autocast(self.device.type, self.autocast):
                    answer = self.network(batch).float()
                if bool(torch.isfinite(answer).all()):
                    return np.asarray(answer[:, 0].cpu().numpy())
            return np.asarray(self.network(batch)[:, 0].cpu().numpy())


def _power_of_two_above(n: int) -> int:
    return 1 << (n - 1).bit_length()
