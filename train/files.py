"""The configuration as a TOML file: written with the help of each option; mistakes are told by file and key."""

from __future__ import annotations

import dataclasses
import json
import textwrap
import tomllib
from pathlib import Path
from typing import Any

from .config import Config, check_name
from .declare import option_of

WIDTH = 110  # characters of a line of comment


def to_toml(config: Config, title: str) -> str:
    """All options, by groups, each below its help."""
    lines, group = [_comment(title)], ""
    for field in dataclasses.fields(Config):
        declared = option_of(field)
        if declared.group != group:
            group = declared.group
            lines.append(f"\n# ---- {group} ----")
        allowed = f" ({declared.allowed})" if declared.allowed else ""
        lines += ["", _comment(declared.help + allowed), f"{field.name} = {_value(getattr(config, field.name))}"]
    return "\n".join(lines)


def read_toml(path: Path) -> Config:
    """The configuration of a file; an option that it leaves out has its default.

    Raises
    ------
    ValueError
        If it is no TOML file, or an option is not known, of the wrong type, or out of bounds.
    OSError
        If it cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a TOML file, found no file: 'recipes NAME --toml' writes one")
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a TOML file, found a mistake: {error}") from error
    defaults = {f.name: f.default for f in dataclasses.fields(Config)}
    for name in found:
        if isinstance(found[name], dict):
            raise ValueError(f"{path}: [{name}]: expected no tables, found one: put the options at the top of the file")
    try:
        for name in found:
            check_name(name)
        return Config(**{name: _typed(name, value, defaults[name]) for name, value in found.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _comment(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _value(value: Any) -> str:
    """Of the types that a configuration has, TOML writes all as JSON does."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _typed(name: str, value: Any, default: Any) -> Any:
    """The value as the type of the default; whole numbers serve as real ones."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(_typed(name, part, (*default, 0)[0]) for part in value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is type(default):
        return value
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list of numbers"}
    raise ValueError(f"{name}: expected {names[type(default)]}, found {json.dumps(value, default=str)}")
