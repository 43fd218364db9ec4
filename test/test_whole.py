"""Files are written whole or not at all, also when the process that writes is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from quietfield.files.jobs import find_jobs
from quietfield.whole import whole, whole_folder
from train.data.layouts import detect

ROOT = Path(__file__).resolve().parents[1]
KILLED = """
import os, pathlib, signal, sys
from quietfield.whole import whole, whole_folder
with whole(pathlib.Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half a file, and longer than the whole")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail(path: Path) -> None:
    with whole(path) as temporary:
        temporary.write_text("half")
        raise OSError("full")


def killed(path: Path) -> Path:
    """The file that a process left which was killed as it wrote `path`."""
    result = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
    assert result.returncode == -signal.SIGKILL
    (part,) = path.parent.glob(".*.part")
    return part


def test_an_error_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("before")
    with pytest.raises(OSError, match="full"):
        fail(path)
    assert (path.read_text(), names(tmp_path)) == ("before", ["x.txt"])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    part = killed(path)
    with whole(path) as temporary:
        assert temporary == part
        assert not part.exists()
        with temporary.open("a") as file:
            file.write("whole")
    assert (path.read_text(), names(path.parent)) == ("whole", ["x.txt"])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_what_a_killed_process_left_is_no_image(tmp_path: Path) -> None:
    for kind in ("noisy", "clean"):
        (tmp_path / kind).mkdir()
        tifffile.imwrite(tmp_path / kind / "a.tif", np.zeros((8, 8), np.uint16))
        killed(tmp_path / kind / "b.tif")
    assert [item.name for item in detect(tmp_path).items] == ["a"]
    for recursive, count in ((False, 1), (True, 2)):
        jobs, problems = find_jobs(tmp_path if recursive else tmp_path / "noisy", tmp_path / "out", recursive)
        assert ([job.source.name for job in jobs], problems) == (count * ["a.tif"], [])


def fail_folder(folder: Path) -> None:
    with whole_folder(folder, "last") as temporary:
        (temporary / "first").write_text("half")
        raise OSError("full")


def test_the_files_of_a_folder_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with pytest.raises(OSError, match="full"):
        fail_folder(folder)
    assert not folder.exists()
    for text in ("one", "two"):
        with whole_folder(folder, "last") as temporary:
            (temporary / "last").write_text(text)
            (temporary / "first").mkdir()
            (temporary / "first" / text).touch()
        (folder / "card.md").touch()
        assert names(folder) == ["card.md", "first", "last"]
        assert (names(folder / "first"), (folder / "last").read_text()) == ([text], text)
    with pytest.raises(OSError, match="full"):
        fail_folder(folder)
    assert names(folder) == ["card.md", "first", "last"]
    assert names(folder / "first") == ["two"]
