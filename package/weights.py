"""The network in the formats that consumers of a package read."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import torch

from quietfield.network.model import ARGUMENTS, Model
from quietfield.network.unet import StandardisedUNet

ONNX_OPSET = 17


def standardised(model: Model) -> StandardisedUNet:
    """A model's network in intensity units; its state dict is the model's own file.

    Raises
    ------
    ValueError
        If the model is normalised in a way that the network cannot do by itself.
    """
    if model.normalisation.kind != "plane":
        raise ValueError(f"package: expected a model with normalisation 'plane', found {model.normalisation.kind!r}")
    architecture = model.record["architecture"]
    network = StandardisedUNet(**{name: architecture[name] for name in ARGUMENTS if name in architecture})
    network.load_state_dict(model.network.state_dict())
    return network.eval()


def write_torchscript(network: StandardisedUNet, path: Path) -> None:
    """Trace the network, and write the trace without what depends on this machine.

    A trace records sizes as they are computed, so that it answers to any size.
    """
    trace_file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, but the spec has no newer format
        trace = torch.jit.trace(network, _example(), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(trace, trace_file)
    # The debug records hold paths of this machine and lines of this code, and the loader does without them; the
    # serialization id is a checksum over them, too.
    with zipfile.ZipFile(trace_file) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for entry in source.infolist():
            if not entry.filename.endswith((".debug_pkl", "/serialization_id")):
                name = path.stem + entry.filename[entry.filename.index("/") :]
                target.writestr(zipfile.ZipInfo(name), source.read(entry))


def write_onnx(network: StandardisedUNet, path: Path) -> None:
    """Export to one file of opset 17 by the exporter whose files older runtimes read."""
    axes = {0: "batch", 2: "y", 3: "x"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated, but the other's files need newer runtimes
        torch.onnx.export(
            network,
            (_example(),),
            str(path),
            input_names=["noisy"],
            output_names=["denoised"],
            dynamic_axes={"noisy": axes, "denoised": axes},
            opset_version=ONNX_OPSET,
            dynamo=False,
        )


def _example() -> torch.Tensor:
    return torch.rand(2, 1, 240, 256, generator=torch.Generator().manual_seed(0))
