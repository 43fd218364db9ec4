"""`python -m compare [METHOD ...]`: measure denoisers on the same images, and draw up the table.

Metrics once measured lie in docs/compare and are taken from there; a METHOD that is named is
measured again. Without arguments only the table and the figure are made.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from compare.cost import cost_of
from compare.figure import draw
from compare.methods import NAMES, NOISY, OURS_NAMES, Method, find_method
from compare.peers import PEERS
from compare.published import PUBLISHED, published
from compare.results import points, read_costs, slug, table, write, write_costs
from compare.sets import cases, to_learn_from, training_crops
from quietfield.machine import keep_memory
from train.measure.cases import Loaded
from train.measure.metrics import micro_ssim, si_psnr, ssim
from train.measure.results import Row, mean, read

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "compare"
ORDER = (*(name for name in NAMES if name not in OURS_NAMES), *PUBLISHED, *OURS_NAMES)


def main() -> int:
    """Measure what was named, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help=f"of: {', '.join(map(repr, ORDER))}; or 'all'")
    parser.add_argument("--data", type=Path, required=True, help="the test images")
    parser.add_argument("--model", type=Path, default=ROOT / "resources", help="the network that is ours")
    parser.add_argument("--peers", type=Path, default=PEERS, help="folder of the trained baselines")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the measured metrics")
    parser.add_argument("--sets", nargs="+", help="measure on these alone, and keep the rest")
    parser.add_argument("--costs", action="store_true", help="measure speed and memory alone")
    arguments = parser.parse_args()
    keep_memory()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    wanted = ORDER if arguments.methods == ["all"] else arguments.methods
    if unknown := set(wanted) - set(ORDER):
        parser.error(f"expected methods of {[*ORDER]}, found {sorted(unknown)}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        _measure(name, arguments)
    paths = {name: arguments.results / f"{slug(name)}.csv" for name in ORDER}
    measured = {name: read(path, Row) for name, path in paths.items() if path.is_file()}
    costs = read_costs(arguments.results)
    print(table(measured, costs))
    draw(points(measured, costs), arguments.results / "speed.png")
    return 0


def _measure(name: str, arguments: argparse.Namespace) -> None:
    """Measure one method, and write its metrics set by set, so that a long run leaves what it has."""
    path = arguments.results / f"{slug(name)}.csv"
    how = f"python -m compare {name!r}"
    if name in PUBLISHED:
        write(path, f"{how}; means of published metrics", published(name, arguments.data))
        return
    method = find_method(name, arguments.model, arguments.peers)
    best = choose(method, training_crops(arguments.data))
    if not arguments.costs:
        rows = read(path, Row) if arguments.sets and path.is_file() else []
        for found in measure(method, method.settings[best], arguments.data, arguments.sets):
            rows = [row for row in rows if row.set != found[0].set] + found
            setting = "" if method.learn else f"; setting {method.settings[best]}"
            write(path, f"{how}{setting}{f'; {method.note}' if method.note else ''}", rows)
            log.info("%s, %s: %.2f dB", name, found[0].set, *mean(found, "si_psnr"))
    if name != NOISY:
        cost = cost_of(name, best, arguments.data, arguments.model, arguments.peers)
        write_costs(arguments.results, read_costs(arguments.results) | {name: cost})


def choose(method: Method, images: list[Loaded]) -> int:
    """Number of the setting with the best mean SI-PSNR on the images."""
    if len(method.settings) == 1:
        return 0
    means = [np.mean([si_psnr(c.truth, method.run(c.noisy, s)) for c in images]) for s in method.settings]
    return int(np.argmax(means))


def measure(method: Method, setting: object, data: Path, only: list[str] | None = None) -> Iterator[list[Row]]:
    """The method's metrics of every image of one set after the other."""
    for name, group in itertools.groupby(cases(data), key=lambda case: case.set):
        if only and name not in only:
            continue
        images = list(group)
        if method.learn:
            setting = method.learn(name, to_learn_from(name, images, data))
        rows = []
        for case in images:
            answer = method.run(case.noisy, setting)
            metrics = [metric(case.truth, answer) for metric in (si_psnr, ssim, micro_ssim)]
            rows.append(Row(name, case.image, *metrics))
        yield rows


if __name__ == "__main__":
    sys.exit(main())
