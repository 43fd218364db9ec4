"""What a file says besides its pixels is in its answer; what cannot be is named and left out."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import SimpleITK
import tifffile

from quietfield.adapt.plan import Options
from quietfield.files import answer, headers, ome
from quietfield.files.answer import Form, Rounding
from quietfield.files.images import open_stack
from quietfield.files.metadata import Channel, Metadata, Position, Quantity
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.pipeline import denoise_file

RANDOM = np.random.default_rng(0)
ALONE = Options(neighbours="off")
SCHEMA = f"{{{ome.NAMESPACE}}}"


def counts(*shape: int) -> np.ndarray:
    return (100 + RANDOM.poisson(20, shape)).astype(np.uint16)


@pytest.fixture
def tiny() -> Denoiser:
    return Denoiser(UNet((2, 2)), Normalisation())


def xml_of(path: Path) -> ElementTree.Element:
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        return ElementTree.fromstring(tif.ome_metadata)


def pixels_of(path: Path) -> ElementTree.Element:
    found = xml_of(path).find(f"{SCHEMA}Image/{SCHEMA}Pixels")
    assert found is not None
    return found


def ome_tiff(path: Path, pixels: np.ndarray, sizes: str, attributes: str = "", more: str = "") -> None:
    """An OME-TIFF with an OME-XML of one's own."""
    y, x = pixels.shape[-2:]
    count = int(np.prod(pixels.shape[:-2], dtype=int))
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{ome.NAMESPACE}"><Instrument ID="Instrument:0">'
        '<Objective ID="Objective:0:0" NominalMagnification="63"/></Instrument>'
        '<Image ID="Image:0" Name="cells"><AcquisitionDate>2024-02-03T04:05:06</AcquisitionDate>'
        '<Description>two &amp; more</Description><InstrumentRef ID="Instrument:0"/>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{x}" SizeY="{y}" {sizes} {attributes}>'
        f'<Channel ID="Channel:0:0" Name="GFP" Color="16711935" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="{count}"/><Plane TheZ="0" TheT="0" TheC="0" DeltaT="1.5" PositionX="7"/>'
        f"</Pixels></Image>{more}</OME>"
    )
    tifffile.imwrite(path, pixels, description=text.encode(), metadata=None, photometric="minisblack")


KNOWN = 'PhysicalSizeX="0.1" PhysicalSizeY="0.12" PhysicalSizeZ="300" PhysicalSizeZUnit="nm" SignificantBits="12"'


@pytest.mark.parametrize("form", [Form(), Form("same"), Form("uint8", "zlib")], ids=str)
def test_ome_keeps_all_that_it_says(tmp_path: Path, tiny: Denoiser, form: Form) -> None:
    image = counts(3, 2, 24, 30)
    roi = '<ROI ID="ROI:0"><Union><Point ID="Shape:0" X="3" Y="4"/></Union></ROI>'
    ome_tiff(tmp_path / "x.ome.tif", image, 'SizeZ="2" SizeC="1" SizeT="3"', KNOWN, roi)
    with open_stack(tmp_path / "x.ome.tif") as stack:
        found = stack.metadata
        assert (stack.axes, found.kind, found.x, found.date) == (
            "TZYX",
            "ome",
            Quantity(0.1, "µm"),
            "2024-02-03T04:05:06",
        )
        assert (found.z, found.channels) == (Quantity(300, "nm"), (Channel("GFP", (0, 255, 0)),))
    denoise_file(tiny, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif", ALONE, form=form)
    with tifffile.TiffFile(tmp_path / "y.ome.tif") as tif:
        assert (tif.series[0].axes, tif.series[0].shape) == ("TZYX", image.shape)
        assert tif.series[0].dtype == {"same": "uint16"}.get(form.dtype, form.dtype)
        assert tif.pages[0].tags["XResolution"].value == (100000, 1)
        assert tif.pages[0].tags["ResolutionUnit"].value == 3
    root = xml_of(tmp_path / "y.ome.tif")
    pixels = pixels_of(tmp_path / "y.ome.tif")
    assert {key: pixels.get(key) for key in ("PhysicalSizeX", "PhysicalSizeZ", "PhysicalSizeZUnit")} == {
        "PhysicalSizeX": "0.1", "PhysicalSizeZ": "300", "PhysicalSizeZUnit": "nm",
    }  # fmt: skip
    assert pixels.get("SignificantBits") is None
    assert pixels.get("Type") == {"float32": "float", "same": "uint16", "uint8": "uint8"}[form.dtype]
    names = [element.tag.removeprefix(SCHEMA) for element in root]
    assert names == ["Instrument", "Image", "StructuredAnnotations", "ROI"]
    assert root.find(f".//{SCHEMA}Plane").get("PositionX") == "7"
    note = {m.get("K"): m.text for m in root.iter(f"{SCHEMA}M")}
    assert note["program"].startswith("quietfield ")
    assert note["neighbours"] == "off"
    # The answer to an answer has one note.
    denoise_file(tiny, tmp_path / "y.ome.tif", tmp_path / "z.ome.tif", ALONE)
    again = xml_of(tmp_path / "z.ome.tif")
    assert len(again.findall(f".//{SCHEMA}MapAnnotation")) == len(again.findall(f".//{SCHEMA}AnnotationRef")) == 1


def test_positions_of_one_file_are_images_of_the_answer(tmp_path: Path, tiny: Denoiser) -> None:
    shapes = {"a": (2, 20, 24), "b": (2, 20, 24), "c": (16, 18)}
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as tif:
        for name, shape in shapes.items():
            axes = "CYX"[-len(shape) :]
            tif.write(
                counts(*shape), metadata={"axes": axes, "Name": name, "PhysicalSizeX": 0.2}, photometric="minisblack"
            )
    denoise_file(tiny, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "y.ome.tif") as tif:
        assert {series.name: series.shape for series in tif.series} == shapes
    assert [image.get("Name") for image in xml_of(tmp_path / "y.ome.tif").iter(f"{SCHEMA}Image")] == list(shapes)


def test_imagej_stays_a_hyperstack(tmp_path: Path, tiny: Denoiser) -> None:
    image = counts(3, 4, 2, 24, 30)
    said = {
        "axes": "TZCYX",
        "spacing": 0.3,
        "unit": "um",
        "finterval": 2.5,
        "mode": "composite",
        "min": 90.0,
        "max": 200.0,
    }
    more = {"Info": "from the microscope", "Ranges": (90.0, 150.0, 95.0, 160.0), "Labels": [f"p{i}" for i in range(24)]}
    lut = [np.stack([np.zeros(256), np.arange(256), np.zeros(256)]).astype(np.uint8)] * 2
    resolution = (1 / 0.108, 1 / 0.108)
    metadata = {**said, **more, "LUTs": lut}
    tifffile.imwrite(tmp_path / "x.tif", image, imagej=True, resolution=resolution, metadata=metadata)
    with open_stack(tmp_path / "x.tif") as stack:
        found = stack.metadata
        assert found.x.value == pytest.approx(0.108)
        assert (found.x.unit, found.z, found.interval) == ("um", Quantity(0.3, "um"), Quantity(2.5, "s"))
        assert found.channels == (Channel("", (0, 255, 0)),) * 2
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "x.tif") as before, tifffile.TiffFile(tmp_path / "y.tif") as after:
        assert (after.series[0].kind, after.series[0].axes, after.series[0].dtype) == ("imagej", "TZCYX", np.float32)
        old, new = dict(before.imagej_metadata), dict(after.imagej_metadata)
        info = new.pop("Info")
        assert info.startswith("from the microscope\ndenoised by quietfield ")
        old.pop("Info")
        assert np.array_equal(old.pop("LUTs"), new.pop("LUTs"))
        assert old == new
        for name in ("XResolution", "YResolution", "ResolutionUnit"):
            assert before.pages[0].tags[name].value == after.pages[0].tags[name].value


def test_imagej_gives_way_where_it_cannot_hold_the_answer(
    tmp_path: Path, tiny: Denoiser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metadata = {"axes": "ZYX", "unit": "micron", "spacing": 0.5}
    tifffile.imwrite(tmp_path / "x.tif", counts(4, 24, 30), imagej=True, resolution=(4, 4), metadata=metadata)
    monkeypatch.setattr(answer.tiff, "CLASSIC_TIFF_BYTES", 4 * 4 * 24 * 30 - 1)
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    assert "ImageJ's own format cannot hold the answer" in caplog.text
    pixels = pixels_of(tmp_path / "y.tif")
    assert [pixels.get(f"PhysicalSize{axis}") for axis in "XYZ"] == ["0.25", "0.25", "0.5"]
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.is_bigtiff
        assert tif.series[0].axes == "ZYX"


IMAGEJ_FAULTS = {
    "slices=four": "its ImageJ metadata make no sense",
    "slices=3": "its ImageJ metadata name 3 of 6 pages: goes by the pages alone",
    "slices=9": "its ImageJ metadata do not fit its pages: left out",
    "spacing=-3": "spacing: expected a plausible value, found -3",
}


@pytest.mark.parametrize("fault", IMAGEJ_FAULTS)
def test_imagej_metadata_that_are_wrong_cost_no_pixels(
    tmp_path: Path, tiny: Denoiser, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = {"images": 6, "slices": 6, "unit": "\\u00B5m", "spacing": 0.5, fault.split("=")[0]: fault.split("=")[1]}
    text = "ImageJ=1.53t\n" + "".join(f"{key}={value}\n" for key, value in said.items())
    image = counts(6, 24, 30)
    tifffile.imwrite(tmp_path / "x.tif", image, description=text, metadata=None, photometric="minisblack")
    with open_stack(tmp_path / "x.tif") as stack:
        assert np.array_equal(np.concatenate(list(stack.blocks(1))), image)
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    assert IMAGEJ_FAULTS[fault] in caplog.text
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.series[0].shape == image.shape
        assert tif.is_imagej == fault.startswith("spacing")
        if tif.is_imagej:
            assert tif.series[0].axes == "ZYX"
            assert tif.imagej_metadata["unit"] == "\\u00B5m"


def test_a_plain_tiff_keeps_its_tags(tmp_path: Path, tiny: Denoiser) -> None:
    image = counts(3, 24, 30)
    tifffile.imwrite(
        tmp_path / "x.tif", image, photometric="minisblack", resolution=(5e4, 4e4), resolutionunit="CENTIMETER",
        description="slide 7, µ".encode(), software="scope 3", datetime="2024:05:06 07:08:09",
        metadata={"axes": "TYX", "exposure": 5},
    )  # fmt: skip
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE, form=Form(compress="zstd"))
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        page = tif.pages[0]
        assert page.compression == tifffile.COMPRESSION.ZSTD
        assert page.description == "slide 7, µ"
        assert page.software.startswith("scope 3; quietfield ")
        assert page.tags["DateTime"].value == "2024:05:06 07:08:09"
        assert (page.tags["XResolution"].value, page.tags["YResolution"].value) == ((50000, 1), (40000, 1))
        assert page.tags["ResolutionUnit"].value == 3
        assert tif.series[0].axes == "TYX"
        assert tif.shaped_metadata[0]["exposure"] == 5
        assert tif.shaped_metadata[0]["quietfield"].startswith("denoised by quietfield ")


def test_no_size_is_no_inch(tmp_path: Path, tiny: Denoiser) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(24, 30))
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.pages[0].tags["ResolutionUnit"].value == 1
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.ome.tif", ALONE)
    assert pixels_of(tmp_path / "y.ome.tif").get("PhysicalSizeX") is None
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "p.tif", ALONE, form=Form(platform=True))
    denoise_file(tiny, tmp_path / "p.tif", tmp_path / "y.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.pages[0].tags["ResolutionUnit"].value == 1


def test_an_answer_to_an_answer_has_one_note(tmp_path: Path, tiny: Denoiser) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(4, 24, 30), imagej=True, metadata={"axes": "ZYX", "Info": "one"})
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    denoise_file(tiny, tmp_path / "y.tif", tmp_path / "z.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "z.tif") as tif:
        assert tif.imagej_metadata["Info"].count("denoised by") == 1
        assert tif.imagej_metadata["Info"].startswith("one\n")
        assert tif.pages[0].software.count("quietfield") == 1


@pytest.mark.parametrize(
    ("resolution", "unit", "size"), [((1e5, 1e5), 3, "0.1"), ((72, 72), 2, None), ((1, 1), 2, None)]
)
def test_dots_of_a_printer_are_no_pixel_size(
    tmp_path: Path, tiny: Denoiser, resolution: tuple[float, float], unit: int, size: str | None
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(24, 30), resolution=resolution, resolutionunit=unit)
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.ome.tif", ALONE)
    assert pixels_of(tmp_path / "y.ome.tif").get("PhysicalSizeX") == size


def test_a_metaimage_keeps_where_it_is(tmp_path: Path, tiny: Denoiser) -> None:
    image = SimpleITK.GetImageFromArray(counts(4, 24, 30))
    image.SetSpacing((0.1, 0.2, 0.5))
    image.SetOrigin((1, 2, 3))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
    SimpleITK.WriteImage(image, str(tmp_path / "x.mha"))
    for form, kind in ((Form(), "32-bit float"), (Form("same"), "16-bit unsigned integer")):
        denoise_file(tiny, tmp_path / "x.mha", tmp_path / "y.mha", ALONE, form=form)
        found = SimpleITK.ReadImage(str(tmp_path / "y.mha"))
        for name in ("Spacing", "Origin", "Direction", "Size"):
            assert getattr(found, f"Get{name}")() == getattr(image, f"Get{name}")()
        assert found.GetPixelIDTypeAsString() == kind
    denoise_file(tiny, tmp_path / "x.mha", tmp_path / "y.tif", ALONE)
    pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "y.mha")))
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert np.array_equal(np.rint(tif.asarray()), pixels)
        assert (tif.pages[0].tags["XResolution"].value, tif.pages[0].tags["YResolution"].value) == ((100, 1), (50, 1))
    double = Denoiser(UNet((2, 2), scale=2), Normalisation())
    denoise_file(double, tmp_path / "x.mha", tmp_path / "d.mha", ALONE)
    found = SimpleITK.ReadImage(str(tmp_path / "d.mha"))
    assert found.GetSpacing() == (0.05, 0.1, 0.5)
    # The corner of the first pixel stays where it is.
    corner = [-0.5, -0.5, 0.0]
    assert np.allclose(
        found.TransformContinuousIndexToPhysicalPoint(corner), image.TransformContinuousIndexToPhysicalPoint(corner)
    )
    colours = SimpleITK.GetImageFromArray(counts(24, 30, 3), isVector=True)
    SimpleITK.WriteImage(colours, str(tmp_path / "c.mha"))
    denoise_file(tiny, tmp_path / "c.mha", tmp_path / "c2.mha", ALONE)
    assert SimpleITK.ReadImage(str(tmp_path / "c2.mha")).GetNumberOfComponentsPerPixel() == 3


def test_what_a_metaimage_cannot_hold_is_named(tmp_path: Path, tiny: Denoiser) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(2, 2, 2, 20, 24))
    with pytest.raises(ValueError, match="expected at most 4 axes"):
        denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.mha", ALONE)
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        tif.write(counts(20, 24), contiguous=False)
        tif.write(counts(22, 24), contiguous=False)
    with pytest.raises(ValueError, match="expected one image for a MetaImage, found several"):
        denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.mha", ALONE)
    assert not (tmp_path / "y.mha").exists()


def test_twice_the_pixels_are_half_as_large(tmp_path: Path) -> None:
    double = Denoiser(UNet((2, 2), scale=2), Normalisation())
    ome_tiff(tmp_path / "x.ome.tif", counts(24, 30), 'SizeZ="1" SizeC="1" SizeT="1"', KNOWN)
    denoise_file(double, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif", ALONE)
    pixels = pixels_of(tmp_path / "y.ome.tif")
    assert [pixels.get(name) for name in ("SizeX", "PhysicalSizeX", "PhysicalSizeZ")] == ["60", "0.05", "300"]
    metadata = {"unit": "um", "spacing": 0.5, "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "x.tif", counts(4, 24, 30), imagej=True, resolution=(4, 4), metadata=metadata)
    denoise_file(double, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.pages[0].tags["XResolution"].value == (8, 1)
        assert tif.imagej_metadata["spacing"] == 0.5


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "INF", "1e300", "wide"])
def test_sizes_that_cannot_be_are_named_and_left_out(
    tmp_path: Path, tiny: Denoiser, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = f'PhysicalSizeX="{value}" PhysicalSizeY="0.1" TimeIncrement="{value}"'
    ome_tiff(tmp_path / "x.ome.tif", counts(24, 30), 'SizeZ="1" SizeC="1" SizeT="1"', sizes)
    denoise_file(tiny, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif", ALONE)
    assert f"x.ome.tif: PhysicalSizeX: expected a plausible value, found {value} µm: left out" in caplog.text
    pixels = pixels_of(tmp_path / "y.ome.tif")
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeY")) == (None, "0.1")
    assert pixels.get("TimeIncrement") is None


FAULTS = {
    "fewer planes": ('SizeZ="3" SizeC="1" SizeT="1"', "its OME-XML names 3 of 4 pages: goes by the pages alone", 4),
    "more planes": ('SizeZ="6" SizeC="1" SizeT="1"', "2 of 6 planes are missing and taken as zeros", 6),
    "no end": ('SizeZ="1000000000" SizeC="1" SizeT="1"', "names 1000000000 planes, and 4 pages are there", 4),
    "words": ('SizeZ="four" SizeC="1" SizeT="1"', "makes no sense", 4),
    "no size": ('SizeC="1" SizeT="1"', "makes no sense", 4),
    "another width": ('SizeZ="4" SizeC="1" SizeT="1"', "its OME-XML names 0 of 4 pages", 4),
    "damaged": ('SizeZ="4" SizeC="1" SizeT="1"', "its OME-XML is damaged: goes by the pages alone", 4),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_ome_xml_that_is_wrong_costs_no_pixels(
    tmp_path: Path, tiny: Denoiser, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    sizes, words, planes = FAULTS[fault]
    image = counts(4, 24, 30)
    ome_tiff(tmp_path / "x.ome.tif", image, sizes, 'PhysicalSizeX="0.1" PhysicalSizeY="0.1"')
    content = (tmp_path / "x.ome.tif").read_bytes()
    named = {"fewer planes": 3, "more planes": 4}.get(fault, 4)
    content = content.replace(b'PlaneCount="4"', b'PlaneCount="%d"' % named)
    if fault == "another width":
        content = content.replace(b'SizeX="30"', b'SizeX="40"')
    if fault == "damaged":
        content = content.replace(b"<Pixels", b"<Pixel>")
    (tmp_path / "x.ome.tif").write_bytes(content)
    with open_stack(tmp_path / "x.ome.tif") as stack:
        assert np.array_equal(np.concatenate(list(stack.blocks(1)))[:4], image)
        assert (stack.metadata.x is None) == (fault == "damaged")
    denoise_file(tiny, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif", ALONE)
    assert words in caplog.text
    assert tifffile.imread(tmp_path / "y.ome.tif").shape == (planes, 24, 30)


def test_other_schemas_and_makers_become_ome_of_2016(tmp_path: Path, tiny: Denoiser) -> None:
    ome_tiff(tmp_path / "x.ome.tif", counts(2, 24, 30), 'SizeZ="2" SizeC="1" SizeT="1"', KNOWN)
    content = (tmp_path / "x.ome.tif").read_bytes().replace(b"OME/2016-06", b"OME/2013-06")
    (tmp_path / "x.ome.tif").write_bytes(content)
    denoise_file(tiny, tmp_path / "x.ome.tif", tmp_path / "y.ome.tif", ALONE)
    root, pixels = xml_of(tmp_path / "y.ome.tif"), pixels_of(tmp_path / "y.ome.tif")
    assert root.tag == f"{SCHEMA}OME"
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit")) == ("0.1", "µm")
    channel = pixels.find(f"{SCHEMA}Channel")
    assert (channel.get("Name"), channel.get("Color")) == ("GFP", "16711935")
    assert root.find(f".//{SCHEMA}AcquisitionDate").text == "2024-02-03T04:05:06"
    assert root.find(f".//{SCHEMA}Image").get("Name") == "cells"


def test_what_is_made_anew_of_all_that_can_be_known() -> None:
    found = Metadata(
        "lsm",
        x=Quantity(0.001, "inch"),
        y=Quantity(250, "nm"),
        z=Quantity(2, "furlong"),
        interval=Quantity(200, "ms"),
        channels=(Channel("a<b", (1, 2, 255)),),
        positions=(Position("P&1", Quantity(1.5, "mm"), Quantity(-2.5, "µm")), Position()),
        names=("one\x01", "two"),
        date="yesterday",
        description="of\x00 day 2",
    )
    parts = [ome.Part(found, (3, 2, 8, 8), "TCYX", 2, np.dtype("float64"))]
    parts += [ome.Part(Metadata(), (5, 8, 8, 3), "QYXS", 1, np.dtype("uint8"))]
    root = ElementTree.fromstring(ome.write(parts, {"program": "quietfield"}, scale=2))
    images = root.findall(f"{SCHEMA}Image")
    assert [image.get("Name") for image in images] == ["one", "two", None]
    pixels = images[1].find(f"{SCHEMA}Pixels")
    sizes = [(float(pixels.get(f"PhysicalSize{axis}")), pixels.get(f"PhysicalSize{axis}Unit")) for axis in "XYZ"]
    assert sizes == [(pytest.approx(12.7), "µm"), (125, "nm"), (2, "pixel")]
    assert (pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit"), pixels.get("Type")) == ("0.2", "s", "double")
    assert [channel.get("Name") for channel in pixels.findall(f"{SCHEMA}Channel")] == ["a<b", None]
    label = images[0].find(f"{SCHEMA}StageLabel")
    assert dict(label.items()) == {"Name": "P&1", "X": "1.5", "XUnit": "mm", "Y": "-2.5", "YUnit": "µm"}
    assert images[0].find(f"{SCHEMA}AcquisitionDate") is None
    assert images[0].find(f"{SCHEMA}Description").text == "of day 2"
    places = [data.get("IFD") for data in root.iter(f"{SCHEMA}TiffData")]
    assert places == ["0", "6", "12"]
    colours = images[2].find(f"{SCHEMA}Pixels")
    assert [colours.get(f"Size{axis}") for axis in "CT"] == ["3", "5"]


def test_images_of_other_files_are_taken_out_with_what_refers_to_them() -> None:
    def image(number: int, file: str) -> str:
        data = f'<TiffData><UUID FileName="{file}">urn:uuid:{number}</UUID></TiffData>' if file else "<TiffData/>"
        return f'<Image ID="Image:{number}"><Pixels>{data}</Pixels></Image>'

    references = '<ImageRef ID="Image:0"/><ImageRef ID="Image:1"/>'
    text = f'<OME xmlns="{ome.NAMESPACE}"><Dataset ID="Dataset:0">{references}</Dataset>'
    text += "".join(map(image, range(3), ("a.tif", "b.tif", ""))) + "</OME>"
    for name, left in (("a.tif", ["Image:0", "Image:2"]), ("c.tif", ["Image:2"])):
        root = ElementTree.fromstring(text)
        assert ome.keep(root, name) == 3 - len(left)
        assert [found.get("ID") for found in root.iter(f"{SCHEMA}Image")] == left
        assert [found.get("ID") for found in root.iter(f"{SCHEMA}ImageRef")] == [n for n in left if n != "Image:2"]


def lsm(path: Path, image: np.ndarray, voxel: float) -> None:
    """A Zeiss LSM of channels (Z, C, Y, X) as far as its header tells sizes."""
    z, c, y, x = image.shape
    header = bytearray(512)
    struct.pack_into("<IiiiiiiiiiI", header, 0, 0x0400494C, 512, x, y, z, c, 1, 2, 0, 0, 0)
    struct.pack_into("<ddd", header, 40, voxel, voxel, 3 * voxel)
    tags = [(34412, 1, len(header), bytes(header), True)]
    pages: dict[str, Any] = {
        "photometric": "minisblack",
        "planarconfig": "separate",
        "metadata": None,
        "extratags": tags,
    }
    with tifffile.TiffWriter(path) as tif:
        for planes in image:
            tif.write(planes, **pages)
            tif.write(
                planes[:, ::4, ::4], subfiletype=1, photometric="minisblack", planarconfig="separate", metadata=None
            )
            pages.pop("extratags", None)


def test_an_lsm_becomes_ome(tmp_path: Path, tiny: Denoiser) -> None:
    image = counts(2, 3, 32, 40)
    lsm(tmp_path / "x.lsm", image, 2e-7)
    with open_stack(tmp_path / "x.lsm") as stack:
        assert (stack.axes, stack.metadata.kind) == ("ZCYX", "lsm")
        assert stack.metadata.x.micrometres == pytest.approx(0.2)
        assert np.array_equal(np.concatenate(list(stack.blocks(1))).reshape(image.shape), image)
    denoise_file(tiny, tmp_path / "x.lsm", tmp_path / "y.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert (tif.series[0].kind, tif.series[0].axes, tif.series[0].shape) == ("ome", "ZCYX", image.shape)
    assert float(pixels_of(tmp_path / "y.tif").get("PhysicalSizeZ")) == pytest.approx(0.6)


def said(kind: str, **tables: Any) -> Any:
    """What a reader gives of a maker's file, without the file."""
    page = SimpleNamespace(tags={}, photometric=1, description="", description1="", colormap=None)
    series = SimpleNamespace(kind=kind, keyframe=page, name="", axes="TYX", shape=(3, 8, 8))
    tif = SimpleNamespace(is_micromanager=kind == "mm", series=[series], **tables)
    return headers.metadata_of(tif, [series], "TYX", "")


def test_metamorph_and_micro_manager_headers() -> None:
    table = {"XCalibration": 0.16, "YCalibration": 0.16, "CalibrationUnits": "um", "ZDistance": np.array([0.5, 0.5])}
    found = said("stk", stk_metadata=table)
    assert (found.kind, found.x, found.z) == ("stk", Quantity(0.16, "um"), Quantity(0.5, "um"))
    assert said("stk", stk_metadata={**table, "CalibrationUnits": "pixel"}).x is None
    summary = {
        "PixelSize_um": 0.065, "z-step_um": 0.25, "Interval_ms": 500, "ChNames": ["DAPI", "Cy5"],
        "ChColors": [255, 16711680], "StartTime": "2024-01-02 03:04:05", "PositionName": "Pos1",
    }  # fmt: skip
    found = said("mm", micromanager_metadata={"Summary": summary})
    assert (found.kind, found.x, found.interval) == ("micromanager", Quantity(0.065, "µm"), Quantity(0.5, "s"))
    assert found.channels == (Channel("DAPI", (0, 0, 255)), Channel("Cy5", (255, 0, 0)))
    found = said("lsm", lsm_metadata={"VoxelSizeX": object()})
    assert found.faults
    assert found.x is None


@pytest.mark.parametrize(("dtype", "answer_type"), [("uint8", "uint8"), ("uint16", "uint16"), ("same", "int16")])
def test_types_of_answers_are_rounded(tmp_path: Path, tiny: Denoiser, dtype: str, answer_type: str) -> None:
    image = counts(2, 24, 30).astype(np.int16)
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="minisblack")
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "f.tif", ALONE)
    report = denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE, form=Form(dtype))
    found, exact = tifffile.imread(tmp_path / "y.tif"), tifffile.imread(tmp_path / "f.tif")
    assert found.dtype == answer_type
    limits = np.iinfo(answer_type)
    assert np.array_equal(found, np.rint(exact).clip(limits.min, limits.max))
    assert report.clipped == ((np.rint(exact) < limits.min) | (np.rint(exact) > limits.max)).sum()


def test_clipping_is_counted_and_too_much_of_it_refused(tmp_path: Path, tiny: Denoiser) -> None:
    rounding = Rounding(np.dtype(np.uint8))
    plane = np.array([[-1, 0, 254.6, 255.4, 256, np.nan, np.inf]], np.float32)
    assert rounding(plane).tolist() == [[0, 0, 255, 255, 255, 0, 255]]
    assert rounding.clipped == 4
    assert Rounding(np.dtype(np.int64))(np.array([[1e30]])) > 9e18
    with pytest.raises(
        ValueError, match=r"expected at most 0\.1 % of the pixels beyond uint8 .*: give --dtype float32"
    ):
        Rounding(np.dtype(np.uint8), 3)(plane)


def test_what_would_be_clipped_is_not_written_as_the_same_type(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(40, 50).astype(np.uint8))
    (tmp_path / "y.tif").write_bytes(b"before")
    dark = np.zeros((40, 50), np.float32)
    dark[0, :3] = -1
    note = {"program": "quietfield"}
    with open_stack(tmp_path / "x.tif") as stack:
        with pytest.raises(ValueError, match="beyond uint8"):
            answer.write_answer(tmp_path / "y.tif", [stack], lambda _: [dark], Form("same"), note)
        assert (tmp_path / "y.tif").read_bytes() == b"before"
        assert answer.write_answer(tmp_path / "y.tif", [stack], lambda _: [dark], Form("uint8"), note) == 3
        assert answer.write_answer(tmp_path / "y.tif", [stack], lambda _: [dark / 9], Form("same"), note) == 0


def test_odd_choices_are_named() -> None:
    for wrong in ({"dtype": "int8"}, {"compress": "rar"}):
        with pytest.raises(ValueError, match="expected one of"):
            Form(**wrong)
