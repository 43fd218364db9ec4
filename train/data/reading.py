"""Read an image file of any kind as planes with named axes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from quietfield.files import images
from quietfield.files.images import open_stack
from quietfield.files.tiff import BROAD, NARROW

PICTURES, LOSSY = (".png", ".bmp", ".jpg", ".jpeg"), (".jpg", ".jpeg")
SUFFIXES = (*images.SUFFIXES, *PICTURES, ".npy")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Volume:
    """The planes of a file.

    Attributes
    ----------
    planes : ndarray
        (..., Y, X), any real dtype, as stored; of `.npy` files memory-mapped.
    axes : str
        A letter for each axis in front of Y: T, Z, C, or Q where the file says nothing.
    names : tuple of str
        Of all channels, if the file tells them apart.
    """

    planes: NDArray[Any]
    axes: str
    names: tuple[str, ...] = ()

    @property
    def leading(self) -> tuple[int, ...]:
        """The shape in front of Y."""
        return self.planes.shape[:-2]

    @property
    def named(self) -> str:
        """The shape with the letters of its axes, as "TYX (5, 64, 64)"."""
        return f"{self.axes}YX {self.planes.shape}"

    def channel(self, number: int) -> Volume:
        """One of the channels, without their axis; itself if it has no such axis."""
        at = self.axes.find("C")
        if at < 0:
            return self
        if number >= self.leading[at]:
            raise ValueError(f"--image-channels {number}: expected a channel below {self.leading[at]} of {self.named}")
        return Volume(self.planes[(slice(None),) * at + (number,)], self.axes[:at] + self.axes[at + 1 :])

    def ordered(self, channels: list[int]) -> Volume:
        """The same with some of its channels, in another order."""
        picked = np.take(self.planes, channels, axis=self.axes.index("C"))
        return Volume(picked, self.axes, tuple(self.names[i] for i in channels))

    def squeezed(self) -> Volume:
        """Without axes of one plane."""
        kept = [i for i, size in enumerate(self.leading) if size > 1]
        shape = (*(self.leading[i] for i in kept), *self.planes.shape[-2:])
        return Volume(self.planes.reshape(shape), "".join(self.axes[i] for i in kept), self.names)


@dataclass
class _Readers:
    """How many threads are reading, and what the log's level was before."""

    lock: threading.Lock
    count: int = 0
    level: int = logging.NOTSET


_READERS = _Readers(threading.Lock())


def is_image(path: Path) -> bool:
    """Whether it is a file by whose name it is to be read."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def open_image(path: Path) -> NDArray[Any]:
    """Open a TIFF, PNG, BMP, JPEG or NPY file of real numbers as it is stored; NPY is memory-mapped.

    Raises
    ------
    ValueError
        If there is no such file, it cannot be read, or it holds no pixels or no real numbers.
    """
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.suffix.lower() in PICTURES:
            image = _picture(path)
        else:
            image = tifffile.imread(path)
    except Exception as error:  # the decoders raise all sorts: struct.error, zlib.error, KeyError, ...
        raise ValueError(
            f"{path}: expected an image, found a file that cannot be read ({error}): copy it again"
        ) from error
    if image.dtype.kind not in "buif" or image.size == 0:
        raise ValueError(f"{path}: expected pixels of real numbers, found {image.dtype} of shape {image.shape}")
    return np.asarray(image)


def open_volume(path: Path) -> Volume:
    """Open a file of any kind that inference reads, or a PNG, BMP, JPEG or NPY file.

    Raises
    ------
    ValueError
        As `open_image`, and if it is no image (Y, X) or stack of them.
    """
    if path.suffix.lower() in (*PICTURES, ".npy"):
        stored = open_image(path)
        if stored.ndim < 2:
            raise ValueError(f"{path}: expected an image (Y, X) or a stack (..., Y, X), found {stored.shape}")
        if stored.ndim > 2 and stored.shape[-1] in NARROW and min(stored.shape[-3:-1]) >= BROAD:
            return Volume(np.moveaxis(stored, -1, -3), "Q" * (stored.ndim - 3) + "C")
        return Volume(stored, "Q" * (stored.ndim - 2))
    with _quiet(), open_stack(path) as stack:
        planes = np.stack([stack.plane(index) for index in range(stack.count)])
    at = stack.axes.find("YX")
    at = len(stack.shape) - 2 if at < 0 else at
    sizes = (*stack.shape[:at], *((stack.samples,) if stack.samples > 1 else ()))
    letters = stack.axes[:at].ljust(at, "Q") + ("C" if stack.samples > 1 else "")
    names = tuple(channel.name for channel in stack.metadata.channels)
    told = names if all(names) and len(set(names)) == len(names) else ()
    return Volume(planes.reshape(*sizes, *planes.shape[1:]), letters.replace("I", "Q").replace("S", "C"), told)


def first_plane(path: Path) -> NDArray[Any]:
    """The first plane (Y, X) of a file, without reading the others where its format allows.

    Raises
    ------
    ValueError
        As `open_volume`.
    """
    if path.suffix.lower() in (*PICTURES, ".npy"):
        plane = open_volume(path).planes
        while plane.ndim > 2:
            plane = plane[0]
        return plane
    with _quiet(), open_stack(path) as stack:
        return stack.plane(0)


def _picture(path: Path) -> NDArray[Any]:
    from PIL import Image

    with Image.open(path) as file:
        if file.mode == "P":
            raise ValueError("its pixels are numbers of colours: save it as grey")
        return np.asarray(file.convert({"RGBA": "RGB", "LA": "L"}[file.mode]) if file.mode in ("RGBA", "LA") else file)


@contextmanager
def _quiet() -> Iterator[None]:
    """What is guessed of a file is told once, by the table of `prepare`, not by each file.

    Threads read at once, and leave in any order: the last one brings the level back.
    """
    logger = logging.getLogger("quietfield.files")
    with _READERS.lock:
        if not _READERS.count:
            _READERS.level = logger.level
        _READERS.count += 1
    try:  # from here on: Ctrl-C may come at any time
        logger.setLevel(logging.WARNING)
        yield
    finally:
        with _READERS.lock:
            _READERS.count -= 1
            if not _READERS.count:
                logger.setLevel(_READERS.level)
