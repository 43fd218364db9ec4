"""What a folder of training images is: W2S as published, pairs of noisy images and ground truths, or clean images."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import w2s
from .fingerprint import fingerprint
from .names import NOISY_WORDS, TRUTH_WORDS, Matched, by_folders, by_patterns, by_words, said
from .reading import first_plane, is_image

AVERAGES = (1, 2, 4, 8, 16)  # the levels of noise that W2S is published in
ROLES = {"noisy": "noisy", "truth": "ground truth", "sim": "SIM image"}  # of files, in words
SOME = 4  # one part in so many of the names of a folder is not there by chance
MOST_NAMES = 3  # in a sentence, then the rest is counted
PAIRED = "two folders of equal names, as noisy/ and clean/, or names as a_noisy.tif and a_gt.tif"
PATTERNS = (
    "give --noisy PATTERN --truth PATTERN, as --noisy 'a/*.tif' --truth 'b/*.tif', or --truth 'b/long.tif', one file "
    "for all noisy ones"
)
EXPECTED = (
    "expected raw/NNN/wf_channelC.npy, or avg1/NNN_C.npy and avg400/, or noisy images and ground truths, by names of "
    f"folders or files ({'/'.join(NOISY_WORDS)} and {'/'.join(TRUTH_WORDS)}), or clean images"
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
        A frame or a stack of them; its ground truth, of as many planes, or of one, or twice as large; and the SIM
        image. None where there is no such file.
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
        "w2s-raw" (the ground truth is the mean of the stack itself), "w2s-normalised", "pairs", "clean", or "noisy".
    root : Path
        The folder that holds them, which may lie below the one that was named.
    items : tuple of Item
        By name; those whose partner is missing are among them.
    unpaired : tuple of Path
        Files that lack a partner that the others have.
    w2s : bool
        Whether the images are those of W2S: some were looked at (`train.data.w2s`).
    note : str
        A sentence on what else may be wrong with them; empty if nothing is.
    """

    kind: str
    root: Path
    items: tuple[Item, ...]
    unpaired: tuple[Path, ...] = ()
    w2s: bool = False
    note: str = ""

    @property
    def others(self) -> tuple[Path, ...]:
        """Files below the folder that belong to no image, but for hidden ones."""
        known = {path for item in self.items for path in item.files.values()}
        below = (p for p in sorted(self.root.rglob("*")) if p not in known and p.is_file())
        return tuple(p for p in below if not any(part.startswith(".") for part in p.relative_to(self.root).parts))

    @property
    def numbered(self) -> bool:
        """Whether the names are those that W2S has: field of view and channel, as `001_0`."""
        return self.kind != "clean" and all(w2s.NAME.fullmatch(item.name) for item in self.items)

    @property
    def odd(self) -> str:
        """A sentence on the few names that are not `001_0`, where most are; empty if there are none such.

        A single one makes every file a field of view of its own.
        """
        names = [item.name for item in self.items]
        others = [name for name in names if not w2s.NAME.fullmatch(name)]
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


def detect(data: Path, average: int = 1, noisy: str = "", truth: str = "") -> Layout:
    """Find out what a folder, or one a level or two below it, holds.

    Parameters
    ----------
    data : Path
        Folder to look at.
    average : int
        Which of `avg1` to `avg16` are the noisy images, if they are W2S's normalised ones.
    noisy, truth : str
        Patterns of the files below `data`, as "low/*.tif" and "high/*.tif"; what the wildcards stand for pairs them.
        A ground truth without wildcards is that of all noisy files, which are one field of view.
        With one of them alone, images without ground truth, or clean ones. Empty, names of folders and files tell.

    Raises
    ------
    ValueError
        If there is no such folder, it holds nothing that is understood, several data sets, or noisy images without
        ground truths.
    """
    if not data.is_dir():
        if data.is_file():
            raise ValueError(
                f"{data}: expected a folder of noisy images and ground truths, found a file: to learn from a stack "
                "without ground truth, give --recipe noise2void, or another that 'recipes' lists"
            )
        raise ValueError(f"{data}: expected a folder of images, found nothing")
    if noisy or truth:
        return _of_patterns(data, noisy, truth)
    return _search(data, average) or _clean(data)


def detect_noisy(data: Path, average: int = 1, pattern: str = "") -> Layout:
    """The noisy images of a folder: those of pairs, if it holds such, else all images below it.

    Parameters, errors: as of `detect`.
    """
    if data.is_file():
        return Layout("noisy", data.parent, (Item(data.stem, data.stem, 0, noisy=data),))
    if not data.is_dir():
        raise ValueError(f"{data}: expected an image, or a folder of them, found nothing")
    if pattern:
        return _of_patterns(data, pattern, "", paired=False)
    if (paired := _search(data, average)) is not None:
        items = tuple(Item(i.name, i.field, i.channel, noisy=i.noisy) for i in paired.items if i.noisy is not None)
        return Layout("noisy", paired.root, items, w2s=paired.w2s)
    files = {path.relative_to(data).with_suffix("").as_posix(): path for path in _images(data)}
    if not files:
        raise ValueError(f"{data}: expected noisy images, found none")
    return _layout("noisy", data, {"noisy": files}, {"noisy"})


def _search(data: Path, average: int) -> Layout | None:
    """The one data set of pairs in a folder, or a level or two below it."""
    level = [data]
    for _ in range(3):
        found = [layout for folder in level if (layout := _paired(folder, average)) is not None]
        if len(found) > 1:
            roots = ", ".join(str(layout.root) for layout in found)
            raise ValueError(f"{data}: expected one data set, found several: name one of {roots}")
        if found:
            return found[0]
        level = [child for folder in level for child in _folders(folder)]
    return None


def _of_patterns(data: Path, noisy: str, truth: str, paired: bool = True) -> Layout:
    matched = by_patterns(data, noisy, truth)
    if not truth and paired:
        raise ValueError(
            f"{data}: expected a pattern of the ground truths, too, found --noisy {noisy} alone: give --truth PATTERN, "
            "or learn without them (--recipe noise2void)"
        )
    if not truth:
        return _layout("noisy", data, {"noisy": dict(matched.noisy)}, {"noisy"})
    if not noisy:
        return _layout("clean", data, {"truth": dict(matched.truth)}, {"truth"})
    if not set(matched.noisy) & set(matched.truth):
        examples = [
            f"{sorted(files)[0]!r} of {pattern}" for files, pattern in zip(matched, (noisy, truth), strict=True)
        ]
        raise ValueError(
            f"{data}: expected what the wildcards stand for to be equal in both patterns, found "
            f"{' and '.join(examples)}: change them"
        )
    return _pairs(data, matched)


def _clean(data: Path) -> Layout:
    """All images below a folder, unless their names say that they are noisy, or that there should be pairs.

    Raises
    ------
    ValueError
        If they do, or there are no images.
    """
    paths = list(_images(data))
    if not paths:
        raise ValueError(f"{data}: {EXPECTED}, found none of them")
    roles: dict[str, list[Path]] = {"noisy": [], "truth": [], "": []}
    for path in paths:
        below = path.relative_to(data).with_suffix("").parts
        roles[next((said(part).role for part in reversed(below) if said(part).role), "")].append(path)
    if roles["truth"] and SOME * len(roles["noisy"]) >= len(paths):
        examples = " and ".join(str(roles[role][0].relative_to(data)) for role in ("noisy", "truth"))
        if len(roles["truth"]) == 1 < len(roles["noisy"]):
            names = [path.relative_to(data).as_posix() for path in roles["noisy"]]
            start = os.path.commonprefix(names)  # noqa: RUF071 - letters in common, not folders
            pattern = f"{start}*{roles['noisy'][0].suffix}"
            raise ValueError(
                f"{data}: expected a ground truth of each noisy image, found one of {len(names)}, as {examples}: if it "
                f"is that of all, give --noisy '{pattern}' --truth '{roles['truth'][0].relative_to(data).as_posix()}'"
            )
        raise ValueError(
            f"{data}: expected noisy images and ground truths whose names tell the pairs, found names that do not, as "
            f"{examples}: name the two of a pair alike, or {PATTERNS}"
        )
    if said(data.name).role == "noisy" and not roles["truth"]:
        roles["noisy"] = paths
    if 2 * len(roles["noisy"]) > len(paths):
        raise ValueError(
            f"{data}: expected the ground truths of noisy images, found none, but {len(roles['noisy'])} images whose "
            f"names say that they are noisy, as {roles['noisy'][0].relative_to(data)}: add them (in a folder "
            f"{', '.join(TRUTH_WORDS[:4])}), learn without (--recipe noise2void), or, if they are clean images, give "
            "--truth PATTERN alone"
        )
    names = [path.relative_to(data).with_suffix("").as_posix() for path in paths]
    return Layout("clean", data, tuple(Item(n, n, 0, truth=p) for n, p in zip(names, paths, strict=True)))


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
        files = {role: _named(child) for role, child in roles.items() if child is not None}
        return _layout("w2s-normalised", folder, files, {"noisy"})
    return _two_folders(folder) or _by_file_names(folder)


def _two_folders(folder: Path) -> Layout | None:
    """Folders for noisy images and for ground truths: one of each, or several, as exp1_noisy/ and exp1_gt/."""
    groups: dict[str, dict[str, list[Path]]] = {}
    for child in _folders(folder):
        if (name := said(child.name)).role:
            groups.setdefault(name.rest, {"noisy": [], "truth": []})[name.role].append(child)
    every = {role: [child for group in groups.values() for child in group[role]] for role in ("noisy", "truth")}
    if all(len(children) == 1 for children in every.values()):
        groups = {"": every}
    whole = {rest: group for rest, group in groups.items() if group["noisy"] and group["truth"]}
    files: dict[str, dict[str, Path]] = {"noisy": {}, "truth": {}}
    for rest, group in whole.items():
        if len(group["noisy"]) > 1 or len(group["truth"]) > 1:
            found = ", ".join(f"{child.name}/" for child in group["noisy"] + group["truth"])
            raise ValueError(f"{folder}: expected one folder of noisy images and one of ground truths, found {found}")
        noisy, truth = group["noisy"][0], group["truth"][0]
        matched = by_folders(_images(noisy), _images(truth), (noisy, truth))
        before = f"{rest}: " if len(whole) > 1 else ""
        for mine, theirs in zip(files.values(), matched, strict=True):
            mine.update({before + key: path for key, path in theirs.items()})
    return _pairs(folder, Matched(**files)) if set(files["noisy"]) & set(files["truth"]) else None


def _by_file_names(folder: Path) -> Layout | None:
    """Files whose names say what they are, in the folder or one level below it: a_noisy.tif and a_gt.tif."""
    children = [child for child in _folders(folder) if not said(child.name).role]
    files = [path for place in (folder, *children) for path in sorted(place.iterdir()) if is_image(path)]
    if not {said(path.stem).role for path in files} >= {"noisy", "truth"}:
        return None
    matched = by_words(files, folder)
    return _pairs(folder, matched) if set(matched.noisy) & set(matched.truth) else None


def _pairs(root: Path, matched: Matched) -> Layout:
    return _layout("pairs", root, {"noisy": dict(matched.noisy), "truth": dict(matched.truth)}, {"noisy", "truth"})


def _layout(kind: str, root: Path, files: dict[str, dict[str, Path]], needed: set[str]) -> Layout:
    """One item for each name; a role counts as missing where it is needed or another name has it."""
    names = sorted(set().union(*files.values()))
    numbered = all(w2s.NAME.fullmatch(name) for name in names)
    folders = {name.rpartition("/")[0] for name in names}
    items = []
    for name in names:
        field, channel = name, "0"
        if numbered or kind == "w2s-raw":
            field, channel = name.rsplit("_", 1)
        elif len(folders) > 1 and "/" in name:  # what lies in one folder is of one field, or may be
            field = name.rpartition("/")[0]
        items.append(Item(name, field, int(channel), **{role: paths.get(name) for role, paths in files.items()}))
    if kind == "pairs":
        items = _by_truths(items)
    roles = needed | {role for role, paths in files.items() if paths}
    lone = [path for item in items if roles - set(item.files) for path in item.files.values()]
    known = numbered and kind != "clean" and w2s.is_w2s(names, _shower(items))
    note = "" if numbered or kind != "pairs" else _renamed(root, items)
    return Layout(kind, root, tuple(items), tuple(lone), known, note)


def _renamed(root: Path, items: list[Item]) -> str:
    """A sentence on images of W2S under other names; empty for all others."""
    some = items[:: max(1, len(items) // w2s.LOOKED_AT)][: w2s.LOOKED_AT]
    shown, show = [], _shower(items)
    for item in some:
        try:
            shown.append(show(item.name))
        except ValueError:
            continue
    if not w2s.are_shown(shown):
        return ""
    return (
        f"{root}: expected images of W2S under their own names, as 001_0 (field of view, channel), found others: which "
        "of them are kept for testing cannot be told; rename them, or do not compare with published values"
    )


def _by_truths(items: list[Item]) -> list[Item]:
    """The items, those with equal ground truths in one field of view: they are frames of one scene."""
    marks = {item.name: fingerprint(item.truth) for item in items if item.truth is not None}
    fields: dict[str, str] = {}
    for item in items:
        if mark := marks.get(item.name):
            fields.setdefault(mark, item.field)
    return [replace(item, field=fields.get(marks.get(item.name, ""), item.field)) for item in items]


def _shower(items: list[Item]) -> w2s.Reader:
    """Gives a plane of an image by its name."""
    by_name = {item.name: item for item in items}

    def read(name: str) -> NDArray[np.generic]:
        item = by_name[name]
        return first_plane(item.truth or item.noisy or next(iter(item.files.values())))

    return read


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path) -> Iterator[Path]:
    """The images in a folder, and in those below it."""
    return (path for path in sorted(folder.rglob("*")) if is_image(path))


def _named(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.iterdir()) if is_image(path)}
