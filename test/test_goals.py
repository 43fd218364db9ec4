"""The table of goals holds what it says: a perfect method keeps every limit, one that does nothing hardly any."""

import numpy as np
import pytest

from compare import calm
from compare.bench import Bench, Other
from compare.goals import BM3D, CALM, OURS, SCENES, Value, best_gaussian, of_calm, of_scenes, table
from compare.scenes import cells, exposed

NEARLY: Bench = Other(lambda image, truth: truth + 0.01 * (image - truth))
IDLE: Bench = Other(lambda image, truth: image)


@pytest.fixture(scope="module")
def of_set() -> dict[str, calm.Field]:
    return {field.set: field for field in calm.fields()}


@pytest.fixture
def few_fields(monkeypatch: pytest.MonkeyPatch, of_set: dict[str, calm.Field]) -> None:
    """Of each set, one."""
    monkeypatch.setattr(calm, "fields", lambda: iter(of_set.values()))


@pytest.mark.usefixtures("few_fields")
def test_a_perfect_method_keeps_every_limit_of_smooth_light() -> None:
    values = list(of_calm(NEARLY, OURS))
    assert [value.goal for value in values] == [*CALM]
    for value in values:
        assert value.worst == pytest.approx(0.01, abs=1e-3)
        assert value.kept == value.of


@pytest.mark.usefixtures("few_fields")
def test_one_that_does_nothing_keeps_none() -> None:
    for value in of_calm(IDLE, OURS):
        assert value.median == pytest.approx(1, abs=1e-4)
        assert value.kept == 0


def test_a_perfect_method_keeps_the_limits_of_scenes() -> None:
    values = {value.goal: value for value in of_scenes(NEARLY, OURS)}
    assert [*values] == [*SCENES]
    mean = values.pop("mean of a plane of 0.01 photons")  # that of the image, which is 2.5 % off
    assert mean.median == pytest.approx(0.975, abs=1e-3)
    for value in values.values():
        assert value.kept >= value.of - 1, value  # of faint lines, the flux in the image is 8 % off


@pytest.mark.usefixtures("few_fields")
def test_what_bm3d_leaves_is_what_was_stored() -> None:
    found = {value.goal: value for value in of_calm(IDLE, BM3D)}
    assert found[calm.EMPTY].median < 0.1


def test_the_best_gaussian_is_wider_where_there_is_less_light() -> None:
    widths = []
    for photons in (1.0, 100.0):
        scene = exposed(photons * cells(1, 128) / 10, 2)
        answer = best_gaussian(scene.noisy, scene.truth)
        assert np.std(answer - scene.truth) < np.std(scene.noisy - scene.truth)
        widths.append(float(np.abs(np.diff(answer)).mean() / np.abs(np.diff(scene.noisy)).mean()))
    assert widths[0] < widths[1]


def test_the_table_has_a_line_for_each_goal_and_a_column_for_each_method() -> None:
    values = [
        Value("beads", "ratio", OURS, 0.98, 1.2, 7, 8, "0.95 to 1.05"),
        Value("demo", "SI-PSNR (dB)", OURS, 38.641, 38.641, 0, 1, "at least 39.5"),
        Value("beads", "ratio", BM3D, 0.5, 0.1, 0, 8, "0.95 to 1.05"),
    ]
    lines = table(values).splitlines()
    assert lines[2] == "| beads | ratio | 0.95 to 1.05 | 0.980 (1.2) | 0.500 (0.1) | 7 of 8 |"
    assert lines[3] == "| demo | SI-PSNR (dB) | at least 39.5 | 38.64 |  | 0 of 1 |"
