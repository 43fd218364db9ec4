"""The package by core's own command on real files, against inference.py: `python test/contract/predict.py DATA`.

`bioimageio predict` and the same from Python, whole and blockwise, on TIFFs with the axes Y and X in uint16 and int16,
of six sizes. Prints the furthest pixel and the dB that are lost, and fails where an answer is missing or loses more
than ALLOWED. Core fails where a block is larger than the image: such images are left out. `make test-predict` runs it
in cores 0.11.0 and 0.9.6.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
ZIP = next(iter(sorted((ROOT / "runs").glob("quietfield-[0-9]*.bioimageio.zip"))), None)
SIDES = [(490, 490), (540, 540), (333, 517), (512, 512), (1024, 1024), (128, 2000)]
BLOCKS = 250  # the n of larger blocks
# dB that are lost at most: core mirrors the borders, and every block has statistics of its own.
ALLOWED = {"whole": 0.06, "blockwise": 0.5, f"blockwise={BLOCKS}": 0.1}
SMALLEST = {"whole": 128, "blockwise": 138, f"blockwise={BLOCKS}": 128 + BLOCKS}  # pixels of a block

OLD = version("bioimageio.core").startswith("0.9.")  # its command has one size of blocks

Image = NDArray[np.float64]


def si_psnr(image: Image, truth: Image) -> float:
    """After the affine fit of the image to the truth, whose range is max - min."""
    slope, offset = np.polyfit(image.ravel(), truth.ravel(), 1)
    error = np.mean((slope * image + offset - truth) ** 2)
    return float(10 * np.log10(np.ptp(truth) ** 2 / error))


def _tiled(plane: NDArray[np.generic], side: tuple[int, int]) -> NDArray[np.generic]:
    """A crop, or mirrored copies beside each other where the plane is too small."""
    rows, columns = (max(0, a - b) for a, b in zip(side, plane.shape, strict=True))
    while rows or columns:
        step = tuple((0, min(r, s)) for r, s in zip((rows, columns), plane.shape, strict=True))
        plane = np.pad(plane, step, mode="symmetric")
        rows, columns = (max(0, a - b) for a, b in zip(side, plane.shape, strict=True))
    return plane[: side[0], : side[1]]


def frames(data: Path) -> Iterator[tuple[str, NDArray[np.generic], Image]]:
    """Name, noisy file and ground truth of each size, from raw frames; every other file is int16."""
    for i, side in enumerate(SIDES):
        field, channel = divmod(i, 3)
        raw = tifffile.imread(data / "w2s-raw16" / f"w2s_noisy_{field}.tiff")[channel]
        truth = tifffile.imread(data / "w2s" / "clean" / f"{field + 1:03}_{channel}.tif").astype(float)
        dtype = np.uint16 if i % 2 == 0 else np.int16
        yield f"{side[0]}x{side[1]}", _tiled(raw.astype(dtype), side), np.asarray(_tiled(truth, side))


def reference(source: Path, target: Path, temporary: Path) -> None:
    """What inference.py makes of the files with the network of the package alone."""
    alone = Path(shutil.copytree(ROOT / "resources", temporary / "model"))
    record = json.loads((alone / "model.json").read_text(encoding="utf-8"))
    (alone / "model.json").write_text(json.dumps({**record, "general": None, "adapt": "off"}), encoding="utf-8")
    command = [sys.executable, str(ROOT / "inference.py"), "--input", str(source), "--output", str(target)]
    subprocess.run([*command, "--model", str(alone)], check=True, capture_output=True)


def by_command(files: list[Path], target: Path, way: str) -> None:
    words = [f"--inputs={json.dumps([str(file) for file in files])}", f"--outputs={target}/{{sample_id}}.tif"]
    if way != "whole":
        words.append("--blockwise=true" if way == "blockwise" and not OLD else f"--{way}")
    command = [str(Path(sys.executable).with_name("bioimageio")), "predict", str(ZIP), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=target)
    if done.returncode:
        print("\n".join((done.stdout + done.stderr).splitlines()[-5:]))


def by_python(files: list[Path], target: Path, way: str) -> None:
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.core.digest_spec import load_sample_for_model
    from bioimageio.core.io import save_tensor
    from bioimageio.spec import load_model_description

    model = load_model_description(str(ZIP))
    pipeline = create_prediction_pipeline(model)
    for file in files:
        sample = load_sample_for_model(model=model, paths={"noisy": file}, sample_id=file.stem)
        if way == "whole":
            answer = pipeline.predict_sample_without_blocking(sample)
        else:
            answer = pipeline.predict_sample_with_blocking(sample, ns=BLOCKS if "=" in way else None)
        save_tensor(target / f"{file.stem}.tif", answer.members["denoised"])


def compare(files: list[Path], answers: Path, expected: Path, truths: dict[str, Image], way: str, words: str) -> int:
    """Print a row for each file; gives how many do not hold."""
    failures = 0
    # Core makes the names of answers up; no two files have one shape.
    by_shape = {(image := tifffile.imread(path).squeeze()).shape: image for path in answers.glob("*.tif")}
    for file in files:
        noisy = tifffile.imread(file)
        kind, found = noisy.dtype, by_shape.get(noisy.shape)
        if found is None:
            failures += 1
            print(f"| {words} | {way} | {file.stem} | {kind} | no answer | |", flush=True)
            continue
        want = tifffile.imread(expected / file.name).squeeze().astype(float)
        have = found.astype(float)
        far = np.abs(have - want).max() / np.ptp(want)
        loss = si_psnr(want, truths[file.stem]) - si_psnr(have, truths[file.stem])
        failures += loss > ALLOWED[way]
        print(f"| {words} | {way} | {file.stem} | {kind} | {far:.1e} | {loss:+.3f} |", flush=True)
    return failures


def stack(data: Path, folder: Path) -> int:
    """The README's snippet for stacks, run as it stands; its answer must be that of the planes alone."""
    import zipfile

    import torch

    assert ZIP is not None
    with zipfile.ZipFile(ZIP) as package:
        snippet = package.read("README.md").decode().split("```python\n")[1].split("```")[0]
        (folder / "weights.pt").write_bytes(package.read("weights.torchscript.pt"))
    planes = tifffile.imread(data / "w2s-raw16" / "w2s_noisy_0.tiff")
    tifffile.imwrite(folder / "stack.tif", planes)
    (folder / "PACKAGE.zip").symlink_to(ZIP)
    subprocess.run([sys.executable, "-W", "ignore", "-c", snippet], check=True, cwd=folder, capture_output=True)
    found = tifffile.imread(folder / "denoised.tif")
    with torch.inference_mode():
        image = torch.from_numpy(planes[:, None].astype(np.float32))
        expected = torch.jit.load(str(folder / "weights.pt"))(image)[:, 0].numpy()
    far = np.abs(found - expected)[:, 112:-112, 112:-112].max() / np.ptp(expected)
    print(f"The README's snippet, stack of {found.shape} {planes.dtype}: furthest pixel {far:.1e} in the interior")
    return int(found.shape != planes.shape or far > 0.01)


def main(data: Path) -> int:
    if ZIP is None:
        print(f"{ROOT / 'runs'}: expected the zip of the package, found none: run 'make package'")
        return 1
    if not (data / "w2s-raw16").is_dir():
        print(f"SKIPPED: expected raw frames in {data / 'w2s-raw16'}, found none: give DATA=")
        return 0
    failures, truths = 0, {}
    print("| core | way | file | type | furthest pixel, share of the range | lost, dB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, expected = folder / "in", folder / "expected"
        source.mkdir()
        for title, noisy, truth in frames(data):
            tifffile.imwrite(source / f"{title}.tif", noisy)
            truths[title] = truth
        reference(source, expected, folder)
        files = sorted(source.iterdir())
        for caller in (by_command, by_python):
            for way in ALLOWED:
                if OLD and caller is by_command and "=" in way:
                    continue
                target = folder / f"{caller.__name__} {way}"
                target.mkdir()
                chosen = [file for file in files if min(tifffile.imread(file).shape) >= SMALLEST[way]]
                caller(chosen, target, way)
                words = f"{version('bioimageio.core')}, {caller.__name__.removeprefix('by_')}"
                failures += compare(chosen, target, expected, truths, way, words)
    with tempfile.TemporaryDirectory() as name:
        failures += stack(data, Path(name))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
