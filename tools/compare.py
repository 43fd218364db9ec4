"""Hold two folders of TIFFs against each other: `compare.py EXPECTED FOUND SHARE_OF_THE_RANGE`."""

import sys
from pathlib import Path

import numpy as np
import tifffile


def main(expected: Path, found: Path, share: float) -> int:
    names = sorted(str(p.relative_to(expected)) for p in expected.rglob("*.tif"))
    others = sorted(str(p.relative_to(found)) for p in found.rglob("*.tif"))
    if names != others or not names:
        print(f"expected {names}, found {others}")
        return 1
    worst = 0.0
    for name in names:
        a, b = tifffile.imread(expected / name), tifffile.imread(found / name)
        if a.shape != b.shape:
            print(f"{name}: expected shape {a.shape}, found {b.shape}")
            return 1
        worst = max(worst, float(np.abs(a - b).max() / np.ptp(a)))
    print(f"{len(names)} answers differ by at most {worst:.1e} of the range (allowed: {share:.0e})")
    return 0 if worst <= share else 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
