"""What half precision costs: `python tools/half_precision.py CHECKPOINT DATA/w2s [IMAGES]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from denoiser.metrics import si_psnr
from denoiser.normalise import Normalisation
from denoiser.predict import Denoiser
from train.data import read_pairs
from train.fit import build, load_checkpoint


def main() -> None:
    state = load_checkpoint(Path(sys.argv[1]))
    pairs = read_pairs(Path(sys.argv[2]), state["validation_fovs"])[: int(sys.argv[3]) if len(sys.argv) > 3 else None]
    network = build(state["config"])
    network.load_state_dict(state["average"])
    answers = {}
    for kind in (None, torch.float16, torch.bfloat16):
        denoise = Denoiser(network, Normalisation(**state["normalisation"]), autocast=kind)
        answers[kind] = [denoise(p.noisy.numpy()[None])[0] for p in pairs]
    for kind, images in answers.items():
        quality = np.mean([si_psnr(p.truth.numpy(), a) for p, a in zip(pairs, images, strict=True)])
        furthest = max(np.abs(a - b).max() / np.ptp(b) for a, b in zip(images, answers[None], strict=True))
        print(f"{kind or 'float32'}: mean SI-PSNR {quality:.3f} dB, furthest pixel {furthest:.1e} of the range")


if __name__ == "__main__":
    main()
