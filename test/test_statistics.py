"""Moments agree with numpy on all pixels at once, and take no more memory for a larger file."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from train.data.statistics import Moments, chunks, mean_frame


def arrays() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        random.integers(0, 60000, (7, 33, 20)).astype(np.uint16),
        random.normal(-5, 3, (100, 41)).astype(np.float32),
        random.normal(1e6, 1e-2, 999),  # a mean that a sum of squares would drown the spread in
        np.asfortranarray(random.integers(-300, 300, (12, 8, 5)).astype(np.int16)),
    ]


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 21])
def test_moments_of_all_files_are_those_of_all_pixels(chunk: int) -> None:
    total = Moments()
    for array in arrays():
        total = total.merge(Moments.of(array, max(chunk, array.size // 200)))
    pixels = np.concatenate([a.ravel().astype(np.float64) for a in arrays()])
    assert total.count == pixels.size
    assert total.nan == 0
    assert (total.low, total.high) == (pixels.min(), pixels.max())
    assert total.mean == pytest.approx(pixels.mean(), rel=1e-12)
    assert total.std == pytest.approx(pixels.std(), rel=1e-12)


def test_a_small_spread_upon_a_large_mean_is_kept() -> None:
    values = np.random.default_rng(1).normal(1e6, 1e-2, 5000)
    assert Moments.of(values, 100).std == pytest.approx(values.std(), rel=1e-6)


def test_merging_in_any_grouping_gives_the_same() -> None:
    a, b, c, _ = (Moments.of(array) for array in arrays())
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    assert left.m2 == pytest.approx(right.m2, rel=1e-12)
    assert left.mean == pytest.approx(right.mean, rel=1e-12)
    assert a.merge(Moments()) == a == Moments().merge(a)


def test_nan_and_infinity_are_left_out_and_counted() -> None:
    values = np.random.default_rng(2).normal(10, 2, (40, 50))
    values[3, :7], values[9, 1], values[9, 2] = np.nan, np.inf, -np.inf
    found = Moments.of(values, 64)
    valid = values[np.isfinite(values)]
    assert (found.nan, found.count) == (9, valid.size)
    assert found.std == pytest.approx(valid.std(), rel=1e-12)
    assert found.high == valid.max()
    nothing = Moments.of(np.full((4, 4), np.nan), 8)
    assert (nothing.nan, nothing.count) == (16, 0)
    assert math.isnan(nothing.std)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_far_larger_than_the_chunk_takes_constant_memory(tmp_path: Path, order: str) -> None:
    chunk, peaks = 1 << 14, []
    for frames in (32, 256):
        path = tmp_path / f"{frames}.npy"
        np.save(
            path, np.asarray(np.random.default_rng(0).integers(0, 4096, (frames, 128, 128)), np.uint16, order=order)
        )
        stack = np.load(path, mmap_mode="r")
        tracemalloc.start()
        try:
            Moments.of(stack, chunk)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert stack.nbytes > 60 * 8 * chunk / 4, "the larger file is far larger than the chunk"
    assert max(peaks) < 6 * 8 * chunk, f"{max(peaks)} bytes at the peak"
    assert peaks[1] < 1.1 * peaks[0], "eight times the file takes no more"


def test_the_mean_of_a_stack_is_numpys_in_constant_memory(tmp_path: Path) -> None:
    stack = np.random.default_rng(3).integers(0, 4096, (300, 64, 64)).astype(np.uint16)
    np.save(tmp_path / "stack.npy", stack)
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        mean = mean_frame(mapped, 4 * 64 * 64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.allclose(mean, stack.mean(axis=0), rtol=1e-12)
    assert peak < 20 * 64 * 64 * 8 < stack.nbytes / 3


def test_the_mean_of_a_stack_leaves_nan_out() -> None:
    stack = np.random.default_rng(4).normal(size=(6, 5, 4)).astype(np.float32)
    stack[2, 1, 1], stack[:, 0, 0] = np.nan, np.nan
    mean = mean_frame(stack, 40)
    assert np.isnan(mean[0, 0])
    assert np.isnan(mean).sum() == 1
    assert mean[1, 1] == pytest.approx(np.delete(stack[:, 1, 1], 2).astype(np.float64).mean())


def test_chunks_hold_every_pixel_once() -> None:
    array = np.arange(103).reshape(1, 103)
    pieces = list(chunks(array, 10))
    assert [p.size for p in pieces] == [10] * 10 + [3]
    assert np.array_equal(np.concatenate(pieces), array[0])
