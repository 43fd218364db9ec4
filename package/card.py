"""What people are told of a network: the prose of its `card.yaml`, the figures of the CSV files that it names."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

DOCS = Path(__file__).resolve().parents[1] / "docs"
METRICS = {
    "SI-PSNR (dB)": "scale-invariant peak signal-to-noise ratio against the ground truth, whose range is max - min",
    "SSIM": "structural similarity, after a least-squares affine fit to the ground truth",
}

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Column:
    """Means over a number of images, under a short name and in words."""

    name: str
    words: str
    count: int
    si_psnr: float
    ssim: float


@dataclass(frozen=True)
class Card:
    """The prose, by the names that bioimage.io's format has for it.

    `intended` is the README's; `tags` stand beside those of every package; `evaluations` name the figures.
    """

    name: str
    description: str
    intended: str
    task: str
    tags: list[str]
    modality: str
    target_structure: list[str]
    architecture_type: str
    architecture_description: str
    training_preprocessing: str
    known_biases: str
    risks: str
    limitations: str
    recommendations: str
    out_of_scope_use: str
    evaluations: list[dict[str, Any]]


def load_card(path: Path) -> Card:
    """Read a `card.yaml`.

    Raises
    ------
    ValueError
        If a field is missing or not known.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = {field.name for field in fields(Card)}
    if set(content) != expected:
        wrong = sorted(set(content) ^ expected)
        raise ValueError(
            f"{path}: expected the fields {sorted(expected)}, found a difference in {wrong}: mend the file"
        )
    return Card(**content)


def evaluations(card: Card, docs: Path = DOCS) -> list[dict[str, Any]]:
    """What was measured on each set of the card, as bioimage.io's format has it."""
    return [_evaluation(entry, docs) for entry in card.evaluations]


def _evaluation(entry: dict[str, Any], docs: Path) -> dict[str, Any]:
    tables = [_read(docs / name) for name in entry["csv"]]
    columns = _before_and_after(tables, entry["set"]) if "set" in entry else _doses(tables[0])
    if not columns or not columns[0].count:
        raise ValueError(f"{docs / entry['csv'][0]}: expected rows of {entry['title']}, found none: measure them")
    pairs = zip(columns[::2], columns[1::2], strict=True)
    gains = ", ".join(f"{before.si_psnr:.2f} to {after.si_psnr:.2f} dB" for before, after in pairs)
    return {
        **{key: entry[key] for key in ("dataset_id", "dataset_source", "dataset_role")},
        "sample_count": columns[0].count,
        "evaluation_factors": [column.name for column in columns],
        "evaluation_factors_long": [column.words for column in columns],
        "metrics": list(METRICS),
        "metrics_long": list(METRICS.values()),
        "results": [[round(c.si_psnr, 2) for c in columns], [round(c.ssim, 3) for c in columns]],
        "results_summary": f"{entry['title'][0].upper()}{entry['title'][1:]}: mean SI-PSNR rises from {gains}.",
    }


def _read(path: Path) -> Rows:
    """A table, without the comments above it."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _column(name: str, words: str, rows: Rows, prefix: str = "") -> Column:
    means = [float(np.mean([float(row[prefix + key]) for row in rows])) if rows else 0.0 for key in ("si_psnr", "ssim")]
    return Column(name, words, len(rows), *means)


def _before_and_after(tables: list[Rows], name: str) -> list[Column]:
    """Of one table that has both, or of two, noisy and denoised."""
    first, last = ([row for row in rows if row["set"] == name] for rows in (tables[0], tables[-1]))
    return [
        _column("noisy input", "the image as it is given", first, "noisy_" if len(tables) == 1 else ""),
        _column("denoised", "what this network makes of it", last),
    ]


def _doses(rows: Rows) -> list[Column]:
    """Of the table of super-resolution: bicubic enlargement and this network, at each dose."""
    columns = []
    for photons in dict.fromkeys(row["photons"] for row in rows):
        for method, name in (("bicubic", "bicubic"), ("this network", "network")):
            chosen = [row for row in rows if (row["photons"], row["method"]) == (photons, method)]
            dose = f"mean of {photons} photo-electron{'s' * (photons != '1')} a pixel"
            columns.append(_column(f"{name}, {photons} e-", f"{method}, {dose}", chosen))
    return columns
