"""What `rdf.yaml` says: the package in the words of bioimage.io's format 0.5.4.

That format is older than the tools that check it, on purpose: consumers that pin an older core refuse
newer ones, and every core reads this.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from package.card import Card, evaluations
from package.cost import sentences
from package.weights import ONNX_OPSET
from quietfield import __version__
from quietfield.network.model import ARGUMENTS, Model, sha256
from quietfield.network.unet import StandardisedUNet

CITATIONS = [
    {
        "text": "Zhou R., El Helou M., Sage D., Laroche T., Seitz A., Süsstrunk S. (2020): W2S: Microscopy Data with "
        "Joint Denoising and Super-Resolution for Widefield to SIM Mapping. ECCV Workshops. The training images",
        "doi": "10.1007/978-3-030-66415-2_31",
    },
    {
        "text": "Ronneberger O., Fischer P., Brox T. (2015): U-Net: Convolutional Networks for Biomedical Image "
        "Segmentation. MICCAI. The architecture",
        "doi": "10.1007/978-3-319-24574-4_28",
    },
    {
        "text": "AI4Life (2024): Microscopy Denoising Challenge (AI4Life-MDC24). The challenge that it was made for",
        "url": "https://ai4life-mdc24.grand-challenge.org/",  # it has no DOI that we know of
    },
]
COMMITTED = {"weights.pt": "resources/weights.pt", "unet.py": "quietfield/network/unet.py", "LICENSE": "LICENSE"}
TAGS = [
    *("fluorescence-light-microscopy", "2d", "denoising", "image-restoration"),
    *("unet", "pytorch", "deepimagej", "fiji"),
]
AUTHORS = [{"name": "The authors of quietfield"}]
# What core does with an image: it mirrors HALO pixels at the borders, and cuts blocks of LEAST + n pixels that overlap
# by that. docs/package.md has what other choices cost.
HALO, LEAST = 16, 128
# Fields of the format that are empty here, and said to be: other weights, a model that this one was made from, links.
NO_WEIGHTS = dict.fromkeys(("keras_hdf5", "tensorflow_js", "tensorflow_saved_model_bundle"))
NONE: dict[str, Any] = {"parent": None, "run_mode": None, "icon": None, "links": [], "uploader": None}


@dataclass(frozen=True)
class Publisher:
    """What only who publishes a package can say.

    Attributes
    ----------
    github_user
        GitHub name of who answers for the package. Readers ask GitHub whether there is one of that name.
    git_repo
        Address of the repository.
    training_data
        Name of the training data in bioimage.io's collection.
    """

    github_user: str | None = None
    git_repo: str | None = None
    training_data: str | None = None

    def fields(self) -> dict[str, Any]:
        """Of `rdf.yaml`; what is not given is left out."""
        return {
            **({"maintainers": [{"github_user": self.github_user}]} if self.github_user else {}),
            **({"git_repo": self.git_repo} if self.git_repo else {}),
            **({"training_data": {"id": self.training_data}} if self.training_data else {}),
        }


def describe(
    folder: Path, model: Model, network: StandardisedUNet, card: Card, *, tolerance: float, publisher: Publisher
) -> dict[str, Any]:
    """The content of `rdf.yaml`, with the sha256 of every file that it names.

    Parameters
    ----------
    folder : Path
        The package's folder, which holds the other files already; its name is the package's in docs/package-cost.csv.
    model : Model
        The model.
    network : StandardisedUNet
        The same in intensity units, for its scale.
    card : Card
        What people are told of it.
    tolerance : float
        Furthest that a format's answer may be from the test output, in intensity units.
    publisher : Publisher
        What is not known here.
    """
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": card.name,
        "description": card.description,
        "version": __version__,
        "id_emoji": "🔬",
        "version_comment": "The first version.",
        "timestamp": datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat(),
        "authors": _authors(),
        "packaged_by": _authors(),
        **publisher.fields(),
        **NONE,
        "cite": [dict(entry) for entry in CITATIONS],
        "license": "MIT",
        "tags": [*TAGS, *card.tags],
        "covers": ["cover.png"],
        "documentation": "README.md",
        "attachments": [_file(folder, "LICENSE")],
        **_tensors(folder, network.scale),
        "weights": _weights(folder, model, type(network).__name__),
        "config": {"bioimageio": _config(model, card, tolerance, sentences(folder.name)), "stardist": None},
    }


def _file(folder: Path, name: str) -> dict[str, str]:
    return {"source": name, "sha256": sha256(folder / name)}


def _authors() -> list[dict[str, str]]:
    return [dict(author) for author in AUTHORS]


def _tensors(folder: Path, scale: int) -> dict[str, Any]:
    """Input and output."""
    first = [{"type": "batch"}, {"type": "channel", "channel_names": ["intensity"]}]
    data = {"type": "float32", "range": [None, None], "unit": "arbitrary unit", "scale": 1.0, "offset": None}
    space = [{"type": "space", "id": axis, "size": {"min": LEAST, "step": 1}} for axis in "yx"]
    finer = {"scale": 1 / scale} if scale > 1 else {}
    follows = [
        {"type": "space", "id": axis, "size": {"tensor_id": "noisy", "axis_id": axis}, "halo": scale * HALO, **finer}
        for axis in "yx"
    ]

    def tensor(name: str, description: str, axes: list[dict[str, Any]], kind: str) -> dict[str, Any]:
        return {
            "id": name,
            "description": description,
            "axes": [*first, *axes],
            "data": data,
            "test_tensor": _file(folder, f"test_{kind}.npy"),
            "sample_tensor": _file(folder, f"sample_{kind}.tif"),
        }

    return {
        "inputs": [tensor("noisy", "The noisy image, in any linear intensity units.", space, "input")],
        "outputs": [tensor("denoised", "The estimate of it without noise, in the same units.", follows, "output")],
    }


def _weights(folder: Path, model: Model, network: str) -> dict[str, Any]:
    """The three formats, and the class of the network in the first."""
    architecture = model.record["architecture"]
    torch_version = torch.__version__.split("+")[0]  # of the writer
    return {
        "pytorch_state_dict": {
            **_file(folder, "weights.pt"),
            "pytorch_version": torch_version,
            "authors": _authors(),
            "comment": "The network's own file; it loads with weights_only=True.",
            "parent": None,
            "dependencies": None,
            "architecture": {
                **_file(folder, "unet.py"),
                "callable": network,
                "kwargs": {name: architecture[name] for name in ARGUMENTS if name in architecture},
            },
        },
        "torchscript": {
            **_file(folder, "weights.torchscript.pt"),
            "pytorch_version": torch_version,
            "authors": _authors(),
            "comment": "A trace, which torch 2.0.1 and libtorch 1.13.1 load, too.",
            "parent": "pytorch_state_dict",
        },
        "onnx": {
            **_file(folder, "weights.onnx"),
            "opset_version": ONNX_OPSET,
            "external_data": None,
            "authors": _authors(),
            "comment": "One file, for ONNX Runtime 1.13.1 and newer.",
            "parent": "pytorch_state_dict",
        },
        **NO_WEIGHTS,
    }


def _config(model: Model, card: Card, tolerance: float, cost: tuple[str, str]) -> dict[str, Any]:
    """The typed card."""
    training = model.record["training"]
    hours = round(training["minutes"] / 60, 3)
    return {
        "reproducibility_tolerance": [
            {"relative_tolerance": 1e-3, "absolute_tolerance": tolerance, "mismatched_elements_per_million": 0}
        ],
        "task": card.task,
        "modality": card.modality,
        "target_structure": list(card.target_structure),
        "architecture_type": card.architecture_type,
        "architecture_description": card.architecture_description,
        "model_parameter_count": model.record["architecture"]["parameters"],
        "out_of_scope_use": card.out_of_scope_use,
        "bias_risks_limitations": {
            name: getattr(card, name) for name in ("known_biases", "risks", "limitations", "recommendations")
        },
        "training": _training(training, card),
        "inference_time": cost[0],
        "memory_requirements_inference": cost[1],
        "evaluations": evaluations(card),
        "environmental_impact": {"hardware_type": _hardware(training), "hours_used": hours},
        "new_version": None,
    }


def _training(training: dict[str, Any], card: Card) -> dict[str, Any]:
    """The record of training in the format's words."""
    config = training["config"]
    side, steps = config["crop"], training["steps"]
    images = training["data"].replace("drawn noise", "synthetic noise")
    return {
        "training_preprocessing": f"Images: {images}. {card.training_preprocessing} {steps} steps "
        f"of {config['batch']} crops of {side} x {side} pixels; training is counted in steps, not in epochs.",
        "training_epochs": None,
        "training_batch_size": config["batch"],
        "initial_learning_rate": config["lr"],
        "learning_rate_schedule": f"{config['schedule']}, over {config['steps']} steps, after a warm-up of "
        f"{config['warmup']} steps",
        "loss_function": {"mse": "torch.nn.MSELoss"}[config["loss"]],
        "loss_function_kwargs": {},
        "optimizer": {"muon": "Muon"}[config["optimiser"]],
        "optimizer_kwargs": {"weight_decay": config["weight_decay"]},
        "regularization": f"weight decay {config['weight_decay']}; moving average of the weights with decay "
        f"{config['ema']}",
        "training_duration": round(training["minutes"] / 60, 3),
    }


def _hardware(training: dict[str, Any]) -> str:
    """The card names a GPU in its note; without one it was trained on a CPU."""
    if training["device"] == "cpu":
        return "CPU"
    return "NVIDIA H100" if "H100" in training["note"] else "GPU"


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


def disagreements(description: dict[str, Any], root: Path, model: Model, card: Card) -> list[str]:
    """What an `rdf.yaml` says that is not so: a sentence for each file and fact, with the remedy.

    Parameters
    ----------
    description : dict
        Content of the `rdf.yaml`.
    root : Path
        The folder where its file names start.
    model : Model
        The model that it should describe.
    card : Card
        What people are told of it, and where its figures are.
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
        "config.bioimageio.evaluations": (description["config"]["bioimageio"]["evaluations"], evaluations(card)),
        "description": (description["description"], card.description),
        "outputs.axes.halo": (
            [a["halo"] for a in description["outputs"][0]["axes"][2:]],
            [model.network.scale * HALO] * 2,
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
