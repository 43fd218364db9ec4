"""What networks leave of noise in smooth light, and what they keep of structure: `calm_ablation.py DATA NETWORK ...`.

A line for each checkpoint or model folder, which denoises alone: the median of the noise left in each set of
`compare.calm`, and mean SI-PSNR (dB) of simulated fields and of validation images freed of their own noise.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from compare.calm import fields, left
from demo.simulate import simulate_field
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from train.checkpoint import load_network
from train.data.clean import freed, split_clean
from train.data.synthetic import Cameras, camera
from train.measure.metrics import si_psnr

Array = NDArray[Any]
DOSES = (5.0, 40.0, 320.0)
WHITE = Cameras(read_noise=1.0, correlated=0.0, rows=0.0)


def structure(data: Path) -> dict[str, list[torch.Tensor]]:
    """Ground truths from 0 to about 1, by the name of their kind."""
    simulated = [torch.from_numpy(simulate_field(seed, 256)[1]).float() for seed in (1, 2)]
    validation = freed(split_clean(data / "clean", 0.1, 0)[1])
    return {
        "field": [(image - image.min()) / (image.max() - image.min()) for image in simulated],
        "freed": [image.planes[len(image.planes) // 2] for image in validation],
    }


def row(name: str, answer: Callable[[Array, Array], Array], truths: dict[str, list[torch.Tensor]]) -> str:
    """The line of a network, by its answer to a noisy image; the ground truth is for one that is told of it."""
    by_set: dict[str, list[float]] = defaultdict(list)
    for field in fields():
        found = np.asarray(answer(field.noisy, field.truth), np.float64)
        by_set[field.set].append(left(field, found).left)
    cells = [f"{np.median(values):.3f}" for values in by_set.values()]
    for images in truths.values():
        for dose in DOSES:
            quality = []
            for i, image in enumerate(images):
                generator = torch.Generator().manual_seed(1000 * i + int(dose))
                noisy, truth = (t[0, 0].double().numpy() for t in camera(image[None, None], generator, dose, WHITE))
                quality.append(si_psnr(truth, answer(noisy, truth)))
            cells.append(f"{np.mean(quality):.2f}")
    return f"| {' | '.join([name, *cells])} |"


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    truths = structure(Path(sys.argv[1]))
    for path in sys.argv[2:]:
        denoise = Denoiser(load_network(Path(path)), Normalisation("plane"))
        print(row(Path(path).parent.name or path, lambda noisy, _: denoise(noisy[None])[0], truths), flush=True)  # noqa: B023


if __name__ == "__main__":
    main()
