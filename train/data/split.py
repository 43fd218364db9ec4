"""Splits by field of view, never by image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ..config import Config
from .layouts import Layout

# The same field, or overlapping ones, under two numbers: one side of a split holds them all.
W2S_OVERLAPS = (
    (36, 37), (33, 34), (12, 13), (50, 54), (52, 56), (53, 57), (69, 74), (31, 32), (77, 79), (42, 78),
)  # fmt: skip
W2S_LAST_TRAINING = 80  # the official split: fields 1 to 80 to learn from, 81 to 120 to test on
W2S_TEST = range(81, 101)  # those of the test fields that the published results are of


@dataclass(frozen=True)
class Split:
    """Fields of view to train on, to validate on, and to keep for testing; no field is in two."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def summary(self, fields: Collection[str]) -> str:
        """How many of the fields serve for what, and how many are left out; those of W2S are told by their names."""
        left = len(fields) - len(self.training) - len(self.validation) - len(self.test)
        words = f"{len(self.training)} to train on, {len(self.validation)} to validate on"
        kept = [f"{len(self.test)} kept for testing (--split)"] if self.test else []
        kept += [f"{left} left out (--exclude)"] if left > 0 else []
        return f"{words}; named as those of W2S: {', '.join(kept)}" if kept else words


def split_fields(layout: Layout, config: Config) -> Split:
    """Split by field of view, never by image; W2S's overlapping fields are never parted.

    Raises
    ------
    ValueError
        If no field is left to train on, or, with a share for validation, none to validate on.
    """
    fields, test = list(layout.fields), []
    if layout.w2s:
        if config.split == "official":
            test = [f for f in fields if int(f) > W2S_LAST_TRAINING]
        fields = [f for f in fields if f not in test and int(f) not in config.exclude]
    numbers = {int(f): f for f in fields} if layout.w2s else {}
    groups = [tuple(numbers[n] for n in g) for g in W2S_OVERLAPS if all(n in numbers for n in g)]
    validation = _drawn(fields, groups, config.validation, config.seed)
    training = [f for f in fields if f not in validation]
    if len(fields) == 1 and config.validation > 0:
        raise ValueError(
            f"{layout.root}: expected fields of view to train and to validate on, found one besides {len(test)} to "
            "test on and those excluded, and a field is never on both sides: add images of another"
        )
    if not training or (config.validation > 0 and not validation):
        raise ValueError(
            f"{layout.root}: expected fields of view to train and to validate on, found {len(training)} and "
            f"{len(validation)} besides {len(test)} to test on and those excluded: change --split, --exclude or "
            "--validation"
        )
    return Split(tuple(training), tuple(validation), tuple(test))


def _drawn(fields: list[str], groups: list[tuple[str, ...]], share: float, seed: int) -> list[str]:
    """A random share of the fields, rounded up to whole groups of overlapping ones."""
    grouped = {f for group in groups for f in group}
    groups = sorted(groups + [(f,) for f in fields if f not in grouped])
    drawn: list[str] = []
    for i in np.random.default_rng(seed).permutation(len(groups)):
        if len(drawn) >= share * len(fields):
            break
        drawn += groups[i]
    return sorted(drawn)
