"""What a network is chosen by, on images that it was not trained on and that are no test images.

    python lab/scripts/judge.py DATA MODEL_OR_CHECKPOINT ...
    python lab/scripts/judge.py DATA MODEL_OR_CHECKPOINT --blend FORERUNNER 0.25 0.5 0.75

Mean SI-PSNR of W2S's validation fields; the same and SSIM of clean images at four doses (photo-electrons of the
brightest pixel, one electron of read noise), and of truths without any noise of their own, the field of the demo and a
few spots on a faint mottle; and SI-PSNR of the answer to W2S's means of 400 frames with these themselves, of which
nothing should be smeared.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.simulate import simulate_field
from quietfield.machine import keep_memory
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from train.checkpoint import load_network
from train.data.sources import find_images
from train.data.synthetic import Cameras, camera
from train.export import average
from train.measure.metrics import si_psnr, ssim
from train.recipes import RECIPES

DOSES = (5.0, 20.0, 80.0, 320.0)
SIDE = 512  # of the clean images, at most
SIMULATED = 384  # side of the simulated ones
SEEDS = (1, 2, 3)  # of these; the demo's is another


class Judge:
    """Measures networks on the validation images below `data`."""

    def __init__(self, data: Path) -> None:
        config = dataclasses.replace(RECIPES["general"][1], phantoms=0)
        images = find_images(data / "w2s", config, data / "clean")
        self.real = [(np.asarray(p.frames[0], float), p.truth.astype(float)) for p in images.validation]
        held_out = {pair.name for pair in images.drawn}
        print("clean:", ", ".join(sorted(held_out)))
        planes = [torch.from_numpy(p.truth)[None, None, :SIDE, :SIDE] for p in images.drawn]
        fields = [_tensor(simulate_field(seed, SIMULATED)[1]) for seed in SEEDS]
        truths = {"clean": planes, "field": fields, "spots": [_tensor(spots(seed)) for seed in SEEDS]}
        self.drawn = {
            name: {dose: [self.photograph(p, dose, i) for i, p in enumerate(of)] for dose in DOSES}
            for name, of in truths.items()
        }

    @staticmethod
    def photograph(plane: torch.Tensor, dose: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        light = (plane - plane.min()) / (plane.max() - plane.min())
        generator = torch.Generator().manual_seed(1000 * seed + int(dose))
        noisy, truth = camera(light, generator, dose, Cameras(read_noise=1.0, correlated=0.0, rows=0.0))
        return noisy[0, 0].numpy().astype(float), truth[0, 0].numpy().astype(float)

    def __call__(self, name: str, network: UNet) -> None:
        denoise = Denoiser(network, Normalisation("plane"))

        def mean(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
            answers = [(truth, denoise(noisy[None])[0]) for noisy, truth in pairs]
            return tuple(float(np.mean([figure(*answer) for answer in answers])) for figure in (si_psnr, ssim))  # type: ignore[return-value]

        drawn = [
            f"{kind} {' '.join('{:.2f}/{:.4f}'.format(*mean(pairs)) for pairs in doses.values())}"
            for kind, doses in self.drawn.items()
        ]
        itself, real = mean([(truth, truth) for _, truth in self.real])[0], mean(self.real)[0]
        print(f"{name}: W2S {real:.3f}, {', '.join(drawn)}, itself {itself:.2f} dB", flush=True)


def spots(seed: int) -> np.ndarray:
    """Six spots on a mottle of half a percent of their height, (Y, X), from 0 to about 1."""
    random = np.random.default_rng(seed)
    image = np.zeros((SIMULATED, SIMULATED))
    image[tuple(random.integers(0, SIMULATED, (2, 6)))] = 1
    image = gaussian_filter(image, 3)
    mottle = gaussian_filter(random.standard_normal(image.shape), 2)
    return image / image.max() + 0.005 * mottle / mottle.std()


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).float()[None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("networks", type=Path, nargs="+")
    parser.add_argument("--blend", nargs="+", default=[], metavar=("FORERUNNER", "SHARE"))
    arguments = parser.parse_args()
    keep_memory()
    judge = Judge(arguments.data)
    for path in arguments.networks:
        network = load_network(path)
        judge(str(path), network)
        for share in map(float, arguments.blend[1:]):
            blended = copy.deepcopy(network)
            average(blended, load_network(Path(arguments.blend[0])), share)
            judge(f"  with {share:g} of {arguments.blend[0]}", blended)


if __name__ == "__main__":
    main()
