"""`python -m package [GITHUB_USER]`: make the bioimage.io packages of the shipped networks, as folders and zips.

The packages name GITHUB_USER as their maintainer, which bioimage.io wants to know when they are published.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from ruyaml import YAML

from package.description import (
    CITATIONS,
    Package,
    compared_figures_of,
    denoising,
    describe,
    figures_of,
    general,
    moved,
    super_resolution,
    superres_figures_of,
)
from package.weights import standardised, write_onnx, write_torchscript
from quietfield import __version__
from quietfield.network.model import load_model
from quietfield.network.unet import StandardisedUNet

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs"
FIELD = ROOT / "test" / "input" / "interface_0" / "images" / "image-stack-unstructured-noise" / "simulated.tif"
TEST_SIDE = 256  # pixels of the field's corner that are the test tensor
TOLERANCE = 1e-4  # of the test output's range

Image = NDArray[np.float32]


def main(maintainer: str | None = None) -> int:
    """All packages; the first is described by `rdf.yaml` at the top level, too."""
    for name, (source, package) in shipped().items():
        description = build(source, RUNS / name, package, maintainer)
        if name == "package":
            _write_yaml(ROOT / "rdf.yaml", moved(description, Path("runs/package")))
    return 0


def shipped() -> dict[str, tuple[Path, Package]]:
    """Folder of the model and what people are told of it, by the name of the package's folder."""
    docs = ROOT / "docs"
    compared = (docs / "compare" / f"{name}.csv" for name in ("noisy-input", "its-general-network-alone"))
    return {
        "package": (ROOT / "resources", denoising(figures_of(docs / "evaluation.csv"))),
        "package-general": (ROOT / "resources" / "beyond", general(compared_figures_of(*compared))),
        "package-super-resolution": (
            ROOT / "models" / "super-resolution",
            super_resolution(superres_figures_of(docs / "super-resolution.csv")),
        ),
    }


def build(source: Path, folder: Path, package: Package, maintainer: str | None) -> dict[str, Any]:
    """Write every file of a model's package anew, then `rdf.yaml` beside them and the zip; gives what it says."""
    torch.set_num_threads(1)  # sums in one order, and so the same last bits, however many cores there are
    model = load_model(source)
    network = standardised(model)
    folder.mkdir(parents=True, exist_ok=True)
    for file in (source / "weights.pt", ROOT / "quietfield" / "unet.py"):
        shutil.copyfile(file, folder / file.name)
    write_torchscript(network, folder / "weights.torchscript.pt")
    write_onnx(network, folder / "weights.onnx")

    field = tifffile.imread(FIELD).astype(np.float32)
    answer = _run(network, field)
    test = field[:TEST_SIDE, :TEST_SIDE]
    test_answer = _run(network, test)
    np.save(folder / "test_input.npy", test[None, None])
    np.save(folder / "test_output.npy", test_answer[None, None])
    for name, image in (("sample_input", field), ("sample_output", answer)):
        tifffile.imwrite(folder / f"{name}.tif", image[None, None], photometric="minisblack", metadata={"axes": "SCYX"})
    (folder / "cover.png").write_bytes(_cover(np.kron(field, np.ones((network.scale, network.scale))), answer))
    (folder / "README.md").write_text(_readme(package), encoding="utf-8")

    tolerance = float(TOLERANCE * np.ptp(test_answer))
    description = describe(folder, model, network, package, tolerance, maintainer)
    description["timestamp"] = _timestamp(folder / "rdf.yaml", description)
    _write_yaml(folder / "rdf.yaml", description)
    archive = _zip(folder)
    print(f"{folder}\n{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return description


def _timestamp(rdf: Path, description: dict[str, Any]) -> str:
    """That of the description that is there, if nothing else is new; else the new one's."""
    time = description["timestamp"]
    before = (YAML(typ="safe").load(rdf) or {}) if rdf.is_file() else {}
    same = before.keys() == description.keys() and {**before, "timestamp": time} == description
    return str(before["timestamp"] if same else time)


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    """As plain YAML, without the anchors that some readers do not know."""
    yaml = YAML()
    yaml.width = 110
    yaml.representer.ignore_aliases = lambda data: True
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def _run(network: StandardisedUNet, image: Image) -> Image:
    with torch.inference_mode():
        answer: Image = network(torch.from_numpy(image)[None, None])[0, 0].numpy()
    return answer


def _cover(noisy: Image, denoised: Image) -> bytes:
    """A PNG twice as wide as high: the upper half of the field, noisy on the left of the diagonal."""
    height, width = noisy.shape[0] // 2, noisy.shape[1]
    low, high = np.percentile(denoised[:height], [0.5, 99.8])
    yy, xx = np.mgrid[:height, :width]
    edge = xx - width / 2 - (yy - height / 2) * 0.3
    split = np.where(edge < 0, noisy[:height], denoised[:height])
    grey = ((split - low) / (high - low) * 255).clip(0, 255)
    grey[np.abs(edge) < 1.5] = 255
    return bytes(imagecodecs.png_encode(grey.astype(np.uint8)))


def _readme(package: Package) -> str:
    measured = "\n".join(f"| {name} | {text} |" for name, text in package.figures.items())
    cite = "\n".join(f"- {c['text']} {'doi:' + c['doi'] if 'doi' in c else c['url']}" for c in CITATIONS)
    return f"""# {package.name}

## Description

{package.description}

It brings each image to zero mean and unit standard deviation by itself and undoes that at the end: no pre- or
postprocessing is needed, the answer is in the intensity units of the input, and any gain or offset of the camera is
followed. Any size is taken. The pictures that come with it are simulated.

## Intended Use

{package.intended}

## Validation

No image of these sets was used to train, or to choose or stop a network. SI-PSNR is scale-invariant (range: max - min
of the truth); SSIM is taken after the least-squares affine fit of the prediction to the truth.

| set | measured |
|---|---|
{measured}

Each block of a blockwise prediction is standardised by its own statistics, so that blocks differ a little from the
whole image at once; prefer whole images where memory allows.

## Limitations

{package.limitations}

## Citation

{cite}
"""


def _zip(folder: Path) -> Path:
    """The folder's files, in the order of their names and without their dates: the same files are the same zip."""
    name = folder.name.replace("package", "quietfield")
    archive = folder.with_name(f"{name}-{__version__}.bioimageio.zip")
    temporary = archive.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(path.name)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    temporary.replace(archive)
    return archive


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
