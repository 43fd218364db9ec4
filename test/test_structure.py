"""Imports run one way: from the front door to the wings of the library, and from each wing to those below it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "quietfield").rglob("*.py"))
# Each wing of the library (a folder, or a file by itself), from the ground up, with what it may import besides itself.
WINGS: dict[str, set[str]] = {
    "machine": set(),
    "planes": set(),
    "whole": set(),
    "files": {"whole"},
    "noise": {"planes"},
    "repair": {"planes", "noise"},
    "network": {"planes", "whole", "noise", "repair"},
    "adapt": {"machine", "planes", "files", "network", "noise", "repair"},
    "report": {"files", "adapt", "repair"},
    "work": {"machine", "files", "adapt", "report", "repair"},
    "pipeline": {"machine", "planes", "files", "network", "adapt", "report", "repair", "work"},
    "front": {"machine", "files", "network", "adapt", "report", "pipeline", "work"},
    "runner": {"machine", "files", "network", "adapt", "report", "pipeline"},
    "serve": {"runner"},
    "selftest": {"machine", "network", "repair", "pipeline", "front"},
    "command": {"machine", "files", "network", "adapt", "repair", "front", "runner"},
    "__main__": {"command"},
    "__init__": {"front"},
}
# Files that others outside read alone, or that stand for one formula: they import nothing of ours.
LEAVES = ("network/unet.py", "network/normalise.py", "network/tiling.py", "files/metadata.py", "noise/camera.py")


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports; relative ones as they stand."""
    tree = ast.parse(path.read_text())
    names = {"." * n.level + (n.module or "") for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return names | {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}


def wing(path: Path) -> str:
    return path.relative_to(ROOT / "quietfield").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_wings_import_those_below_them(path: Path) -> None:
    own = {name.split(".")[1] for name in imported(path) if name.startswith("quietfield.")}
    assert own - {wing(path)} <= WINGS[wing(path)]


def test_no_wing_is_above_itself() -> None:
    order = list(WINGS)
    for name, below in WINGS.items():
        assert all(order.index(other) < order.index(name) for other in below), name


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_stand_by_themselves(leaf: str) -> None:
    assert not {name for name in imported(ROOT / "quietfield" / leaf) if name.startswith(("quietfield", "."))}


def test_files_of_a_wing_do_not_import_in_a_circle() -> None:
    graph = {
        "quietfield." + ".".join(path.relative_to(ROOT / "quietfield").with_suffix("").parts): imported(path)
        for path in LIBRARY
        if path.name != "__init__.py"
    }

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, (*above, name)
        for other in graph.get(name, set()):
            visit(other, (*above, name))

    for name in graph:
        visit(name, ())


def test_nothing_imports_training_but_training() -> None:
    for path in [ROOT / "inference.py", *(ROOT / "demo").glob("*.py"), *LIBRARY]:
        training = {name for name in imported(path) if name.split(".")[0] == "train"}
        assert training <= ({"train.measure.metrics"} if path.parent.name == "demo" else set()), path


def test_training_imports_itself_by_relative_names_alone() -> None:
    """A wheel ships it as `quietfield.train`."""
    for path in (ROOT / "train").rglob("*.py"):
        assert not {name for name in imported(path) if name.split(".")[0] == "train"}, path


def test_inference_needs_only_the_runtime_requirements() -> None:
    heavy = {"skimage", "matplotlib", "lightning", "train", "demo"}
    for path in [ROOT / "inference.py", *LIBRARY]:
        at_import = {n for n in imported(path) if n.split(".")[0] in heavy}
        assert not at_import, path
