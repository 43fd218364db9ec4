"""`python -m train prepare`: look at every file of a data set before anything is trained on it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from .cache import FIELDS, open_cache
from .frames import match
from .layouts import PAIRED, ROLES, Item, Layout, detect, detect_noisy
from .pairs import SMALLEST, Images, check_scale, check_shapes, largest
from .reading import LOSSY, Volume, open_volume
from .sources import find_images
from .split import split_fields
from .statistics import Moments

FIRST = 3  # images whose files are named
SHOWN = 20  # names in a list, then the rest is counted


@dataclass(frozen=True)
class Summary:
    """What the files of one role (noisy, truth, sim) have in common.

    Attributes
    ----------
    shapes, dtypes : mapping
        How many files have each; shapes with the letters of their axes.
    moments : Moments
        Of all their pixels.
    nan : tuple of str
        Files that hold NaN, and how many.
    """

    shapes: Mapping[str, int]
    dtypes: Mapping[str, int]
    moments: Moments
    nan: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """A layout, and what every file of it turned out to be.

    Attributes
    ----------
    summaries : mapping
        By role.
    unreadable : tuple of str
        Why each file that could not be read could not.
    unfit : tuple of str
        Why each pair that could be read cannot be trained on: shapes, or NaN in the ground truth.
    lossy : tuple of str
        Files whose format does not keep pixels as they were.
    usable : int
        Images that can be trained on.
    bad : frozenset of str
        Names of the others.
    """

    layout: Layout
    summaries: Mapping[str, Summary]
    unreadable: tuple[str, ...]
    unfit: tuple[str, ...]
    lossy: tuple[str, ...]
    usable: int
    bad: frozenset[str]


def survey(layout: Layout, channels: Sequence[int] = ()) -> Survey:
    """Read every file once, a piece at a time; one that is bad is noted and does not stop it.

    Parameters
    ----------
    layout : Layout
        What to read.
    channels : sequence of int
        Those that `Config.image_channels` picks.
    """
    shapes: dict[str, Counter[str]] = {}
    dtypes: dict[str, Counter[str]] = {}
    moments: dict[str, Moments] = {}
    nan: dict[str, list[str]] = {}
    unreadable: list[str] = []
    unfit: list[str] = []
    lossy: list[str] = []
    bad = set()
    for item in layout.items:
        found: dict[str, Volume] = {}
        reasons: list[str] = []
        for role, path in item.files.items():
            try:
                volume = open_volume(path)
                seen = Moments.of(volume.planes)
            except OverflowError:
                unreadable.append(f"{path}: expected values that float32 can hold, found larger ones: scale them")
                continue
            except ValueError as error:
                unreadable.append(str(error))
                continue
            found[role] = volume
            shapes.setdefault(role, Counter())[volume.named] += 1
            dtypes.setdefault(role, Counter())[volume.planes.dtype.name] += 1
            moments[role] = moments.get(role, Moments()).merge(seen)
            if role == "noisy" and seen.low == seen.high:
                reasons.append(f"{path}: expected an image to learn from, found the same value everywhere: remove it")
            lossy += [_relative(path, layout)] if path.suffix.lower() in LOSSY else []
            if seen.nan:
                nan.setdefault(role, []).append(f"{_relative(path, layout)} ({seen.nan})")
                if role != "noisy" and layout.kind != "clean" and not all(map(_enough, _planes(volume))):
                    reasons.append(
                        f"{path}: {seen.nan} pixels of the ground truth are not finite, and no part of {SMALLEST} "
                        "pixels a side is without them: remove the file, or crop both"
                    )
        reasons += _mismatches(item, found, channels)
        unfit += reasons
        if reasons or not _complete(found, layout.kind):
            bad.add(item.name)
    roles = {r: Summary(shapes[r], dtypes[r], moments[r], tuple(nan.get(r, ()))) for r in shapes}
    usable = len(layout.items) - len(bad)
    return Survey(layout, roles, tuple(unreadable), tuple(unfit), tuple(lossy), usable, frozenset(bad))


def _mismatches(item: Item, volumes: Mapping[str, Volume], channels: Sequence[int]) -> list[str]:
    """What `train.data.frames.read_images` would not take of a pair."""
    reasons = []
    for role in [role for role in ("truth", "sim") if role in volumes and "noisy" in volumes]:
        noisy, truth = volumes["noisy"].squeezed(), volumes[role].squeezed()
        try:
            first = match(noisy, truth, (item.noisy, item.files[role]), channels)[0]
            check_shapes(item, first)
        except ValueError as error:
            reasons.append(str(error))
    return reasons


def _planes(volume: Volume) -> NDArray[Any]:
    return volume.planes.reshape(-1, *volume.planes.shape[-2:])


def _enough(plane: NDArray[Any]) -> bool:
    """Whether a part of a ground truth with NaN can be learnt from."""
    return bool(min(part.stop - part.start for part in largest(np.isfinite(plane))) >= SMALLEST)


def _complete(found: Collection[str], kind: str) -> bool:
    if kind in ("clean", "noisy"):
        return bool(found)
    return "noisy" in found and (kind == "w2s-raw" or len(found) > 1)


def report(found: Survey) -> str:
    """What `prepare` prints of a survey."""
    layout = found.layout
    alone = layout.kind == "clean"  # or noisy: nothing tells
    kind = "images alone" if alone else layout.kind
    lines = [f"{layout.root}: {kind}, {len(layout.items)} images, {found.usable} of them usable"]
    for role, summary in found.summaries.items():
        m = summary.moments
        lines += [
            f"  {'images' if alone else ROLES[role]}: {sum(summary.shapes.values())} files, "
            f"shapes {_counts(summary.shapes)}, {_counts(summary.dtypes)}",
            f"    {m.count} pixels from {m.low:.6g} to {m.high:.6g}, mean {m.mean:.6g}, standard deviation {m.std:.6g}",
            f"    NaN: {m.nan} pixels{_listed(summary.nan, ' in ')}",
        ]
    lines.append("  images:")
    for item in layout.items[:FIRST]:
        files = " and ".join(_relative(path, layout) for path in item.files.values())
        lines.append(f"    {item.name}, field of view {item.field}: {files}")
    lines += [f"    and {len(layout.items) - FIRST} more"] if len(layout.items) > FIRST else []
    lines.append(f"  fields of view: {len(layout.fields)} ({compact(layout.fields)})")
    lines += [f"  names: {layout.odd or layout.note}"] if layout.odd or layout.note else []
    if layout.numbered:
        channels = sorted({item.channel for item in layout.items})
        lines.append(f"  channels by the names of the files: {', '.join(map(str, channels))}")
    lone = [_relative(path, layout) for path in layout.unpaired]
    for title, names in (
        ("unpaired files", lone),
        ("other files, which are not used", [_relative(path, layout) for path in layout.others]),
        ("files that cannot be read", found.unreadable),
        ("pairs that cannot be trained on", found.unfit),
    ):
        lines.append(f"  {title}: {len(names)}")
        lines += [f"    {name}" for name in names[:SHOWN]]
        lines += [f"    and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    if found.lossy:
        jpeg = f"{len(found.lossy)} files are JPEG, which changes pixels and noise: better TIFF"
        lines.append(f"  lossy: {jpeg}{_listed(found.lossy, ': ')}")
    return "\n".join(lines)


def prepare(data: Path, config: Config, cache: Path | None, patterns: tuple[str, str] = ("", "")) -> str:
    """Detect the layout, survey it, split it, and fill the cache if one is named; the text to print.

    Parameters
    ----------
    data : Path
        The folder, or, to learn without a ground truth, a file.
    config : Config
        How to read and to split it.
    cache : Path, optional
        Where to keep normalised images.
    patterns : (str, str)
        Of noisy files and ground truths (`train.data.layouts.detect`).

    Raises
    ------
    ValueError
        If the folder holds nothing that can be trained on.
    OSError
        If the disk has no room for the cache.
    """
    layout = find_layout(data, config, patterns)
    found = survey(layout, config.image_channels)
    lines = [report(found)]
    if not found.usable:
        raise ValueError(f"{data}: expected images to train on, found none that are usable\n{lines[0]}")
    if layout.kind == "clean":
        return "\n".join([*lines, f"  no pairs, which are {PAIRED}"])
    if layout.kind == "noisy":
        return lines[0]
    try:
        used = dataclasses.replace(layout, items=tuple(item for item in layout.items if item.name not in found.bad))
        split = split_fields(used, config)
        for name, fields in dataclasses.asdict(split).items():
            lines.append(f"  {name}: {len(fields)} fields ({compact(fields)})")
        out = tuple(f for f in layout.fields if f not in {*split.training, *split.validation, *split.test})
        lines += [f"  left out: {len(out)} fields ({compact(out)})"] if out else []
    except ValueError as error:
        lines.append(f"  split: {error}")
    if cache is not None:
        store = open_cache(layout, config, cache, found.summaries["noisy"].moments)
        picked = ", ".join(f"{name} {getattr(config, name)}" for name in FIELDS)
        lines.append(f"  cache: {len(store.dtypes)} normalised images ({picked}) in {store.folder}")
    return "\n".join(lines)


def verdict(
    data: Path, config: Config, cache: Path | None, patterns: tuple[str, str] = ("", ""), strict: bool = False
) -> tuple[Images | None, str]:
    """What `fit` would learn from, or None; and what it would say."""
    try:
        images = find_images(data, config, None, cache, patterns=patterns, strict=strict)
        check_scale((*images.training, *images.validation), config.scale)
    except ValueError as error:
        return None, f"would stop: {error}"
    return images, f"ready, with {images.counts}"


def find_layout(data: Path, config: Config, patterns: tuple[str, str] = ("", "")) -> Layout:
    """What a run of this configuration takes a folder for."""
    if config.supervised:
        return detect(data, config.average, *patterns)
    return detect_noisy(data, config.average, patterns[0])


def compact(names: tuple[str, ...]) -> str:
    """Numbers as ranges, other names up to a few: "001-003, 007"."""
    runs: list[list[str]] = []
    for name in names:
        if runs and name.isdigit() and runs[-1][-1].isdigit() and int(name) == int(runs[-1][-1]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    texts = [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    more = [f"and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return ", ".join(texts[:SHOWN] + more) or "none"


def _counts(counts: Mapping[str, int]) -> str:
    parts = [f"{count} x {name}" if len(counts) > 1 else f"{name}" for name, count in counts.items()]
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")


def _listed(names: tuple[str, ...], before: str) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return before + ", ".join(names[:SHOWN]) + more if names else ""


def _relative(path: Path, layout: Layout) -> str:
    return path.relative_to(layout.root).as_posix()
