"""`python -m package [GITHUB_USER]`: make the bioimage.io package of the network in `resources/`, as folder and zip.

The package names GITHUB_USER as its maintainer, which bioimage.io wants to know when it is published.
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

from denoiser import __version__
from denoiser.model import load_model
from denoiser.unet import StandardisedUNet
from package.description import CITATIONS, NAME, describe, figures_of, moved
from package.weights import standardised, write_onnx, write_torchscript

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "runs" / "package"
FIELD = ROOT / "test" / "input" / "interface_0" / "images" / "image-stack-unstructured-noise" / "simulated.tif"
TEST_SIDE = 256  # pixels of the field's corner that are the test tensor
TOLERANCE = 1e-4  # of the test output's range

Image = NDArray[np.float32]


def main(maintainer: str | None = None) -> int:
    """Write every file anew, then `rdf.yaml` beside them, the zip, and `rdf.yaml` at the top level."""
    model = load_model(ROOT / "resources")
    network = standardised(model)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for source in (ROOT / "resources" / "weights.pt", ROOT / "denoiser" / "unet.py"):
        shutil.copyfile(source, FOLDER / source.name)
    write_torchscript(network, FOLDER / "weights.torchscript.pt")
    write_onnx(network, FOLDER / "weights.onnx")

    field = tifffile.imread(FIELD).astype(np.float32)
    answer = _run(network, field)
    test = field[:TEST_SIDE, :TEST_SIDE]
    test_answer = _run(network, test)
    np.save(FOLDER / "test_input.npy", test[None, None])
    np.save(FOLDER / "test_output.npy", test_answer[None, None])
    for name, image in (("sample_input", field), ("sample_output", answer)):
        tifffile.imwrite(FOLDER / f"{name}.tif", image[None, None], photometric="minisblack", metadata={"axes": "SCYX"})
    (FOLDER / "cover.png").write_bytes(_cover(field, answer))
    figures = figures_of(ROOT / "docs" / "evaluation.csv")
    (FOLDER / "README.md").write_text(_readme(figures), encoding="utf-8")

    tolerance = float(TOLERANCE * np.ptp(test_answer))
    description = describe(FOLDER, model, network, figures, tolerance, maintainer)
    top = moved(description, FOLDER.relative_to(ROOT))
    before = YAML(typ="safe").load(ROOT / "rdf.yaml") if (ROOT / "rdf.yaml").is_file() else {}
    if before.keys() == top.keys() and {**before, "timestamp": top["timestamp"]} == top:  # nothing new: no new time
        description["timestamp"] = top["timestamp"] = before["timestamp"]
    _write_yaml(FOLDER / "rdf.yaml", description)
    _write_yaml(ROOT / "rdf.yaml", top)
    archive = _zip()
    print(f"{FOLDER}\n{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


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


def _readme(figures: dict[str, str]) -> str:
    measured = "\n".join(f"| {name} | {text} |" for name, text in figures.items())
    cite = "\n".join(f"- {text} doi:{doi}" for text, doi in CITATIONS)
    return f"""# {NAME}

## Description

A residual U-Net that estimates from one noisy fluorescence image what many frames would average to. It brings each
image to zero mean and unit standard deviation by itself and undoes that at the end: no pre- or postprocessing is
needed, the answer is in the intensity units of the input, and any gain or offset of the camera is followed. Any size
is taken. The pictures that come with it are simulated.

## Intended Use

Two-dimensional fluorescence images with Poisson noise, widefield above all; stacks plane by plane. Not for counting
photons, nor for the statistics of the noise: it estimates a mean.

## Validation

No image of these sets was used to train, or to choose or stop a network. SI-PSNR is scale-invariant (range: max - min
of the truth); SSIM is taken after the least-squares affine fit of the prediction to the truth.

| set | measured |
|---|---|
{measured}

Each block of a blockwise prediction is standardised by its own statistics, so that blocks differ a little from the
whole image at once; prefer whole images where memory allows.

## Limitations

Noise that is correlated from pixel to pixel or along rows was not in the training data, and stays. Trained on fixed
cells in widefield: on other microscopes look at the residual, which should show noise and no structure.

## Citation

{cite}
"""


def _zip() -> Path:
    """The folder's files, in the order of their names."""
    archive = FOLDER.with_name(f"w2s-denoiser-{__version__}.bioimageio.zip")
    temporary = archive.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(FOLDER.iterdir()):
            file.write(path, path.name)
    temporary.replace(archive)
    return archive


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
