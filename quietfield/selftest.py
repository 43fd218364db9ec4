"""`python -m quietfield.selftest [MODEL]`: does this torch, on this machine, compute what the networks should give?

A drawn scene goes as a TIFF through the whole pipeline, on the device that would be used. Its answer is held against
the same network in float64 on the CPU, which takes other kernels. So no stored answer can grow old.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from quietfield.front import SHIPPED
from quietfield.machine import choose_device, describe, describe_torch
from quietfield.network.model import ARGUMENTS, Model, ModelError, find_model, load_model
from quietfield.network.predict import Denoiser
from quietfield.network.unet import StandardisedUNet
from quietfield.pipeline import denoise_file
from quietfield.repair.corrections import corrected

SHAPE = 170, 203  # no power of two divides them
ALLOWED = 1e-4  # of the answer's range


def scene() -> NDArray[np.uint16]:
    """A noisy frame, (Y, X), in camera counts: rings of light, and what a hash makes of each pixel's number."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 20 + 15 * np.sin(np.hypot(y - 60, x - 90) / 5)
    noise = np.modf(np.sin(np.arange(y.size) * 12.9898) * 43758.5453)[0].reshape(SHAPE)
    counts: NDArray[np.uint16] = (100 + 10 * (light + 4 * noise)).astype(np.uint16)
    return counts


def deviation(model: Model, device: torch.device) -> float:
    """How far the pipeline's answer is from that of float64 at most, as a share of the range.

    Raises
    ------
    ModelError
        If the model is normalised in a way that `StandardisedUNet` does not know.
    """
    if model.normalisation.kind != "plane":
        raise ModelError(f"self-test: expected a model normalised by 'plane', found {model.normalisation.kind!r}")
    noisy = scene()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "scene.tif"), Path(folder, "answer.tif")
        tifffile.imwrite(source, noisy, photometric="minisblack")
        denoise_file(Denoiser.of(replace(model, general=None, stack=None), device), source, target)
        answer = tifffile.imread(target).astype(np.float64)
    arguments = {name: value for name, value in model.record["architecture"].items() if name in ARGUMENTS}
    network = StandardisedUNet(**arguments).double().eval()
    network.load_state_dict(model.network.state_dict())
    with torch.inference_mode():
        window = torch.from_numpy(noisy.astype(np.float64)).expand(1, network.planes, -1, -1)
        exact = network(window)[0, 0].numpy()
    exact = corrected(exact, noisy)
    return float(np.abs(answer - exact).max() / np.ptp(exact))


def main(folder: Path | None = None) -> int:
    """Print torch, device and how far each network is off; 1 if too far."""
    device = choose_device()
    print(describe_torch())
    print(f"device {describe(device)}")
    model = load_model(find_model([folder] if folder else list(SHIPPED)))
    failed = 0
    for part in model.parts:
        far = deviation(part, device)
        fine = far <= ALLOWED  # NaN is not
        failed += not fine
        name = part.record.get("name", "without a name")
        print(f"{name}: at most {far:.1e} of the range from float64, {ALLOWED:g} allowed: {'ok' if fine else 'WRONG'}")
    print("self-test failed: this torch cannot be trusted here" if failed else "self-test passed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:2])))
