"""Simulated inputs as the platform lays them out: `python -m demo.fixture` writes test/input/.

interface_0 is what `make demo` shows, with the platform's inputs.json; 1 and 2 are the folder
forms of the other challenges, which have none.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from demo.simulate import simulate_field

FIXTURE = Path(__file__).resolve().parents[1] / "test" / "input"
UNSTRUCTURED = "images/image-stack-unstructured-noise"
SLUG = "stacked-images-subject-to-unstructured-noise"


def write_fixture(folder: Path = FIXTURE) -> NDArray[np.float64]:
    """Write all three interfaces; the ground truth of interface_0 comes back."""
    noisy, truth = simulate_field()
    _write(folder / "interface_0" / UNSTRUCTURED / "simulated.tif", noisy)
    socket = {"slug": SLUG, "kind": "Image", "relative_path": UNSTRUCTURED}
    listing = [{"socket": socket, "image": {"name": "simulated.tif"}, "file": None, "value": None}]
    (folder / "interface_0" / "inputs.json").write_text(json.dumps(listing, indent=2) + "\n")
    stack = np.stack([simulate_field(seed, side=90)[0] for seed in range(6)])
    structured, calcium = "image-stack-structured-noise", "stacked-neuron-images-with-noise"
    _write(folder / "interface_1" / "images" / structured / "simulated.tif", stack.reshape(2, 3, 90, 90))
    below_zero = stack[:, :70].astype(np.int16) - 300
    _write(folder / "interface_2" / "images" / calcium / "simulated.tif", below_zero)
    return truth


def _write(path: Path, image: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="minisblack")


if __name__ == "__main__":
    write_fixture()
