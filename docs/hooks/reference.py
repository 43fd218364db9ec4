"""What the site takes from the code and from the rest of the repository; mkdocs runs it (`hooks:` in mkdocs.yml).

- `<!-- reference: command -->` and `<!-- reference: train -->` become the options of the parsers.
- `<!-- reference: api -->` becomes the Python API, which mkdocstrings reads from the source.
- Texts that lie outside of docs/ (contributing, changelog, model cards) become pages; links to them are rewritten.

The parsers are imported by the interpreter in $QUIETFIELD_PYTHON, else by that of .venv, else by the one that builds
the site, so that the site's own environment needs no torch.
"""

from __future__ import annotations

import argparse
import ast
import html
import importlib
import json
import logging
import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

log = logging.getLogger("mkdocs.hooks.reference")

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "quietfield"
# Where each parser may be: the first of these that can be imported. A function without arguments, or the parser itself.
PARSERS = {
    "command": ("quietfield.command:parser", "quietfield.command:build_parser", "quietfield.command:_parser"),
    "train": ("train.__main__:parser", "train.__main__:build_parser", "train.__main__:_parser"),
}
PROGRAMS = {"command": "quietfield", "train": "quietfield-train"}
# Texts outside of docs/, and the page that each becomes.
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "resources/MODEL_CARD.md": "model-card.md",
    "models/super-resolution/MODEL_CARD.md": "model-card-super-resolution.md",
}
SHARED = "fit"  # the verb whose page has the options that other verbs take as well
MARK = re.compile(r"<!-- reference: (\w+) -->")
LINK = re.compile(r"(?<=\]\()([^)#\s]+)((?:#[^)\s]*)?)(?=\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie outside of docs/."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        if (ROOT / source).is_file():
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=relinked(text, source, page)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in the marks, and lead links to files outside of docs/ to their pages."""
    uri = page.file.src_uri
    if uri not in PAGES.values():
        markdown = relinked(markdown, f"docs/{uri}", uri)
    return MARK.sub(lambda match: reference(match[1]), markdown)


def relinked(text: str, source: str, page: str) -> str:
    """The text with each relative link of `source` (a path in the repository) as one of `page` (a path in the site)."""

    def new(match: re.Match[str]) -> str:
        if "://" in match[1] or match[1].startswith("mailto:"):
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if target in PAGES:
            target = PAGES[target]
        elif target == "README.md":
            target = "index.md"
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            return match[0]
        return posixpath.relpath(target, posixpath.dirname(page) or ".") + match[2]

    return LINK.sub(new, text)


def reference(name: str) -> str:
    """The markdown of one mark."""
    if not (ROOT / PACKAGE).is_dir():
        log.info("reference %s: there is no package %s yet", name, PACKAGE)
        return "*Generated from the code.*"
    if name == "api":
        return "\n".join(
            f"::: {PACKAGE}.{member}\n    options:\n      show_root_heading: true\n" for member in members()
        )
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import reference; reference.dump({name!r})"
    run = subprocess.run(
        [interpreter(), "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=environment()
    )
    if run.returncode:
        log.warning("reference %s: %s", name, run.stderr.strip())
        return ""
    return markdown_of(json.loads(run.stdout))


def members() -> list[str]:
    """What the package promises, from its `__all__`: `load` and `denoise` first."""
    tree = ast.parse((ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            found = [name for name in ast.literal_eval(node.value) if not name.startswith("_")]
            return sorted(found, key=lambda name: (("load", "denoise", name).index(name), name))
    log.warning("reference api: expected __all__ in %s/__init__.py", PACKAGE)
    return []


def interpreter() -> str:
    """The Python that can import the package."""
    own = ROOT / ".venv" / "bin" / "python"
    return os.environ.get("QUIETFIELD_PYTHON") or (str(own) if own.is_file() else sys.executable)


def environment() -> dict[str, str]:
    """Wide enough for whole lines of usage."""
    return os.environ | {"COLUMNS": "100", "PYTHONPATH": str(ROOT)}


def dump(name: str) -> None:
    """Print what `describe` says of a parser, as JSON; runs in the package's interpreter."""
    sys.path.insert(0, str(ROOT))
    for place in PARSERS[name]:
        module, attribute = place.split(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            print(f"{place}: {error}", file=sys.stderr)
            continue
        parser = found if isinstance(found, argparse.ArgumentParser) else found()
        parser.prog = PROGRAMS[name]
        print(json.dumps(describe(parser)))
        return
    raise SystemExit(f"no parser {name}: expected one of {', '.join(PARSERS[name])}")


def describe(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """A parser in plain values: what it says of itself, its groups of options, and its verbs."""
    groups, verbs = [], []
    for group in parser._action_groups:
        options = []
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
                for verb, inner in action.choices.items():
                    inner.prog = f"{parser.prog} {verb}"
                    verbs.append({"verb": verb, "help": texts.get(verb, ""), **describe(inner)})
            elif action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
                options.append({"names": _names(parser, action), "help": _help(parser, action)})
        if options:
            groups.append({"title": group.title or "", "text": group.description or "", "options": options})
    return {
        "program": parser.prog,
        "text": parser.description or "",
        "epilog": parser.epilog or "",
        "groups": groups,
        "verbs": verbs,
    }


def markdown_of(found: dict[str, Any]) -> str:
    """The description as headings and tables; groups of options that verbs share stand under `fit` alone."""
    lines = [_plain(found["text"]), ""]
    if found["epilog"]:
        lines += ["```text", found["epilog"], "```", ""]
    lines += _groups(found["groups"], 2)
    whole = next((verb["groups"] for verb in found["verbs"] if verb["verb"] == SHARED), [])
    for verb in found["verbs"]:
        lines += [f"## {verb['verb']}", "", _sentence(verb["text"] or verb["help"]), ""]
        shared = [] if verb["verb"] == SHARED else [group for group in verb["groups"] if group in whole]
        lines += _groups([group for group in verb["groups"] if group not in shared], 3)
        if shared:
            titles = ", ".join(_title(group) for group in shared)
            lines += [f"It also takes these groups of options of [{SHARED}](#{SHARED}): {titles}.", ""]
    return "\n".join(lines)


def _groups(groups: list[dict[str, Any]], level: int) -> list[str]:
    lines = []
    for group in groups:
        if len(groups) > 1 or level == 2:
            lines += [f"{'#' * level} {_title(group)}", ""]
        if group["text"]:
            lines += [_sentence(group["text"]), ""]
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| {_cell(option['names'], code=True)} | {_cell(option['help'])} |" for option in group["options"]]
        lines.append("")
    return lines


def _title(group: dict[str, Any]) -> str:
    title = {"positional arguments": "arguments"}.get(group["title"], group["title"])
    return title[:1].upper() + title[1:]


def _names(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        formatter = parser._get_formatter()
        word = (
            action.dest.upper().replace("_", "-") if _many(action) else formatter._metavar_formatter(action, "")(1)[0]
        )
        value = formatter._format_args(action, word or action.dest.upper())
        if _many(action):  # the choices stand in the text
            value = word
    if not action.option_strings:
        return value or action.dest
    return f"{', '.join(action.option_strings)} {value}".strip()


def _many(action: argparse.Action) -> bool:
    """Whether an option has choices and no word of its own, so that they would fill its name."""
    return action.choices is not None and not action.metavar


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    if _many(action):
        text = f"{text.rstrip('.')}; one of: {', '.join(map(str, action.choices or ()))}".removeprefix("; ")
    default = action.default
    if default in (None, False, argparse.SUPPRESS) or "default" in text.lower():
        return text
    return f"{text} (default: {default})".strip()


def _cell(text: str, code: bool = False) -> str:
    """Text for a table, where a vertical line would end the cell."""
    text = html.escape(" ".join(text.split()), quote=False).replace("|", "&#124;")
    return f"<code>{text}</code>" if code else re.sub(r"([*_`])", r"\\\1", text)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")


def _sentence(text: str) -> str:
    text = _plain(text)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""
