"""What the tests share: the real images (skipped with a reason where absent) and the shipped model."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from quietfield.network.model import Model, load_model, save_model
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "w2s").is_dir():
        pytest.skip(f"the real images are not here: expected {folder}")
    return folder


@pytest.fixture(scope="session")
def shipped() -> Model:
    return load_model(ROOT / "resources")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C means what it does in a terminal; what a shell puts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """A model folder with a small untrained network, for what does not ask for quality."""
    folder = tmp_path / "tiny-model"
    architecture = {"channels": [4, 8], "unshuffle": 2}
    save_model(folder, UNet((4, 8), 2), {"kind": "plane"}, {"name": "tiny", "architecture": architecture})
    return folder


@pytest.fixture
def denoiser(shipped: Model) -> Denoiser:
    return Denoiser.of(shipped)
