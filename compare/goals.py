"""`python -m compare.goals --data DATA`: what a general network should do, beside blind VST+BM3D and the best Gaussian.

Smooth light, structure on simulated scenes, and the test images, each with what it should reach. The width of the best
Gaussian filter is chosen for each image by its ground truth, which nobody can do in practice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

import quietfield
from compare import calm, kept, sets, spoilt
from compare.bench import Bench, Found, Limit, Other
from compare.methods import vst_bm3d
from compare.results import slug
from compare.scenes import Array
from quietfield.noise.camera import expose_array
from train.data.clean import freed, read_named
from train.measure.cases import Case, Loaded
from train.measure.metrics import si_psnr
from train.measure.results import Row, markdown, mean, of_set, read, read_table, write

ROOT = Path(__file__).resolve().parents[1]
VALUES = ROOT / "docs" / "goals.csv"
OURS, BEFORE, BM3D, GAUSSIAN = "quietfield", "before", "VST+BM3D, blind", "best Gaussian"
LEFT, RATIO, DECIBELS = "noise left", "ratio", "SI-PSNR (dB)"
WIDTHS = (0.4, 0.55, *calm.WIDTHS)  # pixels, of the Gaussian filters
ITSELF = "W2S means with themselves"
FREED = "clean, freed of its own noise"

CALM = {
    calm.SMOOTH: "what BM3D leaves, and 2.5 times the best Gaussian",
    calm.SHARED: "1.5 times the best Gaussian",
    calm.CELLS: "the best Gaussian",
    calm.EMPTY: "at most 0.03",
}
# The cases of simulated scenes that belong to a goal: their kind, a word of the case, and the measure.
SCENES: dict[str, tuple[Callable[[Bench], Iterator[Found]], tuple[str, ...], str]] = {
    "dim part beside a bright one": (spoilt.wide_range, ("",), "RMSE of the dim part, of that cropped out"),
    "mean of a plane of 0.01 photons": (kept.means, ("0.01 photons",), "mean, of the image's"),
    "lines one pixel wide": (kept.thin_lines, ("",), "flux, of the noisy image's"),
    "beads": (kept.beads, ("",), "flux of all, of the noisy image's"),
    "dense textures": (kept.textures, ("",), "slope of answer to ground truth"),
    "gratings of 4 px": (kept.gratings, ("period 4 ",), "slope of answer to ground truth"),
    "gratings of 5 px": (kept.gratings, ("period 5 ",), "slope of answer to ground truth"),
    "gratings of 6 and 8 px": (kept.gratings, ("period 6 ", "period 8 "), "slope of answer to ground truth"),
}
IMAGES = {
    sets.W2S: 32.55, "w2s-raw16": 35.83, "FMD confocal": 34.11, "FLIM two-photon": 38.5,
    "clean, 5 photons": 30.76, "clean, 20 photons": 35.22, "clean, 80 photons": 38.77, "clean, 320 photons": 42.05,
    f"{FREED}, 5 photons": 27.83, f"{FREED}, 20 photons": 32.28, f"{FREED}, 80 photons": 36.59,
    f"{FREED}, 320 photons": 40.7, "demo": 39.5, ITSELF: 46.0,
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """What a method reaches of a goal: by the middle case and the worst one, and how many cases keep their limits."""

    goal: str
    measure: str
    method: str
    median: float
    worst: float
    kept: int
    of: int
    limit: str


def best_gaussian(image: Array, truth: Array | None) -> Array:
    """The answer of that one of `WIDTHS` that is best by the ground truth."""
    assert truth is not None
    answers = [ndimage.gaussian_filter(image, width) for width in WIDTHS]
    return max(answers, key=lambda answer: si_psnr(truth, answer))


def of_calm(bench: Bench, method: str) -> Iterator[Value]:
    """Smooth fields; what BM3D leaves is read, as the limits need it anyway."""
    theirs = {(row["set"], row["field"]): float(row["left"]) for row in read_table(calm.BM3D)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CALM}
    for field in calm.fields():
        gaussian, bm3d = calm.best_gaussian(field), theirs[field.set, field.name]
        ours = {GAUSSIAN: gaussian, BM3D: bm3d}.get(method)
        if ours is None:
            ours = calm.left(field, bench(field.noisy.astype(np.float32), truth=field.truth)).left
        found[field.set].append((ours, calm.limit(field, gaussian, bm3d)))
    for name, pairs in found.items():
        values = [value for value, _ in pairs]
        held = sum(value <= limit for value, limit in pairs)
        yield Value(name, LEFT, method, float(np.median(values)), max(values), held, len(values), CALM[name])


def of_scenes(bench: Bench, method: str) -> Iterator[Value]:
    """Simulated scenes that `compare.kinds` has."""
    measured = {cases: list(cases(bench)) for cases in dict.fromkeys(cases for cases, _, _ in SCENES.values())}
    for name, (cases, words, measure) in SCENES.items():
        chosen = [
            (value, limit) for case, what, value, limit in measured[cases]
            if what == measure and any(word in case for word in words)
        ]  # fmt: skip
        values = np.array([value for value, _ in chosen])
        limit, off = chosen[0][1], np.log(np.maximum(values, 1e-3))
        # As far from 1 by a factor; of an error, the largest.
        worst = float(values[np.argmax(np.abs(off) if np.isfinite(limit.low) else off)])
        held = sum(limit.holds(value) for value, limit in chosen)
        yield Value(name, RATIO, method, float(np.median(values)), worst, held, len(values), str(limit))


def freed_cases(data: Path) -> Iterator[Loaded]:
    """The clean test images as `compare.sets` exposes them, blurred and binned before, so that little is their own."""
    images = freed(read_named(data / "clean", held_out=True))
    for photons in sets.PHOTONS:
        for i, image in enumerate(images):
            if i == sets.SEEN_BESIDE:
                continue
            light = image.planes[len(image.planes) // 2].double().numpy()
            light = (light - light.min()) / np.ptp(light)
            truth = photons * (light + sets.BACKGROUND)
            noisy = expose_array(truth, sets.CAMERA, np.random.default_rng([i, photons, 1]))
            yield Case(f"{FREED}, {photons} photons", image.name, np.rint(noisy), truth)


def of_images(bench: Bench, method: str, data: Path) -> Iterator[Value]:
    """Test images: the mean of each set. What `compare` has measured of BM3D is read."""
    stored = read(ROOT / "docs" / "compare" / f"{slug(BM3D)}.csv", Row) if method == BM3D else []
    found: dict[str, list[float]] = {}
    for case in (*sets.cases(data), *freed_cases(data)):
        if not of_set(stored, case.set):
            found.setdefault(case.set, []).append(si_psnr(case.truth, bench(case.noisy, truth=case.truth)))
        if case.set == sets.W2S and not isinstance(bench, Other):  # of a filter, that which changes nothing is best
            found.setdefault(ITSELF, []).append(si_psnr(case.truth, bench(case.truth)))
    means = {row.set: mean(of_set(stored, row.set), "si_psnr")[0] for row in stored}
    means |= {name: float(np.mean(values)) for name, values in found.items()}
    for name, value in means.items():
        worst = min(found.get(name) or [row.si_psnr for row in of_set(stored, name)])
        limit = Limit(low=IMAGES[name])
        yield Value(name, DECIBELS, method, value, worst, int(limit.holds(round(value, 2))), 1, str(limit))


def table(values: Sequence[Value]) -> str:
    """A line for each goal, in Markdown: the median (of test images the mean), and the worst of simulated cases."""
    methods = list(dict.fromkeys(value.method for value in values))
    lines = []
    for goal in dict.fromkeys(value.goal for value in values):
        by_method = {value.method: value for value in values if value.goal == goal}
        ours = by_method[methods[0]]
        cells = [_cell(by_method[method]) if method in by_method else "" for method in methods]
        lines.append([goal, ours.measure, ours.limit, *cells, f"{ours.kept} of {ours.of}"])
    return markdown(["goal", "measured", "limit", *methods, "within limits"], lines)


def _cell(value: Value) -> str:
    if value.measure == DECIBELS:
        return f"{value.median:.2f}"
    return f"{value.median:.3f} ({value.worst:.3g})"


def measure(bench: Bench, method: str, data: Path) -> list[Value]:
    """Every goal of a method."""
    return [*of_calm(bench, method), *of_scenes(bench, method), *of_images(bench, method, data)]


def stored(path: Path) -> list[Value]:
    """What was measured of the baselines."""
    return [value for value in read(path, Value) if value.method in (BM3D, GAUSSIAN)]


def main() -> int:
    """Measure ours, and the baselines if asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the test images")
    parser.add_argument("--model", type=Path, help="folder of a network; else what is shipped")
    parser.add_argument("--beside", type=Path, help="folder of an older network")
    parser.add_argument("--csv", type=Path, default=VALUES, help="where the values are kept (docs/goals.csv)")
    parser.add_argument("--baselines", action="store_true", help="measure BM3D and the Gaussian again (minutes)")
    arguments = parser.parse_args()
    values = [] if arguments.baselines else stored(arguments.csv)
    benches = {OURS: Bench(quietfield.load(arguments.model, device="cpu"))}
    if arguments.beside:
        benches[BEFORE] = Bench(quietfield.load(arguments.beside, device="cpu"))
    if arguments.baselines:
        benches |= {BM3D: Other(lambda image, truth: vst_bm3d(image)), GAUSSIAN: Other(best_gaussian)}
    values = [*(v for method, bench in benches.items() for v in measure(bench, method, arguments.data)), *values]
    print(table(values))
    write(arguments.csv, values, comment="python -m compare.goals; the median is the mean of test images")
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
