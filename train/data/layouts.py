"""What a folder of training images is: W2S as published, pairs of folders, or clean images alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

SUFFIXES = (".tif", ".tiff", ".png", ".npy")
NOISY_NAMES = ("noisy", "low", "input", "raw", "lq", "lr", "wf")
TRUTH_NAMES = ("clean", "high", "target", "gt", "hq", "hr", "truth", "sim")
AVERAGES = (1, 2, 4, 8, 16)  # the levels of noise that W2S is published in
W2S_NAME = re.compile(r"(\d{3})_(\d)")  # field of view and channel
ROLES = {"noisy": "noisy", "truth": "ground truth", "sim": "SIM image"}  # of files, in words
MOST_NAMES = 3  # in a sentence, then the rest is counted
PAIRED = "two folders of equal names, as noisy/ and clean/"
EXPECTED = (
    "expected raw/NNN/wf_channelC.npy, or avg1/NNN_C.npy and avg400/, or two folders of images of equal names "
    f"({'/'.join(NOISY_NAMES)} and {'/'.join(TRUTH_NAMES)}), or clean images ({', '.join(SUFFIXES)})"
)


@dataclass(frozen=True)
class Item:
    """The files of one image.

    Attributes
    ----------
    name, field : str
        The image, and the field of view that a split must not part.
    channel : int
        0 where the name says none.
    noisy, truth, sim : Path, optional
        A frame or a stack of them, (Y, X) or (F, Y, X); its ground truth, (Y, X) or (2Y, 2X); and the SIM
        image, (2Y, 2X). None where there is no such file.
    """

    name: str
    field: str
    channel: int
    noisy: Path | None = None
    truth: Path | None = None
    sim: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files that are there, by what they are."""
        roles = {"noisy": self.noisy, "truth": self.truth, "sim": self.sim}
        return {role: path for role, path in roles.items() if path is not None}


@dataclass(frozen=True)
class Layout:
    """All images of a folder.

    Attributes
    ----------
    kind : str
        "w2s-raw" (the ground truth is the mean of the stack itself), "w2s-normalised", "pairs" or "clean".
    root : Path
        The folder that holds them, which may lie below the one that was named.
    items : tuple of Item
        By name; those whose partner is missing are among them.
    unpaired : tuple of Path
        Files that lack a partner that the others have.
    """

    kind: str
    root: Path
    items: tuple[Item, ...]
    unpaired: tuple[Path, ...]

    @property
    def w2s(self) -> bool:
        """Whether the names are W2S's, so that its split and its overlapping fields are meant."""
        return self.kind != "clean" and all(W2S_NAME.fullmatch(item.name) for item in self.items)

    @property
    def odd(self) -> str:
        """A sentence on the few names that are not `001_0`, where most are; empty if there are none such.

        A single one makes every file a field of view of its own.
        """
        names = [item.name for item in self.items]
        others = [name for name in names if not W2S_NAME.fullmatch(name)]
        if self.kind not in ("pairs", "w2s-normalised") or not 0 < len(others) <= len(names) / 2:
            return ""
        more = f" and {len(others) - MOST_NAMES} more" if len(others) > MOST_NAMES else ""
        return (
            f"{self.root}: expected all names like 001_0 (field of view, channel), found {len(others)} of {len(names)} "
            f"that are not ({', '.join(others[:MOST_NAMES])}{more}): so each file is a field of view of its own, and "
            "channels of one field can be on both sides of the split; rename these files, or remove them"
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of view, sorted."""
        return tuple(sorted({item.field for item in self.items}))


def detect(data: Path, average: int = 1) -> Layout:
    """Find out what a folder, or one a level or two below it, holds.

    Parameters
    ----------
    data : Path
        Folder to look at.
    average : int
        Which of `avg1` to `avg16` are the noisy images, if they are W2S's normalised ones.

    Raises
    ------
    ValueError
        If there is no such folder, it holds nothing that is understood, or several data sets.
    """
    if not data.is_dir():
        raise ValueError(f"{data}: expected a folder of images, found {'a file' if data.exists() else 'nothing'}")
    level = [data]
    for _ in range(3):
        found = [layout for folder in level if (layout := _paired(folder, average)) is not None]
        if len(found) > 1:
            roots = ", ".join(str(layout.root) for layout in found)
            raise ValueError(f"{data}: expected one data set, found several: name one of {roots}")
        if found:
            return found[0]
        level = [child for folder in level for child in _folders(folder)]
    for child in _folders(data):
        if child.name.lower() in NOISY_NAMES and any(_images(child)):
            known = ", ".join(TRUTH_NAMES)
            raise ValueError(f"{data}: expected the ground truth of {child.name}/ in one of {known}: add it")
    clean = [path for path in sorted(data.rglob("*")) if is_image(path)]
    names = [path.relative_to(data).with_suffix("").as_posix() for path in clean]
    if not clean:
        raise ValueError(f"{data}: {EXPECTED}, found none of them")
    return Layout("clean", data, tuple(Item(n, n, 0, truth=p) for n, p in zip(names, clean, strict=True)), ())


def _paired(folder: Path, average: int) -> Layout | None:
    """What the folder itself holds, unless it is no layout of pairs."""
    if stacks := sorted(folder.glob("*/wf_channel[0-9].npy")):
        sims = sorted(folder.glob("*/sim_channel[0-9].npy"))
        named = [{f"{p.parent.name}_{p.stem[-1]}": p for p in paths} for paths in (stacks, sims)]
        return _layout("w2s-raw", folder, {"noisy": named[0], "sim": named[1]}, {"noisy"})
    children = {child.name.lower(): child for child in _folders(folder)}
    levels = [name for name in children if re.fullmatch(r"avg\d+", name)]
    if levels:
        if f"avg{average}" not in levels or average not in AVERAGES:
            raise ValueError(f"{folder}: expected avg{average}, found {', '.join(levels)}: choose another average")
        roles = {role: children.get(n) for role, n in (("noisy", f"avg{average}"), ("truth", "avg400"), ("sim", "sim"))}
        files = {role: dict(_images(child)) for role, child in roles.items() if child is not None}
        return _layout("w2s-normalised", folder, files, {"noisy"})
    noisy, truth = ([children[n] for n in names if n in children] for names in (NOISY_NAMES, TRUTH_NAMES))
    if not (noisy and truth):
        return None
    if len(noisy) > 1 or len(truth) > 1:
        found = ", ".join(f"{child.name}/" for child in noisy + truth)
        raise ValueError(f"{folder}: expected one folder of noisy images and one of ground truths, found {found}")
    files = {"noisy": dict(_images(noisy[0])), "truth": dict(_images(truth[0]))}
    return _layout("pairs", folder, files, {"noisy", "truth"}) if files["noisy"] or files["truth"] else None


def _layout(kind: str, root: Path, files: dict[str, dict[str, Path]], needed: set[str]) -> Layout:
    """One item for each name; a role counts as missing where it is needed or another name has it."""
    names = sorted(set().union(*files.values()))
    parts = {name: W2S_NAME.fullmatch(name) for name in names}
    numbered = all(parts.values())
    items = []
    for name in names:
        field, channel = name.rsplit("_", 1) if numbered or kind == "w2s-raw" else (name, "0")
        items.append(Item(name, field, int(channel), **{role: paths.get(name) for role, paths in files.items()}))
    roles = needed | {role for role, paths in files.items() if paths}
    lone = [path for item in items if roles - set(item.files) for path in item.files.values()]
    return Layout(kind, root, tuple(items), tuple(lone))


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_image(path: Path) -> bool:
    """Whether it is a file by whose name it is to be read."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _images(folder: Path) -> Iterator[tuple[str, Path]]:
    """The images of a folder with their names; two of one name cannot be told apart."""
    before = None
    for path in sorted(p for p in folder.iterdir() if is_image(p)):
        if before is not None and before.stem == path.stem:
            raise ValueError(f"{path}: expected one image of this name, found {before.name} beside it: remove one")
        yield path.stem, path
        before = path


def open_image(path: Path) -> NDArray[Any]:
    """Open a TIFF, PNG or NPY file of real numbers; NPY is memory-mapped, so that only what is used is read.

    Raises
    ------
    ValueError
        If there is no such file, it cannot be read, or it holds no pixels or no real numbers.
    """
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.suffix.lower() == ".png":
            from PIL import Image

            with Image.open(path) as file:
                if file.mode == "P":
                    raise ValueError("its pixels are numbers of colours: save it as grey")
                image = np.asarray(file)
        else:
            image = tifffile.imread(path)
    except Exception as error:  # the decoders raise all sorts: struct.error, zlib.error, KeyError, ...
        raise ValueError(
            f"{path}: expected an image, found a file that cannot be read ({error}): copy it again"
        ) from error
    if image.dtype.kind not in "buif" or image.size == 0:
        raise ValueError(f"{path}: expected pixels of real numbers, found {image.dtype} of shape {image.shape}")
    return np.asarray(image)


def open_planes(path: Path) -> NDArray[Any]:
    """`open_image` of what is to be one plane (Y, X) or a stack of them (F, Y, X), and not colours.

    Raises
    ------
    ValueError
        As `open_image`, and if the last axis looks like colours.
    """
    image = open_image(path)
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        raise ValueError(f"{path}: expected (Y, X) or (F, Y, X), found colours, {image.shape}: save it as grey")
    return image


def scale_of(name: object, frame: tuple[int, ...], truth: tuple[int, ...]) -> int:
    """Pixels of a ground truth to one of its frame along a side, by their shapes (Y, X): 1 or 2.

    Raises
    ------
    ValueError
        If they do not fit; it names the image or file given.
    """
    for scale in (1, 2):
        if tuple(scale * side for side in frame) == tuple(truth):
            return scale
    raise ValueError(
        f"{name}: expected a ground truth of the frame's shape or twice that, found {truth} and {frame}: crop them "
        "alike, or remove the pair"
    )
