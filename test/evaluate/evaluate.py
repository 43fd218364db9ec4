"""A local stand-in for the challenge's evaluation: figures for each case, and their aggregates.

    python test/evaluate/evaluate.py PREDICTIONS TRUTH [METRICS.json]

Cases are paired by stem, wherever they lie below the two folders. For every case the mean over its
planes of SI-PSNR (the challenge's measure, as `train.measure.metrics` defines it), of PSNR and RMSE in
the truth's units (these two do change with gain and offset), and of SSIM after an affine fit.
metrics.json has the platform's form: "results" with one entry per case, and "aggregates".
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from quietfield.files.images import SUFFIXES, open_stack
from train.measure.metrics import psnr, si_psnr, ssim


def read(path: Path) -> np.ndarray:
    """All planes, (N, Y, X), float64."""
    with open_stack(path) as stack:
        return np.concatenate(list(stack.blocks(1))).astype(np.float64)


def case_metrics(prediction: Path, truth: Path) -> dict[str, float]:
    """Means over the planes of one case."""
    found, expected = read(prediction), read(truth)
    if found.shape != expected.shape:
        raise ValueError(f"{prediction}: expected the {expected.shape} of {truth}, found {found.shape}")
    rows = []
    for t, p in zip(expected, found, strict=True):
        rmse = float(np.sqrt(((t - p) ** 2).mean()))
        rows.append({"si_psnr": si_psnr(t, p), "psnr": psnr(t, p, float(np.ptp(t))), "ssim": ssim(t, p), "rmse": rmse})
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def files(folder: Path) -> dict[str, Path]:
    """Images below a folder by stem."""
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        if path.stem in found:
            raise ValueError(f"{path}: expected each stem once, found {found[path.stem]} too")
        found[path.stem] = path
    return found


def evaluate(predictions: Path, truths: Path) -> dict[str, object]:
    """The content of metrics.json.

    Raises
    ------
    ValueError
        If there is no truth, a truth has no prediction, or a pair does not match.
    """
    expected, found = files(truths), files(predictions)
    if not expected:
        raise ValueError(f"{truths}: expected {', '.join(SUFFIXES)} files, found none")
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise ValueError(f"{predictions}: expected a prediction for {', '.join(missing)}, found none")
    results = [{"case": stem, **case_metrics(found[stem], truth)} for stem, truth in expected.items()]
    aggregates = {}
    for name in ("si_psnr", "psnr", "ssim", "rmse"):
        values = [float(row[name]) for row in results]
        aggregates[name] = {
            "mean": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else 0.0,
            "min": min(values),
            "max": max(values),
            "count": len(values),
        }
    return {"results": results, "aggregates": aggregates}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("metrics", type=Path, nargs="?", default=Path("metrics.json"))
    arguments = parser.parse_args()
    try:
        metrics = evaluate(arguments.predictions, arguments.truth)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    arguments.metrics.write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics["aggregates"], indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
