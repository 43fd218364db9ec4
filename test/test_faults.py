"""Each fault has its exit code and its message, and leaves the answers that it should and no others."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

specification = importlib.util.spec_from_file_location("faults", Path(__file__).parent / "contract" / "faults.py")
faults = importlib.util.module_from_spec(specification)
sys.modules["faults"] = faults
specification.loader.exec_module(faults)


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_fault(fault, tmp_path: Path) -> None:
    code, log, answers = faults.run(fault, tmp_path)
    assert re.search(fault.message, log), log
    assert (code, answers) == (fault.code, fault.answers), log
    assert "Traceback" not in log
    assert not (tmp_path / "evil").exists()
