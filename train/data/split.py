"""Splits by field of view, never by image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ..config import Config
from . import w2s
from .layouts import Layout


@dataclass(frozen=True)
class Split:
    """Fields of view to train on, to validate on, and to keep for testing; no field is in two.

    A field that is the only one is both: its last rows are to validate on (`train.data.pairs.parted`).
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def alone(self) -> bool:
        """Whether there is one field for everything."""
        return bool(self.training) and self.training == self.validation

    def summary(self, fields: Collection[str]) -> str:
        """How many of the fields serve for what, and how many are left out of W2S, and why."""
        left = len(fields) - len({*self.training, *self.validation}) - len(self.test)
        words = f"{len(self.training)} to train on, {len(self.validation)} to validate on"
        if self.alone:
            words = "1, whose last rows are to validate on"
        kept = [f"{len(self.test)} kept for testing (--split)"] if self.test else []
        kept += [f"{left} left out (--exclude)"] if left > 0 else []
        return f"{words}; these are images of W2S: {', '.join(kept)}" if kept else words


def split_fields(layout: Layout, config: Config) -> Split:
    """Split by field of view, never by image; W2S's overlapping fields are never parted.

    Parameters
    ----------
    layout : Layout
        Its fields; whether they are those of W2S.
    config : Config
        Its `split`, `exclude`, `validation` and `seed`. With "official", names as `001_0` are taken for W2S's whatever
        the images show.

    Raises
    ------
    ValueError
        If no field is left to train on, or, with a share for validation, none to validate on.
    """
    fields, test = list(layout.fields), []
    known = layout.w2s or (config.split == "official" and layout.numbered)
    if known:
        if config.split != "fields":
            test = [f for f in fields if int(f) > w2s.LAST_TRAINING]
        fields = [f for f in fields if f not in test and int(f) not in config.exclude]
    if len(fields) == 1 and config.validation > 0:
        return Split(tuple(fields), tuple(fields), tuple(test))
    numbers = {int(f): f for f in fields} if known else {}
    groups = [tuple(numbers[n] for n in g) for g in w2s.OVERLAPS if all(n in numbers for n in g)]
    validation = _drawn(fields, groups, config.validation, config.seed)
    training = [f for f in fields if f not in validation]
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
