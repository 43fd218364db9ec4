"""OME-XML: what it says of images, and what is written of their answers."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from quietfield.files.metadata import Channel, Metadata, Position, Quantity, quantity

Element = ElementTree.Element

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
TYPES = {"float32": "float", "float64": "double", "bool": "bit"}
LENGTHS = {"X": "PhysicalSizeX", "Y": "PhysicalSizeY", "Z": "PhysicalSizeZ"}
ORDERS = ("XYCZT", "XYZCT", "XYZTC", "XYCTZ", "XYTCZ", "XYTZC")
ANNOTATION = "Annotation:quietfield"
# What comes behind the annotations of an OME element, and behind the annotation references of an Image.
BEHIND = ("ROI", "BinaryOnly")
_NOT_XML = re.compile("[^\\t\\n\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


def parse(text: str | None) -> Element | None:
    """The root of an OME-XML; None if it is none, or damaged."""
    if not text:
        return None
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return None
    return root if local(root) == "OME" else None


def local(element: Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element | None, *names: str) -> Iterator[Element]:
    """The children of some names."""
    yield from (child for child in (element if element is not None else ()) if local(child) in names)


def child(element: Element | None, name: str) -> Element | None:
    """The first child of a name."""
    return next(children(element, name), None)


def pixels_of(root: Element) -> list[Element]:
    """The element Pixels of each Image; of one without, the Image itself."""
    return [found if (found := child(image, "Pixels")) is not None else image for image in children(root, "Image")]


def planes_of(pixels: Element) -> int:
    """Planes that an element Pixels names; 0 where it is none that can be.

    Channels of several samples are one plane for each of them here.
    """
    try:
        return math.prod(max(0, int(pixels.attrib[f"Size{axis}"])) for axis in "ZCT")
    except (KeyError, ValueError):
        return 0


def side(pixels: Element, axis: str) -> int:
    """Pixels along X or Y that an element Pixels names; 0 where it names none."""
    text = pixels.get(f"Size{axis}", "")
    return int(text) if text.isdecimal() else 0


def farthest(pixels: Element) -> int:
    """The largest number by which an image's planes are placed in its files; -1 where one is none."""
    texts = [text for data in children(pixels, "TiffData") for text in data.attrib.values()]
    numbers = [int(text) if text.isdecimal() else -1 for text in texts]
    return -1 if -1 in numbers else max(numbers, default=0)


def files_of(pixels: Element) -> list[str]:
    """Names of the files that hold an image's planes, in their order; empty where it names none."""
    names = (
        uuid.attrib.get("FileName", "") for data in children(pixels, "TiffData") for uuid in children(data, "UUID")
    )
    return list(dict.fromkeys(name for name in names if name))


def keep(root: Element, file: str) -> int:
    """Take out the images of which a file holds no plane, if it is named at all; how many."""
    images = list(zip(list(children(root, "Image")), pixels_of(root), strict=True))
    others = [image for image, pixels in images if (files := files_of(pixels)) and file not in files]
    others = others if len(others) < len(images) else []
    _remove(root, others)
    return len(others)


def _remove(root: Element, images: Sequence[Element]) -> None:
    """Take out images, and what refers to them."""
    dropped = {image.get("ID") for image in images}
    for image in images:
        root.remove(image)
    for element in root.iter() if dropped else ():
        for reference in [found for found in children(element, "ImageRef") if found.get("ID") in dropped]:
            element.remove(reference)


def companion(root: Element, path: Path) -> Path | None:
    """The file of the metadata where the file at `path` only names it."""
    only = child(root, "BinaryOnly")
    name = only.attrib.get("MetadataFile", "") if only is not None else ""
    return path.parent / Path(name).name if name else None


def without_identity(root: Element) -> str:
    """The text of the metadata as if they were those of whoever reads them."""
    root.attrib.pop("UUID", None)
    return ElementTree.tostring(root, encoding="unicode")


def read(root: Element, numbers: Sequence[int]) -> Metadata:
    """What the OME-XML says of some images (those of one stack)."""
    every = list(children(root, "Image"))
    images = [every[number] for number in numbers]
    if not images:
        return Metadata("ome")
    faults: list[str] = []
    pixels = pixels_of(root)[numbers[0]]
    sizes = [quantity(pixels.get(name), pixels.get(f"{name}Unit", "µm"), name, faults) for name in LENGTHS.values()]
    interval = quantity(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"), "TimeIncrement", faults)
    channels = tuple(
        Channel(channel.get("Name", ""), _colour(channel.get("Color"))) for channel in children(pixels, "Channel")
    )
    date, words = child(images[0], "AcquisitionDate"), child(images[0], "Description")
    return Metadata(
        "ome",
        x=sizes[0],
        y=sizes[1],
        z=sizes[2],
        interval=interval,
        channels=channels if any(c != Channel() for c in channels) else (),
        positions=tuple(map(_position, images)),
        names=tuple(image.get("Name", "") for image in images),
        date=(date.text or "") if date is not None else "",
        description=(words.text or "") if words is not None else "",
        software=root.get("Creator", ""),
        images=tuple(numbers),
        faults=tuple(faults),
    )


def _colour(text: str | None) -> tuple[int, int, int] | None:
    try:
        number = int(text or "") & 0xFFFFFFFF
    except ValueError:
        return None
    return number >> 24, number >> 16 & 255, number >> 8 & 255


def _position(image: Element) -> Position:
    label, plane = child(image, "StageLabel"), child(child(image, "Pixels"), "Plane")
    found: list[Quantity | None] = []
    for axis in "XYZ":
        for where, name in ((label, axis), (plane, f"Position{axis}")):
            try:
                value = float(where.get(name, "nan")) if where is not None else math.nan
            except ValueError:
                value = math.nan
            if where is not None and math.isfinite(value):
                found.append(Quantity(value, where.get(f"{name}Unit", "reference frame")))
                break
        else:
            found.append(None)
    return Position(label.get("Name", "") if label is not None else "", *found)


@dataclass(frozen=True)
class Part:
    """Images of one shape whose answers are written one behind the other.

    Attributes
    ----------
    metadata : Metadata
        What the input says of them.
    shape, axes : tuple of int, str
        Of each image as it is written: leading axes, Y, X, and S for samples in one page.
    images : int
        How many.
    dtype : numpy.dtype
        Of the answer.
    """

    metadata: Metadata
    shape: tuple[int, ...]
    axes: str
    images: int
    dtype: np.dtype[np.generic]

    @property
    def samples(self) -> int:
        """Samples that lie in one page."""
        return self.shape[-1] if self.axes.endswith("S") else 1

    @property
    def pages(self) -> int:
        """Pages of each image."""
        return math.prod(self.shape[: self.axes.index("Y")])

    def sizes(self) -> tuple[str, dict[str, int]]:
        """DimensionOrder, and the sizes along Z, C and T."""
        letters, sizes = _slots(self.axes[: self.axes.index("Y")], self.shape)
        wanted = letters[::-1]  # others have one plane, so that they may stand between them
        order = next(order for order in ORDERS if "".join(axis for axis in order if axis in wanted) == wanted)
        return order, {axis: sizes.get(axis, 1) * (self.samples if axis == "C" else 1) for axis in "ZCT"}


def _slots(leading: str, shape: Sequence[int]) -> tuple[str, dict[str, int]]:
    """Leading axes as those that OME knows, in their order; what has no place of its own joins its neighbour."""
    named = [axis if axis in "ZCT" else "" for axis in leading]
    free = [axis for axis in "TZC" if axis not in named]
    for index, axis in enumerate(leading):
        if axis == "S" and "C" in free:
            named[index] = "C"
            free.remove("C")
    sizes: dict[str, int] = {}
    letters = ""
    for axis, size in zip(named, shape, strict=False):
        if not axis and free:
            axis = free.pop(0)
        if axis:
            letters += axis
            sizes[axis] = sizes.get(axis, 1) * size
        elif letters:
            sizes[letters[-1]] *= size
        else:
            letters, sizes = "T", {"T": size}
    return letters, sizes


def write(parts: Sequence[Part], note: dict[str, str], scale: int = 1) -> str:
    """OME-XML of answers.

    What the input's own OME-XML says of the images is kept, if it is of the schema of 2016; else it is made anew of
    what is known.

    Parameters
    ----------
    parts : sequence of Part
        In the order of their pages.
    note : dict
        What was done, as keys and values.
    scale : int
        Times as many pixels along Y and X as the metadata say.
    """
    original = parse(parts[0].metadata.xml)
    kept = original is not None and original.tag == f"{{{NAMESPACE}}}OME" and all(map(_fits, parts))
    root = original if kept and original is not None else Element(_tag("OME"))
    every = list(children(root, "Image"))
    root.set("UUID", f"urn:uuid:{uuid.uuid4()}")
    root.set("Creator", note["program"])
    root.set(f"{{{INSTANCE}}}schemaLocation", f"{NAMESPACE} {NAMESPACE}/ome.xsd")
    page, chosen = 0, list[Element]()
    for part in parts:
        for number in range(part.images):
            image = every[part.metadata.images[number]] if kept else _made(root, part, number, len(chosen))
            _fill(image, part, page, scale)
            ElementTree.SubElement(image, _tag("AnnotationRef"), ID=ANNOTATION)
            chosen.append(image)
            page += part.pages
    _remove(root, [image for image in every if image not in chosen])
    _annotate(root, note)
    ElementTree.register_namespace("", NAMESPACE)
    ElementTree.register_namespace("xsi", INSTANCE)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root, encoding="unicode")


def _fits(part: Part) -> bool:
    """Whether the OME-XML of the input has the images of a part, as they are."""
    root = parse(part.metadata.xml)
    if root is None or len(part.metadata.images) != part.images:
        return False
    found = [pixels_of(root)[number] for number in part.metadata.images]
    return all(planes_of(pixels) == part.pages * part.samples for pixels in found)


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _made(root: Element, part: Part, number: int, total: int) -> Element:
    """A new Image of what is known."""
    found = part.metadata
    name = found.names[number] if number < len(found.names) else ""
    image = ElementTree.SubElement(root, _tag("Image"), ID=f"Image:{total}")
    if name:
        image.set("Name", _printable(name))
    if _is_date(found.date):
        ElementTree.SubElement(image, _tag("AcquisitionDate")).text = found.date
    if found.description:
        ElementTree.SubElement(image, _tag("Description")).text = _printable(found.description)
    place = found.positions[number] if number < len(found.positions) else Position()
    if place != Position():
        label = ElementTree.SubElement(image, _tag("StageLabel"), Name=_printable(place.name) or name or "position")
        for axis, value in (("X", place.x), ("Y", place.y), ("Z", place.z)):
            if value is not None:
                _length(label, axis, value, "reference frame")
    pixels = ElementTree.SubElement(image, _tag("Pixels"), ID=f"Pixels:{total}")
    order, sizes = part.sizes()
    pixels.set("DimensionOrder", order)
    for axis, size in sizes.items():
        pixels.set(f"Size{axis}", str(size))
    for attribute, value in zip(LENGTHS.values(), (found.x, found.y, found.z), strict=True):
        if value is not None:
            _length(pixels, attribute, value, "pixel")
    if found.interval is not None and found.interval.seconds is not None:
        pixels.set("TimeIncrement", repr(found.interval.seconds))
        pixels.set("TimeIncrementUnit", "s")
    count = sizes["C"] // part.samples
    for index in range(count):
        channel = ElementTree.SubElement(
            pixels, _tag("Channel"), ID=f"Channel:{total}:{index}", SamplesPerPixel=str(part.samples)
        )
        known = found.channels[index] if index < len(found.channels) else Channel()
        if known.name:
            channel.set("Name", _printable(known.name))
        if known.colour is not None:
            red, green, blue = known.colour
            packed = red << 24 | green << 16 | blue << 8 | 255
            channel.set("Color", str(packed - (packed >> 31 << 32)))
    return image


def _fill(image: Element, part: Part, page: int, scale: int) -> None:
    """Set what the pixels of the answer are, and where they lie."""
    pixels = child(image, "Pixels")
    assert pixels is not None
    x, y = (part.shape[part.axes.index(axis)] for axis in "XY")
    pixels.set("SizeX", str(x))
    pixels.set("SizeY", str(y))
    pixels.set("Type", TYPES.get(part.dtype.name, part.dtype.name))
    pixels.set("BigEndian", "false")
    for name in ("SignificantBits", "Interleaved"):
        pixels.attrib.pop(name, None)
    if part.samples > 1:
        pixels.set("Interleaved", "true")
    for attribute, known in zip(LENGTHS.values(), (part.metadata.x, part.metadata.y, part.metadata.z), strict=True):
        if known is None:
            pixels.attrib.pop(attribute, None)
            pixels.attrib.pop(f"{attribute}Unit", None)
        elif scale != 1 and attribute != "PhysicalSizeZ":
            pixels.set(attribute, repr(float(pixels.get(attribute, known.value)) / scale))
    if part.metadata.interval is None:
        pixels.attrib.pop("TimeIncrement", None)
        pixels.attrib.pop("TimeIncrementUnit", None)
    for old in list(children(pixels, "TiffData", "BinData", "MetadataOnly")):
        pixels.remove(old)
    data = Element(_tag("TiffData"), IFD=str(page), PlaneCount=str(part.pages))
    pixels.insert(sum(1 for _ in children(pixels, "Channel")), data)


def _annotate(root: Element, note: dict[str, str]) -> None:
    """Add a note on what was done, behind all annotations that are there; one of an earlier run gives way to it."""
    found = child(root, "StructuredAnnotations")
    if found is None:
        found = Element(_tag("StructuredAnnotations"))
        behind = [index for index, element in enumerate(root) if local(element) in BEHIND]
        root.insert(behind[0] if behind else len(root), found)
    for old in [a for a in found if a.get("ID") == ANNOTATION]:
        found.remove(old)
    for image in children(root, "Image"):
        for extra in [a for a in children(image, "AnnotationRef") if a.get("ID") == ANNOTATION][1:]:
            image.remove(extra)
    annotation = ElementTree.SubElement(found, _tag("MapAnnotation"), ID=ANNOTATION, Namespace="quietfield")
    value = ElementTree.SubElement(annotation, _tag("Value"))
    for key, text in note.items():
        ElementTree.SubElement(value, _tag("M"), K=key).text = _printable(text)


def _length(element: Element, name: str, found: Quantity, otherwise: str) -> None:
    """Set a length and its unit, as OME writes it."""
    value, unit = found.value, found.unit
    if unit not in ("pixel", "reference frame", "pm", "nm", "mm", "cm", "m"):
        value, unit = (value, otherwise) if found.micrometres is None else (found.micrometres, "µm")
    element.set(name, repr(value))
    element.set(f"{name}Unit", unit)


def _is_date(text: str) -> bool:
    return bool(text) and _DATE.fullmatch(text) is not None


def _printable(text: str) -> str:
    """Without the characters that XML cannot have."""
    return _NOT_XML.sub("", text)
