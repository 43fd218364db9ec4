"""How complete the packages' metadata are by spec's own score: `python test/contract/completeness.py` in `.venv-spec`.

More than 0.9 of each package must be given. Two other scores are printed: without the fields that are said to be empty
(no Keras weights, no parent, ...), and with what a publisher adds. The card that spec's template makes of `rdf.yaml` is
written to runs/card, as Markdown and as HTML.
"""

from __future__ import annotations

import copy
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import markdown
from bioimageio.spec import ValidationContext, build_description, load_description
from bioimageio.spec._hf_card import create_huggingface_model_card
from bioimageio.spec._internal.constants import KNOWN_GITHUB_USERS
from ruyaml import YAML

RUNS = Path(__file__).resolve().parents[2] / "runs"
LEAST = 0.9
PUBLISHER = {"maintainers": [{"github_user": "somebody"}], "git_repo": "https://github.com/somebody/repository"}
STYLE = "<meta charset=utf-8><style>body{font:16px sans-serif;max-width:60em;margin:2em auto}img{max-width:30em}"
TABLE = "table{border-collapse:collapse}td,th{border:1px solid #aaa;padding:.3em .6em}</style>"


def score(content: dict[str, Any], folder: Path) -> float:
    """By a description that was never written to a file."""
    with ValidationContext(root=folder):
        description = build_description(content)
    return description.validation_summary.metadata_completeness


def without_empty(content: Any) -> Any:
    """The same without what is said to be empty."""
    if isinstance(content, list):
        return [without_empty(item) for item in content]
    if not isinstance(content, dict):
        return content
    return {key: without_empty(value) for key, value in content.items() if value is not None and value not in ([], {})}


def write_card(description: Any, folder: Path) -> None:
    """The card of spec's template, with the pictures that it shows."""
    text, files = create_huggingface_model_card(description, repo_id="publisher/model")
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / "README.md").write_text(text, encoding="utf-8")
    body = markdown.markdown(text.split("---\n", 2)[2], extensions=["tables", "fenced_code", "toc"])
    (folder / "card.html").write_text(STYLE + TABLE + body, encoding="utf-8")


def main() -> int:
    KNOWN_GITHUB_USERS.add("somebody")
    failures = 0
    print(f"bioimageio.spec {version('bioimageio.spec')}\n")
    print("| package | complete | without the empty fields | with maintainer and repository |\n|---|---|---|---|")
    for rdf in sorted(RUNS.glob("package*/rdf.yaml")):
        content = YAML(typ="safe").load(rdf)
        description = load_description(rdf)
        found = description.validation_summary.metadata_completeness
        failures += found <= LEAST or description.validation_summary.status not in ("passed", "valid-format")
        others = [score(c, rdf.parent) for c in (without_empty(copy.deepcopy(content)), {**content, **PUBLISHER})]
        print(f"| {rdf.parent.name} | {found:.3f} | {others[0]:.3f} | {others[1]:.3f} |", flush=True)
        write_card(description, RUNS / "card" / rdf.parent.name)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
