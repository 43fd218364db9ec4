"""What `prepare` says of 26 folders as people have them, and what `fit` does with each: `layouts_table.py`."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.simulate import simulate_field
from train.__main__ import main as command

SIDE = 96
SMALL = [
    "--channels",
    "8",
    "16",
    "--crop",
    "48",
    "--batch",
    "4",
    "--steps",
    "2",
    "--precision",
    "float32",
    "--no-cache",
    "--validation",
    "0.3",
]
Writer = Callable[[Path, np.ndarray], None]


def pair(seed: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A frame and its ground truth, uint16."""
    noisy, truth = simulate_field(seed, side)
    return noisy.astype(np.uint16), np.rint(truth).astype(np.uint16)


def tif(path: Path, image: np.ndarray, **options: object) -> None:
    """Write a TIFF, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="minisblack", **options)  # type: ignore[arg-type]


def picture(path: Path, image: np.ndarray) -> None:
    """Write an 8-bit picture, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255.0 * image / image.max()).astype(np.uint8)).save(path)


def named(noisy: str, truth: str, write: Writer = tif, count: int = 6) -> Callable[[Path], list[str]]:
    """Pairs whose paths have the number of the image at {}."""

    def make(root: Path) -> list[str]:
        for i in range(count):
            for pattern, image in zip((noisy, truth), pair(i), strict=True):
                write(root / pattern.format(f"{i:02}"), image)
        return []

    return make


def stacks(axes: str, shape: tuple[int, ...], truth: str, suffix: str = ".ome.tif") -> Callable[[Path], list[str]]:
    """Stacks of other planes, with a ground truth of the axes `truth`."""

    def make(root: Path) -> list[str]:
        for i in range(4):
            planes = [pair(10 * i + k) for k in range(int(np.prod(shape)))]
            noisy, clean = (np.stack([p[n] for p in planes]).reshape(*shape, SIDE, SIDE) for n in (0, 1))
            if truth == "YX":  # frames of one scene
                noisy = np.random.default_rng(i).poisson(np.broadcast_to(planes[0][1] / 4.0, noisy.shape)) * 4
                clean = planes[0][1]
            elif truth != axes:
                clean = clean[0]
            tif(root / "noisy" / f"{i}{suffix}", noisy.astype(np.uint16), metadata={"axes": axes})
            tif(root / "gt" / f"{i}{suffix}", clean, metadata={"axes": truth})
        return []

    return make


def then(make: Callable[[Path], list[str]], spoil: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
    """A folder, and what is wrong with it, or what is said besides."""
    return lambda root: make(root) + spoil(root)


def damaged(root: Path) -> list[str]:
    """One file cut, one without partner, one pair of other shapes, one with NaN."""
    (root / "noisy" / "00.tif").write_bytes((root / "noisy" / "00.tif").read_bytes()[:2000])
    (root / "gt" / "01.tif").unlink()
    tif(root / "gt" / "02.tif", np.zeros((SIDE - 7, SIDE), np.uint16))
    holes = pair(3)[1].astype(np.float32)
    holes[3:9] = np.nan
    tif(root / "gt" / "03.tif", holes)
    return []


def small(root: Path) -> list[str]:
    """Images smaller than the crop."""
    for i in range(6):
        for kind, image in zip(("noisy", "gt"), pair(i), strict=True):
            tif(root / kind / f"{i:02}.tif", image[:40, :44])
    return []


FOLDERS: dict[str, Callable[[Path], list[str]]] = {
    "noisy/, clean/": named("noisy/{}.tif", "clean/{}.tif"),
    "low/, high/": named("low/{}.tif", "high/{}.tif"),
    "raw/, gt/": named("raw/{}.tif", "gt/{}.tif"),
    "input/, target/ with suffixes": named("input/{}_input.tif", "target/{}_target.tif"),
    "noisy_images/, ground_truth/": named("noisy_images/{}.tif", "ground_truth/{}.tif"),
    "exp1_noisy/, exp1_gt/": named("exp1_noisy/{}.tif", "exp1_gt/{}.tif"),
    "two experiments": lambda root: (
        named("exp1_noisy/{}.tif", "exp1_gt/{}.tif")(root) + named("exp2_noisy/{}.tif", "exp2_gt/{}.tif")(root)
    ),
    "img_noisy.tif, img_gt.tif": named("img{}_noisy.tif", "img{}_gt.tif"),
    "noisy_img.tif, clean_img.tif": named("noisy_img{}.tif", "clean_img{}.tif"),
    "lowSNR, highSNR": named("cell{}lowSNR.tif", "cell{}highSNR.tif"),
    "a folder a field": named("field{}/noisy.tif", "field{}/gt.tif"),
    "folders within the two": named("noisy/day1/{}.tif", "gt/day1/{}.tif"),
    "patterns": then(named("short/{}_5ms.tif", "long/{}_500ms.tif"), lambda _: [
        "--noisy", "short/*_5ms.tif", "--truth", "long/*_500ms.tif"]),
    "no names that tell": named("short/{}.tif", "long/{}.tif"),
    "noisy alone": named("noisy/{}.tif", "noisy/{}b.tif"),
    "one pair": named("noisy/{}.tif", "gt/{}.tif", count=1),
    "named 001_0, not of W2S": named("noisy/0{}_0.tif", "clean/0{}_0.tif"),
    "PNG": named("noisy/{}.png", "gt/{}.png", picture),
    "JPEG": named("noisy/{}.jpg", "gt/{}.jpg", picture),
    "frames, one ground truth": stacks("TYX", (5,), "YX"),
    "Z stacks, both": stacks("ZYX", (3,), "ZYX"),
    "channels, both": stacks("CYX", (2,), "CYX"),
    "T and channels, both": stacks("TCYX", (2, 2), "TCYX"),
    "T and channels, ground truth of channels": stacks("TCYX", (3, 2), "CYX"),
    "damaged files among good ones": then(named("noisy/{}.tif", "gt/{}.tif", count=8), damaged),
    "images smaller than the crop": small,
}  # fmt: skip


def said(words: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it prints and logs."""
    sys.argv = ["train", *words]
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logging.getLogger().addHandler(handler)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = command()
    logging.getLogger().removeHandler(handler)
    return code, out.getvalue()


def main() -> None:
    """Print the table."""
    logging.getLogger().setLevel(logging.WARNING)
    print("| folder | prepare | says last | fit |\n|---|---|---|---|")
    for name, make in FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "data"
            more = make(root)
            words = ["--data", str(root), *more, *SMALL]
            code, text = said(["prepare", *words])
            last = text.strip().splitlines()[-1].replace(str(root), "data").strip()
            fitted, _ = said(["fit", *words, "--out", f"{folder}/run"])
            done = (Path(folder) / "run" / "checkpoint.ckpt").exists()
            print(f"| {name} | {code} | {last} | {'trains' if done else 'stops'}, {fitted} |", flush=True)


if __name__ == "__main__":
    main()
