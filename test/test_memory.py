"""What does not fit is refused before it is tried, and says what it needs."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from quietfield import pipeline
from quietfield.machine import available, disk_free
from quietfield.pipeline import denoise_file
from quietfield.network.predict import Denoiser


def machine(folder: Path, **files: str) -> tuple[Path, Path]:
    """A made-up /sys/fs/cgroup and /proc/meminfo (with 1,000,000 KiB available)."""
    (folder / "memory").mkdir()
    for name, content in files.items():
        (folder / name.replace("__", "/").replace("_dot_", ".")).write_text(content)
    (folder / "meminfo").write_text("MemTotal:  2000000 kB\nMemAvailable:  1000000 kB\n")
    return folder, folder / "meminfo"


def test_the_machine_alone(tmp_path: Path) -> None:
    assert available(*machine(tmp_path)) == 1_000_000 * 1024


def test_a_control_group_of_version_2(tmp_path: Path) -> None:
    where = machine(
        tmp_path, memory_dot_max="1000\n", memory_dot_current="700\n", memory_dot_stat="anon 1\ninactive_file 200\n"
    )
    assert available(*where) == 500


def test_a_control_group_without_a_limit(tmp_path: Path) -> None:
    assert available(*machine(tmp_path, memory_dot_max="max\n", memory_dot_current="7\n")) == 1_000_000 * 1024


def test_a_control_group_of_version_1(tmp_path: Path) -> None:
    where = machine(
        tmp_path,
        memory__memory_dot_limit_in_bytes="1000",
        memory__memory_dot_usage_in_bytes="900",
        memory__memory_dot_stat="cache 5\ntotal_inactive_file 50\n",
    )
    assert available(*where) == 150


def test_nothing_known_is_no_limit(tmp_path: Path) -> None:
    assert available(tmp_path / "none", tmp_path / "none") > 1 << 50


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk_free(tmp_path / "a" / "b") > 0


@pytest.mark.parametrize(("what", "error"), [("available", MemoryError), ("disk_free", OSError)])
def test_too_little_is_said_before_anything_is_taken(
    tmp_path: Path, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch, what: str, error: type[Exception]
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((1000, 1000), np.uint16))
    monkeypatch.setattr(pipeline, what, lambda *folder: 1 << 20)
    with pytest.raises(error, match=r"x\.tif: shape \(1000, 1000\), uint16: .*needs .* MiB .*found 1 MiB"):
        denoise_file(denoiser, tmp_path / "x.tif", tmp_path / "out" / "y.tif")
    assert not (tmp_path / "out").exists()
