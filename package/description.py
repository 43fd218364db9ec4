"""What `rdf.yaml` says: the package in the words of bioimage.io's format 0.5.4.

That format is older than the tools that check it, on purpose: consumers that pin an older core refuse
newer ones, and every core reads this.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from package.weights import ONNX_OPSET
from quietfield import __version__
from quietfield.network.model import ARGUMENTS, Model, sha256
from quietfield.network.unet import StandardisedUNet

CITATIONS = [
    {
        "text": "Zhou R., El Helou M., Sage D., Laroche T., Seitz A., Süsstrunk S. (2020): W2S: Microscopy Data with "
        "Joint Denoising and Super-Resolution for Widefield to SIM Mapping. ECCV Workshops. The training images.",
        "doi": "10.1007/978-3-030-66415-2_31",
    },
    {
        "text": "Ronneberger O., Fischer P., Brox T. (2015): U-Net: Convolutional Networks for Biomedical Image "
        "Segmentation. MICCAI. The architecture.",
        "doi": "10.1007/978-3-319-24574-4_28",
    },
    {
        "text": "AI4Life (2024): Microscopy Denoising Challenge (AI4Life-MDC24). The challenge that it was made for.",
        "url": "https://ai4life-mdc24.grand-challenge.org/",  # it has no DOI that we know of
    },
]
COMMITTED = {"weights.pt": "resources/weights.pt", "unet.py": "quietfield/network/unet.py"}
LIMITATIONS = (
    "For images like W2S: others go to the second network of the repository, which is a package of its own. "
    "Noise that is correlated from pixel to pixel or along rows was not in the training data, and stays. Trained on "
    "fixed cells in widefield; look at the residual on other microscopes."
)
TAGS = [
    *("fluorescence-light-microscopy", "widefield", "2d", "cells", "denoising", "image-restoration"),
    *("unet", "pytorch", "deepimagej", "fiji"),
]


@dataclass(frozen=True)
class Package:
    """What people are told of a network, besides what its record says.

    Attributes
    ----------
    name, description, limitations
        As in `rdf.yaml`.
    intended
        What the README says that it is for.
    figures
        What was measured on images that it never saw, by the name of the set.
    tags
        Besides `TAGS`.
    """

    name: str
    description: str
    intended: str
    limitations: str
    figures: dict[str, str]
    tags: tuple[str, ...] = ()


def denoising(figures: dict[str, str]) -> Package:
    """The shipped network's."""
    return Package(
        "W2S U-Net denoiser for fluorescence microscopy",
        "A U-Net that estimates from one noisy fluorescence image what many frames would average to, in the "
        "image's own intensity units. Trained on W2S: one raw widefield frame in, the mean of 400 as truth.",
        "Two-dimensional fluorescence images with Poisson noise, widefield above all; stacks plane by plane. Not for "
        "counting photons, nor for the statistics of the noise: it estimates a mean.",
        LIMITATIONS,
        figures,
    )


def general(figures: dict[str, str]) -> Package:
    """That of the network for images unlike W2S."""
    return Package(
        "U-Net denoiser for fluorescence microscopes of any kind",
        "A U-Net that estimates from one noisy fluorescence image what many frames would average to, in the image's "
        "own intensity units. Trained on W2S (one widefield frame in, the mean of 400 as truth) at many noise levels, "
        "and on clean images of other microscopes with drawn noise.",
        "Two-dimensional fluorescence images with 3 photo-electrons at the brightest pixel and more: confocal, "
        "two-photon, widefield; stacks plane by plane. For dim widefield images like W2S's the other denoiser of this "
        "family is better. Not for counting photons, nor for the statistics of the noise: it estimates a mean.",
        "A quarter of the synthetic training images had noise that neighbours share, a tenth noise of whole rows: of "
        "other such noise some may stay. Look at the residual: it should show noise and no structure.",
        figures,
    )


def super_resolution(figures: dict[str, str]) -> Package:
    """That of the network that doubles the pixels."""
    return Package(
        "U-Net denoiser that doubles the pixels of fluorescence images",
        "A U-Net that estimates from one noisy widefield image what a SIM reconstruction of twice as many pixels in Y "
        "and X would show. Trained on SIM images of microtubules, blurred, binned and given Poisson noise.",
        "To show what joint denoising and super-resolution can do on filaments, and to start training from. It has "
        "seen microtubules alone: on other structures it may draw filaments that are not there. Not for measurements.",
        "Trained on simulated frames of six cells' microtubules (a Gaussian point spread function, no read noise): "
        "other structures, other optics and real frames were not in its training.",
        figures,
        ("super-resolution",),
    )


def describe(
    folder: Path,
    model: Model,
    network: StandardisedUNet,
    package: Package,
    tolerance: float,
    maintainer: str | None = None,
) -> dict[str, Any]:
    """The content of `rdf.yaml`, with the sha256 of every file that it names.

    Parameters
    ----------
    folder : Path
        The package's folder, which holds the other files already.
    model : Model
        The model.
    network : StandardisedUNet
        The same in intensity units, for its halo and its grid.
    package : Package
        What people are told of it.
    tolerance : float
        Furthest that a format's answer may be from the test output, in intensity units.
    maintainer : str, optional
        GitHub name of who answers for the package. Readers ask GitHub whether there is one of that name.
    """

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": sha256(folder / name)}

    architecture, training = model.record["architecture"], model.record["training"]
    torch_version = training["torch"].split("+")[0]
    # A tile must hold more than the halo on both sides of it.
    least = 2 * network.halo + network.multiple
    space = [{"type": "space", "id": axis, "size": {"min": least, "step": network.multiple}} for axis in "yx"]
    finer = {"scale": 1 / network.scale} if network.scale > 1 else {}
    halo = network.scale * network.halo
    follows = [
        {"type": "space", "id": axis, "size": {"tensor_id": "noisy", "axis_id": axis}, "halo": halo, **finer}
        for axis in "yx"
    ]
    first = [{"type": "batch"}, {"type": "channel", "channel_names": ["intensity"]}]
    data = {"type": "float32", "range": [None, None], "unit": "arbitrary unit", "scale": 1.0, "offset": None}
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": package.name,
        "description": package.description,
        "version": __version__,
        "timestamp": datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat(),
        "authors": [{"name": "The authors of quietfield"}],
        **({"maintainers": [{"github_user": maintainer}]} if maintainer else {}),
        "cite": [dict(entry) for entry in CITATIONS],
        "license": "MIT",
        "tags": [*TAGS, *package.tags],
        "covers": ["cover.png"],
        "documentation": "README.md",
        "inputs": [
            {
                "id": "noisy",
                "description": "The noisy image, in any linear intensity units.",
                "axes": [*first, *space],
                "data": data,
                "test_tensor": file("test_input.npy"),
                "sample_tensor": file("sample_input.tif"),
            }
        ],
        "outputs": [
            {
                "id": "denoised",
                "description": "Its denoised estimate, in the same units.",
                "axes": [*first, *follows],
                "data": data,
                "test_tensor": file("test_output.npy"),
                "sample_tensor": file("sample_output.tif"),
            }
        ],
        "weights": {
            "pytorch_state_dict": {
                **file("weights.pt"),
                "pytorch_version": torch_version,
                "architecture": {
                    **file("unet.py"),
                    "callable": type(network).__name__,
                    "kwargs": {name: architecture[name] for name in ARGUMENTS if name in architecture},
                },
            },
            "torchscript": {
                **file("weights.torchscript.pt"),
                "pytorch_version": torch_version,
                "parent": "pytorch_state_dict",
            },
            "onnx": {**file("weights.onnx"), "opset_version": ONNX_OPSET, "parent": "pytorch_state_dict"},
        },
        "config": {
            "bioimageio": {
                "reproducibility_tolerance": [
                    {"relative_tolerance": 1e-3, "absolute_tolerance": tolerance, "mismatched_elements_per_million": 0}
                ],
                "training": {
                    "data": training["data"],
                    "steps": training["steps"],
                    "minutes": training["minutes"],
                    "device": training["device"],
                    **{k: training["config"][k] for k in ("batch", "crop", "lr", "loss", "seed")},
                },
                "evaluation": package.figures,
                "limitations": package.limitations,
            }
        },
    }


def figures_of(path: Path) -> dict[str, str]:
    """Mean SI-PSNR and SSIM of each set, before and after, of the table that `make readme` measured."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figures = {}
    for name in dict.fromkeys(row["set"] for row in rows):
        columns = ("noisy_si_psnr", "noisy_ssim", "si_psnr", "ssim")
        a, b, c, d = (float(np.mean([float(r[k]) for r in rows if r["set"] == name])) for k in columns)
        count = sum(r["set"] == name for r in rows)
        figures[name] = _sentence(count, (a, b), (c, d))
    return figures


def compared_figures_of(noisy: Path, denoised: Path) -> dict[str, str]:
    """The same of two tables that `python -m compare` measured."""
    tables = []
    for path in (noisy, denoised):
        with path.open(newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(line for line in file if not line.startswith("#"))))
    figures = {}
    for name in dict.fromkeys(row["set"] for row in tables[1]):
        before, after = (
            [np.mean([float(r[k]) for r in rows if r["set"] == name]) for k in ("si_psnr", "ssim")] for rows in tables
        )
        figures[name] = _sentence(sum(r["set"] == name for r in tables[1]), before, after)
    return figures


def _sentence(count: int, before: Sequence[Any], after: Sequence[Any]) -> str:
    return (
        f"mean of {count} images: SI-PSNR {before[0]:.2f} dB noisy, {after[0]:.2f} dB denoised; "
        f"SSIM {before[1]:.3f} and {after[1]:.3f}"
    )


def superres_figures_of(path: Path) -> dict[str, str]:
    """Mean SI-PSNR and SSIM of each method at each dose, of the table that `train superres` measured."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figures = {}
    for photons in dict.fromkeys(row["photons"] for row in rows):
        cells = []
        for method in dict.fromkeys(row["method"] for row in rows):
            chosen = [r for r in rows if (r["photons"], r["method"]) == (photons, method)]
            quality, similarity = (float(np.mean([float(r[k]) for r in chosen])) for k in ("si_psnr", "ssim"))
            cells.append(f"{method} {quality:.2f} dB / {similarity:.3f}")
        images = len({row["image"] for row in rows})
        figures[f"{images} held-out cells, {photons} photo-electrons a pixel"] = "SI-PSNR / SSIM: " + "; ".join(cells)
    return figures


def moved(description: Any, folder: Path) -> Any:
    """The same for an `rdf.yaml` at the top level: what is committed is named there, the rest in `folder`."""

    def name(file: str) -> str:
        return COMMITTED.get(file) or f"{folder}/{file}"

    if isinstance(description, list):
        return [moved(item, folder) for item in description]
    if not isinstance(description, dict):
        return description
    result = {key: moved(value, folder) for key, value in description.items()}
    result |= {key: name(result[key]) for key in ("source", "documentation") if key in result}
    return result | ({"covers": [name(file) for file in result["covers"]]} if "covers" in result else {})


def disagreements(description: dict[str, Any], root: Path, model: Model, figures: dict[str, str]) -> list[str]:
    """What an `rdf.yaml` says that is not so: a sentence for each file and fact, with the remedy.

    Parameters
    ----------
    description : dict
        Content of the `rdf.yaml`.
    root : Path
        The folder where its file names start.
    model : Model
        The model that it should describe.
    figures : dict of str
        What was measured of it, by the name of the set.
    """
    remedy = "run 'make package'"
    said = []
    pictures = [(name, None) for name in (*description["covers"], description["documentation"])]
    for source, checksum in [*_files(description), *pictures]:
        path = root / source
        if not path.is_file():
            said.append(f"{path}: expected the file that rdf.yaml names, found none: {remedy}")
        elif checksum and (actual := sha256(path)) != checksum:
            said.append(f"{path}: expected sha256 {checksum} as in rdf.yaml, found {actual}: {remedy}")
    weights = description["weights"]["pytorch_state_dict"]
    architecture = model.record["architecture"]
    facts: dict[str, tuple[Any, Any]] = {
        "weights.pytorch_state_dict.sha256": (weights["sha256"], model.sha256),
        "architecture.kwargs": (
            dict(weights["architecture"]["kwargs"]),
            {name: architecture[name] for name in ARGUMENTS if name in architecture},
        ),
        "config.bioimageio.evaluation": (
            dict(description["config"]["bioimageio"]["evaluation"]),
            figures,
        ),
        "outputs.axes.halo": (
            [a["halo"] for a in description["outputs"][0]["axes"][2:]],
            [model.network.scale * model.network.halo] * 2,
        ),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            said.append(f"rdf.yaml: {name}: expected {expected} of the model, found {found}: {remedy}")
    return said


def _files(description: Any) -> list[tuple[str, str]]:
    """Name and sha256 of each file below a node that has both."""
    if isinstance(description, list):
        return [pair for item in description for pair in _files(item)]
    if not isinstance(description, dict):
        return []
    own = [(description["source"], description["sha256"])] if "source" in description else []
    return own + [pair for item in description.values() for pair in _files(item)]
