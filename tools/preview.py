"""Statistics and a PNG of each answer: `preview.py INPUT OUTPUT` (runs inside the image)."""

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile


def main(source: Path, output: Path) -> int:
    """Every answer in output/, beside the input of the same stem; 1 if there is none or a bad one."""
    answers = sorted((output / "images").rglob("*.tif"))
    if not answers:
        print(f"{output}: expected an answer, found none")
        return 1
    inputs = {p.stem: p for p in (source / "images").rglob("*") if p.is_file()}
    bad = 0
    for path in answers:
        after, before = tifffile.imread(path), tifffile.imread(inputs[path.stem])
        fine = after.shape == before.shape and after.dtype == np.float32 and bool(np.isfinite(after).all())
        bad += not fine
        for name, image in (("input", before), ("answer", after)):
            x = image.astype(np.float64)
            print(
                f"{name:7} {image.shape} {image.dtype} min {x.min():.2f} mean {x.mean():.2f} max {x.max():.2f} "
                f"std {x.std():.2f}"
            )
        y, x = after.shape[-2:]
        pair = np.hstack([image.reshape(-1, y, x)[0].astype(np.float64) for image in (before, after)])
        low, high = np.percentile(pair[:, x:], [0.5, 99.8])
        grey = ((pair - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.uint8)
        (output / f"{path.stem}.png").write_bytes(imagecodecs.png_encode(grey))
        print(f"{'as it should be' if fine else 'NOT AS IT SHOULD BE'}; picture: {output / path.stem}.png")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
