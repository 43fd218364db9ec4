"""`python -m package`: make the bioimage.io packages of the shipped networks, as folders and zips.

Who publishes them gives a GitHub name, which bioimage.io wants to know, and the repository's address if there is one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from package.card import METRICS, Card, evaluations, load_card
from package.description import CITATIONS, HALO, LEAST, Publisher, describe, moved
from package.weights import standardised, write_onnx, write_torchscript
from quietfield import __version__
from quietfield.network.model import load_model
from quietfield.network.unet import StandardisedUNet
from quietfield.whole import whole

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs"
FIELD = ROOT / "test" / "input" / "interface_0" / "images" / "image-stack-unstructured-noise" / "simulated.tif"
TEST_SIDE = 256  # pixels of the field's corner that are the test tensor
TOLERANCE = 1e-4  # of the test output's range

Image = NDArray[np.float32]


SOURCES = {
    "package": ROOT / "resources",
    "package-general": ROOT / "resources" / "general",
    "package-super-resolution": ROOT / "models" / "super-resolution",
}


def main() -> int:
    """All packages; the first is described by `rdf.yaml` at the top level, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("github-user", "git-repo", "training-data"):
        parser.add_argument(f"--{name}", default="")
    publisher = Publisher(**vars(parser.parse_args()))
    for name, source in SOURCES.items():
        description = build(source, RUNS / name, publisher)
        if name == "package":
            _write_yaml(ROOT / "rdf.yaml", moved(description, Path("runs/package")))
    return 0


def build(source: Path, folder: Path, publisher: Publisher) -> dict[str, Any]:
    """Write every file of a model's package anew, then `rdf.yaml` beside them and the zip; gives what it says."""
    torch.set_num_threads(1)  # sums in one order, and so the same last bits, however many cores there are
    model, card = load_model(source), load_card(source / "card.yaml")
    network = standardised(model)
    folder.mkdir(parents=True, exist_ok=True)
    for file in (source / "weights.pt", ROOT / "quietfield" / "network" / "unet.py", ROOT / "LICENSE"):
        shutil.copyfile(file, folder / file.name)
    write_torchscript(network, folder / "weights.torchscript.pt")
    write_onnx(network, folder / "weights.onnx")

    field = tifffile.imread(FIELD).astype(np.float32)
    answer = _run(network, field)
    test = field[:TEST_SIDE, :TEST_SIDE]
    test_answer = _run(network, test)
    np.save(folder / "test_input.npy", test[None, None])
    np.save(folder / "test_output.npy", test_answer[None, None])
    for name, image in (("sample_input", field), ("sample_output", answer)):
        tifffile.imwrite(folder / f"{name}.tif", image[None, None], photometric="minisblack", metadata={"axes": "SCYX"})
    (folder / "cover.png").write_bytes(_cover(np.kron(field, np.ones((network.scale, network.scale))), answer))
    (folder / "README.md").write_text(_readme(card), encoding="utf-8")

    tolerance = float(TOLERANCE * np.ptp(test_answer))
    description = describe(folder, model, network, card, tolerance=tolerance, publisher=publisher)
    description["timestamp"] = _timestamp(folder / "rdf.yaml", description)
    _write_yaml(folder / "rdf.yaml", description)
    archive = _zip(folder)
    print(f"{folder}\n{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return description


def _timestamp(rdf: Path, description: dict[str, Any]) -> str:
    """That of the description that is there, if nothing else is new; else the new one's."""
    time = description["timestamp"]
    before = (yaml.safe_load(rdf.read_text(encoding="utf-8")) or {}) if rdf.is_file() else {}
    same = before.keys() == description.keys() and {**before, "timestamp": time} == description
    return str(before["timestamp"] if same else time)


class _Plain(yaml.SafeDumper):  # type: ignore[misc]
    """YAML without the anchors that some readers do not know."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    text = yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)
    path.write_text(text, encoding="utf-8")


def _run(network: StandardisedUNet, image: Image) -> Image:
    with torch.inference_mode():
        answer: Image = network(torch.from_numpy(image)[None, None])[0, 0].numpy()
    return answer


def _cover(noisy: Image, denoised: Image) -> bytes:
    """A PNG twice as wide as high: the upper half of the field, noisy on the left of the diagonal."""
    height, width = noisy.shape[0] // 2, noisy.shape[1]
    low, high = np.percentile(denoised[:height], [0.5, 99.8])
    yy, xx = np.mgrid[:height, :width]
    edge = xx - width / 2 - (yy - height / 2) * 0.3
    split = np.where(edge < 0, noisy[:height], denoised[:height])
    grey = ((split - low) / (high - low) * 255).clip(0, 255)
    grey[np.abs(edge) < 1.5] = 255
    return bytes(imagecodecs.png_encode(grey.astype(np.uint8)))


def _readme(card: Card) -> str:
    sections = [evaluation_section(e, c["title"]) for e, c in zip(evaluations(card), card.evaluations, strict=True)]
    cite = "\n".join(f"- {c['text']}, {'doi:' + c['doi'] if 'doi' in c else c['url']}" for c in CITATIONS)
    template = (Path(__file__).parent / "README.template.md").read_text(encoding="utf-8")
    values = {
        "name": card.name,
        "description": card.description,
        "intended": card.intended,
        "out_of_scope": card.out_of_scope_use,
        "evaluations": "\n\n".join(sections),
        "metrics": "\n".join(f"- {name}: {words}." for name, words in METRICS.items()),
        "limitations": f"{card.known_biases} {card.risks} {card.limitations}\n\n{card.recommendations}",
        "cite": cite,
        "least": str(LEAST),
        "halo": str(HALO),
    }
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template


def evaluation_section(evaluation: dict[str, Any], title: str) -> str:
    """A heading and a table: a row for each metric, a column for each factor."""
    head = ["", *evaluation["evaluation_factors"]]
    rows = [[m, *map(str, r)] for m, r in zip(evaluation["metrics"], evaluation["results"], strict=True)]
    table = [head, ["---"] * len(head), *rows]
    return f"### {title[0].upper()}{title[1:]}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in table)


def _zip(folder: Path) -> Path:
    """The folder's files, in the order of their names and without their dates: the same files are the same zip."""
    name = folder.name.replace("package", "quietfield")
    archive = folder.with_name(f"{name}-{__version__}.bioimageio.zip")
    with whole(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(path.name)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive


if __name__ == "__main__":
    sys.exit(main())
