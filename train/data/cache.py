"""The normalised images of a data set, stored on disk once and used by the runs after."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quietfield.machine import disk_free

from ..config import Config
from ..folders import make_folder
from .frames import Scene, read_images, target_of
from .layouts import Item, Layout
from .reading import open_volume
from .statistics import Moments

log = logging.getLogger(__name__)

FIELDS = ("frames", "average", "target")  # of the configuration: those that decide what is picked
INDEX = "index.json"
MIB = 2**20
NPY_HEADER = 128  # bytes


@dataclass(frozen=True)
class Cache:
    """Normalised images on disk, float32, and the way back to intensity units.

    Attributes
    ----------
    folder : Path
        Holds `index.json` and, for each image, `NAME.noisy.npy` and `NAME.truth.npy`.
    mean, std : float
        Of all pixels of all noisy files; z = (x - mean) / std is what is stored of these.
    dtypes : dict
        By file, the dtype of what was picked: whole numbers come back whole.
    units : dict
        By ground truth, its own mean and standard deviation, as its units may be others.
    """

    folder: Path
    mean: float
    std: float
    dtypes: dict[str, str]
    units: dict[str, list[float]]

    def read(self, item: Item, kind: str, config: Config) -> list[Scene]:
        """What `read_images` gives, from the disk; what is not stored comes from its source."""
        if f"{item.name}.truth" not in self.dtypes:
            return read_images(item, kind, config)
        truth = self._restored(f"{item.name}.truth")
        if f"{item.name}.noisy" in self.dtypes:
            return [Scene("", None, self._restored(f"{item.name}.noisy"), truth)]
        stack = open_volume(item.files["noisy"]).planes  # random frames stay where they are
        return [Scene("", None, stack.reshape(-1, *stack.shape[-2:]), truth)]

    def _restored(self, name: str) -> NDArray[Any]:
        """The inverse of `_normalised`."""
        path = self.folder / f"{name}.npy"
        try:
            mean, std = self.units.get(name, (self.mean, self.std))
            image = np.load(path).astype(np.float64) * std + mean
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path}: expected a cached image, found none ({error}): remove {self.folder}") from error
        dtype = np.dtype(self.dtypes[name])
        whole = dtype.kind in "bui"
        return np.asarray(np.rint(image) if whole else image, dtype if whole or dtype.itemsize > 4 else np.float32)

    def _normalised(self, name: str, image: NDArray[Any]) -> NDArray[np.float32]:
        mean, std = self.units.get(name, (self.mean, self.std))
        return np.asarray((image.astype(np.float64) - mean) / std, np.float32)


def open_cache(layout: Layout, config: Config, folder: Path, moments: Moments | None = None) -> Cache:
    """The cache of these images, made if it is not there or its sources have changed.

    Parameters
    ----------
    layout, config : Layout, Config
        Which images, and what of them; each data set and choice of frames and target has a folder of its own.
    folder : Path
        Where caches are kept, side by side.
    moments : Moments, optional
        Those of all noisy files, if they are known already.

    Raises
    ------
    OSError
        If the disk has no room for it.
    ValueError
        If no image can be read.
    """
    place = hashlib.sha256(str(layout.root.resolve()).encode()).hexdigest()[:8]
    home = folder / "-".join([layout.kind, place, *(str(getattr(config, name)) for name in FIELDS)])
    mark = fingerprint(layout, config)
    if (cache := _load(home, mark)) is not None:
        log.debug("normalised images from %s", home)
        return cache
    if home.is_dir():
        log.debug("%s: the sources have changed since it was made: it is made anew", home)
        shutil.rmtree(home, ignore_errors=True)
    _check_room(layout, config, folder)
    return _store(layout, config, home, moments or noisy_moments(layout), mark)


def fingerprint(layout: Layout, config: Config) -> str:
    """A digest of the sources' names, sizes and times, and of what is picked of them."""
    files = []
    for item in layout.items:
        for role, path in item.files.items():
            status = path.stat()
            name = path.relative_to(layout.root).as_posix()
            files.append([item.name, role, name, status.st_size, status.st_mtime_ns])
    picked = ["units", layout.kind, {name: getattr(config, name) for name in FIELDS}, files]
    return hashlib.sha256(json.dumps(picked).encode()).hexdigest()


def noisy_moments(layout: Layout) -> Moments:
    """Moments of all pixels of all noisy files that can be read."""
    total = Moments()
    for item in layout.items:
        if item.noisy is not None:
            try:
                total = total.merge(Moments.of(open_volume(item.noisy).planes))
            except ValueError as error:
                log.debug("left out of the statistics: %s", error)
    return total


def _load(home: Path, mark: str) -> Cache | None:
    try:
        record = json.loads((home / INDEX).read_text())
    except (OSError, ValueError):
        return None
    if record.pop("fingerprint", None) != mark:
        return None
    return Cache(home, **record)


def _store(layout: Layout, config: Config, home: Path, moments: Moments, mark: str) -> Cache:
    """Write the cache whole or not at all."""
    make_folder(home.parent, "--cache, or compute on the fly with --no-cache")
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=home.parent))
    try:
        cache = Cache(part, moments.mean, moments.std if moments.std > 0 else 1.0, {}, {})
        reasons = [_store_item(cache, item, layout.kind, config) for item in layout.items]
        if all(reasons):
            raise ValueError(f"{layout.root}: expected pairs of images, found none that can be used: {reasons[0]}")
        record = {
            "fingerprint": mark,
            "mean": cache.mean,
            "std": cache.std,
            "dtypes": cache.dtypes,
            "units": cache.units,
        }
        (part / INDEX).write_text(json.dumps(record))
        try:
            os.replace(part, home)
        except OSError:  # another process was quicker
            if (other := _load(home, mark)) is None:
                raise
            return other
    finally:
        shutil.rmtree(part, ignore_errors=True)
    log.debug("stored %d normalised images in %s", len(cache.dtypes), home)
    return dataclasses.replace(cache, folder=home)


def _store_item(cache: Cache, item: Item, kind: str, config: Config) -> str | None:
    """Write an image; or say why not, which is an error once it is asked for."""
    try:
        scenes = read_images(item, kind, config)
    except ValueError as error:
        log.debug("not stored: %s", error)
        return str(error)
    if len(scenes) > 1:  # planes of one file, which are quick to read from it
        return None
    (scene,) = scenes
    # A stack of which random frames are taken would be as large again: only its ground truth is stored.
    images = {"truth": scene.truth} if len(scene.frames) > 1 else {"noisy": scene.frames, "truth": scene.truth}
    for role, image in images.items():
        name = f"{item.name}.{role}"
        path = cache.folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        cache.dtypes[name] = image.dtype.str
        if role == "truth":
            own = Moments.of(image)
            cache.units[name] = [own.mean, own.std if own.std > 0 else 1.0]
        np.save(path, cache._normalised(name, image))
    return None


def _check_room(layout: Layout, config: Config, folder: Path) -> None:
    needed = sum(_size(item, layout.kind, config) for item in layout.items)
    if needed > (free := disk_free(folder)):
        raise OSError(
            f"{folder}: the cache of normalised images needs {needed / MIB:.1f} MiB, found {free / MIB:.1f} MiB free: "
            "name another folder with --cache, or compute on the fly with --no-cache"
        )


def _size(item: Item, kind: str, config: Config) -> int:
    """Bytes that are stored of an image: a frame and a ground truth, or the ground truth alone."""
    try:
        path = target_of(item, kind, config)
        noisy = open_volume(item.files.get("noisy", Path()))
        truth = open_volume(path) if path else noisy
    except ValueError:
        return 0  # not stored
    if path and math.prod(truth.leading) > 1:
        return 0
    stored = [truth] if config.frames == "random" and math.prod(noisy.leading) > 1 else [noisy, truth]
    return sum(NPY_HEADER + 4 * math.prod(volume.planes.shape[-2:]) for volume in stored)
