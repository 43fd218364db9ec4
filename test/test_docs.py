"""What the documentation says holds: every command and Python block runs, figures are the files', links lead somewhere.

A block that cannot run here has `<!-- not run: REASON -->` on the line before it. A page that quotes figures of its
own, which no file of docs/ has, says so by `<!-- own numbers: REASON -->`.
"""

import importlib
import importlib.util
import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[1]
MISSING = "" if importlib.util.find_spec("quietfield") else "the package quietfield cannot be imported"
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"<!-- not run: ([^>]+?) -->\s*$")
PRINTED = ("text", "")  # what a program prints, or a template
BRIEF = shlex.split("--crop 32 --batch 2 --steps 2 --validate-every 2 --precision float32")
SMALL = ["--channels", "4", "8", *BRIEF]
OTHERS = {"docs/container.md", "docs/package.md"}  # their prose is held by its own tests


def load(name: str) -> ModuleType:
    """A file of docs/hooks/, which are no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


measured, reference = load("measured"), load("reference")
PAGES = [path for path in measured.pages() if path.suffix == ".md"]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
OWN = [name for name in NAMES if name not in OTHERS]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    page, line : str, int
        Where it begins.
    language, text : str
        "sh" or "python", and what is in it.
    why_not : str
        The reason why it does not run here; empty if it does.
    """

    page: str
    line: int
    language: str
    text: str
    why_not: str


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        marked = MARK.search(text[: match.start()].rstrip(" "))
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match[2], match[3], marked[1] if marked else "")


def prose(page: str) -> list[str]:
    """Paragraphs and list items without code blocks, tables, headings, comments and pictures."""
    text = re.sub(r"<!--.*?-->", "", FENCE.sub("", (ROOT / page).read_text(encoding="utf-8")), flags=re.DOTALL)
    paragraphs: list[list[str]] = [[]]
    for line in text.splitlines():
        if not line.strip() or line.startswith(("#", "|", "![", "[![", "    ")):
            paragraphs.append([])
        elif re.match(r"\s*([-*]|\d+\.) ", line):
            paragraphs.append([re.sub(r"^\s*([-*]|\d+\.) ", "", line)])
        else:
            paragraphs[-1].append(line)
    return [" ".join(lines) for lines in paragraphs if lines]


def test_every_block_runs_or_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    found = [block for page in NAMES for block in blocks(page)]
    assert len(found) > 30
    unknown = [f"{b.page}:{b.line} {b.language}" for b in found if b.language not in ("sh", "python", *PRINTED)]
    assert not unknown, "expected ```sh, ```python or ```text"
    with capsys.disabled():
        for block in found:
            if block.why_not:
                print(f"\nnot run, {block.page}:{block.line}: {block.why_not}", end="")


def images(folder: Path) -> None:
    """The files that the pages name: an image, folders, a stack, pairs, clean images; the models of the checkout."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]

    def light() -> np.ndarray:
        spots = random.uniform(0, 64, (6, 2))
        return sum((20 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 18) for a, b in spots), np.ones((64, 64)))

    def write(name: str, image: np.ndarray) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / name, image.astype(np.uint16), photometric="minisblack")

    write("noisy.tif", 100 + 2 * random.poisson(light()))
    write("images/a.tif", 100 + 2 * random.poisson(light()))
    write("images/day2/b.tif", 100 + 2 * random.poisson(light()))
    write("stack.tif", 100 + 2 * random.poisson(np.vstack([light(), light()]), (6, 128, 64)))
    for number in range(8):
        clean = light()
        write(f"pairs/noisy/{number:03}.tif", 100 + 2 * random.poisson(clean))
        write(f"pairs/clean/{number:03}.tif", 100 + 2 * clean)
        write(f"clean/{number}.tif", 100 * clean)
    for name in ("models", "resources"):
        (folder / name).symlink_to(ROOT / name)


def call(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Run one line of a shell in this process, which has imported torch once for all of them."""
    line, _, target = line.partition(" > ")
    words = shlex.split(line, comments=True)
    if words[:3] == ["python", "-m", "train"]:
        words = ["quietfield-train", *words[3:]]
    if words[:2] == ["python", "inference.py"]:
        words = ["inference.py", *words[2:]]
    program, *given = words
    if program == "quietfield":
        from quietfield.command import main
    elif program == "quietfield-train":
        from train.__main__ import main

        if given[0] in ("fit", "ablate"):  # a tiny network in two steps
            given += ["--steps", "4"] if "--resume" in given else BRIEF if "--finetune" in given else SMALL
            given += ["--crop", "48"] if "--mask" in given else []  # a crop has to be wider than the mask
    elif program == "inference.py":
        from inference import main
    else:
        pytest.fail(
            f"{program}: not known here; mark the block by <!-- not run: REASON -->, or teach {Path(__file__).name}"
        )
    monkeypatch.setattr("sys.argv", [program, *given])
    output = io.StringIO()
    try:
        with redirect_stdout(output):
            code = main()
    except SystemExit as stop:  # of argparse
        code = stop.code
    if target:
        Path(target.strip()).write_text(output.getvalue())
    behind = program == "quietfield-train" and given[0] == "fit" and code == 3  # two steps teach nothing
    assert not code or behind, f"{line}: exit code {code}\n{output.getvalue()}"


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize("page", [name for name in NAMES if any(b.language != "text" for b in blocks(name))])
def test_commands_and_python_of_a_page_run_one_after_the_other(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setitem(sys.modules, "quietfield.train", importlib.import_module("train"))  # as an installed package
    names: dict[str, object] = {"__name__": page}
    for block in blocks(page):
        if block.why_not or block.language in PRINTED:
            continue
        if block.language == "python":
            lines = "\n" * block.line + block.text  # so that a traceback names the line of the page
            with redirect_stdout(io.StringIO()):
                exec(compile(lines, str(ROOT / page), "exec"), names)
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            if shlex.split(line, comments=True):
                call(monkeypatch, line)


def test_figures_in_marked_blocks_are_those_of_the_files() -> None:
    for path in measured.pages():
        text = path.read_text(encoding="utf-8")
        assert measured.filled(text) == text, f"{path.relative_to(ROOT)}: run python docs/hooks/measured.py"


def test_every_figure_of_quality_and_speed_is_one_of_the_files() -> None:
    decibels, similarities = measured.known()
    speeds = {f"{value:.2g}" for value in measured.speed().values()}
    wrong = []
    for path in measured.pages():
        text = path.read_text(encoding="utf-8")
        if "<!-- own numbers:" in text:
            continue
        found = dict.fromkeys(re.findall(r"([\d.]+) MPix/s", text), speeds)
        for part in text.splitlines() if path.suffix == ".yaml" else re.split(r"\n\s*\n", text):
            if re.search(r"dB|SSIM|PSNR", part):
                found |= dict.fromkeys(re.findall(r"(?<![\d.,])\d\d\.\d\d(?![\d.%])", part), decibels)
                found |= dict.fromkeys(re.findall(r"(?<![\d.])0\.\d{3}(?!\d)", part), similarities | speeds)
        wrong += [f"{path.relative_to(ROOT)}: {number}" for number, allowed in found.items() if number not in allowed]
    assert not wrong, "expected means of the CSV files in docs/, rounded"


def test_the_two_files_on_the_shipped_networks_agree() -> None:
    """`make evaluate` and `make compare` measure the same images."""
    ours, others = measured.quality()["this-network"], measured.evaluation()
    for one, other in (("W2S 081-100", "W2S FOV 081-100"), ("w2s-raw16", "w2s-raw16")):
        assert ours[one] == pytest.approx(others[other], abs=5e-3)


def test_the_readme_names_the_shipped_figures_once_each() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    si_psnr, ssim = measured.quality()["this-network"]["W2S 081-100"]
    assert readme.count(f"{si_psnr:.2f} / {ssim:.3f}") == 1


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_lead_to_files(name: str) -> None:
    text = FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name}: {target}"


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_the_files_that_the_contributing_guide_names_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in re.findall(r"`([\w./-]+/[\w./-]*)`", text):
        parents = [ROOT, *(ROOT / top for top in ("quietfield", "train"))]  # `files/` stands in the row of its folder
        assert any((parent / path).exists() for parent in parents), f"CONTRIBUTING.md: {path}"


@pytest.mark.parametrize("name", OWN)
def test_prose_is_short(name: str) -> None:
    inside = FENCE.sub("", (ROOT / name).read_text(encoding="utf-8")).splitlines()
    long = [line for line in inside if len(line) >= 120 and not line.startswith(("|", "![", "[!["))]
    assert not long, "expected lines under 120 characters"
    for paragraph in [] if name == "CHANGELOG.md" else prose(name):
        plain = re.sub(r"\]\([^)]*\)", "]", paragraph)
        for sentence in re.split(r"(?<=[.!?:;])[\s*]+", plain):
            assert len(sentence.split()) <= 25, f"{name}: expected at most 25 words: {sentence}"


@pytest.mark.parametrize("name", OWN)
def test_words_are_those_of_the_field(name: str) -> None:
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", " ".join(prose(name)).lower())
    others = ("peers", "by heart", "no more", "of before", "of now", "turns and mirrors", "reckoned", "second network")
    assert not [word for word in others if word in text]
    assert not re.findall(r"(?<!ground )\btruths?\b", text), "expected 'ground truth'"


def test_options_become_tables() -> None:
    import argparse

    parser = argparse.ArgumentParser(prog="x", description="Does <this>.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="files")
    parser.add_argument("--adapt", metavar="auto|off", default="auto", help="suit it; 50 %% of the time")
    text = reference.markdown_of(reference.describe(parser))
    assert "&lt;this>" in text
    assert "| <code>IMAGE [IMAGE ...]</code> | files |" in text
    assert "| <code>--adapt auto&#124;off</code> | suit it; 50 % of the time (default: auto) |" in text
    whole = argparse.ArgumentParser(prog="x")
    whole.add_subparsers().add_parser("fit", help="train a network").add_argument("--steps", default=5, help="how many")
    assert "## fit\n\nTrain a network.\n" in (text := reference.markdown_of(reference.describe(whole)))
    assert "| <code>--steps STEPS</code> | how many (default: 5) |" in text


def test_links_to_texts_outside_of_the_site_lead_to_their_pages() -> None:
    there = reference.relinked("[c](../../CONTRIBUTING.md#set-up)", "docs/how-to/train.md", "how-to/train.md")
    assert there == "[c](../contributing.md#set-up)"
    back = reference.relinked("![f](../docs/failures.png)", "resources/MODEL_CARD.md", "model-card.md")
    assert back == "![f](failures.png)"


def test_laboratory_notes_have_their_heads() -> None:
    notes = sorted((ROOT / "lab").glob("2*.md"))
    assert notes
    for note in notes:
        keys = re.findall(r"^\| (\w+) \|", note.read_text(encoding="utf-8"), re.MULTILINE)[:6]
        assert keys == ["date", "question", "command", "commit", "result", "conclusion"], note
        assert f"({note.name})" in (ROOT / "lab" / "README.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-s"]))
