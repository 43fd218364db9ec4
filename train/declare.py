"""How a field of the configuration is declared: default, help, bounds or choices, and group, all in one place."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar

T = TypeVar("T")
MANY = 1e9  # stands for "no upper bound"


@dataclass(frozen=True)
class Option:
    """What is written of a field besides its name, type and default.

    Attributes
    ----------
    group : str
        The heading it stands under.
    help : str
        What it does, in a sentence or two.
    bounds : tuple of float, optional
        Least and greatest value; of a tuple, of each of its numbers.
    choices : tuple of str
        The values it may have; empty if there are others.
    """

    group: str
    help: str
    bounds: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The bounds or the choices in words; empty if there are none."""
        if self.bounds is None:
            return ", ".join(self.choices)
        low, high = self.bounds
        return f"{low:g} or more" if high >= MANY else f"{low:g} to {high:g}"

    def check(self, name: str, value: Any) -> None:
        """Hold that the value of the field `name` is allowed.

        Raises
        ------
        ValueError
            If it is not; the message says what is.
        """
        if self.choices and value not in self.choices:
            raise ValueError(f"{name}: expected one of {self.allowed}, found {value!r}")
        if self.bounds is not None:
            low, high = self.bounds
            numbers: Iterable[float] = value if isinstance(value, tuple) else (value,)
            for number in numbers:
                if not isinstance(number, Real):
                    raise ValueError(f"{name}: expected a number, found {number!r}")
                if not (math.isfinite(number) and low <= number <= high):
                    raise ValueError(f"{name}: expected {self.allowed}, found {number:g}")


def option(
    default: T,
    group: str,
    text: str,
    *,
    bounds: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
) -> T:
    """Declare a field of a dataclass; see `Option`."""
    declared: T = dataclasses.field(default=default, metadata={"option": Option(group, text, bounds, choices)})
    return declared


def option_of(field: dataclasses.Field[Any]) -> Option:
    """What was declared of a field."""
    found: Option = field.metadata["option"]
    return found
