"""What one image tells of blurred noise: `python tools/noise_limits.py DATA/clean`.

Noise of a camera, blurred, is drawn onto every second clean image that is not held out. Printed are the
medians of the correlation that is found between neighbours, and of the noise level found in the true one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from quietfield.noise.camera import correlate, expose
from quietfield.noise.diagnosis import diagnose
from train.images.clean import read_clean

SIGMAS, DOSES = (0.0, 0.5, 0.8, 1.2, 1.6), (8, 40, 200)
BACKGROUND, READ_NOISE, SIDE = 0.05, 0.5, 512  # of the brightest pixel, photo-electrons, pixels


def main() -> None:
    """A row for each blur and dose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path)
    images = [_middle(planes) for planes in read_clean(parser.parse_args().clean)[::2]]
    generator = torch.Generator().manual_seed(0)
    print(f"{len(images)} images\nsigma  dose  correlation  level found / true")
    for sigma in SIGMAS:
        for dose in DOSES:
            found = np.array([_measure(image, sigma, dose, generator) for image in images])
            lag, level = np.median(found, axis=0)
            print(f"{sigma:5.1f} {dose:5d} {lag:12.2f} {level:19.2f}")


def _middle(planes: torch.Tensor) -> torch.Tensor:
    """The middle of the middle plane, (1, 1, Y, X), from 0 to 1."""
    plane = planes[len(planes) // 2]
    y, x = (max(0, length - SIDE) // 2 for length in plane.shape)
    middle = plane[None, None, y : y + SIDE, x : x + SIDE].float()
    middle = middle - middle.min()
    return middle / middle.max()


def _measure(image: torch.Tensor, sigma: float, dose: int, generator: torch.Generator) -> tuple[float, float]:
    mean = dose * (image + BACKGROUND)
    noise = expose(mean, 1.0, 0.0, READ_NOISE, generator) - mean
    if sigma:
        noise = correlate(noise, sigma)
    found = diagnose((mean + noise)[0, 0].numpy())
    return (found.lags[0] + found.lags[1]) / 2, found.noise / float(noise.std())


if __name__ == "__main__":
    main()
