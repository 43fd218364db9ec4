"""Everything that can be wrong with an input, and what inference.py makes of it.

`python test/contract/faults.py` (`make faults`) runs each and prints the exit code and the message;
test_faults.py holds them to what is said here.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import re
import resource
import runpy
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import SimpleITK
import tifffile
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from quietfield.network.model import save_model, sha256
from quietfield.network.unet import UNet

# Torch is imported once, by a process that the others are copies of: it takes longer than most faults do.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["inference"])
SOCKET = "images/image-stack-unstructured-noise"
CAPABILITIES, CAP_DAC_OVERRIDE = 0x20080522, 1 << 1  # linux/capability.h: version 3, a bit


@dataclass
class Case:
    """A folder to prepare a fault in, and what the run is given."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    file_limit: int | None = None  # bytes that a file may have, as on a full disk
    pretended: str = ""  # Python to run before inference.py
    stop_when: str | None = None  # send SIGTERM once the output holds such a file

    @property
    def input(self) -> Path:
        return self.folder / "in"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def write(self, name: str, image: np.ndarray, **options: object) -> Path:
        path = self.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, image, **{"photometric": "minisblack", **options})
        return path

    def put(self, name: str, content: bytes) -> Path:
        path = self.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@dataclass(frozen=True)
class Fault:
    """A fault: how to make it, and the exit code, words of the message and answers to expect."""

    name: str
    make: Callable[[Case], object]
    code: int
    message: str
    answers: int = 0


def frame(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return (103.4 + 13.4 * np.random.default_rng(0).poisson(5, shape)).astype(dtype)


def cut(case: Case, share: float = 0.5, **options: object) -> None:
    path = case.write("x.tif", frame(4, 50, 60), **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])


def promise_terabytes(case: Case, compression: str | None) -> None:
    """Change width and height in the header to a million pixels each."""
    path = case.write("x.tif", frame(50, 60), compression=compression, metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            struct.pack_into("<I", content, tif.pages[0].tags[tag].valueoffset, 1_000_000)
            struct.pack_into("<H", content, tif.pages[0].tags[tag].offset + 2, 4)
    path.write_bytes(content)


def several_series(case: Case) -> None:
    path = case.write("x.tif", frame(20, 21))
    with tifffile.TiffWriter(path) as tif:
        tif.write(frame(20, 21))
        tif.write(frame(5, 6))


def metaimage(case: Case, name: str, image: np.ndarray) -> None:
    case.input.mkdir(exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), str(case.input / name))


def listing(case: Case, **socket: object) -> None:
    case.write(f"{SOCKET}/x.tif", frame(20, 21))
    (case.input / "inputs.json").write_text(json.dumps([{"socket": socket}]))


def damage_weights(case: Case) -> None:
    case.write("x.tif", frame(20, 21))
    content = bytearray((case.model / "weights.pt").read_bytes())
    content[len(content) // 2] ^= 255
    (case.model / "weights.pt").write_bytes(content)


def vouch(case: Case) -> None:
    record = json.loads((case.model / "model.json").read_text())
    record["weights"]["sha256"] = sha256(case.model / "weights.pt")
    (case.model / "model.json").write_text(json.dumps(record))


def swap_weights(case: Case) -> None:
    case.write("x.tif", frame(20, 21))
    torch.save(UNet((8, 16)).state_dict(), case.model / "weights.pt")
    vouch(case)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("evil",)


def evil_weights(case: Case) -> None:
    case.write("x.tif", frame(20, 21))
    torch.save({"x": Evil()}, case.model / "weights.pt")
    vouch(case)


def full_disk(case: Case) -> None:
    case.write("x.tif", frame(4, 200, 200))
    case.file_limit = 100_000


def occupied_output(case: Case) -> None:
    case.write("x.tif", frame(20, 21))
    case.output.write_text("a file")


def closed_output(case: Case) -> None:
    case.write("x.tif", frame(20, 21))
    case.output.mkdir(mode=0o555)


def stopped(case: Case) -> None:
    case.write("x.tif", frame(400, 512, 512))
    case.stop_when = ".x.tif.part"


def hungry_gpu(case: Case) -> None:
    """A stand-in for the network: it runs out of the GPU's memory on all but the smallest planes."""
    case.write("large.tif", frame(300, 300))
    case.write("small.tif", frame(30, 30))
    case.pretended = """
import torch
from quietfield.network.unet import UNet
forward = UNet.forward
def hungry(network, x):
    if x.shape[-1] > 40:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory (pretended)")
    return forward(network, x)
UNet.forward = hungry
"""


def unusable_gpu(case: Case) -> None:
    case.write("x.tif", frame(20, 21))
    case.environment = {"NVIDIA_VISIBLE_DEVICES": "all", "CUDA_VISIBLE_DEVICES": ""}


def good_name(name: str) -> Fault:
    return Fault(f"the name {name!r}", lambda c: c.write(name, frame(20, 21)), 0, "1 of 1 images denoised", 1)


def good_layout(name: str, image: np.ndarray, **options: object) -> Fault:
    return Fault(name, lambda c: c.write("x.tif", image, **options), 0, "1 of 1 images denoised", 1)


FAULTS = [
    Fault("cut short", cut, 1, r"x\.tif: cut short: a page lies beyond the end"),
    Fault("cut short, compressed", lambda c: cut(c, 0.97, compression="zstd"), 1, r"x\.tif: damaged or cut short"),
    Fault("no bytes", lambda c: c.put("x.tif", b""), 1, r"x\.tif: expected an image, found an empty file"),
    Fault("text", lambda c: c.put("x.tif", b"not an image\n"), 1, r"x\.tif: expected a TIFF, found something else"),
    Fault("HTML", lambda c: c.put("x.tif", b"<!DOCTYPE html><html>"), 1, r"x\.tif: expected a TIFF, found something"),
    Fault("text named .mha", lambda c: c.put("x.mha", b"not an image\n"), 1, r"x\.mha: expected a MetaImage"),
    Fault("header of terabytes", lambda c: promise_terabytes(c, None), 1, r"x\.tif: .*needs about .* MiB of memory"),
    Fault("compressed terabytes", lambda c: promise_terabytes(c, "lzw"), 1, r"x\.tif: .*needs about .* MiB of memory"),
    Fault("a folder named .tif", lambda c: (c.input / "x.tif").mkdir(parents=True), 1, "found a folder"),
    Fault("complex numbers", lambda c: c.write("x.tif", frame(9, 9, dtype="complex64")), 1, "expected real numbers"),
    Fault(
        "equal stems",
        lambda c: (c.write("a.tif", frame(9, 9)), c.write("a.tiff", frame(9, 9))),
        1,
        r"a\.tiff: its answer would overwrite that of .*a\.tif: rename one",
        1,
    ),
    good_layout("LZW", frame(3, 20, 21), compression="lzw"),
    good_layout("ZSTD", frame(3, 20, 21), compression="zstd"),
    good_layout("JPEG 2000", frame(3, 20, 21), compression="jpeg2000"),
    good_layout("tiled", frame(3, 40, 41), tile=(16, 16)),
    good_layout("RGB", frame(20, 21, 3, dtype="uint8"), photometric="rgb"),
    Fault("several series", several_series, 0, r"x\.tif: with shape \(5, 6\)", 1),
    Fault("all NaN", lambda c: c.write("x.tif", np.full((9, 9), np.nan, "f4")), 0, "81 pixels are NaN, infinite", 1),
    good_layout("all zero", np.zeros((9, 9), np.uint16)),
    good_layout("saturated", np.full((9, 9), 65535, np.uint16)),
    good_layout("one pixel", np.ones((1, 1), np.uint8)),
    good_layout("negative int32", frame(20, 21, dtype="int32") - 1000),
    good_name("two words.tif"),
    good_name("größe µm 細胞.tif"),
    good_name("--input.tif"),
    Fault("unknown slug", lambda c: listing(c, slug="holiday"), 0, "found 'holiday'", 1),
    Fault("inputs.json without slugs", lambda c: listing(c), 0, "goes by folders alone", 1),
    Fault(
        "no input",
        lambda c: c.input.mkdir(),
        2,
        r"no input: expected \.tif, .* files, looked in",
    ),
    Fault("no room on the disk", full_disk, 1, r"x\.tif -> .*x\.tif: .*is there room, and leave to write"),
    Fault("output is a file", occupied_output, 1, r"x\.tif -> .*(File exists|Not a directory)"),
    Fault("output not writable", closed_output, 1, r"x\.tif -> .*Permission denied"),
    Fault("SIGTERM in the middle", stopped, 143, "stopped by SIGTERM: no image is left half written"),
    Fault("damaged weights", damage_weights, 2, r"weights\.pt: expected sha256 .*, found .*copy both again"),
    Fault("weights of another network", swap_weights, 2, r"weights\.pt: expected the weights of the network"),
    Fault("weights that run code", evil_weights, 2, r"weights\.pt: expected the weights of the network"),
    Fault("a GPU that cannot be used", unusable_gpu, 0, "A GPU SEEMS TO BE HERE BUT IS NOT USABLE", 1),
    Fault("the GPU's memory is too small", hungry_gpu, 1, r"large\.tif -> .*CUDA out of memory", 1),
]


def run(fault: Fault, folder: Path) -> tuple[int, str, int]:
    """Make the fault in a folder and run inference.py: exit code, log, number of files in the output."""
    case = Case(folder)
    record = {"name": "tiny", "architecture": {"channels": [4, 8], "unshuffle": 2}}
    save_model(case.model, UNet((4, 8), 2), {"kind": "plane"}, record)
    fault.make(case)

    reader, writer = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=infer, args=(case, writer))
    process.start()
    writer.close()
    while case.stop_when and process.is_alive() and not (case.output / case.stop_when).exists():
        time.sleep(0.02)
    if case.stop_when:
        process.terminate()
    alarm = threading.Timer(120, process.kill)
    alarm.start()
    with open(reader.fileno(), encoding="utf-8", errors="replace", closefd=False) as said:
        log = said.read()
    process.join()
    alarm.cancel()
    assert process.exitcode is not None
    written = [p for p in case.output.rglob("*") if p.is_file()] if case.output.is_dir() else []
    return process.exitcode, log, len(written)


def infer(case: Case, writer: Connection) -> None:
    """What a process of its own does: be `python inference.py` for a case, and say everything to the writer."""
    for stream in (1, 2):
        os.dup2(writer.fileno(), stream)
    writer.close()
    os.chdir(case.folder)
    os.environ.update(case.environment)
    if case.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (case.file_limit, case.file_limit))
    if os.geteuid() == 0:  # root, too, is to be bound by the modes of folders
        libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        sets[0] &= ~CAP_DAC_OVERRIDE  # of those in effect
        libc.capset(header, sets)
    sys.argv = ["inference.py", "--input", str(case.input), "--output", str(case.output), "--model", str(case.model)]
    exec(case.pretended, {})
    runpy.run_path(str(ROOT / "inference.py"), run_name="__main__")


def main() -> None:
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            code, log, answers = run(fault, Path(folder))
        lines = [line for line in log.splitlines() if re.search(fault.message, line)]
        message = (lines or ["(not as expected) " + log])[0].replace(f"{folder}/", "")
        print(f"| {fault.name} | {code} | {answers} | {message} |", flush=True)


if __name__ == "__main__":
    main()
