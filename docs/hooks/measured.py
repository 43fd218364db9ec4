"""Quote figures of quality and speed from their only source: the CSV files in docs/.

`python docs/hooks/measured.py` writes every block between `<!-- numbers: NAME -->` and `<!-- end of numbers -->` anew;
`--check` only says which ones are out of date. Needs the standard library alone.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
COMPARE = ROOT / "docs" / "compare"
EVALUATION = ROOT / "docs" / "evaluation.csv"
SUPER_RESOLUTION = ROOT / "docs" / "super-resolution.csv"
KINDS = ROOT / "docs" / "kinds.csv"
CALM = ROOT / "docs" / "calm.csv"
GOALS = ROOT / "docs" / "goals.csv"
FINETUNE = ROOT / "docs" / "finetune.csv"
WITHOUT_REPAIR = ROOT / "docs" / "kinds-before.csv"
BLOCK = re.compile(r"(<!-- numbers: ([\w-]+) -->\n).*?(<!-- end of numbers -->)", re.DOTALL)

SETS = {
    "W2S 081-100": "W2S widefield",
    "FMD confocal": "FMD confocal",
    "FLIM two-photon": "FLIM two-photon",
    "clean, 20 photons": "clean, 20 photons",
}
# The rows of the README, by the file that holds each.
SHORT = {
    "noisy-input": "noisy input",
    "noise2void-2-by-careamics": "Noise2Void 2 (CAREamics), trained briefly",
    "vst-bm3d-blind": "VST+BM3D, blind",
    "vst-bm3d-published": "VST+BM3D, published",
    "this-network": "**quietfield**",
    "this-network-eight-fold": "**quietfield**, test-time augmentation",
}
LONG = {
    "noisy-input": "noisy input",
    "gaussian-filter": "Gaussian filter",
    "total-variation": "total variation",
    "vst-bm3d-blind": "VST+BM3D, blind",
    "vst-bm3d-published": "VST+BM3D, published",
    "n2n-u-net-trained-on-fmd-published": "N2N U-Net trained on FMD, published",
    "noise2void-2-by-careamics": "Noise2Void 2 (CAREamics), trained briefly",
    "dncnn": "DnCNN, 30 minutes",
    "plain-residual-u-net": "plain residual U-Net, 30 minutes",
    "our-recipe-for-pairs-as-briefly": "our recipe `pairs`, 30 minutes",
    "its-general-network-alone": "our general network alone",
    "this-network": "**quietfield**",
    "this-network-eight-fold": "**quietfield**, test-time augmentation",
}


def quality() -> dict[str, dict[str, tuple[float, float]]]:
    """Mean SI-PSNR (dB) and SSIM by method (the name of its file) and set."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for path in sorted(COMPARE.glob("*.csv")):
        rows = list(_rows(path))
        if "set" in rows[0] and "ssim" in rows[0]:
            found[path.stem] = _means(rows, "set")
    return found


def speed() -> dict[str, float]:
    """MPix/s by method, on two CPU cores."""
    return {_slug(row["method"]): float(row["megapixels_per_second"]) for row in _rows(COMPARE / "costs.csv")}


def evaluation() -> dict[str, tuple[float, float]]:
    """Mean SI-PSNR and SSIM of the shipped model by set, as `evaluate` writes them."""
    return _means(list(_rows(EVALUATION)), "set")


def super_resolution() -> dict[str, dict[str, tuple[float, float]]]:
    """Mean SI-PSNR and SSIM by method and photo-electrons."""
    by_method: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(SUPER_RESOLUTION):
        by_method[row["method"]].append(row)
    return {method: _means(rows, "photons") for method, rows in by_method.items()}


def known() -> tuple[set[str], set[str]]:
    """Every SI-PSNR ("32.55") and every SSIM ("0.873") that a text may quote, and the numbers of two tables."""
    tables = [*quality().values(), *super_resolution().values(), evaluation()]
    means = [mean for table in tables for mean in table.values()]
    others = set(re.findall(r"[\d.]+", _goals() + _finetuned()))
    return {f"{a:.2f}" for a, _ in means} | others, {f"{b:.3f}" for _, b in means} | others


def _short() -> str:
    return _table(SHORT, ["W2S 081-100", "FMD confocal", "FLIM two-photon"])


def _long() -> str:
    return _table(LONG, list(SETS))


def _table(rows: dict[str, str], sets: list[str]) -> str:
    means, speeds = quality(), speed()
    lines = [_line(["SI-PSNR (dB) / SSIM", *(SETS[s] for s in sets), "MPix/s"]), "|---" * (len(sets) + 2) + "|"]
    for name, title in rows.items():
        cells = [f"{means[name][s][0]:.2f} / {means[name][s][1]:.3f}" if s in means[name] else "" for s in sets]
        lines.append(_line([title, *cells, f"{speeds[name]:.2g}" if name in speeds else ""]))
    return "\n".join(lines)


def _doubled() -> str:
    found = super_resolution()
    names = {
        "bicubic": "bicubic",
        "shipped network, then bicubic": "denoised, then bicubic",
        "this network": "**x2 network**",
    }
    doses = sorted(found["bicubic"], key=int)
    lines = [
        _line(["SI-PSNR (dB) / SSIM", *(f"{d} photo-electron{'s' * (d != '1')} per pixel" for d in doses)]),
        "|---" * (len(doses) + 1) + "|",
    ]
    for name, title in names.items():
        lines.append(_line([title, *(f"{found[name][d][0]:.2f} / {found[name][d][1]:.3f}" for d in doses)]))
    return "\n".join(lines)


def kinds() -> dict[str, tuple[int, int, int]]:
    """Of each kind of disturbance: how many values keep their limits without the repair, with it, and of how many."""
    older = {(row["kind"], row["case"], row["measure"]): row["value"] for row in _rows(WITHOUT_REPAIR)}
    found: dict[str, tuple[int, int, int]] = {}
    for row in _rows(KINDS):
        without, kept, count = found.get(row["kind"], (0, 0, 0))
        before = older.get((row["kind"], row["case"], row["measure"]), "fails")
        limit = row["limit"]
        found[row["kind"]] = without + _holds(limit, before), kept + _holds(limit, row["value"]), count + 1
    return found


def _holds(limit: str, value: str) -> bool:
    """Whether a value keeps a limit, such as "at most 1.3", "at least 0.95", "0.95 to 1.05" or "0"."""
    if value == "fails":
        return False
    numbers = [float(word) for word in limit.split() if word not in ("at", "most", "least", "to")]
    low = -float("inf") if limit.startswith("at most") else numbers[0]
    high = float("inf") if limit.startswith("at least") else numbers[-1]
    return low <= float(value) <= high


def _disturbed() -> str:
    lines = [_line(["kind", "values", "within limits without the repair", "with it"]), "|---|---|---|---|"]
    for kind, (without, kept, count) in kinds().items():
        lines.append(_line([kind, f"{count}", f"{without}", f"{kept}"]))
    return "\n".join(lines)


def _calm() -> str:
    """Medians of what is left of the noise of smooth fields, and how many keep their limits."""
    by_set: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(CALM):
        by_set[row["set"]].append(row)
    titles = {"left": "**quietfield**", "gaussian": "best Gaussian", "bm3d": "VST+BM3D, blind"}
    lines = [_line(["median of the noise left", "fields", *titles.values(), "within limits"]), "|---" * 6 + "|"]
    for name, rows in by_set.items():
        medians = [f"{median(float(row[column]) for row in rows):.3f}" for column in titles]
        kept = sum(float(row["left"]) <= float(row["limit"]) for row in rows)
        lines.append(_line([name, f"{len(rows)}", *medians, f"{kept}"]))
    return "\n".join(lines)


def _goals() -> str:
    """Every goal of the general network, beside two baselines."""
    by_goal: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for row in _rows(GOALS):
        by_goal[row["goal"]][row["method"]] = row
    methods = {"quietfield": "**quietfield**", "best Gaussian": "best Gaussian", "VST+BM3D, blind": "VST+BM3D, blind"}
    lines = [_line(["what", "measured", *methods.values(), "limit", "within"]), "|---" * 7 + "|"]
    for goal, found in by_goal.items():
        ours = found["quietfield"]
        cells = [_reached(found[name]) if name in found else "" for name in methods]
        lines.append(_line([goal, ours["measure"], *cells, ours["limit"], f"{ours['kept']} of {ours['of']}"]))
    return "\n".join(lines)


def _reached(row: dict[str, str]) -> str:
    """Of images their mean; of simulated cases the median, and the worst."""
    if row["measure"].startswith("SI-PSNR"):
        return f"{float(row['median']):.2f}"
    return f"{float(row['median']):.3f} ({float(row['worst']):.3g})"


def _finetuned() -> str:
    """What the longest training that was measured makes of each number of pairs."""
    by_set: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(FINETUNE):
        by_set[row["set"]].append(row)
    titles = {"camera": "simulated camera", "fmd": "FMD confocal", "flim": "FLIM two-photon"}
    ways = ("general network", "fine-tuned", "from nothing")
    lines = [_line(["SI-PSNR (dB)", "pairs", *ways]), "|---" * 5 + "|"]
    for name, title in titles.items():
        rows = by_set[name]
        last = max(rows, key=lambda row: float(row["minutes"]))["minutes"]
        found = {(row["pairs"], row["way"]): row["si_psnr"] for row in rows if row["minutes"] in ("0", last)}
        for pairs in sorted({int(pairs) for pairs, _ in found} - {0}):
            lines.append(_line([title, f"{pairs}", found["0", ways[0]], *(found[f"{pairs}", way] for way in ways[1:])]))
    return "\n".join(lines)


BLOCKS: dict[str, Callable[[], str]] = {
    "readme": _short,
    "measured": _long,
    "super-resolution": _doubled,
    "kinds": _disturbed,
    "calm": _calm,
    "goals": _goals,
    "finetune": _finetuned,
}


def filled(text: str) -> str:
    """The text with every block as the files have it."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{BLOCKS[match[2]]()}\n\n{match[3]}", text)


def pages() -> list[Path]:
    """Every text that may quote a figure."""
    cards = [ROOT / "resources" / "MODEL_CARD.md", *sorted((ROOT / "models").glob("*/MODEL_CARD.md"))]
    texts = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "rdf.yaml")]
    return [path for path in (*texts, *cards, *sorted((ROOT / "docs").rglob("*.md"))) if path.is_file()]


def main() -> int:
    """Write or check; 1 if a block was out of date."""
    old = [path for path in pages() if filled(path.read_text(encoding="utf-8")) != path.read_text(encoding="utf-8")]
    for path in old:
        print(f"{path.relative_to(ROOT)}: {'out of date' if '--check' in sys.argv else 'written'}")
        if "--check" not in sys.argv:
            path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 1 if old and "--check" in sys.argv else 0


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def _means(rows: list[dict[str, str]], key: str) -> dict[str, tuple[float, float]]:
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
        if "noisy_si_psnr" in row:  # of `evaluate`: before denoising as well
            groups[f"noisy {row[key]}"].append({"si_psnr": row["noisy_si_psnr"], "ssim": row["noisy_ssim"]})
    return {
        name: tuple(sum(float(row[k]) for row in group) / len(group) for k in ("si_psnr", "ssim"))  # type: ignore[misc]
        for name, group in groups.items()
    }


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-").replace("--", "-")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    raise SystemExit(main())
