"""Tiles cover a plane once, and cutting and putting together gives the plane back."""

import numpy as np
import pytest

from quietfield.network.tiling import tiles

CASES = [
    ((1, 1), 16, 8, 8),
    ((15, 17), 16, 8, 8),
    ((16, 16), 16, 16, 16),
    ((100, 33), 16, 8, 8),
    ((540, 490), 128, 112, 16),
    ((64, 200), 64, 0, 1),
]


@pytest.mark.parametrize(("shape", "tile", "halo", "multiple"), CASES)
def test_cut_and_stitch_is_the_identity(shape: tuple[int, int], tile: int, halo: int, multiple: int) -> None:
    plane = np.arange(shape[0] * shape[1]).reshape(shape)
    stitched, written = np.full(shape, -1), np.zeros(shape, int)
    for t in tiles(shape, tile, halo, multiple):
        stitched[t.write] = plane[t.read][t.keep]
        written[t.write] += 1
    assert np.array_equal(stitched, plane)
    assert (written == 1).all()


@pytest.mark.parametrize(("shape", "tile", "halo", "multiple"), CASES)
def test_cut_and_stitch_of_an_answer_of_more_pixels(
    shape: tuple[int, int], tile: int, halo: int, multiple: int
) -> None:
    plane = np.arange(shape[0] * shape[1]).reshape(shape)
    twice = np.kron(plane, np.ones((2, 2), int))
    stitched = np.full(twice.shape, -1)
    for t in tiles(shape, tile, halo, multiple):
        larger = t.enlarged(2)
        assert larger.read == t.read
        stitched[larger.write] = np.kron(plane[larger.read], np.ones((2, 2), int))[larger.keep]
    assert np.array_equal(stitched, twice)


@pytest.mark.parametrize(("shape", "tile", "halo", "multiple"), CASES)
def test_reads_the_halo_from_the_pooling_grid(shape: tuple[int, int], tile: int, halo: int, multiple: int) -> None:
    for t in tiles(shape, tile, halo, multiple):
        for read, write, length in zip(t.read, t.write, shape, strict=True):
            assert read.start % multiple == 0
            assert read.start == max(0, write.start - halo)
            assert read.stop == min(length, write.stop + halo)


@pytest.mark.parametrize(("tile", "halo"), [(0, 8), (12, 8), (16, 4), (16, -8)])
def test_refuses_what_is_off_the_grid(tile: int, halo: int) -> None:
    with pytest.raises(ValueError, match="that 8 divides"):
        list(tiles((32, 32), tile, halo, 8))
