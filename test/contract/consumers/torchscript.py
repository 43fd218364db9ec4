"""A consumer in another torch: torchscript.py WEIGHTS INPUT OUTPUT N HEIGHT WIDTH. Raw float32 files, (N, 1, Y, X)."""

from __future__ import annotations

import sys

import numpy as np
import torch

weights, source, target, *shape = sys.argv[1:]
count, height, width = map(int, shape)
network = torch.jit.load(weights)
image = torch.from_numpy(np.fromfile(source, np.float32).reshape(count, 1, height, width))
with torch.no_grad():
    network(image).numpy().tofile(target)
print(torch.__version__)
