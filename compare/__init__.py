"""Ours and other denoisers on the same images, in the same harness: `python -m compare`."""

from importlib.util import find_spec

import torch

if find_spec("torchvision"):  # in CAREamics's environment alone, which imports it and does not use it
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # its build for CUDA beside a CPU build of torch: two operators are missing
        _LIBRARY = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for _name in ("nms", "qnms"):
            _LIBRARY.define(  # type: ignore[no-untyped-call]
                f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
