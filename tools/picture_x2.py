"""Draw what the x2 network makes of the simulated field: `python tools/picture_x2.py [PNG]`.

Frame, answer and truth. The field has what the network knows, filaments, and what it does not: vesicles and nuclei.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.simulate import simulate_field
from quietfield.network.model import load_model
from quietfield.network.predict import Denoiser

ROOT = Path(__file__).resolve().parents[1]
Y, X = slice(300, 620), slice(440, 760)  # of the answer


def main(target: Path) -> None:
    model = load_model(ROOT / "models" / "super-resolution")
    noisy, truth = simulate_field()
    answer = Denoiser(model.network, model.normalisation)(noisy[None])[0]
    frame, mean = (np.kron(image, np.ones((2, 2))) for image in (noisy, truth))
    low, high = np.percentile(mean[Y, X], [0.5, 99.8])
    panels = [((image[Y, X] - low) / (high - low)).clip(0, 1) for image in (frame, answer, mean)]
    Image.fromarray((255 * np.hstack(panels)).astype(np.uint8)).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "super-resolution.png")
