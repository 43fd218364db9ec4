"""Where the platform puts its inputs, and where it wants the answers."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from quietfield.files.images import SUFFIXES

log = logging.getLogger(__name__)

IMAGES = "images"
DENOISED = "image-stack-denoised"
# Folder under images/ to the answer's folder.
FOLDERS = {
    "image-stack-unstructured-noise": DENOISED,
    "image-stack-structured-noise": DENOISED,
    "stacked-neuron-images-with-noise": "stacked-neuron-images-with-reduced-noise",
}
# Slugs of inputs.json to the folder under images/ that they fill.
SLUGS = {
    "stacked-images-subject-to-unstructured-noise": "image-stack-unstructured-noise",
    "stacked-images-subject-to-structured-noise": "image-stack-structured-noise",
    **{folder: folder for folder in FOLDERS},
}


@dataclass(frozen=True)
class Job:
    """One image to read and the TIFF to write for it."""

    source: Path
    target: Path


def find_jobs(source: Path, output: Path) -> tuple[list[Job], list[str]]:
    """Every image to denoise, and a sentence for each that cannot be.

    `source` is the platform's input (a folder with images/, and inputs.json or not), or a plain
    folder of images, or one image; of these last two the answers go right into `output`.

    Raises
    ------
    FileNotFoundError
        If there is no image; the message says where it was looked for.
    """
    problems: list[str] = []
    if source.is_file():
        places = [([source], output)]
        looked = [source]
    elif (source / IMAGES).is_dir():
        folders, problems = _socket_folders(source)
        places = [(_images(folder), output / IMAGES / answer) for folder, answer in folders]
        looked = [source / IMAGES / folder for folder in FOLDERS]
    else:
        places = [(_images(source), output)]
        looked = [source / IMAGES, source]
    jobs: dict[Path, Job] = {}
    for files, folder in places:
        for file in files:
            job = Job(file, folder / f"{file.stem}.tif")
            if job.target in jobs:
                problems.append(f"{file}: its answer would overwrite that of {jobs[job.target].source}: rename one")
            elif job.target.resolve() == file.resolve():
                problems.append(f"{file}: its answer would overwrite it: choose another --output")
            else:
                jobs[job.target] = job
    if not jobs and not problems:
        places_text = ", ".join(str(place) for place in looked)
        raise FileNotFoundError(f"no input: expected {', '.join(SUFFIXES)} files, looked in {places_text}")
    return list(jobs.values()), problems


def _socket_folders(source: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    """The folders that are there, after what inputs.json says of further ones.

    What inputs.json says that is not understood costs a warning; an error only where there are
    images that it concerns, since a job that exits with an error is a failed one on the platform.
    """
    folders = {source / IMAGES / folder: answer for folder, answer in FOLDERS.items()}
    unknown: list[tuple[str, str | None]] = []
    listing = source / "inputs.json"
    if listing.is_file():
        try:
            for entry in json.loads(listing.read_text(encoding="utf-8")):
                socket = entry.get("socket") or entry["interface"]
                slug, path = socket["slug"], socket.get("relative_path")
                if slug in SLUGS:
                    folders[source / (path or f"{IMAGES}/{SLUGS[slug]}")] = FOLDERS[SLUGS[slug]]
                else:
                    unknown.append((str(slug), path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s: expected a list of sockets with slugs, found %r: goes by folders alone", listing, error)
    problems = []
    for slug, path in unknown:
        message = f"{listing}: expected a slug of {', '.join(SLUGS)}, found {slug!r}"
        if path and source / path in folders:
            log.warning("%s: its folder %s is known, so its images are denoised", message, path)
        elif path and _images(source / path):
            problems.append(f"{message}: its images in {path} are left out")
        else:
            log.warning("%s: nothing to do for it", message)
    return [(folder, answer) for folder, answer in folders.items() if folder.is_dir()], problems


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
