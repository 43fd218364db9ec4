"""BiaPy's own prediction with a package: `python test/contract/consumers/biapy_job.py RDF INPUT OUTPUT LEVELS`.

Denoises the TIFFs in the folder INPUT by BiaPy's denoising workflow, whole images, into OUTPUT. LEVELS is the
number of BiaPy's feature maps: it pads images with zeros, until 2^(LEVELS - 1) divides their sides.

Two things are not as in a user's BiaPy. It looks models up by name in the zoo's collection, over the network: here the
collection is this one package, by the same call. And it needs torchvision, whose build on PyPI is for CUDA: beside a
CPU build of torch the two operators that it does not find are declared first, without code; no operator of torchvision
is called.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import torch
import yaml

DECLARED: list[torch.library.Library] = []  # they must live as long as torchvision does


def import_torchvision() -> None:
    """Import torchvision, also where its operators were built for another torch."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # operator torchvision::nms does not exist
        DECLARED.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            DECLARED[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")


def main(rdf: str, source: str, target: str, levels: str) -> int:
    import_torchvision()
    import biapy
    import biapy.models

    manifest = yaml.safe_load(Path(rdf).read_text(encoding="utf-8"))
    biapy.models.find_bmz_models = lambda *_, **__: [{"raw": {"manifest": manifest}}]
    config = {
        "SYSTEM": {"NUM_CPUS": 1, "NUM_WORKERS": 0},
        "PROBLEM": {"TYPE": "DENOISING", "NDIM": "2D"},
        "DATA": {"PATCH_SIZE": "(256, 256, 1)", "TEST": {"PATH": source, "LOAD_GT": False}},
        "MODEL": {"SOURCE": "bmz", "BMZ": {"SOURCE_MODEL_ID": rdf}, "FEATURE_MAPS": str([16] * int(levels))},
        "TRAIN": {"ENABLE": False},
        "TEST": {"ENABLE": True, "FULL_IMG": True},
    }
    biapy.BiaPy(config, result_dir=target, name="job").run_job()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
