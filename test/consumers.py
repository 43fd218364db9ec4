"""Real consumers of the package against inference.py: `python test/consumers.py [KIND] [CONSUMER ...]`.

KIND is `general` or `super-resolution` for these packages.

Each consumer answers the same images as inference.py: simulated fields of odd and even sizes, and a batch of
three raw frames where ../shared/data is. Prints the furthest pixel, as a share of the answer's range; more
than 1e-4 in the interior (a halo from the borders) is a failure where the network is given the whole image.
bioimageio.core, unless it is told not to, mirrors the image at its borders first, or cuts it into blocks; the
network's own mean and standard deviation are then those of what it is given: how far that goes is printed.
"""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tifffile
from ruyaml import YAML

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.simulate import simulate_field
from denoiser.model import load_model
from package.description import disagreements

RAW = ROOT.parent / "shared" / "data" / "w2s-raw16" / "w2s_noisy_0.tiff"
MODELS = {"general": ROOT / "resources" / "beyond", "super-resolution": ROOT / "models" / "super-resolution"}
KIND = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in MODELS else ""  # of the package; the first by default
DOUBLES = KIND == "super-resolution"
PACKAGE = ROOT / "runs" / (f"package-{KIND}" if KIND else "package")
MODEL = MODELS.get(KIND, ROOT / "resources")
SCALE = 2 if DOUBLES else 1
HALO, ALLOWED = 112 * SCALE, 1e-4

Predict = Callable[[np.ndarray], np.ndarray]


def images() -> Iterator[tuple[str, np.ndarray]]:
    """Batches, (N, 1, Y, X), float32, camera counts."""
    field = simulate_field(7, side=1024)[0].astype(np.float32)
    for height, width in [(333, 517), (540, 540), (1024, 1024)]:
        yield f"simulated {height}x{width}", field[None, None, :height, :width]
    if RAW.is_file():
        yield "raw frames, batch of 3", tifffile.imread(RAW)[:, None].astype(np.float32)
    else:
        print(f"SKIPPED the raw frames: no {RAW}")


def reference(image: np.ndarray) -> np.ndarray:
    """What inference.py makes of the same."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        tifffile.imwrite(source / "x.tif", image[:, 0], photometric="minisblack")
        # Of the model the network that is in the package, whatever the image is like.
        record = json.loads((MODEL / "model.json").read_text())
        alone = Path(shutil.copytree(MODEL, Path(folder, "model")))
        (alone / "model.json").write_text(json.dumps({**record, "beyond": None}))
        command = [sys.executable, str(ROOT / "inference.py"), "--input", str(source), "--output", str(target)]
        subprocess.run([*command, "--model", str(alone)], check=True, capture_output=True)
        height, width = (SCALE * side for side in image.shape[2:])
        return tifffile.imread(target / "x.tif").reshape(*image.shape[:2], height, width)


def torchscript() -> tuple[str, Predict]:
    import torch

    network = torch.jit.load(str(PACKAGE / "weights.torchscript.pt"))

    def predict(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(image)).numpy()

    return f"torch {torch.__version__}, torch.jit.load alone", predict


def onnx() -> tuple[str, Predict]:
    import onnxruntime

    session = onnxruntime.InferenceSession(PACKAGE / "weights.onnx")
    return f"onnxruntime {version('onnxruntime')} alone", lambda image: session.run(None, {"noisy": image})[0]


def core(weights: str, way: str = "whole") -> tuple[str, Predict]:
    from bioimageio.core import Sample, Tensor, create_prediction_pipeline
    from bioimageio.spec import load_model_description

    model = load_model_description(PACKAGE / "rdf.yaml", perform_io_checks=False)
    options = {"default_blocksize_parameter": 5} if way == "in blocks" else {}
    pipeline = create_prediction_pipeline(model, weights_format=weights, **options)
    pipeline.load()
    # Newer cores mirror the image by the halo first, and cut that off again, unless they are told not to.
    known = inspect.signature(pipeline.predict_sample_without_blocking).parameters
    plain = {k: True for k in ("skip_input_padding", "skip_output_cropping") if k in known and way == "whole"}

    def predict(image: np.ndarray) -> np.ndarray:
        tensor = Tensor.from_numpy(image, dims=("batch", "channel", "y", "x"))
        sample = Sample(members={"noisy": tensor}, stat={}, id="x")
        if way == "in blocks":
            answer = pipeline.predict_sample_with_blocking(sample)
        else:
            answer = pipeline.predict_sample_without_blocking(sample, **plain)
        return np.asarray(answer.members["denoised"].data)

    return f"bioimageio.core {version('bioimageio.core')}, {weights}, {way}", predict


CONSUMERS: dict[str, Callable[[], tuple[str, Predict]]] = {
    "torchscript": torchscript,
    "onnx": onnx,
    **{f"core-{w}": lambda w=w: core(w) for w in ("pytorch_state_dict", "torchscript", "onnx")},
    "core-mirrored": lambda: core("pytorch_state_dict", "mirrored"),
    "core-blocks": lambda: core("pytorch_state_dict", "in blocks"),
}


def main(names: list[str]) -> int:
    if not (PACKAGE / "rdf.yaml").is_file():
        print(f"{PACKAGE}: expected the package, found none: run 'make package'")
        return 1
    if not KIND and (said := disagreements(YAML(typ="safe").load(ROOT / "rdf.yaml"), ROOT, load_model(MODEL))):
        print("\n".join(said))
        return 1
    try:
        consumers = [(name, *CONSUMERS[name]()) for name in names or CONSUMERS]
    except ModuleNotFoundError as error:
        print(f"{sys.executable}: expected {error.name}, found none: 'make test-consumers' installs and uses it")
        return 1
    failures = 0
    print("| consumer | image | furthest pixel, interior | and at the borders |\n|---|---|---|---|")
    for title, image in images():
        expected = reference(image)
        span = np.ptp(expected)
        for name, words, predict in consumers:
            distance = np.abs(predict(image) - expected) / span
            inside = float(distance[..., HALO:-HALO, HALO:-HALO].max())
            failures += inside > ALLOWED and name not in ("core-mirrored", "core-blocks")
            print(f"| {words} | {title} | {inside:.1e} | {float(distance.max()):.1e} |", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[2:] if KIND else sys.argv[1:]))
