"""What there is to do: images to read and answers to write, of people and of the challenge's platform."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quietfield.files.images import SUFFIXES
from quietfield.files.metaimage import METAIMAGES
from quietfield.files.parts import leaders

log = logging.getLogger(__name__)

IMAGES = "images"
# Images of microscopes and tools that people keep beside TIFFs, and that have to be saved as TIFF first.
NOT_READ = (".czi", ".nd2", ".lif", ".oif", ".oib", ".oir", ".vsi", ".ims", ".nrrd", ".png", ".jpg", ".jpeg")
NAMED = (".tif", ".tiff", ".btf", ".mha")  # endings of an answer's own name
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
    """One image to read and the file to write for it."""

    source: Path
    target: Path


# What becomes of an answer that is already there: it is kept and named as a problem, left out, or replaced.
Existing = Literal["keep", "skip", "replace"]


def find_jobs(
    source: Path, output: Path, recursive: bool = False, existing: Existing = "keep", *, tiffs: bool = False
) -> tuple[list[Job], list[str]]:
    """Every image to denoise, and a sentence for each that cannot be.

    `source` is the platform's input (a folder with images/, and inputs.json or not), whose answers go where the
    platform wants them and replace older ones; or else a plain folder of images, or one image (`jobs_of`). The
    platform's answers are TIFFs, and with `tiffs` all are.

    Raises
    ------
    FileNotFoundError
        If there is no image; the message says where it was looked for.
    """
    if not is_platform(source):
        looked = [source / IMAGES, source]
        jobs: list[Job] = []
        problems: list[str] = []
        if source.is_file() or _images(source, recursive):
            jobs, problems = jobs_of([source], output, recursive, existing, tiffs=tiffs)
    else:
        looked = [source / IMAGES / folder for folder in FOLDERS]
        folders, problems = _socket_folders(source)
        pairs = [
            (file, output / IMAGES / answer / f"{file.stem}.tif")
            for folder, answer in folders
            for file in _images(folder)
        ]
        jobs, conflicts = _without_conflicts(pairs, "replace")
        problems += conflicts
    if not jobs and not problems:
        places = ", ".join(str(place) for place in looked)
        below = 0 if recursive or not source.is_dir() else len(_images(source, recursive=True))
        hint = f"; left out are {below} in folders of it, which --recursive takes" if below else ""
        raise FileNotFoundError(f"no input: expected {', '.join(SUFFIXES)} files, looked in {places}{hint}")
    return jobs, problems


def is_platform(source: Path) -> bool:
    """Whether a folder is laid out as the platform does it, and not just one of images with a folder called images."""
    sockets = (source / "inputs.json").is_file() or any((source / IMAGES / folder).is_dir() for folder in FOLDERS)
    return (source / IMAGES).is_dir() and (sockets or not _images(source))


def jobs_of(
    sources: list[Path], output: Path, recursive: bool = False, existing: Existing = "keep", *, tiffs: bool = False
) -> tuple[list[Job], list[str]]:
    """Images and folders of images to denoise, and a sentence for each that cannot be.

    Parameters
    ----------
    sources : list of Path
        Images, and folders of images.
    output : Path
        Folder for the answers: NAME.tif for a TIFF, NAME.mha for a MetaImage, and the same relative path for one of
        a folder. Of a single image it may be the name of the answer itself.
    recursive : bool
        Take the images in folders of folders, too.
    existing : str
        What becomes of answers that are already there.
    tiffs : bool
        The answers to MetaImages are TIFFs, too.
    """
    pairs: list[tuple[Path, Path]] = []
    problems: list[str] = []
    named = output.suffix.lower() in NAMED and not output.is_dir()
    if named and not (len(sources) == 1 and sources[0].is_file()):
        return [], [f"{output}: expected a folder for the answers of several images, found the name of a file"]
    for source in sources:
        if source.is_file():
            pairs.append((source, output if named else output / _answer(Path(source.name), tiffs)))
        elif source.is_dir():
            # Answers of an earlier run are no images to denoise.
            every = _images(source, recursive)
            files = [file for file in every if output == source or output not in file.parents]
            if len(files) < len(every):
                log.info("%s: %d images in %s are answers: left out", source, len(every) - len(files), output)
            pairs += [(file, output / _answer(file.relative_to(source), tiffs)) for file in files]
            below = 0 if recursive else len(_images(source, recursive=True)) - len(_images(source))
            hint = f": left out are {below} in folders of it, which --recursive takes" if below else ""
            _name_others(source, recursive)
            if not files:
                problems.append(f"{source}: expected {', '.join(SUFFIXES)} files, found none{hint}")
            elif hint:
                log.warning("%s%s", source, hint)
        else:
            problems.append(f"{source}: expected an image or a folder of images, found nothing")
    pairs = list(dict.fromkeys(pairs))
    first = leaders([file for file, _ in pairs]) if len(pairs) > 1 else {}
    for file, leader in first.items():
        log.info("%s: a part of the image in %s, whose answer holds it: no answer of its own", file, leader)
    jobs, conflicts = _without_conflicts([pair for pair in pairs if pair[0] not in first], existing)
    return jobs, problems + conflicts


def _without_conflicts(pairs: list[tuple[Path, Path]], existing: Existing) -> tuple[list[Job], list[str]]:
    """A job for each pair of image and answer, and a sentence for each that would destroy something."""
    jobs: dict[Path, Job] = {}
    problems = []
    for source, target in pairs:
        if target in jobs:
            problems.append(f"{source}: its answer would overwrite that of {jobs[target].source}: rename one")
        elif target.resolve() == source.resolve():
            problems.append(f"{source}: its answer would overwrite it: choose another --output")
        elif target.exists() and existing == "skip":
            log.info("%s: left out, its answer %s is there", source, target)
        elif target.exists() and existing == "keep":
            advice = "replace it with --overwrite, or leave it out with --skip-existing"
            problems.append(f"{source}: its answer {target} is already there: {advice}")
        else:
            jobs[target] = Job(source, target)
    return list(jobs.values()), problems


def _answer(path: Path, tiffs: bool) -> Path:
    """The relative path of the answer to an image of that relative path."""
    return path.with_name(f"{path.stem}{'.mha' if path.suffix.lower() in METAIMAGES and not tiffs else '.tif'}")


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


def _name_others(folder: Path, recursive: bool) -> None:
    """Warn of files that look like images of kinds that are not read."""
    found = folder.rglob("*") if recursive else folder.iterdir()
    others = sorted(p.name for p in found if p.suffix.lower() in NOT_READ)
    if others:
        first = ", ".join(others[:3]) + (", ..." if others[3:] else "")
        log.warning("%s: %d files are of kinds that are not read and are left out: %s", folder, len(others), first)


def _images(folder: Path, recursive: bool = False) -> list[Path]:
    """The images of a folder, in order; hidden ones are not of the user."""
    if not folder.is_dir():
        return []
    found = folder.rglob("*") if recursive else folder.iterdir()
    visible = (p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))
    return sorted(p for p in visible if p.suffix.lower() in SUFFIXES)
