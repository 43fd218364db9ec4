"""What limits a network: `python tools/diagnose.py MODEL DATA/w2s`.

Mean SI-PSNR on its validation fields and on every sixth of its training fields: on the real frames,
on frames whose noise is drawn anew, and on these rounded and clipped to 8 bits as the real ones are;
and the share of the error's power beyond half the Nyquist frequency.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from quietfield.machine import keep_memory
from quietfield.metrics import si_psnr
from quietfield.network.model import load_model
from quietfield.noise.camera import poisson_frame
from quietfield.network.predict import Denoiser
from train.config import from_record
from train.images.layouts import detect
from train.images.pairs import read_pairs
from train.images.split import split_fields
from train.stream import MULTIPLIES


def main() -> None:
    keep_memory()
    model, layout = load_model(Path(sys.argv[1])), detect(Path(sys.argv[2]))
    config = from_record(model.record["training"]["config"])
    denoise = Denoiser(model.network, model.normalisation)
    random = torch.Generator().manual_seed(0)
    split = split_fields(layout, config)
    for name, fields in (("validation", split.validation), ("training", split.training[::6])):
        rows = []
        for pair in read_pairs(layout, fields, config):
            truth, real = pair.truth.astype(np.float64), np.asarray(pair.frames[0], np.float64)
            multiplies = torch.tensor(pair.skew > MULTIPLIES)
            drawn = poisson_frame(torch.from_numpy(truth), pair.gain, pair.offset, random, multiplies).numpy()
            frames = (real, drawn, np.rint(drawn).clip(0, 255))
            answers = [denoise(frame[None])[0] for frame in frames]
            power = np.abs(np.fft.fft2(answers[0] - truth)) ** 2
            frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, reversed(power.shape))))
            rows.append([*(si_psnr(truth, a) for a in answers), power[frequency > 0.25].sum() / power.sum()])
        real, drawn, clipped, fine = np.mean(rows, axis=0)
        print(
            f"{name}, {len(rows)} images: real {real:.2f} dB, drawn {drawn:.2f} dB, drawn and clipped "
            f"{clipped:.2f} dB; {fine:.0%} of the error beyond half the Nyquist frequency"
        )


if __name__ == "__main__":
    main()
