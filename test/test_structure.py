"""Imports run one way, and each leaf of the library stands by itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "denoiser").rglob("*.py"))
MAY_IMPORT: dict[str, set[str]] = {
    "denoiser/unet.py": set(),
    "denoiser/normalise.py": set(),
    "denoiser/tiling.py": set(),
    "denoiser/metrics.py": set(),
    "denoiser/stack.py": set(),
    "denoiser/tiff.py": {"denoiser.stack"},
    "denoiser/metaimage.py": {"denoiser.stack"},
    "denoiser/images.py": {"denoiser.stack", "denoiser.tiff", "denoiser.metaimage"},
    "denoiser/device.py": set(),
    "denoiser/memory.py": set(),
    "denoiser/sockets.py": {"denoiser.images"},
    "denoiser/serve.py": set(),
    "denoiser/selftest.py": {
        "denoiser.device",
        "denoiser.model",
        "denoiser.pipeline",
        "denoiser.predict",
        "denoiser.unet",
    },
    "denoiser/domain.py": {"denoiser.normalise"},
    "denoiser/model.py": {"denoiser.domain", "denoiser.unet", "denoiser.normalise"},
    "denoiser/predict.py": {
        "denoiser.domain",
        "denoiser.model",
        "denoiser.unet",
        "denoiser.normalise",
        "denoiser.tiling",
    },
    "denoiser/noise/__init__.py": set(),
    "denoiser/noise/blindspots.py": set(),
    "denoiser/noise/camera.py": set(),
    "denoiser/noise/correlation.py": set(),
    "denoiser/noise/transfer.py": {"denoiser.noise.camera", "denoiser.noise.correlation"},
    "denoiser/noise/model.py": {"denoiser.noise.correlation", "denoiser.noise.transfer"},
    "denoiser/stripes.py": set(),
    "denoiser/tune.py": {"denoiser.noise.blindspots", "denoiser.normalise", "denoiser.predict", "denoiser.unet"},
    "denoiser/adapt.py": {
        "denoiser.memory",
        "denoiser.noise.blindspots",
        "denoiser.noise.diagnosis",
        "denoiser.predict",
        "denoiser.stripes",
        "denoiser.tune",
    },
    "denoiser/noise/diagnosis.py": {
        "denoiser.noise.blindspots",
        "denoiser.noise.correlation",
        "denoiser.noise.transfer",
    },
    "denoiser/neighbours.py": {"denoiser.noise.transfer", "denoiser.predict", "denoiser.stack"},
    "denoiser/pipeline.py": {
        "denoiser.adapt",
        "denoiser.images",
        "denoiser.memory",
        "denoiser.noise.diagnosis",
        "denoiser.neighbours",
        "denoiser.predict",
        "denoiser.stack",
        "denoiser.tiff",
    },
}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return names | {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}


def test_every_file_of_the_library_is_listed() -> None:
    files = {p.relative_to(ROOT).as_posix() for p in LIBRARY} - {"denoiser/__init__.py"}
    assert files == set(MAY_IMPORT)


@pytest.mark.parametrize("file", MAY_IMPORT)
def test_library_imports_run_one_way(file: str) -> None:
    own = {name for name in imported(ROOT / file) if name.split(".")[0] in ("denoiser", "train", "demo", "inference")}
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
