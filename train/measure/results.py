"""What was measured: kept as CSV, read again, averaged, and drawn up as tables. For one model and for methods alike."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

NAN = float("nan")
DIGITS = ".4f"  # of a metric in a CSV file, unless the caller names another format


@dataclass(frozen=True)
class Row:
    """Metrics of what one method makes of one image: SI-PSNR (dB), SSIM and MicroSSIM; NaN where unknown."""

    set: str
    image: str
    si_psnr: float
    ssim: float
    micro_ssim: float = NAN


class OfSet(Protocol):
    """What was measured on an image of a named set."""

    @property
    def set(self) -> str: ...


Measured = TypeVar("Measured")
Member = TypeVar("Member", bound=OfSet)


def sets(rows: Iterable[OfSet]) -> list[str]:
    """The names of the sets, in the order in which they come."""
    return list(dict.fromkeys(row.set for row in rows))


def of_set(rows: Iterable[Member], name: str) -> list[Member]:
    """The rows of one set."""
    return [row for row in rows if row.set == name]


def mean(rows: Sequence[Any], *metrics: str) -> tuple[float, ...]:
    """The mean of each named attribute; NaN if there are no rows, or if one of them lacks the metric."""
    if not rows:
        return len(metrics) * (NAN,)
    return tuple(np.mean([[getattr(row, name) for name in metrics] for row in rows], axis=0).tolist())


def write(
    path: Path,
    rows: Sequence[Any],
    *,
    without: Iterable[str] = (),
    formats: Mapping[str, str] | None = None,
    comment: str = "",
) -> None:
    """A CSV file of dataclasses of one kind, a column for each field; NaN is empty.

    Parameters
    ----------
    path : Path
        The file; its folder is made if need be.
    rows : sequence of dataclass
        At least one.
    without : iterable of str
        Fields that are left out.
    formats : mapping, optional
        Of the numbers of a field, where it is not `DIGITS`.
    comment : str
        A line above the titles: how the rows were made.
    """
    names = [field.name for field in dataclasses.fields(rows[0]) if field.name not in without]
    digits = dict.fromkeys(names, DIGITS) | dict(formats or {})
    write_table(path, names, ([text(getattr(row, name), digits[name]) for name in names] for row in rows), comment)


def read(path: Path, kind: type[Measured]) -> list[Measured]:
    """The rows of a file that `write` wrote; a field that has no column has its default."""
    convert: dict[Any, Any] = {"str": str, "int": int, "float": number}
    fields: Any = dataclasses.fields(kind)  # type: ignore[arg-type]
    return [
        kind(**{field.name: convert[field.type](row[field.name]) for field in fields if field.name in row})
        for row in read_table(path)
    ]


def write_table(path: Path, titles: Sequence[str], rows: Iterable[Iterable[str]], comment: str = "") -> None:
    """A CSV file of text, below a line of comment if there is one; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        if comment:
            file.write(f"# {comment}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(titles)
        writer.writerows(rows)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by their titles; lines of comment are skipped."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def text(value: Any, digits: str = DIGITS) -> str:
    """A value as CSV has it."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:{digits}}"
    return str(value)


def number(text: str) -> float:
    """The inverse of `text` for numbers: an empty cell is NaN."""
    return float(text or NAN)


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text in Markdown; every row has as many cells as there are titles."""
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
