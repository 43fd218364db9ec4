"""Every package made again, with a maintainer: `python test/contract/packages.py` where core is.

Its files must be those of `make package` byte for byte, but for the maintainer's name and the time in `rdf.yaml`, and
core's own test must find nothing to warn of, in any format. Without a maintainer it warns of that alone.

Readers ask GitHub whether there is a user of that name, and core's test cannot be told not to: its own switch for
checks that need a network, BIOIMAGEIO_PERFORM_IO_CHECKS, does not reach it. Here the name is added to those that it
knows, as it does by itself once GitHub has said yes.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruyaml import YAML

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bioimageio.core import test_description as core_test
from bioimageio.spec._internal.constants import KNOWN_GITHUB_USERS
from bioimageio.spec._internal.warning_levels import WARNING

from package.__main__ import RUNS, SOURCES, build
from package.description import Publisher

MAINTAINER = "somebody"
FORMATS = ("pytorch_state_dict", "torchscript", "onnx")
NOBODY = "Missing `maintainers` or any author in `authors` with a specified `github_user` name."


def said(rdf: Path, weights: str) -> list[str]:
    """What core's test says of a format: its status if it did not pass, errors and warnings, not mere notes."""
    summary = core_test(rdf, weight_format=weights)
    entries = [e.msg for d in summary.details for e in (*d.errors, *(w for w in d.warnings if w.severity >= WARNING))]
    return [f"status {summary.status}"] * (summary.status not in ("passed", "valid-format")) + entries


def read(rdf: Path) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(rdf)
    return {k: v for k, v in content.items() if k not in ("timestamp", "maintainers")}


def different(first: Path, second: Path) -> list[str]:
    """Names of the files that are not the same in two packages."""
    names = sorted({path.name for folder in (first, second) for path in folder.iterdir()} - {"rdf.yaml"})
    files = [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()]
    return files + ["rdf.yaml"] * (read(first / "rdf.yaml") != read(second / "rdf.yaml"))


def main() -> int:
    KNOWN_GITHUB_USERS.add(MAINTAINER)
    failures = 0
    print(f"bioimageio.core {version('bioimageio.core')}, spec {version('bioimageio.spec')}")
    for name, source in SOURCES.items():
        if not (RUNS / name / "rdf.yaml").is_file():
            print(f"{RUNS / name}: expected the package, found none: run 'make package'")
            return 1
        with tempfile.TemporaryDirectory() as temporary:
            again = Path(temporary, name)
            build(source, again, Publisher(github_user=MAINTAINER))
            changed = different(RUNS / name, again)
            print(f"{name}, made again: {', '.join(changed) or 'the same files'}", flush=True)
            failures += bool(changed)
            for weights in FORMATS:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    anonymous, named = said(RUNS / name / "rdf.yaml", weights), said(again / "rdf.yaml", weights)
                print(
                    f"{name}, {weights}: {len(anonymous)} warnings without a maintainer, {len(named)} with", flush=True
                )
                failures += bool(named) or anonymous not in ([], [NOBODY])
                for words in named or [line for line in anonymous if line != NOBODY]:
                    print(f"  {words}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
