"""Damaged TIFFs for the reader: `python test/contract/fuzz.py CASES SECONDS [SEED]` (`make fuzz`).

Each case takes a TIFF of some layout, changes bytes of its header and directories, or anywhere,
or cuts it, and reads it to the end as inference.py would. It must give its planes or a sentence
that names the file, within seconds and a bound of memory; anything else is printed, and the exit
code is 1. Every third case is a whole file whose metadata are wrong: its pixels have to be answered
all the same, and what is wrong has to be logged.
"""

from __future__ import annotations

import logging
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.pipeline import denoise_file

LAYOUTS: list[dict[str, object]] = [
    {},
    {"bigtiff": True},
    {"byteorder": ">"},
    {"compression": "lzw"},
    {"compression": "zstd", "predictor": True},
    {"compression": "zlib", "tile": (16, 16)},
    {"compression": "jpeg2000"},
    {"compression": "packbits"},
    {"imagej": True},
    {"ome": True},
    {"metadata": None, "rowsperstrip": 7},
]
MEMORY = 3 << 30  # bytes of address space beyond what is taken at the start
SLOWEST = 20  # seconds a case may take


def seeds() -> list[bytes]:
    """Whole files to start from: simulated frames in each layout, and a real challenge input if it is here."""
    frames = (103 + 13 * np.random.default_rng(0).poisson(5, (3, 40, 37))).astype(np.uint16)
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tif"
        for options in LAYOUTS:
            tifffile.imwrite(path, frames, photometric="minisblack", **options)
            files.append(path.read_bytes())
    real = ROOT.parent / "shared" / "data" / "w2s-raw16" / "w2s_noisy_0.tiff"
    return files + ([real.read_bytes()] if real.is_file() else [])


def mutate(random: np.random.Generator, content: bytes) -> bytes:
    """Change a few bytes (mostly in directories, to values that hurt), repeat a piece, or cut."""
    data = bytearray(content)
    kind = random.integers(5)
    for _ in range(random.integers(1, 5)):
        near = int(random.choice([16, 400, len(data)]))
        at = int(random.integers(min(near, len(data))))
        if kind == 0:
            data[at] = random.integers(256)
        elif kind == 1:
            data[at : at + 4] = bytes(random.choice([0, 1, 127, 128, 255], 4).tolist())
        elif kind == 2:
            data[at : at + 2] = int(random.choice([0, 1, 2, 3, 7, 255, 256, 65535])).to_bytes(2, "little")
        elif kind == 3:
            length = int(random.integers(1, 64))
            data[at:at] = data[at : at + length]
        else:
            del data[max(at, 8) :]
    return bytes(data)


FRAMES = (103 + 13 * np.random.default_rng(0).poisson(5, (6, 20, 24))).astype(np.uint16)
PIXELS = {
    "DimensionOrder": "XYZCT", "Type": "uint16", "SizeX": "24", "SizeY": "20", "SizeZ": "3", "SizeC": "1", "SizeT": "2",
    "PhysicalSizeX": "0.1", "PhysicalSizeY": "0.1", "PhysicalSizeZ": "0.3", "TimeIncrement": "2",
}  # fmt: skip
IMAGEJ = {
    "images": "6",
    "slices": "3",
    "frames": "2",
    "hyperstack": "true",
    "unit": "um",
    "spacing": "0.3",
}
ABSURD = [
    "0",
    "-1",
    "NaN",
    "INF",
    "1e300",
    "1e-300",
    "2",
    "5",
    "77",
    "1000000000",
    "99999999999999999999",
    "",
    "four",
    "&lt;",
]
HARMLESS = {"Type", "images", "hyperstack", "unit"}  # what they say is not believed, or may be anything


def wrong_metadata(random: np.random.Generator, path: Path) -> str:
    """Write six frames with one wrong statement; what it is, or nothing where it may be right."""
    kind, value = random.choice(["ome", "imagej", "damaged", "planes"]), str(random.choice(ABSURD))
    said = dict(IMAGEJ if kind == "imagej" else PIXELS)
    name = str(random.choice(list(said)))
    sizes = name.startswith("Physical") or name in ("TimeIncrement", "spacing")
    right = said[name] == value or (sizes and value in ("2", "5", "77", ""))
    if kind in ("ome", "imagej"):
        said[name] = value
    if kind == "imagej":
        text = "ImageJ=1.11a\n" + "".join(f"{key}={word}\n" for key, word in said.items())
    else:
        count = value if kind == "planes" else "6"
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            + " ".join(f'{key}="{word}"' for key, word in said.items())
            + f'><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="{count}"/></Pixels>'
            "</Image></OME>"
        )
    if kind == "damaged":
        at = int(random.integers(60, len(text) - 10))
        text = text[:at] + text[at + int(random.integers(1, 9)) :]
    tifffile.imwrite(path, FRAMES, photometric="minisblack", metadata=None, description=text.encode())
    if right or kind in ("damaged", "planes") or name in HARMLESS:
        return ""
    return f"{kind}: {name} {value!r}"


class Log(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def metadata_case(random: np.random.Generator, denoiser: Denoiser, source: Path, target: Path) -> str:
    """Answer a file with wrong metadata; what is wrong with that."""
    wrong, log = wrong_metadata(random, source), Log()
    logger = logging.getLogger("quietfield")
    logger.addHandler(log)
    before, logger.level = logger.level, logging.INFO
    try:
        denoise_file(denoiser, source, target)
    except Exception as error:
        return f"{wrong or 'metadata'}: not answered: {error!r}"
    finally:
        logger.removeHandler(log)
        logger.level = before
    with tifffile.TiffFile(target) as tif:
        pixels = sum(series.size for series in tif.series)
    if pixels < FRAMES.size:
        return f"{wrong or 'metadata'}: {pixels} of {FRAMES.size} pixels answered"
    return f"{wrong}: not named" if wrong and not any(str(source) in line for line in log.lines) else ""


def main(cases: int, seconds: float, seed: int = 0) -> int:
    logging.getLogger().addHandler(logging.NullHandler())  # nothing printed, and nothing switched off
    random = np.random.default_rng(seed)
    files = seeds()
    denoiser = Denoiser(UNet((2, 2)), Normalisation())
    bad = done = answered = metadata = 0
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _too_slow)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "x.tif", Path(folder) / "y.tif"
        while done < cases and time.monotonic() - start < seconds:
            if (done + metadata) % 3 == 2:
                metadata += 1
                if words := metadata_case(random, denoiser, source, target):
                    bad += report(done + metadata, source.read_bytes(), words)
                continue
            content = mutate(random, files[random.integers(len(files))])
            source.write_bytes(content)
            signal.alarm(SLOWEST)
            try:
                denoise_file(denoiser, source, target)
                answered += 1
            except MemoryError:
                pass  # the bound of this process, which open_stack cannot know; inference.py adds the name
            except (ValueError, OSError) as error:
                if str(source) not in str(error):
                    bad += report(done, content, f"does not name the file: {error!r}")
            except BaseException as error:
                bad += report(done, content, repr(error))
            finally:
                signal.alarm(0)
            left = [p.name for p in Path(folder).iterdir() if p.name not in ("x.tif", "y.tif")]
            if left:
                bad += report(done, content, f"left behind: {left}")
            done += 1
    print(f"{done} damaged files, seed {seed}: {answered} still read, {done - answered} refused, {bad} bad")
    print(f"besides, {metadata} whole files with wrong metadata")
    return 1 if bad else 0


class TooSlowError(BaseException):
    """A case that takes longer than `SLOWEST`."""


def _too_slow(number: int, frame: object) -> None:
    raise TooSlowError(f"more than {SLOWEST} s")


def report(case: int, content: bytes, what: str) -> int:
    """Say what happened, and keep the file for a look."""
    path = Path(tempfile.gettempdir()) / f"fuzz-{case}.tif"
    path.write_bytes(content)
    print(f"case {case}: {what} ({path})", flush=True)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:])))
