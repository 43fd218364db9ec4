"""Real readers of the answers: `python test/contract/answers.py write FOLDER`, then `... read FOLDER` elsewhere.

The first call needs the package: it writes images of every kind and their answers. The second needs the readers,
ome-types, xmlschema, bioio with bioio-ome-tiff and bioio-tifffile, SimpleITK and tifffile, in an environment of their
own: each opens an image and its answer, and has to find the same axes, sizes and names in both. A reader that is not
there is named; the exit code is 1 if any found something else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(0)
OME = {
    "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.12, "PhysicalSizeYUnit": "µm",
    "PhysicalSizeZ": 300.0, "PhysicalSizeZUnit": "nm", "TimeIncrement": 2.5, "TimeIncrementUnit": "s",
}  # fmt: skip
PLANE = (48, 56)


def counts(*shape: int) -> np.ndarray:
    return (100 + RANDOM.poisson(20, (*shape, *PLANE))).astype(np.uint16)


def images(folder: Path) -> Iterator[str]:
    """Write an image of each kind; names."""

    def ome(name: str, axes: str, *shape: int, **more: object) -> str:
        metadata = {"axes": axes, **OME, **more}
        tifffile.imwrite(folder / name, counts(*shape), photometric="minisblack", metadata=metadata)
        return name

    yield ome(
        "two-channels.ome.tif", "TCZYX", 3, 2, 4, Channel={"Name": ["GFP", "mCherry"], "Color": [16711935, -16776961]}
    )
    yield ome("depth.ome.tif", "ZYX", 5, Name="embryo", Description="day 2 & 3")
    yield ome("angles.ome.tif", "TAZYX", 2, 3, 4)
    yield ome("plane.ome.tif", "YX")
    with tifffile.TiffWriter(folder / "positions.ome.tif", ome=True) as tif:
        for number in range(3):
            tif.write(counts(2), photometric="minisblack", metadata={"axes": "CYX", "Name": f"Pos{number}", **OME})
    yield "positions.ome.tif"
    colours = np.moveaxis(counts(3), 0, -1).astype(np.uint8)
    tifffile.imwrite(folder / "colours.ome.tif", colours, photometric="rgb", metadata={"axes": "YXS", **OME})
    yield "colours.ome.tif"
    content = (folder / "depth.ome.tif").read_bytes().replace(b"OME/2016-06", b"OME/2013-06")
    (folder / "old.ome.tif").write_bytes(content)
    yield "old.ome.tif"
    for axes, shape in {"TZCYX": (3, 4, 2), "ZYX": (5,), "CYX": (3,), "TYX": (6,)}.items():
        metadata = {"axes": axes, "unit": "um", "spacing": 0.3, "finterval": 2.5}
        tifffile.imwrite(
            folder / f"imagej-{axes}.tif", counts(*shape), imagej=True, resolution=(8, 10), metadata=metadata
        )
        yield f"imagej-{axes}.tif"
    tifffile.imwrite(
        folder / "plain.tif", counts(5), photometric="minisblack", resolution=(5e4, 4e4), resolutionunit="CENTIMETER",
        metadata={"axes": "ZYX"},
    )  # fmt: skip
    yield "plain.tif"
    import SimpleITK

    image = SimpleITK.GetImageFromArray(counts(4))
    image.SetSpacing((0.1, 0.2, 0.5))
    image.SetOrigin((1, 2, 3))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
    for name in ("volume.mha", "volume-of-two.mhd"):
        SimpleITK.WriteImage(image, str(folder / name))
        yield name


FORMS = {"float32": {}, "same-zlib": {"dtype": "same", "compress": "zlib"}}


def write(folder: Path) -> int:
    """Images and their answers by a tiny network."""
    sys.path.insert(0, str(ROOT))
    from quietfield.adapt.plan import Options
    from quietfield.files.answer import Form
    from quietfield.network.normalise import Normalisation
    from quietfield.network.predict import Denoiser
    from quietfield.network.unet import UNet
    from quietfield.pipeline import denoise_file

    (folder / "images").mkdir(parents=True, exist_ok=True)
    denoiser = Denoiser(UNet((2, 2)), Normalisation())
    for name in list(images(folder / "images")):
        for form, choices in FORMS.items():
            target = folder / form / name.replace(".mhd", ".mha")
            denoise_file(denoiser, folder / "images" / name, target, Options(), form=Form(**choices))
    # An image of another kind as OME-TIFF, because its answer is called so.
    for name in ("imagej-TZCYX.tif", "plain.tif", "volume.mha"):
        target = folder / "as-ome" / f"{Path(name).stem}.ome.tif"
        denoise_file(denoiser, folder / "images" / name, target, Options())
    return 0


def by_tifffile(path: Path) -> dict[str, Any]:
    with tifffile.TiffFile(path) as tif:
        found: dict[str, Any] = {"series": [(one.axes, one.shape, one.kind, one.name) for one in tif.series]}
        said = dict(tif.imagej_metadata or {})
        found |= {key: said.get(key) for key in ("unit", "spacing", "finterval", "slices", "frames", "channels")}
        if not tif.is_ome:
            found |= {name: tif.pages[0].tags[name].value for name in ("XResolution", "YResolution", "ResolutionUnit")}
    return found


def by_ome_types(path: Path) -> dict[str, Any] | None:
    if ".ome." not in path.name:
        return None
    import ome_types

    image = ome_types.from_tiff(path)
    return {
        one.name: (
            [getattr(one.pixels, f"size_{axis}") for axis in "xyzct"],
            one.pixels.dimension_order.value,
            [str(getattr(one.pixels, f"physical_size_{axis}_quantity")) for axis in "xyz"],
            str(one.pixels.time_increment_quantity),
            [(channel.name, channel.color.as_hex()) for channel in one.pixels.channels],
            one.description,
        )
        for one in image.images
    }


def by_bioio(path: Path) -> dict[str, Any] | None:
    if path.suffix not in (".tif", ".tiff"):
        return None
    import bioio
    import bioio_ome_tiff
    import bioio_tifffile

    reader = bioio_ome_tiff.Reader if ".ome." in path.name else bioio_tifffile.Reader
    image = bioio.BioImage(path, reader=reader)
    found = {}
    for scene in image.scenes:
        image.set_scene(scene)
        size = image.physical_pixel_sizes
        found[str(scene)] = (image.dims.order, image.shape, tuple(size), [str(name) for name in image.channel_names])
    return found


def by_simpleitk(path: Path) -> dict[str, Any] | None:
    if path.suffix not in (".mha", ".mhd"):
        return None
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    return {name: getattr(image, f"Get{name}")() for name in ("Size", "Spacing", "Origin", "Direction")}


def by_schema(path: Path) -> dict[str, Any] | None:
    """Nothing but that it is valid; the schema is that of ome-types."""
    if path.suffix != ".tif":
        return None
    with tifffile.TiffFile(path) as tif:
        text = tif.ome_metadata
    if text is None or "OME/2013" in text:
        return None
    import ome_types
    import xmlschema

    global _schema
    _schema = _schema or xmlschema.XMLSchema(str(Path(ome_types.__file__).parent / "ome-2016-06.xsd"))
    _schema.validate(text)
    return {}


_schema: Any = None
READERS: list[Callable[[Path], dict[str, Any] | None]] = [
    by_tifffile, by_ome_types, by_bioio, by_simpleitk, by_schema,
]  # fmt: skip


def read(folder: Path) -> int:
    """Compare what the readers find in images and in answers."""
    bad = 0
    for reader in READERS:
        name, same = reader.__name__.removeprefix("by_"), 0
        try:
            for form in FORMS:
                for answer in sorted((folder / form).iterdir()):
                    image = folder / "images" / answer.name
                    image = image if image.exists() else image.with_suffix(".mhd")
                    if reader is by_tifffile and answer.suffix != ".tif":
                        continue
                    try:
                        before = reader(answer) if reader is by_schema else reader(image)
                    except (ValueError, NotImplementedError) as error:
                        if reader is by_schema:
                            raise
                        print(f"{name}: {image.name}: not read itself ({str(error)[:60]})")
                        continue
                    after = reader(answer)
                    if before != after:
                        bad += 1
                        print(f"{name}: {form}/{answer.name}\n  image  {before}\n  answer {after}")
                    same += before is not None and before == after
            for answer in sorted((folder / "as-ome").iterdir()):
                if reader in (by_ome_types, by_schema, by_bioio):
                    print(f"{name}: as-ome/{answer.name}: {reader(answer)}")
        except ImportError as error:
            print(f"{name}: not here ({error})")
            continue
        print(f"{name}: {same} answers say what their images say")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit({"write": write, "read": read}[sys.argv[1]](Path(sys.argv[2])))
