"""Draw where the shipped networks fail: `python lab/scripts/picture_failures.py [PNG]`; see resources/MODEL_CARD.md.

A row for each of: very little light, rows that share noise, correlated noise, and bright light; noisy, denoised,
ground truth and residual (noisy - denoised) of a crop of the simulated field, with these words in the picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.simulate import GAIN, OFFSET, simulate_field
from lab.scripts.labels import labelled
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser
from train.measure.metrics import si_psnr

ROOT = Path(__file__).resolve().parents[2]
CROP = (slice(150, 310), slice(220, 380))
COLUMNS = ("noisy", "denoised", "ground truth", "residual")


def frames(mean: np.ndarray) -> dict[str, np.ndarray]:
    """Frames (Y, X) of a mean in photo-electrons, by what is wrong with them."""
    random = np.random.default_rng(7)
    noise = random.poisson(mean) - mean
    shared = ndimage.gaussian_filter(noise, 0.8)
    return {
        "a tenth of the light": random.poisson(mean / 10),
        "rows share noise": mean + noise + 0.7 * noise.std() * random.standard_normal((len(mean), 1)),
        "correlated noise": mean + shared * noise.std() / shared.std(),
        "forty times the light": random.poisson(40 * mean),
    }


def main(target: Path) -> None:
    denoiser = Denoiser.of(load_model(ROOT / "resources"))
    mean = (simulate_field()[1] - OFFSET) / GAIN
    rows, found = [], frames(mean)
    for name, frame in found.items():
        frame = np.asarray(frame, dtype=np.float64)
        chosen, unlike = denoiser.suited(frame[None])
        answer = chosen(frame[None])[0]
        before, after = si_psnr(mean, frame), si_psnr(mean, answer)
        print(f"{name}: {before:.2f} -> {after:.2f} dB by {chosen.name}; {'; '.join(unlike) or 'as trained on'}")
        truth = np.polyval(np.polyfit(mean.ravel(), frame.ravel(), 1), mean)
        low, high = np.percentile(truth[CROP], [0.5, 99.8])
        noise = 3 * (frame - truth).std()
        panels = [(image[CROP] - low) / (high - low) for image in (frame, answer, truth)]
        rows.append([*panels, (frame - answer)[CROP] / (2 * noise) + 0.5])
    labelled(rows, COLUMNS, list(found)).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "failures.png")
