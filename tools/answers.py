"""What inference.py answers to real images with its options, kept to be compared after a change of the code.

    python tools/answers.py DATA FOLDER      writes FOLDER/OPTIONS/NAME.tif
    python tools/compare.py BEFORE AFTER 1e-6

DATA holds the test images as `make evaluate` takes them. `--adapt 0.3` decides by the clock, which here goes on by a
millisecond each time it is asked, so that a busy machine decides alike. The logs are kept beside the answers.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "w2s/noisy/001_0.tif", "w2s/noisy/081_1.tif", "w2s/noisy/090_2.tif", "w2s-raw16/w2s_noisy_0.tiff",
    "fmd-extra/raw/fish.tif", "fmd-extra/raw/BPAE_G.tif", "flim-2p-pairs/Mousekidney_sample2_Ax1.tif",
    "flim-2p-pairs/BPAE_sample2_largeFOV_Ax1.tif", "zebrafish-rownoise/image_input_PM_FLIM_000.tif",
    "zebrafish-rownoise/image_input_PM_FLIM_091.tif", "hagen-raw16/hagen_0.tif",
)  # fmt: skip
STACKS = ("clean/lysosome/1.tif", "clean/lysosome/7.tif")
LONG = ("fish", "image_input_PM_FLIM_000", "1-noisy")  # of these alone what takes minutes
CLOCK = """
import itertools, runpy, sys, time
ticks = itertools.count()
time.monotonic = lambda: next(ticks) / 1000
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
DEMO = ROOT / "test" / "input" / "interface_0" / "images" / "image-stack-unstructured-noise" / "simulated.tif"


def inputs(data: Path, folder: Path) -> None:
    """Real files as they are, and real stacks with synthetic noise."""
    for name in FILES:
        shutil.copyfile(data / name, folder / Path(name).name)
    shutil.copyfile(DEMO, folder / "demo.tif")
    random = np.random.default_rng(0)
    for name in STACKS:
        clean = tifffile.imread(data / name).astype(np.float64)
        noisy = random.poisson(20 * clean / clean.max()).astype(np.uint16)
        tifffile.imwrite(folder / f"{Path(name).stem}-noisy.tif", noisy, photometric="minisblack")


def main(data: Path, output: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        source, few = Path(temporary, "all"), Path(temporary, "few")
        source.mkdir()
        few.mkdir()
        inputs(data, source)
        for name in LONG:
            shutil.copyfile(source / f"{name}.tif", few / f"{name}.tif")
        for adapt, neighbours in itertools.product(("auto", "off", "0.3"), ("auto", "off")):
            folder = output / f"adapt-{adapt}-neighbours-{neighbours}"
            options = ["--adapt", adapt, "--neighbours", neighbours, "--output", str(folder)]
            command = [sys.executable, "-c", CLOCK, str(ROOT / "inference.py"), *options]
            command += ["--input", str(few if adapt == "0.3" else source)]
            log = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
            (folder / "log.txt").write_text(log)
            print(folder, flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
