"""Denoise fluorescence microscopy images.

>>> import numpy, quietfield
>>> model = quietfield.load()
>>> clean = model.denoise(numpy.random.default_rng(0).poisson(20, (64, 80)))
>>> clean.shape
(64, 80)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quietfield.front import ImageDenoiser, denoise, load

__version__ = "0.2.0"
__all__ = ["ImageDenoiser", "__version__", "denoise", "load"]

# Nothing is printed unless a program asks for it, by `logging.basicConfig()` or a handler of its own.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Import torch when it is needed: the version is told without."""
    if name in ("ImageDenoiser", "denoise", "load"):
        from quietfield import front

        return getattr(front, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
