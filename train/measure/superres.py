"""Set a network that doubles the pixels beside denoising and bicubic enlargement, on held-out SIM images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quietfield.front import SHIPPED
from quietfield.machine import choose_device
from quietfield.network.model import find_model, load_model
from quietfield.network.predict import Denoiser
from quietfield.planes import middle

from ..data.clean import FINE, read_named
from ..data.synthetic import DOSES, degrade
from .cases import Case, Loaded
from .evaluate import enlarge
from .metrics import si_psnr, ssim
from .results import markdown, mean, write

SIGMA = 2.2  # width of the point spread function, in pixels of the ground truth: the middle of what is trained with
SEED = 2
SIDE = 96  # pixels of the frame that the figure shows

Array = NDArray[Any]


@dataclass(frozen=True)
class Result:
    """SI-PSNR in dB and SSIM of what one method makes of one frame."""

    image: str
    photons: float
    method: str
    si_psnr: float
    ssim: float


def measure(model: Path, data: Path) -> list[Result]:
    """Every held-out image at every dose, by every method.

    Parameters
    ----------
    model : Path
        Folder of a model of scale 2.
    data : Path
        Folder of clean images. Of one that has super-resolved ones (`train.data.synthetic.FINE`) only
        those are taken. The training never sees the held-out files.

    Raises
    ------
    ValueError
        If the model is missing or of another scale, or there are no images.
    """
    methods = _methods(model)
    results = []
    for case in cases(data):
        for method, answer in _answers(methods, case.noisy).items():
            metrics = si_psnr(case.truth, answer), ssim(case.truth, answer)
            results.append(Result(case.image, float(case.set), method, *metrics))
    return results


def table(results: list[Result]) -> str:
    """A Markdown table of the means: a row for each method, a column for each dose."""
    doses = sorted({r.photons for r in results})
    images = len({r.image for r in results})
    titles = [f"{dose:g} photo-electrons" for dose in doses]
    lines = []
    for method in dict.fromkeys(r.method for r in results):
        cells = []
        for dose in doses:
            rows = [r for r in results if (r.method, r.photons) == (method, dose)]
            quality, similarity = mean(rows, "si_psnr", "ssim")
            cells.append(f"{quality:.2f} / {similarity:.3f}")
        lines.append([method, *cells])
    return markdown([f"mean SI-PSNR (dB) / SSIM of {images} images", *titles], lines)


def write_csv(results: list[Result], path: Path) -> None:
    """Per-image values."""
    write(path, results, formats={"photons": "g"})


def figure(model: Path, data: Path, target: Path) -> None:
    """Crops of the first held-out image as a PNG: a row for each dose; columns for the methods and the ground truth."""
    from matplotlib.figure import Figure

    methods, found = _methods(model), list(cases(data))
    found = [case for case in found if case.image == found[0].image]
    columns = len(methods) + 3  # and the frame, bicubic, and the ground truth
    picture = Figure(figsize=(2.6 * columns, 2.8 * len(found)))
    panels = picture.subplots(len(found), columns, squeeze=False)
    for row, case in zip(panels, found, strict=True):
        frame = f"frame, {case.set} photo-electrons"
        shown = np.kron(case.noisy, np.ones((2, 2)))
        images = {frame: shown, **_answers(methods, case.noisy), "ground truth": case.truth}
        for axes, (title, image) in zip(row, images.items(), strict=True):
            crop = middle(image, 2 * SIDE)
            # Each by its own range: the methods differ in sharpness, and so in how bright a line is.
            low, high = np.percentile(crop, [0.5, 99.8])
            axes.imshow(crop, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axes.set_title(title, fontsize=7)
            axes.set_axis_off()
    picture.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(target, dpi=100)


def _methods(model: Path) -> dict[str, Denoiser]:
    """The networks by the names that the table has for what they are used in."""
    folders = {
        "shipped network, then bicubic": find_model(list(SHIPPED)),
        "this network": model,
    }
    networks = {}
    for name, folder in folders.items():
        networks[name] = Denoiser.of(load_model(folder), choose_device())
    if (scale := networks["this network"].network.scale) != 2:
        raise ValueError(f"{model}: expected a model of scale 2, found scale {scale}: train one with --scale 2")
    return networks


def _answers(methods: dict[str, Denoiser], frame: Array) -> dict[str, Array]:
    """(2Y, 2X) of each method, bicubic enlargement of the frame itself first."""
    answers: dict[str, Array] = {"bicubic": enlarge(frame[None], 2)[0]}
    for name, denoiser in methods.items():
        suited, _ = denoiser.suited(frame[None])
        answers[name] = enlarge(suited(frame[None]), 2 // suited.network.scale)[0]
    return answers


def cases(data: Path) -> Iterator[Loaded]:
    """The middle plane of each held-out file, its noise the same every time; a set is a dose in photo-electrons."""
    folders = [data / name for name in FINE if (data / name).is_dir()]
    images = [image for folder in folders or [data] for image in read_named(folder, held_out=True, scale=2)]
    for i, image in enumerate(images):
        plane = image.planes[len(image.planes) // 2]
        y, x = (side // 2 * 2 for side in plane.shape)
        for photons in DOSES[2]:
            # The same seed, and so the same share of background, at every dose.
            generator = torch.Generator().manual_seed((SEED << 20) + i)
            frame, truth = degrade(plane[None, None, :y, :x], generator, 2, dose=photons, sigma=SIGMA)
            yield Case(f"{photons:g}", image.name, frame[0, 0].numpy(), truth[0, 0].numpy())
