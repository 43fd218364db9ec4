"""What a file says of its image besides the pixels: sizes in nature, names of channels, positions, and the like."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["ome", "imagej", "lsm", "stk", "micromanager", "metaimage", "plain"]

# Micrometres to a unit, by its names in OME, ImageJ, STK and LSM files.
MICROMETRES = {
    "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "nanometer": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "micrometers": 1.0, "\\u00b5m": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4,
    "centimeter": 1e4, "m": 1e6, "meter": 1e6, "inch": 25400.0, "inches": 25400.0, "in": 25400.0,
}  # fmt: skip
SECONDS = {"ns": 1e-9, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
SMALLEST, LARGEST = 1e-6, 1e8  # micrometres that a pixel or a step may have, and seconds between frames


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, as "µm" or "s"."""

    value: float
    unit: str

    @property
    def micrometres(self) -> float | None:
        """A length in micrometres; None for a unit that is no length."""
        return _in(self, MICROMETRES)

    @property
    def seconds(self) -> float | None:
        """A time in seconds; None for a unit that is no time."""
        return _in(self, SECONDS)

    def __truediv__(self, number: float) -> Quantity:
        return Quantity(self.value / number, self.unit)

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


def _in(quantity: Quantity, units: dict[str, float]) -> float | None:
    factor = units.get(quantity.unit, units.get(quantity.unit.lower()))
    return None if factor is None else quantity.value * factor


def quantity(value: object, unit: str, what: str, faults: list[str]) -> Quantity | None:
    """A size or an interval that a file gives, or None where it gives none, or one that is not plausible.

    Parameters
    ----------
    value : object
        As the file has it: a number, or its text.
    unit : str
        Its unit.
    what : str
        Its name, for the fault.
    faults : list of str
        Takes a sentence on a value that is not plausible.
    """
    if value is None or value == "":
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    found = Quantity(number, unit)
    known = [known for known in (found.micrometres, found.seconds) if known is not None]
    if not number > 0 or not SMALLEST <= (known[0] if known else number) <= LARGEST:
        faults.append(f"{what}: expected a plausible value, found {str(value)[:40]} {unit}: left out")
        return None
    return found


@dataclass(frozen=True)
class Channel:
    """A channel's name, and its colour as (red, green, blue) from 0 to 255; empty and None where none is given."""

    name: str = ""
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Position:
    """Where on the stage an image was taken: a name, and x, y, z."""

    name: str = ""
    x: Quantity | None = None
    y: Quantity | None = None
    z: Quantity | None = None


@dataclass(frozen=True)
class Metadata:
    """What a file says of its image.

    Attributes
    ----------
    kind : str
        Where it is from: "ome", "imagej", "lsm", "stk", "micromanager", "metaimage", or "plain".
    axes : str
        The file's names of its axes; "Q" and "I" for those that have none.
    x, y, z : Quantity or None
        Width and height of a pixel, step between planes along depth.
    interval : Quantity or None
        Time between frames.
    channels : tuple of Channel
        In their order.
    positions : tuple of Position
        Of each image, where there are several, in their order.
    names : tuple of str
        Of each image.
    date : str
        Of the acquisition, as the file has it.
    description : str
        In words; of a plain TIFF its ImageDescription.
    software : str
        That wrote the file.
    photometric : str
        How a TIFF's pixels are shown: "minisblack", "miniswhite", "rgb" or "palette".
    orientation : int
        TIFF's tag: 1 is row 0 on top, column 0 on the left.
    resolution : tuple or None
        TIFF's tags XResolution and YResolution, pixels per unit, and ResolutionUnit (1 none, 2 inch, 3 centimetre).
    colormap : ndarray or None
        TIFF's colour table, (3, 2**bits), uint16.
    origin, spacing, direction : tuple of float
        Of a MetaImage: in its own order of axes, X first.
    extra : dict
        What only files of the kind have: ImageJ's metadata, keys of a plain TIFF's shaped metadata.
    xml : str
        OME-XML of the file.
    images : tuple of int
        Numbers of the elements Image in the OME-XML that the stack holds.
    faults : tuple of str
        What of it is not plausible, and is left out.
    """

    kind: Kind = "plain"
    axes: str = ""
    x: Quantity | None = None
    y: Quantity | None = None
    z: Quantity | None = None
    interval: Quantity | None = None
    channels: tuple[Channel, ...] = ()
    positions: tuple[Position, ...] = ()
    names: tuple[str, ...] = ()
    date: str = ""
    description: str = ""
    software: str = ""
    photometric: str = "minisblack"
    orientation: int = 1
    resolution: tuple[float, float, int] | None = None
    colormap: Any = field(default=None, repr=False, compare=False)
    origin: tuple[float, ...] = ()
    spacing: tuple[float, ...] = ()
    direction: tuple[float, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict, repr=False)
    xml: str = field(default="", repr=False)
    images: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def denoised(self) -> bool:
        """Whether the file says that it is an answer of ours."""
        said = (self.software, self.description, *map(str, self.extra.values()))
        return any("quietfield" in text for text in said) or 'Namespace="quietfield"' in self.xml
