"""The whole way of one file: planes in, network, planes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denoiser.images import Stack, open_stack, write_stack
from denoiser.predict import Denoiser, invalid

BLOCK_PIXELS = 1024 * 1024


@dataclass
class Report:
    """What was seen on the way: the file's own description and the number of invalid pixels."""

    shape: tuple[int, ...]
    dtype: str
    axes: str
    invalid: int = 0

    @property
    def pixels(self) -> int:
        """Pixels in the file."""
        return int(np.prod(self.shape, dtype=np.int64))


def denoise_file(
    denoiser: Denoiser,
    source: Path,
    target: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Denoise every plane of a file, holding only a few planes at a time.

    Parameters
    ----------
    denoiser : Denoiser
        The network to use.
    source, target : Path
        What to read, and the TIFF to write.
    progress : callable
        Told the planes done and the planes in all.

    Raises
    ------
    ValueError
        If the source cannot be read.
    OSError
        If the target cannot be written.
    """
    with open_stack(source) as stack:
        report = Report(stack.shape, str(stack.dtype), stack.axes)
        write_stack(target, stack, _denoised(denoiser, stack, report, progress))
    return report


def _denoised(
    denoiser: Denoiser, stack: Stack, report: Report, progress: Callable[[int, int], None]
) -> Iterator[NDArray[np.float32]]:
    done = 0
    for block in stack.blocks(BLOCK_PIXELS):
        report.invalid += int(invalid(block).sum())
        yield from denoiser(block)
        done += len(block)
        progress(done, stack.count)
