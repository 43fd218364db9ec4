"""Write answers as people need them: with what the input says of axes, sizes, channels, and where it is from."""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from quietfield.files import ome, tiff
from quietfield.files.metadata import Quantity
from quietfield.files.metaimage import write_metaimage
from quietfield.files.stack import Array, Stack
from quietfield.files.tiff import interleave
from quietfield.whole import whole

log = logging.getLogger(__name__)

DTYPES = ("float32", "same", "uint16", "uint8")
COMPRESSIONS = ("none", "zlib", "zstd")
MOST_CLIPPED = 1e-3  # share of an answer's pixels that "same" may clip
LEAST_STEPS = 1.0  # of an integer type, between the least and the greatest value of an image that is not constant
OME_NAMES = (".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf8", ".ome.tf2")
OME_TYPES = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
IMAGEJ_AXES, MODES = "TZCYXS", ("grayscale", "composite", "color")
ORIENTATION = 274
PAGE_BYTES = 512  # that a page may take besides its pixels
_DATE = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")

Target = Literal["ome", "imagej", "plain", "metaimage"]


@dataclass(frozen=True)
class Form:
    """What a user chooses for the files: how they are read and written.

    Attributes
    ----------
    dtype : str
        Of the answers: "float32", "uint16", "uint8", or "same" as the input.
    compress : str
        "none", "zlib" or "zstd".
    axes : str or None
        Names of the axes of the images, in place of those that the files have.
    note : dict
        What is written on the networks into each answer.
    platform : bool
        Answers are as the challenge's platform wants them: one image, float32, without metadata.
    """

    dtype: str = DTYPES[0]
    compress: str = COMPRESSIONS[0]
    axes: str | None = None
    note: dict[str, str] = field(default_factory=dict)
    platform: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("dtype", self.dtype, DTYPES), ("compress", self.compress, COMPRESSIONS)):
            if value not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, found {value!r}")

    def dtype_of(self, stack: Stack) -> np.dtype[Any]:
        """Type of the answer to a stack."""
        if self.dtype == "same":
            return np.dtype("uint8") if stack.dtype.kind == "b" else stack.dtype.newbyteorder("=")
        return np.dtype("float64") if self.dtype == "float32" and stack.wide else np.dtype(self.dtype)


class Rounding:
    """Planes to the type of an answer, rounded and clipped; it counts what it clips.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the answer.
    most : float
        Pixels that may be clipped.

    Attributes
    ----------
    clipped : int
        Pixels that the type could not hold.
    least, greatest : float
        Of the values that were rounded.
    """

    def __init__(self, dtype: np.dtype[Any], most: float = math.inf) -> None:
        self.dtype, self.most, self.clipped = dtype, most, 0
        self.least, self.greatest = math.inf, -math.inf
        limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        low, high = float(limits.min), float(limits.max)
        # The largest integers of 64 bits are no numbers of float64; the next smaller one is.
        self.low, self.high = low, float(np.nextafter(high, 0)) if dtype.kind in "iu" and dtype.itemsize == 8 else high

    def check_steps(self) -> None:
        """Raise a ValueError if rounding has left next to nothing of what all planes show."""
        if 0 < self.greatest - self.least < LEAST_STEPS:
            raise ValueError(
                f"expected values that {self.dtype} can tell apart, found {self.least:.3g} to {self.greatest:.3g}: "
                "give --dtype float32"
            )

    def __call__(self, plane: Array) -> Array:
        """A plane of the type.

        Raises
        ------
        ValueError
            If too many pixels are clipped.
        """
        if self.dtype.kind == "f" and self.dtype.itemsize >= plane.dtype.itemsize:
            return plane.astype(self.dtype, copy=False)
        values = np.rint(plane) if self.dtype.kind in "iu" else plane.astype(np.float64)
        if np.isfinite(plane).any():
            self.least = min(self.least, float(np.nanmin(plane)))
            self.greatest = max(self.greatest, float(np.nanmax(plane)))
        with np.errstate(invalid="ignore"):
            beyond = ~((values >= self.low) & (values <= self.high))
        if self.dtype.kind == "f":
            beyond &= np.isfinite(values)
        if count := int(beyond.sum()):
            self.clipped += count
            values = np.clip(np.nan_to_num(values, nan=0.0) if self.dtype.kind in "iu" else values, self.low, self.high)
        if self.clipped > self.most:
            raise ValueError(
                f"expected at most {100 * MOST_CLIPPED:g} % of the pixels beyond {self.dtype} ({self.low:g} to "
                f"{self.high:g}), found more: give --dtype float32, or uint16 or uint8 to clip them"
            )
        return values.astype(self.dtype)


def write_answer(
    path: Path,
    stacks: Sequence[Stack],
    planes_of: Callable[[Stack], Iterable[Array]],
    form: Form,
    note: dict[str, str],
    scale: int = 1,
) -> int:
    """Write the answers to all images of a file, whole or not at all.

    Parameters
    ----------
    path : Path
        The answer. A name that ends in .ome.tif makes it an OME-TIFF, and .mha a MetaImage; else its kind is that of
        the input.
    stacks : sequence of Stack
        The images, in their order.
    planes_of : callable
        Gives the denoised planes of a stack, in intensity units of what it stores; called once for each, in order.
    form : Form
        Type and compression.
    note : dict
        What was done; "program" names this one.
    scale : int
        Times as many pixels along Y and X as the stacks have.

    Returns
    -------
    int
        Pixels that the type could not hold, and that are clipped.
    """
    types = [form.dtype_of(stack) for stack in stacks]
    total = scale**2 * sum(stack.pixels for stack in stacks)
    roundings = [Rounding(dtype, MOST_CLIPPED * total if form.dtype == "same" else math.inf) for dtype in types]

    def rounded(number: int) -> Iterator[Array]:
        rounding, stack = roundings[number], stacks[number]
        for done, plane in enumerate(planes_of(stack), 1):
            found = rounding(plane)
            if done == stack.count and stack.dtype.kind == "f":
                rounding.check_steps()
            yield found

    target = kind_of(path, stacks, types, scale)
    if target == "metaimage":
        if len(stacks) > 1 or stacks[0].images > 1:
            raise ValueError(f"{path}: expected one image for a MetaImage, found several: give a name ending in .tif")
        if form.compress != "none":
            log.warning("%s: a MetaImage is written without compression", path)
        write_metaimage(path, stacks[0], rounded(0), types[0], _sentence(note), scale)
    else:
        size = scale**2 * sum(stack.pixels * dtype.itemsize for stack, dtype in zip(stacks, types, strict=True))
        pages = sum(stack.count for stack in stacks)
        big = size + PAGE_BYTES * pages > tiff.CLASSIC_TIFF_BYTES
        settings: dict[str, Any] = {"imagej": True} if target == "imagej" else {"bigtiff": big, "ome": False}
        with whole(path) as temporary, tifffile.TiffWriter(temporary, byteorder="<", **settings) as tif:
            answer = _Answer(tif, stacks, types, form, note, scale)
            {"ome": answer.ome, "imagej": answer.imagej, "plain": answer.plain}[target](rounded)
    return sum(rounding.clipped for rounding in roundings)


def kind_of(path: Path, stacks: Sequence[Stack], types: Sequence[np.dtype[Any]], scale: int = 1) -> Target:
    """What kind of file an answer is; where its input's kind cannot hold it, the log says so."""
    first, name = stacks[0].metadata, path.name.lower()
    if name.endswith(".mha"):
        return "metaimage"
    if name.endswith(OME_NAMES) or first.kind in ("ome", "lsm", "stk", "micromanager"):
        wrong = [dtype for dtype in types if dtype.name not in OME_TYPES]
        if wrong and name.endswith(OME_NAMES):
            raise ValueError(f"{path}: expected a type that OME-TIFF has, found {wrong[0]}: give --dtype float32")
        if wrong:
            log.info("%s: OME-TIFF has no %s: written as a plain TIFF", path, wrong[0])
        return "plain" if wrong else "ome"
    if first.kind != "imagej":
        return "plain"
    stack, dtype = stacks[0], types[0]
    names = stack.axes.replace("S", "")
    size = scale**2 * stack.pixels * dtype.itemsize
    if len(stacks) > 1 or stack.images > 1 or dtype.name not in IMAGEJ_TYPES or size > tiff.CLASSIC_TIFF_BYTES:
        reason = f"{dtype}, {size / 2**30:.1f} GiB"
    elif names != "".join(axis for axis in IMAGEJ_AXES if axis in names):
        reason = f"axes {stack.axes}"
    elif "C" in names and stack.samples > 1 and not (dtype == np.uint8 and _colours(stack)):
        reason = f"axes {stack.axes}, {dtype}"
    else:
        return "imagej"
    log.info("%s: ImageJ's own format cannot hold the answer (%s): written as OME-TIFF", path, reason)
    return "ome"


class _Answer:
    """An answer that is being written.

    Parameters
    ----------
    tif : TiffWriter
        Where to.
    stacks, types : sequence of Stack, of numpy.dtype
        The images, and the types of their answers.
    form, note, scale
        As of `write_answer`.
    """

    def __init__(
        self,
        tif: tifffile.TiffWriter,
        stacks: Sequence[Stack],
        types: Sequence[np.dtype[Any]],
        form: Form,
        note: dict[str, str],
        scale: int,
    ) -> None:
        self.tif, self.stacks, self.types = tif, stacks, types
        self.form, self.note, self.scale = form, note, scale

    def ome(self, planes: Callable[[int], Iterator[Array]]) -> None:
        """One Image of the OME-XML for each image."""
        parts = []
        for stack, dtype in zip(self.stacks, self.types, strict=True):
            shape = stack.enlarged(self.scale)[1 if stack.images > 1 else 0 :]
            axes = stack.axes[-len(shape) :]
            if stack.samples > 1:
                leading = len(shape) - len(axes.partition("YX")[2]) - 2
                y, x = shape[leading : leading + 2]
                # Samples of colours lie in one page; others are channels, in pages of their own.
                colours = _colours(stack)
                shape = (*shape[:leading], y, x, stack.samples) if colours else (*shape[:leading], stack.samples, y, x)
                axes = axes[:leading] + ("YXS" if colours else "SYX")
            parts.append(ome.Part(stack.metadata, shape, axes, stack.images, dtype))
        description: bytes | None = ome.write(parts, self.note, self.scale).encode("utf-8")
        for number, (stack, part) in enumerate(zip(self.stacks, parts, strict=True)):
            data = planes(number)
            pages = interleave(data, part.samples) if part.samples > 1 else data
            at = part.axes.index("Y")
            for _ in range(part.images):
                self.tif.write(
                    itertools.islice(pages, part.pages),
                    shape=(part.pages, *part.shape[at:]),
                    dtype=part.dtype,
                    description=description,
                    metadata=None,
                    contiguous=False,
                    **self._look(stack, part.dtype, part.samples > 1),
                    **self._size_of(stack),
                )
                description = None

    def imagej(self, planes: Callable[[int], Iterator[Array]]) -> None:
        """A hyperstack as Fiji opens it."""
        stack, dtype = self.stacks[0], self.types[0]
        found, shape, axes = stack.metadata, stack.enlarged(self.scale), stack.axes
        extra = dict(found.extra)
        unit = extra.pop("unit", "")
        data, options = planes(0), self._compression(dtype)
        if stack.samples > 1 and dtype == np.uint8 and _colours(stack):
            data = interleave(data, stack.samples)
            options["photometric"] = "rgb"
        else:
            if stack.samples > 1:  # only bytes may be colours there, so others become channels
                shape, axes = (*shape[:-3], stack.samples, *shape[-3:-1]), axes[:-3] + "CYX"
            options["photometric"] = "miniswhite" if found.photometric == "miniswhite" else "minisblack"
        if found.orientation != 1:
            options["extratags"] = [(ORIENTATION, 3, 1, found.orientation, False)]
        if self.scale != 1:
            extra = {key: value for key, value in extra.items() if key not in ("ROI", "Overlays")}
        count = math.prod(size for size, axis in zip(shape, axes, strict=True) if axis in "TZC")
        if isinstance(extra.get("Labels"), list) and len(extra["Labels"]) != count:
            del extra["Labels"]
        metadata = {"axes": axes, **extra, "Info": _joined(extra.get("Info", ""), _sentence(self.note))}
        if found.photometric == "palette" and found.colormap is not None and "LUTs" not in metadata:
            table = np.asarray(found.colormap)
            metadata["LUTs"] = [(table >> 8).astype(np.uint8)] if table.shape == (3, 256) else []
        if metadata.get("mode", "composite") not in MODES:
            del metadata["mode"]
        metadata |= {"unit": _ascii(unit)} if unit else {}
        metadata |= {"spacing": found.z.value} if found.z else {}
        metadata |= {"finterval": found.interval.seconds} if found.interval else {}
        if not metadata.get("LUTs", True):
            del metadata["LUTs"]
        if found.resolution is not None and found.x is not None and found.y is not None:
            x, y, code = found.resolution
            options |= {"resolution": (self.scale * x, self.scale * y), "resolutionunit": code}
        self.tif.write(data, shape=shape, dtype=dtype, metadata=metadata, software=_software(self), **options)

    def plain(self, planes: Callable[[int], Iterator[Array]]) -> None:
        """A TIFF with the tags of the input, its axes in tifffile's own way."""
        for number, (stack, dtype) in enumerate(zip(self.stacks, self.types, strict=True)):
            found, data = stack.metadata, planes(number)
            shape, axes = stack.enlarged(self.scale), stack.axes
            if stack.samples > 1:
                data = interleave(data, stack.samples)
            if stack.images > 1:
                shape, axes = shape[1:], axes[1:]
            metadata = {**found.extra, "quietfield": _sentence(self.note)}
            if len(axes) == len(shape) and not set(axes) & set("QI"):
                metadata = {"axes": axes, **metadata}
            pages = stack.count // stack.samples // stack.images
            for _ in range(stack.images):
                self.tif.write(
                    itertools.islice(data, pages),
                    shape=shape,
                    dtype=dtype,
                    description=found.description.encode("utf-8") or None,
                    datetime=found.date if _DATE.fullmatch(found.date) else None,
                    metadata=metadata,
                    contiguous=False,
                    **self._look(stack, dtype, stack.samples > 1),
                    **self._tags_of(stack),
                )

    def _look(self, stack: Stack, dtype: np.dtype[Any], samples: bool) -> dict[str, Any]:
        """How pixels are shown and stored."""
        found = stack.metadata
        options: dict[str, Any] = {"photometric": "minisblack", **self._compression(dtype)}
        if samples:
            options |= {"photometric": "rgb" if _colours(stack) else "minisblack", "planarconfig": "contig"}
        elif found.photometric == "miniswhite":
            options["photometric"] = "miniswhite"
        elif found.photometric == "palette" and found.colormap is not None:
            table = np.asarray(found.colormap)
            if dtype.kind == "u" and table.shape == (3, 2 ** (8 * dtype.itemsize)):
                options |= {"photometric": "palette", "colormap": table}
        if found.orientation != 1:
            options["extratags"] = [(ORIENTATION, 3, 1, found.orientation, False)]
        return {**options, "software": _software(self)}

    def _compression(self, dtype: np.dtype[Any]) -> dict[str, Any]:
        """Differences of integers are packed, which every reader knows; those of floats, few."""
        if self.form.compress == "none":
            return {}
        return {"compression": self.form.compress, "predictor": dtype.kind in "iu", "maxworkers": 1}

    def _size_of(self, stack: Stack) -> dict[str, Any]:
        """Tags of resolution of a known pixel size."""
        x, y = (_per_centimetre(size) for size in (stack.metadata.x, stack.metadata.y))
        if x is None or y is None:
            return {}
        return {"resolution": (self.scale * x, self.scale * y), "resolutionunit": "CENTIMETER"}

    def _tags_of(self, stack: Stack) -> dict[str, Any]:
        """Tags of resolution as they are in the input, or of a known pixel size."""
        known = stack.metadata.x is not None and stack.metadata.y is not None
        if stack.metadata.resolution is None or (known and stack.metadata.resolution[2] == 1):
            return self._size_of(stack)
        x, y, unit = stack.metadata.resolution
        return {"resolution": (self.scale * x, self.scale * y), "resolutionunit": unit}


def _per_centimetre(size: Quantity | None) -> float | None:
    length = size.micrometres if size is not None else None
    return 1e4 / length if length else None


def _colours(stack: Stack) -> bool:
    return stack.metadata.photometric == "rgb" and stack.samples in (3, 4) and stack.axes.endswith("S")


def _software(answer: _Answer) -> str:
    """Programs that had a part in an answer, for TIFF's tag, which has only ASCII."""
    before = answer.stacks[0].metadata.software
    names = [name for name in before.split("; ") if name and not name.startswith("quietfield")]
    return "; ".join([*names, answer.note["program"]]).encode("ascii", "replace").decode("ascii")


def _sentence(note: dict[str, str]) -> str:
    return "denoised by " + "; ".join(text if key == "program" else f"{key} {text}" for key, text in note.items())


def _ascii(text: str) -> str:
    """A text as ImageJ writes it into its description, where other characters are escaped."""
    return "".join(c if " " <= c <= "~" else f"\\u{ord(c):04X}" for c in text)


def _joined(before: str, after: str) -> str:
    """A text with a note behind it, in place of that of an earlier run."""
    lines = [line for line in before.rstrip().split("\n") if not line.startswith("denoised by quietfield")]
    return "\n".join([*lines, after]).lstrip("\n")
