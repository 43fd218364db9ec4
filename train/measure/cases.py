"""What to measure on: a noisy image and its ground truth, whatever files they are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..config import Config
from ..data.clean import read_named, split_clean
from ..data.frames import first_frames
from ..data.layouts import Layout, detect
from ..data.pairs import parted, read_pairs
from ..data.reading import Volume, open_image, open_volume
from ..data.sources import check_clean, drawn_pairs
from ..data.split import Split, split_fields
from ..data.w2s import TEST

Image = NDArray[Any]
W2S, RAW = "W2S FOV 081-100", "w2s-raw16"


class Item(Protocol):
    """What `cases_of` asks of an image of `train.data.layouts`."""

    @property
    def name(self) -> str: ...
    @property
    def channel(self) -> int: ...
    @property
    def noisy(self) -> Path | None: ...
    @property
    def truth(self) -> Path | None: ...
    @property
    def sim(self) -> Path | None: ...


Noisy = TypeVar("Noisy")
Truth = TypeVar("Truth")


@dataclass(frozen=True)
class Case(Generic[Noisy, Truth]):
    """One image to measure on.

    Attributes
    ----------
    set, image, channel
        What it is reported as.
    noisy, truth
        The noisy image and its ground truth: arrays (`Loaded`), or where they are (`Listed`).
    """

    set: str
    image: str
    noisy: Noisy
    truth: Truth
    channel: int = 0


# Float64 (Y, X), related by gain and offset; both sides of the ground truth times the model's scale.
Loaded = Case[NDArray[np.float64], NDArray[np.float64]]
# Files (TIFF, PNG, NPY) or arrays: (Y, X), or (F, Y, X), of which the first frame is taken unless the ground truth is
# such a stack, too. A ground truth of None is the mean of all frames.
Listed = Case[Path | Image, Path | Image | None]


def w2s_cases(data: Path) -> list[Listed]:
    """The 60 test images of W2S that are here, and the six raw 16-bit planes.

    Parameters
    ----------
    data : Path
        Folder with `w2s/noisy`, `w2s/clean` and `w2s-raw16`.
    """
    clean = data / "w2s" / "clean"
    names = [(f"{fov:03}_{channel}", channel) for fov in TEST for channel in range(3)]
    cases: list[Listed] = [Case(W2S, n, data / "w2s" / "noisy" / f"{n}.tif", clean / f"{n}.tif", c) for n, c in names]
    for index in range(2):
        planes = open_image(data / "w2s-raw16" / f"w2s_noisy_{index}.tiff")
        for channel, plane in enumerate(planes):
            name = f"{index + 1:03}_{channel}"
            cases.append(Case(RAW, name, plane, clean / f"{name}.tif", channel))
    return cases


def cases_of(items: Iterable[Item], scale: int = 1, name: str = "images") -> list[Listed]:
    """Cases of the images of a folder (`train.data.layouts`), for a model that enlarges so much.

    Without a ground truth of its own, an image is measured against the mean of its stack; a model that enlarges,
    against the SIM image.

    Raises
    ------
    ValueError
        If no image has what it takes.
    """
    cases: list[Listed] = []
    for item in items:
        truth = item.truth if scale == 1 else item.sim or item.truth
        if item.noisy is not None and (truth is not None or scale == 1):
            cases.append(Case(name, item.name, item.noisy, truth, item.channel))
    if not cases:
        size = f", {scale} times as large" if scale > 1 else ""
        raise ValueError(
            f"evaluate: expected noisy images and their ground truth{size}, found none in {name}: name other data"
        )
    return cases


def find_cases(
    data: Path,
    config: Config,
    on: str | None = None,
    patterns: tuple[str, str] = ("", ""),
    run: Mapping[str, Any] | None = None,
) -> list[Listed]:
    """What to measure a model on.

    Parameters
    ----------
    data : Path
        Any layout; or a folder with `w2s` and `w2s-raw16`, whose test images are then taken.
    config : Config
        Of the run that made the model: its split says which fields it never saw.
    on : str, optional
        "test", "validation" or "all" fields; without, "test" where the split has any, else "validation".
    patterns : (str, str)
        Of noisy files and ground truths (`train.data.layouts.detect`); without, those of the run, if they fit.
    run : mapping, optional
        What a checkpoint or model says of its run: fields of view that it has seen are not measured on, and those that
        it was validated on are its validation fields.

    Raises
    ------
    ValueError
        If there are none.
    """
    if (data / "w2s").is_dir() and (data / "w2s-raw16").is_dir():
        return w2s_cases(data)
    layout = _layout(data, config, patterns, run or {})
    if layout.kind == "clean":
        training, validation = split_clean(data, config.validation, config.seed, config.scale)
        if not patterns[1]:
            check_clean(data, [*training, *validation])
        held_out = read_named(data, held_out=True, scale=config.scale)
        images = {"validation": validation, "all": [*held_out, *validation, *training]}.get(on or "test", held_out)
        return [Case(data.name, p.name, np.asarray(p.frames[0]), p.ground_truth) for p in drawn_pairs(images, config)]
    split = _seen(layout, config, run or {}) or split_fields(layout, config)
    on = on or ("test" if split.test else "validation")
    if on == "validation" and split.alone:
        return _last_rows(layout, config, split.validation, f"{data.name}, last rows")
    fields = {"test": split.test, "validation": split.validation, "all": layout.fields}[on]
    if not fields:
        raise ValueError(f"{data}: expected {on} fields, found none by the split {config.split!r}: take another --on")
    return cases_of([item for item in layout.items if item.field in fields], config.scale, f"{data.name}, {on}")


def _layout(data: Path, config: Config, patterns: tuple[str, str], run: Mapping[str, Any]) -> Layout:
    """What a folder holds, by the patterns that are given, or else by those of the run, if they fit."""
    before = tuple(run.get("patterns", ()))
    if not any(patterns) and any(before):
        try:
            return detect(data, config.average, *before)
        except ValueError:
            pass
    return detect(data, config.average, *patterns)


def _seen(layout: Layout, config: Config, run: Mapping[str, Any]) -> Split | None:
    """The fields of view as a run has used them; None if it has seen none of these."""
    training, validation = (
        tuple(field for field in layout.fields if field in run.get(name, ()))
        for name in ("training_fields", "validation_fields")
    )
    if not training:
        return None
    kept = split_fields(layout, config).test or layout.fields
    return Split(training, validation, tuple(f for f in kept if f not in {*training, *validation}))


def _last_rows(layout: Layout, config: Config, fields: Sequence[str], name: str) -> list[Listed]:
    """What a run on a single field was validated on."""
    halves = [parted(pair)[1] for pair in read_pairs(layout, fields, config)]
    return [Case(name, half.name, np.asarray(half.frames[0]), half.ground_truth) for half in halves]


def read_case(case: Listed, scale: int = 1) -> tuple[Volume, Image]:
    """The frame or frames of a case, and the ground truth of the same planes.

    Raises
    ------
    ValueError
        If a file is missing or unreadable, the shapes do not match, or the ground truth holds NaN.
    """
    noisy = _volume(case.noisy).squeezed()
    names = [str(f) if isinstance(f, Path) else case.image for f in (case.noisy, case.truth)]
    if case.truth is None:
        if len(noisy.leading) != 1:
            raise ValueError(f"{names[0]}: expected a ground truth, or frames (F, Y, X), found {noisy.planes.shape}")
        truth = Volume(noisy.planes.mean(axis=0, dtype=np.float64), "")
    else:
        truth = _volume(case.truth).squeezed()
    frame = first_frames(noisy, truth, (names[0], names[1]))
    expected = (*frame.leading, *(scale * side for side in frame.planes.shape[-2:]))
    if truth.planes.shape != expected:
        raise ValueError(f"{names[1]}: expected the ground truth of {names[0]}, {expected}, found {truth.planes.shape}")
    if bad := int((~np.isfinite(truth.planes)).sum()):
        raise ValueError(
            f"{names[1]}: expected a ground truth of numbers, found {bad} of {truth.planes.size} pixels NaN or infinite"
        )
    return frame, truth.planes


def _volume(image: Path | Image) -> Volume:
    return Volume(image, "Q" * (image.ndim - 2)) if isinstance(image, np.ndarray) else open_volume(image)


def as_file(noisy: Path | Image, frame: Volume, folder: Path) -> Path:
    """The case's own file if the pipeline reads just these planes from it, else a TIFF of them."""
    if isinstance(noisy, Path) and noisy.suffix.lower() in (".tif", ".tiff"):
        with tifffile.TiffFile(noisy) as file:
            if len(file.series) == 1 and np.array_equal(file.series[0].asarray(), frame.planes):
                return noisy
    path, planes = folder / "noisy.tif", frame.planes
    planes = planes.astype(np.uint8) if planes.dtype.kind == "b" else planes
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": f"{frame.axes}YX"})
    return path
