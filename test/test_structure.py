"""Imports run one way, and each leaf of the library stands by itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "quietfield").rglob("*.py"))
MAY_IMPORT: dict[str, set[str]] = {
    "quietfield/network/unet.py": set(),
    "quietfield/network/normalise.py": set(),
    "quietfield/network/tiling.py": set(),
    "quietfield/metrics.py": set(),
    "quietfield/files/stack.py": set(),
    "quietfield/files/tiff.py": {"quietfield.files.stack"},
    "quietfield/files/metaimage.py": {"quietfield.files.stack"},
    "quietfield/files/images.py": {"quietfield.files.stack", "quietfield.files.tiff", "quietfield.files.metaimage"},
    "quietfield/machine.py": set(),
    "quietfield/machine.py": set(),
    "quietfield/files/jobs.py": {"quietfield.files.images"},
    "quietfield/serve.py": set(),
    "quietfield/selftest.py": {
        "quietfield.machine",
        "quietfield.network.model",
        "quietfield.pipeline",
        "quietfield.network.predict",
        "quietfield.network.unet",
    },
    "quietfield/network/domain.py": {"quietfield.network.normalise"},
    "quietfield/network/model.py": {"quietfield.network.domain", "quietfield.network.unet", "quietfield.network.normalise"},
    "quietfield/network/predict.py": {
        "quietfield.network.domain",
        "quietfield.network.model",
        "quietfield.network.unet",
        "quietfield.network.normalise",
        "quietfield.network.tiling",
    },
    "quietfield/noise/__init__.py": set(),
    "quietfield/noise/blindspots.py": set(),
    "quietfield/noise/camera.py": set(),
    "quietfield/noise/correlation.py": set(),
    "quietfield/noise/transfer.py": {"quietfield.noise.camera", "quietfield.noise.correlation"},
    "quietfield/noise/model.py": {"quietfield.noise.correlation", "quietfield.noise.transfer"},
    "quietfield/adapt/stripes.py": set(),
    "quietfield/adapt/tune.py": {"quietfield.noise.blindspots", "quietfield.network.normalise", "quietfield.network.predict", "quietfield.network.unet"},
    "quietfield/adapt/plan.py": {
        "quietfield.machine",
        "quietfield.noise.blindspots",
        "quietfield.noise.diagnosis",
        "quietfield.network.predict",
        "quietfield.adapt.stripes",
        "quietfield.adapt.tune",
    },
    "quietfield/noise/diagnosis.py": {
        "quietfield.noise.blindspots",
        "quietfield.noise.correlation",
        "quietfield.noise.transfer",
    },
    "quietfield/adapt/neighbours.py": {"quietfield.noise.transfer", "quietfield.network.predict", "quietfield.files.stack"},
    "quietfield/pipeline.py": {
        "quietfield.adapt.plan",
        "quietfield.files.images",
        "quietfield.machine",
        "quietfield.noise.diagnosis",
        "quietfield.adapt.neighbours",
        "quietfield.network.predict",
        "quietfield.files.stack",
        "quietfield.files.tiff",
    },
}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return names | {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}


def test_every_file_of_the_library_is_listed() -> None:
    files = {p.relative_to(ROOT).as_posix() for p in LIBRARY} - {"quietfield/__init__.py"}
    assert files == set(MAY_IMPORT)


@pytest.mark.parametrize("file", MAY_IMPORT)
def test_library_imports_run_one_way(file: str) -> None:
    own = {name for name in imported(ROOT / file) if name.split(".")[0] in ("quietfield", "train", "demo", "inference")}
    assert own <= MAY_IMPORT[file]


def test_nothing_imports_training_but_training() -> None:
    for path in [ROOT / "inference.py", *(ROOT / "demo").glob("*.py"), *LIBRARY]:
        assert not {name for name in imported(path) if name.split(".")[0] == "train"}, path


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("images", {"images", "synthetic", "config", "folders"}),
        ("measure", {"measure", "images", "synthetic", "config"}),
    ],
)
def test_the_parts_of_the_training_system_import_one_way(folder: str, allowed: set[str]) -> None:
    for path in (ROOT / "train" / folder).glob("*.py"):
        own = {name.split(".")[1] for name in imported(path) if name.startswith("train.")}
        assert own <= allowed, path


def test_inference_needs_only_the_runtime_requirements() -> None:
    heavy = {"skimage", "matplotlib", "train", "demo"}
    for path in [ROOT / "inference.py", *LIBRARY]:
        at_import = {n for n in imported(path) if n.split(".")[0] in heavy}
        assert at_import <= ({"skimage.metrics"} if path.name == "metrics.py" else set()), path
