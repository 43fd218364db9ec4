"""What half precision costs: `python tools/half_precision.py MODEL DATA/w2s [IMAGES]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from quietfield.metrics import si_psnr
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser
from train.config import from_record
from train.images.layouts import detect
from train.images.pairs import read_pairs
from train.images.split import split_fields


def main() -> None:
    model, layout = load_model(Path(sys.argv[1])), detect(Path(sys.argv[2]))
    config = from_record(model.record["training"]["config"])
    pairs = read_pairs(layout, split_fields(layout, config).validation, config)
    pairs = pairs[: int(sys.argv[3]) if len(sys.argv) > 3 else None]
    answers = {}
    for kind in (None, torch.float16, torch.bfloat16):
        denoise = Denoiser(model.network, model.normalisation, autocast=kind)
        answers[kind] = [denoise(p.frames[:1])[0] for p in pairs]
    for kind, images in answers.items():
        quality = np.mean([si_psnr(p.truth, a) for p, a in zip(pairs, images, strict=True)])
        furthest = max(np.abs(a - b).max() / np.ptp(b) for a, b in zip(images, answers[None], strict=True))
        print(f"{kind or 'float32'}: mean SI-PSNR {quality:.3f} dB, furthest pixel {furthest:.1e} of the range")


if __name__ == "__main__":
    main()
