"""What limits a network: `python tools/diagnose.py CHECKPOINT DATA/w2s`.

Mean SI-PSNR on its validation fields and on every sixth of its training fields: on the real frames,
on frames whose noise is drawn anew, and on these rounded and clipped to 8 bits as the real ones are;
and the share of the error's power beyond half the Nyquist frequency.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from denoiser.device import keep_memory
from denoiser.metrics import si_psnr
from denoiser.normalise import Normalisation
from denoiser.predict import Denoiser
from train.data import read_pairs
from train.fit import build, load_checkpoint


def main() -> None:
    keep_memory()
    state = load_checkpoint(Path(sys.argv[1]))
    network = build(state["config"])
    network.load_state_dict(state["average"])
    denoise = Denoiser(network, Normalisation(**state["normalisation"]))
    random = np.random.default_rng(0)
    for name, fovs in (("validation", state["validation_fovs"]), ("training", state["training_fovs"][::6])):
        rows = []
        for pair in read_pairs(Path(sys.argv[2]), fovs):
            truth, real = pair.truth.double().numpy(), pair.noisy.numpy()
            drawn = pair.offset + pair.gain * random.poisson(((truth - pair.offset) / pair.gain).clip(0))
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
