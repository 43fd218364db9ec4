"""A fixed number of damaged TIFFs, in a process of its own with bounds on memory and time."""

import subprocess
import sys
from pathlib import Path


def test_damaged_files_are_read_or_refused() -> None:
    command = [sys.executable, str(Path(__file__).parent / "contract" / "fuzz.py"), "600", "30"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 bad" in result.stdout
    assert int(result.stdout.split()[0]) >= 50, "a slow machine does fewer, but not none"
