"""Cut a plane into overlapping tiles whose centres fit together without a seam. Integers only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """What to read, what of the answer to keep, and where it goes, as (Y, X) slices.

        read   |<- halo ->|<----- tile ----->|<- halo ->|     in the plane
        keep              |<---------------->|                in the answer to `read`
        write             |<---------------->|                in the plane

    At the borders of the plane there is no halo: the network sees the border as it would see it
    in the whole plane.
    """

    read: tuple[slice, slice]
    keep: tuple[slice, slice]
    write: tuple[slice, slice]

    def enlarged(self, scale: int) -> Tile:
        """The tile for an answer of `scale` times the pixels: what is kept and written follows, what is read stays."""
        return Tile(self.read, _times(self.keep, scale), _times(self.write, scale))


def tiles(shape: tuple[int, int], tile: int, halo: int, multiple: int) -> Iterator[Tile]:
    """Tiles that cover a plane once.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the plane.
    tile : int
        Side of what a tile contributes, in pixels.
    halo : int
        Receptive half-width of the network, in pixels.
    multiple : int
        Pooling grid of the network. Each tile is read from a point of this grid, so that its
        pooling windows are those of the whole plane.

    Raises
    ------
    ValueError
        If `tile` or `halo` does not fall on the grid.
    """
    if tile < 1 or halo < 0 or tile % multiple or halo % multiple:
        raise ValueError(f"tiles: expected a tile and a halo that {multiple} divides, found tile={tile}, halo={halo}")
    for y in _spans(shape[0], tile, halo):
        for x in _spans(shape[1], tile, halo):
            yield Tile(*zip(y, x, strict=True))


def _times(place: tuple[slice, slice], scale: int) -> tuple[slice, slice]:
    y, x = (slice(scale * s.start, scale * s.stop) for s in place)
    return y, x


def _spans(length: int, tile: int, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        first = max(start - halo, 0)
        yield slice(first, min(stop + halo, length)), slice(start - first, stop - first), slice(start, stop)
