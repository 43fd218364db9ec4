"""What fine-tuned networks forget: `forgotten.py DATA CHECKPOINT ...`.

Mean SI-PSNR (dB) of held-out clean images with drawn noise of 5, 15, 50 and 150 photo-electrons in turn, by the shipped
general network and by each checkpoint alone. An exported model gives such images to the general network.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.checkpoint import load_network
from train.data.clean import read_clean
from train.data.synthetic import validation_pairs
from train.measure.metrics import si_psnr

GENERAL = Path(__file__).resolve().parents[2] / "resources" / "general"


def main() -> None:
    """Print a line for each network."""
    pairs = validation_pairs(read_clean(Path(sys.argv[1]) / "clean", held_out=True), 1, 0)
    for path in (GENERAL, *map(Path, sys.argv[2:])):
        denoiser = Denoiser(load_network(path), Normalisation("plane"))
        found = np.mean([si_psnr(truth, denoiser(noisy[None])[0]) for noisy, truth in pairs])
        print(f"{path}: {found:.2f} dB, {len(pairs)} images", flush=True)


if __name__ == "__main__":
    main()
