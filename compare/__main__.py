"""`python -m compare [METHOD ...]`: measure denoisers on the same images, and draw up the table.

Figures once measured lie in docs/compare and are taken from there; a METHOD that is named is
measured again. Without arguments only the table and the figure are made.
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from compare.figure import draw
from compare.methods import GENERAL, METHODS, NOISY, OURS, OURS_EIGHT, Method, ours
from compare.sets import Case, cases, training_crops
from denoiser.device import keep_memory
from denoiser.metrics import si_psnr, ssim

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "compare"


@dataclass(frozen=True)
class Row:
    """What one method makes of one image."""

    set: str
    image: str
    si_psnr: float
    ssim: float
    seconds: float
    megapixels: float


def main() -> int:
    """Measure what was named, then print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help=f"of: {', '.join(map(repr, _methods_names()))}; or 'all'")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--model", type=Path, default=ROOT / "resources", help="the network that is ours")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the figures")
    parser.add_argument("--sets", nargs="+", help="measure on these alone, and print no table")
    arguments = parser.parse_args()
    keep_memory()
    wanted = _methods_names() if arguments.methods == ["all"] else arguments.methods
    if unknown := set(wanted) - set(_methods_names()):
        parser.error(f"expected methods of {_methods_names()}, found {sorted(unknown)}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        if name in METHODS:
            method = METHODS[name]
        else:
            folder = arguments.model / "beyond" if name == GENERAL else arguments.model
            method = ours(folder, name == OURS_EIGHT)
        rows, setting = measure(method, arguments.data, arguments.sets)
        write(arguments.results / f"{_slug(name)}.csv", name, setting, rows)
    measured = {name: read(path) for name, path in _measured(arguments.results).items()}
    text = table(measured)
    print(text)
    draw(points(measured), (OURS, OURS_EIGHT, GENERAL), arguments.results / "speed.png")
    if arguments.results == RESULTS:
        (RESULTS / "table.md").write_text(text + "\n", encoding="utf-8")
    return 0


def _methods_names() -> list[str]:
    return [*METHODS, OURS, OURS_EIGHT, GENERAL]


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")


def _measured(folder: Path) -> dict[str, Path]:
    return {name: path for name in _methods_names() if (path := folder / f"{_slug(name)}.csv").is_file()}


def choose(method: Method, images: list[Case]) -> object:
    """The setting with the best mean SI-PSNR on the images."""
    if len(method.settings) == 1:
        return method.settings[0]
    return max(method.settings, key=lambda s: np.mean([si_psnr(c.truth, method.run(c.noisy, s)) for c in images]))


def measure(method: Method, data: Path, only: list[str] | None = None) -> tuple[list[Row], object]:
    """The method, with its best setting, on every image."""
    setting = choose(method, training_crops(data))
    rows = []
    for case in cases(data):
        if only and case.set not in only:
            continue
        start = time.perf_counter()
        answer = method.run(case.noisy, setting)
        seconds = time.perf_counter() - start
        figures = si_psnr(case.truth, answer), ssim(case.truth, answer)
        rows.append(Row(case.set, case.image, *figures, seconds, case.noisy.size / 1e6))
    return rows, setting


def write(path: Path, name: str, setting: object, rows: list[Row]) -> None:
    """Per-image figures below a line that says how they were made."""
    modules = {"numpy": "numpy", "scipy": "scipy", "skimage": "scikit-image", "bm3d": "bm3d", "torch": "torch"}
    packages = ", ".join(f"{package} {version(package)}" for module, package in modules.items() if find_spec(module))
    versions = f"{packages}, Python {platform.python_version()}, {torch.get_num_threads()} threads"
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# python -m compare {name!r}; setting {setting}; {versions}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row.__dataclass_fields__)
        for r in rows:
            writer.writerow(
                [r.set, r.image, f"{r.si_psnr:.4f}", f"{r.ssim:.4f}", f"{r.seconds:.3f}", f"{r.megapixels:.4f}"]
            )


def read(path: Path) -> list[Row]:
    """What `write` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        next(file)
        return [Row(r.pop("set"), r.pop("image"), **{k: float(v) for k, v in r.items()}) for r in csv.DictReader(file)]


def table(results: dict[str, list[Row]]) -> str:
    """Mean SI-PSNR and SSIM of each set by method, and the speed; the best of each set in bold."""
    sets = list(dict.fromkeys(r.set for rows in results.values() for r in rows))
    best = {s: max(_mean(rows, s)[0] for rows in results.values()) for s in sets}
    lines = ["| mean SI-PSNR (dB) / SSIM | " + " | ".join(sets) + " | MPix/s |", "|---" * (len(sets) + 2) + "|"]
    for name, rows in results.items():
        cells = []
        for s in sets:
            quality, structure = _mean(rows, s)
            text = f"{quality:.2f} / {structure:.3f}"
            cells.append("" if np.isnan(quality) else f"**{text}**" if quality == best[s] else text)
        speed = _speed(rows)
        lines.append(f"| {name} | {' | '.join(cells)} | {'' if name == NOISY else f'{speed:.2g}'} |")
    return "\n".join(lines)


def points(results: dict[str, list[Row]]) -> dict[str, dict[str, tuple[float, float]]]:
    """MPix/s and mean SI-PSNR by set and method, without the input itself."""
    sets = list(dict.fromkeys(r.set for rows in results.values() for r in rows))
    found: dict[str, dict[str, tuple[float, float]]] = {s: {} for s in sets}
    for name, rows in results.items():
        for s in {r.set for r in rows} if name != NOISY else ():
            found[s][name] = _speed(rows), _mean(rows, s)[0]
    return found


def _speed(rows: list[Row]) -> float:
    return sum(r.megapixels for r in rows) / max(sum(r.seconds for r in rows), 1e-9)


def _mean(rows: list[Row], name: str) -> tuple[float, float]:
    chosen = [(r.si_psnr, r.ssim) for r in rows if r.set == name]
    if not chosen:
        return float("nan"), float("nan")
    quality, structure = np.mean(chosen, axis=0)
    return float(quality), float(structure)


if __name__ == "__main__":
    sys.exit(main())
