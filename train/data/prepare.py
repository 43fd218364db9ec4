"""`python -m train prepare`: look at every file of a data set before anything is trained on it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..config import Config
from .cache import FIELDS, open_cache
from .frames import one_plane
from .layouts import PAIRED, ROLES, Item, Layout, detect, open_image, open_planes, scale_of
from .pairs import check_scale
from .sources import find_images
from .split import split_fields
from .statistics import Moments

SHOWN = 20  # names in a list, then the rest is counted


@dataclass(frozen=True)
class Summary:
    """What the files of one role (noisy, truth, sim) have in common.

    Attributes
    ----------
    shapes, dtypes : mapping
        How many files have each.
    moments : Moments
        Of all their pixels.
    nan : tuple of str
        Files that hold NaN, and how many.
    """

    shapes: Mapping[tuple[int, ...], int]
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
    usable : int
        Images that can be trained on.
    """

    layout: Layout
    summaries: Mapping[str, Summary]
    unreadable: tuple[str, ...]
    unfit: tuple[str, ...]
    usable: int


def survey(layout: Layout) -> Survey:
    """Read every file once, a piece at a time; one that is bad is noted and does not stop it."""
    shapes: dict[str, Counter[tuple[int, ...]]] = {}
    dtypes: dict[str, Counter[str]] = {}
    moments: dict[str, Moments] = {}
    nan: dict[str, list[str]] = {}
    unreadable: list[str] = []
    unfit: list[str] = []
    usable = 0
    for item in layout.items:
        found: dict[str, tuple[int, ...]] = {}
        reasons: list[str] = []
        for role, path in item.files.items():
            try:
                image = open_image(path) if layout.kind == "clean" else open_planes(path)
                seen = Moments.of(image)
            except ValueError as error:
                unreadable.append(str(error))
                continue
            found[role] = image.shape
            shapes.setdefault(role, Counter())[image.shape] += 1
            dtypes.setdefault(role, Counter())[image.dtype.name] += 1
            moments[role] = moments.get(role, Moments()).merge(seen)
            if seen.nan:
                nan.setdefault(role, []).append(f"{_relative(path, layout)} ({seen.nan})")
                reasons += [f"{path}: {seen.nan} pixels of the ground truth are not finite"] if role != "noisy" else []
        reasons += _mismatches(item, found)
        unfit += reasons
        usable += not reasons and _complete(found, layout.kind)
    roles = {r: Summary(shapes[r], dtypes[r], moments[r], tuple(nan.get(r, ()))) for r in shapes}
    return Survey(layout, roles, tuple(unreadable), tuple(unfit), usable)


def _mismatches(item: Item, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What `train.data.frames.read_images` would not take: other than a frame or a stack, and one plane to fit it."""
    reasons = []
    for role in [role for role in ("truth", "sim") if role in shapes and "noisy" in shapes]:
        frame, truth = shapes["noisy"], shapes[role]
        frame = frame[1:] if len(frame) == 3 else frame
        truth = truth[1:] if len(truth) == 3 and truth[0] == 1 else truth
        if len(truth) != 2:
            reasons.append(f"{item.files[role]}: {one_plane(truth)}")
            continue
        try:
            scale_of(item.files[role], frame, truth)
        except ValueError as error:
            reasons.append(str(error))
    return reasons


def _complete(shapes: Mapping[str, tuple[int, ...]], kind: str) -> bool:
    if kind == "clean":
        return "truth" in shapes
    return "noisy" in shapes and (kind == "w2s-raw" or len(shapes) > 1)


def report(found: Survey) -> str:
    """What `prepare` prints of a survey."""
    layout = found.layout
    lines = [f"{layout.root}: {layout.kind}, {len(layout.items)} images, {found.usable} of them usable"]
    for role, summary in found.summaries.items():
        m = summary.moments
        lines += [
            f"  {ROLES[role]}: {sum(summary.shapes.values())} files, shapes {_counts(summary.shapes)}, "
            f"{_counts(summary.dtypes)}",
            f"    {m.count} pixels from {m.low:.6g} to {m.high:.6g}, mean {m.mean:.6g}, standard deviation {m.std:.6g}",
            f"    NaN: {m.nan} pixels{_listed(summary.nan, ' in ')}",
        ]
    channels = sorted({item.channel for item in layout.items})
    lines.append(f"  fields of view: {len(layout.fields)} ({compact(layout.fields)})")
    lines += [f"  names: {layout.odd}"] if layout.odd else []
    lines.append(f"  channels: {', '.join(map(str, channels))}")
    lone = [_relative(path, layout) for path in layout.unpaired]
    for title, names in (
        ("unpaired files", lone),
        ("files that cannot be read", found.unreadable),
        ("pairs that cannot be trained on", found.unfit),
    ):
        lines.append(f"  {title}: {len(names)}")
        lines += [f"    {name}" for name in names[:SHOWN]]
        lines += [f"    and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return "\n".join(lines)


def prepare(data: Path, config: Config, cache: Path | None) -> str:
    """Detect the layout, survey it, split it, and fill the cache if one is named; the text to print.

    Raises
    ------
    ValueError
        If the folder holds nothing that can be trained on.
    OSError
        If the disk has no room for the cache.
    """
    layout = detect(data, config.average)
    found = survey(layout)
    lines = [report(found)]
    if not found.usable:
        raise ValueError(f"{data}: expected images to train on, found none that are usable\n{lines[0]}")
    if layout.kind == "clean":
        return "\n".join([*lines, f"  no pairs, which are {PAIRED}: learn from synthetic noise (--synthetic 1)"])
    try:
        split = split_fields(layout, config)
        for name, fields in dataclasses.asdict(split).items():
            lines.append(f"  {name}: {len(fields)} fields ({compact(fields)})")
        out = tuple(f for f in layout.fields if f not in {*split.training, *split.validation, *split.test})
        lines += [f"  left out by --exclude: {len(out)} fields ({compact(out)})"] if out else []
    except ValueError as error:
        lines.append(f"  split: {error}")
    if cache is not None:
        store = open_cache(layout, config, cache, found.summaries["noisy"].moments)
        picked = ", ".join(f"{name} {getattr(config, name)}" for name in FIELDS)
        lines.append(f"  cache: {len(store.dtypes)} normalised images ({picked}) in {store.folder}")
    return "\n".join(lines)


def verdict(data: Path, config: Config, cache: Path | None) -> tuple[bool, str]:
    """Whether `fit` would take the pairs of a folder, and why not; without words for folders that hold no pairs."""
    if not config.supervised or detect(data, config.average).kind == "clean":
        return True, ""
    try:
        images = find_images(data, config, None, cache)
        check_scale((*images.training, *images.validation), config.scale)
    except ValueError as error:
        return False, f"would stop: {error}"
    return True, f"ready, with {len(images.training)} images to train on and {len(images.validation)} to validate on"


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


def _counts(counts: Mapping[tuple[int, ...], int] | Mapping[str, int]) -> str:
    parts = [f"{count} x {name}" if len(counts) > 1 else f"{name}" for name, count in counts.items()]
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")


def _listed(names: tuple[str, ...], before: str) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return before + ", ".join(names[:SHOWN]) + more if names else ""


def _relative(path: Path, layout: Layout) -> str:
    return path.relative_to(layout.root).as_posix()
