"""What the names of files and folders say: which are noisy, which are ground truths, and which belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

NOISY_WORDS = (
    "noisy", "low", "input", "raw", "lq", "lr", "wf", "noise", "inputs", "degraded", "lsnr", "lowres", "highnoise",
)  # fmt: skip
TRUTH_WORDS = (
    "clean", "high", "target", "gt", "hq", "hr", "truth", "sim", "groundtruth", "targets", "truths", "reference",
    "hsnr", "highres", "lownoise", "noisefree", "avg", "average", "averaged", "mean",
)  # fmt: skip
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")  # of a name: "lowSNR_img01" has low, SNR, img and 01
BEFORE, BEHIND = (
    ("ground",),
    ("free", "snr", "res", "resolution", "quality", "light", "dose"),
)  # say nothing by themselves
WILD = re.compile(r"\*\*/|\*|\?|\[[^]]+\]")  # of a pattern


class Said(NamedTuple):
    """What a name says: its role (`noisy`, `truth` or empty), the word that says it, and the name without that word."""

    role: str
    word: str
    rest: str


def said(name: str) -> Said:
    """What a name of a file, without suffix, or of a folder says; of several words the last counts.

    Examples
    --------
    >>> said("img01_noisy").rest, said("GT-img01").word, said("cells").role
    ('img01', 'GT', '')
    """
    words = list(WORD.finditer(name))
    for i in reversed(range(len(words))):
        low = words[i].group().lower()
        role = "noisy" if low in NOISY_WORDS else "truth" if low in TRUTH_WORDS else ""
        if not role:
            continue
        behind = words[i + 1].group().lower() if i + 1 < len(words) else ""
        role = "truth" if (low, behind) == ("noise", "free") else role
        first = i - 1 if i and words[i - 1].group().lower() in BEFORE else i
        last = i + 1 if behind in BEHIND else i
        parts = (name[: words[first].start()].rstrip("_-. "), name[words[last].end() :].lstrip("_-. "))
        return Said(role, words[i].group(), "_".join(part for part in parts if part))
    return Said("", "", name)


class Matched(NamedTuple):
    """Files by the name of their image, of each role, and which folder of them each image is from ("" if all are)."""

    noisy: Mapping[str, Path]
    truth: Mapping[str, Path]


def by_words(files: Iterable[Path], root: Path) -> Matched:
    """Files of which the names say whether they are noisy or ground truths: `img01_noisy.tif` and `img01_gt.tif`.

    The name of an image is what is left of the path below `root`; of `field1/noisy.tif` the folder.

    Raises
    ------
    ValueError
        If two files of one role have the same name.
    """
    found: dict[str, dict[str, Path]] = {"noisy": {}, "truth": {}}
    for path in files:
        one = said(path.stem)
        if one.role:
            _put(found[one.role], (path.parent.relative_to(root) / one.rest).as_posix(), path)
    return Matched(found["noisy"], found["truth"])


def by_folders(noisy: Iterable[Path], truth: Iterable[Path], roots: tuple[Path, Path]) -> Matched:
    """Files of two folders, of equal names, or of names that are equal without the words that say what they are.

    Raises
    ------
    ValueError
        If two files of one folder have the same name.
    """
    noisy, truth = list(noisy), list(truth)

    def named(paths: list[Path], root: Path, bare: bool) -> dict[str, Path]:
        result: dict[str, Path] = {}
        for path in paths:
            stem = said(path.stem).rest if bare else path.stem
            _put(result, (path.parent.relative_to(root) / stem).as_posix(), path)
        return result

    equal = Matched(named(noisy, roots[0], False), named(truth, roots[1], False))
    if set(equal.noisy) & set(equal.truth):
        return equal
    bare = Matched(named(noisy, roots[0], True), named(truth, roots[1], True))
    return bare if set(bare.noisy) & set(bare.truth) else equal


def by_patterns(data: Path, noisy: str, truth: str) -> Matched:
    """Files below a folder by patterns as `low/*.tif`; what the wildcards stand for is the name of the image.

    A pattern that is a folder stands for all files in it. A ground truth without wildcards is that of all noisy files.
    Where the names of two patterns have nothing in common, as they hold times, those of the wildcards tell the pairs by
    which most are found.

    Raises
    ------
    ValueError
        If a pattern finds nothing, or two files of one name.
    """
    globbed = [_globbed(data, pattern) if pattern else {} for pattern in (noisy, truth)]
    if globbed[0] and () in globbed[1]:
        one = globbed[1][()]
        frames = {name: path for name, path in _named(globbed[0]).items() if path != one}
        return Matched(frames, dict.fromkeys(frames, one))
    if not all(globbed) or set(_named(globbed[0])) & set(_named(globbed[1])):
        return Matched(*map(_named, globbed))
    counts = {len(groups) for found in globbed for groups in found}
    best, most = globbed, 0
    for size in range(counts.pop() - 1, 0, -1) if len(counts) == 1 else ():
        for places in combinations(range(len(next(iter(globbed[0])))), size):
            some = [{tuple(groups[i] for i in places): path for groups, path in found.items()} for found in globbed]
            told_apart = all(len(few) == len(found) for few, found in zip(some, globbed, strict=True))
            if told_apart and (pairs := len(set(some[0]) & set(some[1]))) > most:
                best, most = some, pairs
    return Matched(*map(_named, best))


def _named(found: Mapping[tuple[str, ...], Path]) -> dict[str, Path]:
    """Files by the names of their images: what the wildcards of each folder and of the file stand for."""
    result: dict[str, Path] = {}
    for groups, path in found.items():
        name = "".join(group if group.endswith("/") else f"{group}_" for group in groups if group.strip("/"))
        _put(result, name.strip("/_") or path.stem, path)
    return result


def _globbed(data: Path, pattern: str) -> dict[tuple[str, ...], Path]:
    """Files by what the wildcards stand for; that of a wildcard for folders ends in a slash."""
    pattern = unicodedata.normalize("NFC", f"{pattern.rstrip('/')}/*" if (data / pattern).is_dir() else pattern)
    parts, at, folders = [], 0, [wild.end() <= pattern.rfind("/") + 1 for wild in WILD.finditer(pattern)]
    for wild in WILD.finditer(pattern):
        parts.append(re.escape(pattern[at : wild.start()]))
        one = wild.group()
        parts.append({"**/": "(.*/)?", "*": "([^/]*)", "?": "([^/])"}.get(one) or f"({one.replace('[!', '[^')})")
        at = wild.end()
    form = re.compile("".join(parts) + re.escape(pattern[at:]))
    result: dict[tuple[str, ...], Path] = {}
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        if match := form.fullmatch(unicodedata.normalize("NFC", path.relative_to(data).as_posix())):
            found = [(part or "").removesuffix(path.suffix).strip("/_-. ") for part in match.groups()]
            groups = (part + "/" * folder for part, folder in zip(found, folders, strict=True))
            _put(result, tuple(groups), path)
    if not result:
        raise ValueError(f"{data}: expected files like {pattern}, found none: a pattern is below this folder")
    return result


def _put(files: dict[Any, Path], name: str | tuple[str, ...], path: Path) -> None:
    """Two files of one name cannot be told apart; letters with accents are one character, as most systems have them."""
    if isinstance(name, str):
        name = unicodedata.normalize("NFC", name.removesuffix("/.").removeprefix("./"))
        name = path.parent.name if name == "." else name
    if name in files:
        other = files[name]
        where = other.name if other.parent == path.parent else other
        raise ValueError(f"{path}: expected one image of this name, found {where} beside it: remove one")
    files[name] = path
