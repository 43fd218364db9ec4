"""Draw where the shipped networks fail: `python tools/picture_failures.py [PNG]`; see resources/MODEL_CARD.md.

A row for each of: the dimmest light, noise of rows, noise that neighbours share, and a bright field; frame, answer,
truth and residual (frame - answer) of a crop of the simulated field.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.simulate import GAIN, OFFSET, simulate_field
from quietfield.metrics import si_psnr
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser

ROOT = Path(__file__).resolve().parents[1]
CROP = (slice(150, 310), slice(220, 380))


def frames(mean: np.ndarray) -> dict[str, np.ndarray]:
    """Frames (Y, X) of a mean in photo-electrons, by what is wrong with them."""
    random = np.random.default_rng(7)
    noise = random.poisson(mean) - mean
    shared = ndimage.gaussian_filter(noise, 0.8)
    return {
        "a tenth of the light": random.poisson(mean / 10),
        "rows": mean + noise + 0.7 * noise.std() * random.standard_normal((len(mean), 1)),
        "shared noise": mean + shared * noise.std() / shared.std(),
        "forty times the light": random.poisson(40 * mean),
    }


def main(target: Path) -> None:
    denoiser = Denoiser.of(load_model(ROOT / "resources"))
    mean = (simulate_field()[1] - OFFSET) / GAIN
    rows = []
    for name, frame in frames(mean).items():
        frame = np.asarray(frame, dtype=np.float64)
        chosen, unlike = denoiser.suited(frame[None])
        answer = chosen(frame[None])[0]
        before, after = si_psnr(mean, frame), si_psnr(mean, answer)
        print(f"{name}: {before:.2f} -> {after:.2f} dB by {chosen.name}; {'; '.join(unlike) or 'as trained on'}")
        truth = np.polyval(np.polyfit(mean.ravel(), frame.ravel(), 1), mean)
        low, high = np.percentile(truth[CROP], [0.5, 99.8])
        noise = 3 * (frame - truth).std()
        panels = [(image[CROP] - low) / (high - low) for image in (frame, answer, truth)]
        panels.append((frame - answer)[CROP] / (2 * noise) + 0.5)
        rows.append(np.hstack(panels).clip(0, 1))
    Image.fromarray((255 * np.vstack(rows)).astype(np.uint8)).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "failures.png")
