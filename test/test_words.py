"""What the code says of itself is in the words of the glossary, as the documentation is (`test_docs.py`)."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for f in ("train", "compare", "demo", "quietfield/noise") for p in (ROOT / f).rglob("*.py"))
# What is not said, and what is said in its place.
INSTEAD = {
    r"(?<!ground )\btruths?\b": "ground truth",
    r"\bhidden pixels?\b": "masked pixels",
    r"\bdrawn noise\b|\bnoise is drawn\b": "synthetic noise",
    r"(?<!\.)\bpeers?\b": "baselines",
    r"\breckon": "estimated",
    r"\bturns and (mirrors|flips)\b": "test-time augmentation",
    r"\bby heart\b": "overfitted",
    r"\bfigures? of quality\b|\bquality figures?\b": "metrics",
}


def prose(path: Path) -> str:
    """Docstrings without code, formulas, and the names of parameters."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            lines = [line for line in text.splitlines() if not re.fullmatch(r"\s*\w+(, \w+)*( : .*)?", line)]
            texts.append(re.sub(r"`[^`]*`|\([^)]*\btruth\b[^)]*\)", "", "\n".join(lines)))
    return "\n".join(texts).lower()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_words_are_those_of_the_glossary(path: Path) -> None:
    text = prose(path)
    assert not {found.group(): word for other, word in INSTEAD.items() for found in re.finditer(other, text)}
