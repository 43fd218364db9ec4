"""The table of smooth fields: what it measures, by hand, and its limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compare.calm import BM3D, CELLS, EMPTY, SHARED, SMOOTH, Field, Shown, best_gaussian, draw, fields, left, limit
from train.measure.results import read_table


@pytest.fixture(scope="module")
def every() -> list[Field]:
    return list(fields())


def test_fields_are_the_same_each_time(every: list[Field]) -> None:
    for one, other in zip(every[::9], list(fields())[::9], strict=True):
        assert one.name == other.name
        assert np.array_equal(one.noisy, other.noisy)
    assert {field.set for field in every} == {SMOOTH, SHARED, CELLS, EMPTY}
    assert len({(field.set, field.name) for field in every}) == len(every)


def test_every_field_has_a_value_of_bm3d(every: list[Field]) -> None:
    assert {(row["set"], row["field"]) for row in read_table(BM3D)} == {(field.set, field.name) for field in every}


def test_noise_has_the_mean_of_its_truth_and_no_structure(every: list[Field]) -> None:
    for field in every:
        noise = field.noisy - field.truth
        assert abs(noise.mean()) < 0.12 * noise.std(), field.name
        assert np.isfinite(noise).all()


def test_what_is_left_is_measured_in_the_noise(every: list[Field]) -> None:
    field = every[3]
    assert left(field, field.noisy).left == pytest.approx(1)
    assert left(field, field.truth) == left(field, field.truth + 0) == type(left(field, field.truth))(0, 0)
    assert left(field, field.truth + 0.1 * (field.noisy - field.truth)).left == pytest.approx(0.1)
    assert 0.005 < best_gaussian(field) < 0.2


def test_limits_are_those_of_the_sets(every: list[Field]) -> None:
    by_set = {field.set: field for field in every}
    assert limit(by_set[EMPTY], 0.005, 0.1) == 0.03
    assert limit(by_set[CELLS], 0.3, 0.9) == 0.3
    assert limit(by_set[SHARED], 0.1, 0.9) == pytest.approx(0.15)
    assert limit(by_set[SMOOTH], 0.04, 0.08) == 0.08
    assert limit(by_set[SMOOTH], 0.02, 0.08) == 0.05


def test_fields_are_drawn(every: list[Field], tmp_path: Path) -> None:
    shown = [Shown(field, {"denoised": field.truth, "other network": field.noisy}) for field in every[:2]]
    draw(shown, tmp_path / "calm.png")
    assert (tmp_path / "calm.png").stat().st_size > 10000
