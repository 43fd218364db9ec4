"""A trained model as a folder: `model.json` and the weights that it names."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from quietfield.network.domain import Domain
from quietfield.network.normalise import Normalisation
from quietfield.network.unet import UNet
from quietfield.whole import whole, whole_folder

log = logging.getLogger(__name__)

RECORD = "model.json"
FORMAT = 1
# What `quietfield.network.unet.UNet` is built from; what a record may say of it besides.
ARGUMENTS = ("channels", "unshuffle", "block", "norm", "residual", "attention", "dropout", "scale", "skips", "planes")
REMARKS = ("network", "parameters", "halo")
AUTOCAST = {None: None, "float16": torch.float16, "bfloat16": torch.bfloat16}


class ModelError(ValueError):
    """No usable model: the message says where it was looked for, what was found, and what to do."""


@dataclass(frozen=True)
class Model:
    """A network with its weights and its normalisation, and what is written about it.

    `domain` tells what images it knows, `general` is the model for others, `stack` the one for planes that follow each
    other.
    """

    network: UNet
    normalisation: Normalisation
    sha256: str
    autocast: torch.dtype | None
    record: dict[str, Any]
    domain: Domain = field(default_factory=lambda: Domain({}))
    general: Model | None = None
    stack: Model | None = None

    @property
    def parts(self) -> tuple[Model, ...]:
        """Itself, and the models for other images and for stacks."""
        return (self, *(part for part in (self.general, self.stack) if part))


def find_model(candidates: list[Path]) -> Path:
    """The first folder that holds a `model.json`, or has one folder that does, which costs a warning.

    Raises
    ------
    ModelError
        If none does.
    """
    for folder in candidates:
        if (folder / RECORD).is_file():
            return folder
        deeper = sorted(path.parent for path in folder.glob(f"*/{RECORD}"))
        if len(deeper) == 1:
            log.warning(
                "%s: expected %s here, found it one folder deeper, in %s: takes that. Pack a model by "
                "'tar -C %s -czf model.tar.gz .'",
                folder, RECORD, deeper[0].name, deeper[0].name,
            )  # fmt: skip
            return deeper[0]
        if deeper:
            names = ", ".join(path.name for path in deeper)
            log.warning("%s: expected %s here, found one in each of %s: takes none of them", folder, RECORD, names)
        elif folder.is_dir() and any(folder.iterdir()):
            log.warning("%s: expected %s, found other files alone: no model is taken from here", folder, RECORD)
    looked = ", ".join(str(folder) for folder in candidates)
    raise ModelError(f"no model: expected a folder with {RECORD}, looked in {looked}; name another (--model DIR)")


def load_model(folder: Path) -> Model:
    """Load a model, after holding its weights against their checksum; nothing in it is executed.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or not what `model.json` says.
    """
    path = folder / RECORD
    if folder.is_dir() and not path.exists():
        raise ModelError(f"{folder}: expected a model folder, with {RECORD}, found none: name another")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}")
        architecture, weights = record["architecture"], record["weights"]
        file, expected = folder / weights["file"], weights["sha256"]
        network = _build(architecture)
        normalisation = Normalisation(**record["normalisation"])
        autocast = AUTOCAST[record.get("autocast")]
        other = record.get("general", record.get("beyond"))  # its name in older records
        others = {"general": other, "stack": record.get("stack")}
        for role, name in others.items():
            if name is not None and Path(name).name != name:
                raise ValueError(f"{role} {name!r}, which is no name of a folder in this one")
        domain = Domain({name: (float(low), float(high)) for name, (low, high) in record.get("domain", {}).items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: expected a model record of format {FORMAT}, found {error!r}") from error
    try:
        found = sha256(file)
    except OSError as error:
        raise ModelError(f"{file}: expected the weights that {path} names, found {error}") from error
    if found != expected:
        raise ModelError(
            f"{file}: expected sha256 {expected}, found {found}: the weights and {path} do not belong "
            "together; copy both again"
        )
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file makes the unpickler raise anything
        raise ModelError(
            f"{file}: expected the weights of the network in {path}, found {_first_line(error)}"
        ) from error
    more = {role: load_model(folder / name) if name is not None else None for role, name in others.items()}
    for role, model in more.items():
        if model and model.network.scale != network.scale:
            raise ModelError(
                f"{folder / others[role]}: expected a network of scale {network.scale}, as in {path}, "
                f"found {model.network.scale}"
            )
    if (stack := more["stack"]) and stack.network.planes == 1:
        raise ModelError(f"{folder / others['stack']}: expected a network for stacks, found one for single planes")
    return Model(network, normalisation, found, autocast, record, domain, **more)


def _build(architecture: dict[str, Any]) -> UNet:
    """The network of a record; arguments that it does not have, as older records, take their defaults."""
    if unknown := sorted(set(architecture) - {*ARGUMENTS, *REMARKS}):
        raise ValueError(f"architecture: {', '.join(unknown)} is not known to this version")
    arguments = {name: architecture[name] for name in ARGUMENTS if name in architecture}
    for name in ("residual", "attention"):
        if not isinstance(arguments.get(name, False), bool):
            raise ValueError(f"architecture: expected {name} to be true or false, found {arguments[name]!r}")
    return UNet(**{**arguments, "channels": tuple(architecture["channels"])})


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0]


def save_model(folder: Path, network: UNet, normalisation: dict[str, Any], record: dict[str, Any]) -> None:
    """Write the weights and `model.json`, both or none.

    Raises
    ------
    OSError
        If they cannot be written; what is there stays.
    """
    with whole_folder(folder, RECORD) as part:
        weights = part / "weights.pt"
        save_tensors({k: v.cpu() for k, v in network.state_dict().items()}, weights)
        complete = {
            "format": FORMAT,
            **record,
            "normalisation": normalisation,
            "weights": {"file": weights.name, "sha256": sha256(weights)},
        }
        (part / RECORD).write_text(json.dumps(complete, indent=2) + "\n", encoding="utf-8")


def save_tensors(values: dict[str, Any], path: Path) -> None:
    """Have torch write a file, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written; what is there stays.
    """
    try:
        with whole(path) as part, part.open("wb") as file:
            torch.save(values, file)
            file.flush()
            os.fsync(file.fileno())  # some disks are full only then
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch closes the file in vain
            raise error.__context__ from None
        raise


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
