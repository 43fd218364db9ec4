"""Real consumers of the package against inference.py: `python test/contract/consumers.py [KIND] [CONSUMER ...]`.

KIND is `general` or `super-resolution` for these packages. Consumers that need another environment or runs/node
run when they are named; `make test-consumers` does all that.

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

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from demo.simulate import simulate_field
from quietfield.network.model import load_model

RAW = ROOT.parent / "shared" / "data" / "w2s-raw16" / "w2s_noisy_0.tiff"
MODELS = {"general": ROOT / "resources" / "general", "super-resolution": ROOT / "models" / "super-resolution"}
KIND = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in MODELS else ""  # of the package; the first by default
DOUBLES = KIND == "super-resolution"
PACKAGE = ROOT / "runs" / (f"package-{KIND}" if KIND else "package")
MODEL = MODELS.get(KIND, ROOT / "resources")
SCALE = 2 if DOUBLES else 1
HALO, ALLOWED = 112 * SCALE, 1e-4

RUNS = ROOT / "runs"
PROGRAMS = ROOT / "test" / "contract" / "consumers"
NODE = ("onnxruntime-node", "onnxruntime-node-1.13", "onnxruntime-web")  # as in consumers.sh
INTERFACE = "torch/csrc/api/include"  # of libtorch's headers
PADDED = ("core-mirrored", "core-blocks", "biapy-padded")  # not given the image as it is

Predict = Callable[[np.ndarray], np.ndarray]


class Missing(Exception):
    """What a consumer needs is not on this machine."""


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
        (alone / "model.json").write_text(json.dumps({**record, "general": None}))
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


def torch_em() -> tuple[str, Predict]:
    """The network as torch-em imports it, from the zip."""
    sys.path.insert(0, str(PROGRAMS))
    from biapy_job import import_torchvision

    import_torchvision()
    import torch
    from torch_em.util.modelzoo import import_bioimageio_model

    archive = next(PACKAGE.parent.glob(f"{PACKAGE.name.replace('package', 'quietfield')}-[0-9]*.bioimageio.zip"))
    network, preprocess = import_bioimageio_model(str(archive))
    assert preprocess is None

    def predict(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(image)).numpy()

    return f"torch-em {version('torch-em')}, import_bioimageio_model", predict


def biapy(levels: int = 1) -> tuple[str, Predict]:
    """BiaPy's denoising workflow on files; with more than one level it pads with zeros, as it does by default."""

    def predict(image: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in"), Path(folder, "out")
            source.mkdir()
            for number, plane in enumerate(image[:, 0]):
                tifffile.imwrite(source / f"{number}.tif", plane)
            command = [sys.executable, str(PROGRAMS / "biapy_job.py"), str(PACKAGE / "rdf.yaml")]
            subprocess.run([*command, str(source), str(target), str(levels)], check=True, capture_output=True)
            answers = sorted(target.rglob("per_image/*.tif"))
            return np.stack([tifffile.imread(path).reshape(1, *image.shape[2:]) for path in answers])

    return f"BiaPy {version('biapy')}, {'whole' if levels == 1 else 'padded'}", predict


def program(name: str, command: list[str], words: list[str]) -> tuple[str, Predict]:
    """A program that is called with the names of the weights and of raw files; it says its version."""

    def call(image: np.ndarray) -> tuple[str, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in.raw"), Path(folder, "out.raw")
            image.tofile(source)
            count, _, height, width = image.shape
            numbers = [str(count), str(height), str(width)]
            line = [*command, str(source), str(target), *numbers, *words]
            said = subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()
            answer = np.fromfile(target, np.float32)
            return said, answer.reshape(count, 1, SCALE * height, SCALE * width)

    return f"{name} {call(np.zeros((1, 1, 32, 32), np.float32))[0]}", lambda image: call(image)[1]


def old_torch() -> tuple[str, Predict]:
    """The oldest torch with wheels for Python 3.11; JDLL ends at PyTorch 2.0.0."""
    python = ROOT / ".venv-torch201" / "bin" / "python"
    if not python.is_file():
        raise Missing(f"torch 2.0.1: expected {python}, found none: 'make .venv-torch201/.done'")
    command = [str(python), "-W", "ignore", str(PROGRAMS / "torchscript.py"), str(PACKAGE / "weights.torchscript.pt")]
    return program("torch.jit.load, torch", command, [])


def libtorch(name: str, include: list[Path], flags: list[str]) -> tuple[str, Predict]:
    """The C++ program, compiled against a libtorch."""
    if not shutil.which("g++") or not include[-1].is_dir():
        raise Missing(f"libtorch: expected g++ and {include[-1]}, found one of them at most")
    compiled = str(RUNS / name)
    flags = [*(f"-I{path}" for path in include), str(PROGRAMS / "libtorch.cpp"), "-o", compiled, *flags]
    subprocess.run(["g++", "-std=c++20", "-O1", "-w", *flags, "-ltorch", "-ltorch_cpu", "-lc10"], check=True)
    return program("libtorch (C++)", [compiled, str(PACKAGE / "weights.torchscript.pt")], [])


def libtorch_of_pip() -> tuple[str, Predict]:
    import torch

    folder = Path(torch.__file__).parent
    include, libraries = folder / "include", folder / "lib"
    return libtorch("libtorch-pip", [include, include / INTERFACE], [f"-L{libraries}", f"-Wl,-rpath,{libraries}"])


def libtorch_of_debian() -> tuple[str, Predict]:
    """Debian's package libtorch-dev: 1.13 on bookworm, as old as what deepImageJ's engines go back to."""
    return libtorch("libtorch-debian", [Path("/usr/include", INTERFACE)], [])


def onnxruntime_node(package: str) -> tuple[str, Predict]:
    if not shutil.which("node") or not (RUNS / "node" / "node_modules" / package).is_dir():
        raise Missing(f"{package}: expected node and {RUNS / 'node'}, found one of them at most: 'make test-consumers'")
    command = ["node", str(PROGRAMS / "onnxruntime.mjs"), str(PACKAGE / "weights.onnx")]
    return program(f"{package.removesuffix('-1.13')} (JavaScript)", command, [package])


CONSUMERS: dict[str, Callable[[], tuple[str, Predict]]] = {
    "torchscript": torchscript,
    "onnx": onnx,
    **{f"core-{w}": lambda w=w: core(w) for w in ("pytorch_state_dict", "torchscript", "onnx")},
    "core-mirrored": lambda: core("pytorch_state_dict", "mirrored"),
    "core-blocks": lambda: core("pytorch_state_dict", "in blocks"),
}
# These need another environment, or programs that not every machine has.
ELSEWHERE: dict[str, Callable[[], tuple[str, Predict]]] = {
    "torch-em": torch_em,
    "biapy": biapy,
    "biapy-padded": lambda: biapy(5),
    "torch-2.0": old_torch,
    "libtorch": libtorch_of_pip,
    "libtorch-debian": libtorch_of_debian,
    **{name: lambda name=name: onnxruntime_node(name) for name in NODE},
}


def disagree() -> list[str]:
    """What the package says that is not so."""
    from ruyaml import YAML

    from package.card import load_card
    from package.description import disagreements

    place = PACKAGE if KIND else ROOT
    rdf = YAML(typ="safe").load(place / "rdf.yaml")
    return disagreements(rdf, place, load_model(MODEL), load_card(MODEL / "card.yaml"))


def main(names: list[str]) -> int:
    if not (PACKAGE / "rdf.yaml").is_file():
        print(f"{PACKAGE}: expected the package, found none: run 'make package'")
        return 1
    if unknown := set(names) - CONSUMERS.keys() - ELSEWHERE.keys():
        print(f"expected consumers of {[*CONSUMERS, *ELSEWHERE]}, found {sorted(unknown)}")
        return 1
    try:
        if said := disagree():
            print("\n".join(said))
            return 1
        consumers = []
        for name in names or CONSUMERS:
            try:
                consumers.append((name, *(CONSUMERS | ELSEWHERE)[name]()))
            except Missing as missing:
                print(f"SKIPPED {missing}")
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
            failures += inside > ALLOWED and name not in PADDED
            print(f"| {words} | {title} | {inside:.1e} | {float(distance.max()):.1e} |", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[2:] if KIND else sys.argv[1:]))
