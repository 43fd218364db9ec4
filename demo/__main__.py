"""`python -m demo [FOLDER]`: denoise a simulated field, or the images of a folder, and draw them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from demo.figure import Row, draw
from demo.fixture import FIXTURE, write_fixture
from quietfield.files.images import open_stack
from quietfield.files.jobs import find_jobs
from train.measure.metrics import si_psnr, ssim

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "test" / "output"
MOST_ROWS = 6


def main() -> int:
    """The exit code of `inference.py`, whose answers are drawn into one PNG."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="your own images; without it, a simulated field")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for denoised images and demo.png")
    arguments = parser.parse_args()
    truth = None if arguments.folder else write_fixture()
    source = arguments.folder or FIXTURE / "interface_0"
    command = [sys.executable, str(ROOT / "inference.py"), "--input", str(source), "--output", str(arguments.output)]
    code = subprocess.run([*command, "--overwrite"], check=False).returncode
    if code == 2:
        return code

    rows: list[Row] = []
    for job in find_jobs(source, arguments.output, existing="replace")[0]:
        if job.target.is_file() and len(rows) < MOST_ROWS:
            with open_stack(job.source) as stack:
                noisy = stack.plane(0)
            with open_stack(job.target) as stack:
                rows.append(Row(job.source.name, noisy, stack.plane(0), truth))
    if truth is not None:
        print(f"{'simulated field':16} {'SI-PSNR (dB)':>12} {'SSIM':>8}")
        for title, image in (("noisy", rows[0].noisy), ("denoised", rows[0].denoised)):
            print(f"{title:16} {si_psnr(truth, image):12.2f} {ssim(truth, image):8.3f}")
    if rows:
        picture = arguments.output / "demo.png"
        draw(rows, picture, "Simulated field (not a real image)" if truth is not None else str(source))
        print(f"picture: {picture}\ndenoised images: {arguments.output}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
