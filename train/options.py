"""The configuration as people write it: on the command line, and as a table."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, NamedTuple

from .config import Config
from .declare import option_of


class Row(NamedTuple):
    """An option as it stands in a reference table; all of it text."""

    group: str
    option: str
    default: str
    bounds: str
    help: str


def table() -> list[Row]:
    """Every option of the configuration, by groups."""
    rows = []
    for field in dataclasses.fields(Config):
        declared = option_of(field)
        flag = "--" + field.name.replace("_", "-")
        default = ("on" if field.default else "off") if isinstance(field.default, bool) else _text(field.default)
        flags = f"{flag}, --no-{flag[2:]}" if isinstance(field.default, bool) else flag
        rows.append(Row(declared.group, flags, default, declared.allowed, declared.help))
    return rows


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the parser one option for each field of `Config`, under the headings of their groups."""
    groups: dict[str, Any] = {}
    for field, row in zip(dataclasses.fields(Config), table(), strict=True):
        group = groups.setdefault(row.group, None) or parser.add_argument_group(row.group)
        groups[row.group] = group
        allowed = f"; {row.bounds}" if row.bounds and not option_of(field).choices else ""
        text = f"{row.help} (default {row.default}{allowed})".replace("%", "%%")
        flag = "--" + field.name.replace("_", "-")
        kind: Any = type(field.default)
        if kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif isinstance(field.default, tuple):
            group.add_argument(flag, type=type((*field.default, 0)[0]), nargs="*", metavar="N", help=text)
        elif choices := option_of(field).choices:
            group.add_argument(flag, choices=choices, help=text)
        else:
            group.add_argument(flag, type=kind, metavar="NAME" if kind is str else "N", help=text)


def changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields that the command line sets; with steps, a recipe's epochs do not count."""
    given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(Config)}
    if given["steps"] is not None and given["epochs"] is None:
        given["epochs"] = 0
    return {name: value for name, value in given.items() if value is not None}


def written(name: str, value: Any) -> str:
    """A field as it is written on the command line."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {_text(value)}".rstrip()


def _text(value: Any) -> str:
    return " ".join(map(str, value if isinstance(value, tuple) else [value]))
