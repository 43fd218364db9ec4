"""Axes and images of a file: named, guessed or given; all images answered; planes of other channels untouched."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile

from quietfield import runner
from quietfield.adapt.plan import Options
from quietfield.files.answer import Form
from quietfield.files.images import open_stack, open_stacks
from quietfield.files.jobs import Job, jobs_of
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.pipeline import denoise_file

from test_images import data_set  # isort: skip

RANDOM = np.random.default_rng(0)
ALONE = Options(neighbours="off")


def counts(*shape: int) -> np.ndarray:
    return (100 + RANDOM.poisson(20, shape)).astype(np.uint16)


@pytest.fixture
def tiny() -> Denoiser:
    return Denoiser(UNet((2, 2)), Normalisation())


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((40, 50, 3), "YXC"),
        ((2, 40, 50, 4), "QYXC"),
        ((40, 50, 5), "QYX"),
        ((40, 20, 3), "QYX"),
        ((3, 40, 50), "QYX"),
        ((6, 40, 50), "QYX"),
    ],
)
def test_a_last_axis_of_channels_is_recognised(
    tmp_path: Path, shape: tuple[int, ...], names: str, compression: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    image = counts(*shape)
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="minisblack", compression=compression)
    with open_stack(tmp_path / "x.tif") as stack:
        assert stack.axes == names
        found = np.stack([stack.plane(index) for index in range(stack.count)])
        if names.endswith("C"):
            assert stack.plane_shape == shape[-3:-1]
            assert np.array_equal(found, np.moveaxis(image, -1, -3).reshape(found.shape))
            assert "the last axis is taken for channels" in caplog.text
            assert [stack.channel_of(index) for index in range(shape[-1])] == list(range(shape[-1]))
        else:
            assert np.array_equal(found, image)
            assert caplog.text.count("have no name") == 1


def test_given_axes_stand_for_those_of_the_file(tmp_path: Path, tiny: Denoiser) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(3, 4, 20, 30), photometric="minisblack")
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE, form=Form(axes="TCYX"))
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert (tif.series[0].axes, tif.series[0].shape) == ("TCYX", (3, 4, 20, 30))
    with open_stack(tmp_path / "x.tif", "CYXT") as stack:
        assert (stack.plane_shape, stack.samples, stack.count) == ((4, 20), 30, 90)
    for wrong in ("TYX", "TTYX", "TYCX"):
        with pytest.raises(ValueError, match=rf"x\.tif: --axes: expected 4 different letters .* found {wrong}"):
            open_stack(tmp_path / "x.tif", wrong).__enter__()


def test_given_axes_of_imagej_and_metaimage_files(tmp_path: Path, tiny: Denoiser) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(4, 20, 30), imagej=True, metadata={"axes": "ZYX"})
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE, form=Form(axes="TYX"))
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert (tif.series[0].kind, tif.series[0].axes) == ("imagej", "TYX")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(counts(4, 20, 30)), str(tmp_path / "x.mha"))
    with open_stack(tmp_path / "x.mha", "TYX") as stack:
        assert stack.axes == "TYX"
    with pytest.raises(ValueError, match=r"x\.mha: --axes: expected 3 different letters as ZYX, found YXC"):
        open_stack(tmp_path / "x.mha", "YXC").__enter__()


def test_images_of_several_shapes_are_all_answered_in_their_order(tmp_path: Path, tiny: Denoiser) -> None:
    images = [counts(20, 30), counts(20, 30), counts(5, 24, 28), counts(20, 30)]
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        for image in images:
            tif.write(image, contiguous=False)
    with open_stacks(tmp_path / "x.tif") as stacks:
        assert [(stack.images, stack.shape) for stack in stacks] == [
            (2, (2, 20, 30)),
            (1, (5, 24, 28)),
            (1, (20, 30)),
        ]
    report = denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    assert [one.shape for one in (report, *report.others)] == [(2, 20, 30), (5, 24, 28), (20, 30)]
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert [series.shape for series in tif.series] == [image.shape for image in images]
        means = [float(series.asarray().mean()) for series in tif.series]
    assert len(set(means)) == 4


def test_the_platform_gets_one_image(tmp_path: Path, tiny: Denoiser, caplog: pytest.LogCaptureFixture) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        tif.write(counts(20, 30), contiguous=False)
        tif.write(counts(5, 24, 28), contiguous=False)
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE, form=Form(platform=True))
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert [series.shape for series in tif.series] == [(5, 24, 28)]
        assert tif.pages[0].tags["XResolution"].value == (1, 1)
        assert tif.pages[0].tags["ResolutionUnit"].value == 2
    assert "leaves out others of shape (20, 30)" in caplog.text


def test_channels_that_are_not_asked_for_are_copied(tmp_path: Path, tiny: Denoiser) -> None:
    stack = counts(3, 4, 20, 30)
    tifffile.imwrite(tmp_path / "x.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    chosen = Options(neighbours="off", channels=(0, 2))
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", chosen)
    answer = tifffile.imread(tmp_path / "y.tif")
    assert np.array_equal(answer[:, [1, 3]], stack[:, [1, 3]])
    assert (answer[:, [0, 2]] != stack[:, [0, 2]]).mean() > 0.9
    colours = counts(20, 30, 3).astype(np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    denoise_file(tiny, tmp_path / "rgb.tif", tmp_path / "rgb-answer.tif", Options(neighbours="off", channels=(1,)))
    answer = tifffile.imread(tmp_path / "rgb-answer.tif")
    assert np.array_equal(answer[..., [0, 2]], colours[..., [0, 2]])
    assert not np.array_equal(answer[..., 1], colours[..., 1])
    with pytest.raises(ValueError, match=r"x\.tif: channels: expected numbers from 0 to 3 .* found 4"):
        denoise_file(tiny, tmp_path / "x.tif", tmp_path / "z.tif", Options(channels=(4,)))
    double = Denoiser(UNet((2, 2), scale=2), Normalisation())
    with pytest.raises(ValueError, match="expected a network that keeps the number of pixels"):
        denoise_file(double, tmp_path / "x.tif", tmp_path / "z.tif", chosen)
    assert not (tmp_path / "z.tif").exists()


def test_one_image_in_several_files_is_answered_once(
    tmp_path: Path, tiny: Denoiser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = tmp_path / "in"
    folder.mkdir()
    movie = counts(4, 24, 20)
    paths = data_set(folder, {"m": movie}, [[("m", 0), ("m", 1)], [("m", 2), ("m", 3)]])
    jobs, problems = jobs_of([folder], tmp_path / "out")
    assert ([job.source for job in jobs], problems) == (paths[:1], [])
    assert f"{paths[1]}: a part of the image in {paths[0]}, whose answer holds it" in caplog.text
    assert runner.run(tiny, jobs, problems, ALONE).code == 0
    assert tifffile.imread(tmp_path / "out" / "file0.ome.tif").shape == movie.shape
    # A file that is given alone is answered with all of the image.
    assert [job.source for job in jobs_of(paths[1:], tmp_path / "out")[0]] == paths[1:]
    paths[1].unlink()
    denoise_file(tiny, paths[0], tmp_path / "y.tif", ALONE)
    assert "1 files of its data set are missing, their planes are zeros: file1.ome.tif" in caplog.text
    assert "2 of 4 planes are missing and taken as zeros" in caplog.text


def test_a_file_that_names_another_for_its_metadata_is_a_part_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    movie = counts(4, 24, 20)
    first, second = data_set(tmp_path, {"m": movie}, [[("m", 0), ("m", 1)], [("m", 2), ("m", 3)]])
    schema = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    only = f'<OME {schema} UUID="urn:uuid:1"><BinaryOnly MetadataFile="{first.name}" UUID="urn:uuid:0"/></OME>'
    tifffile.imwrite(second, movie[2:], description=only.encode(), metadata=None, photometric="minisblack")
    with open_stack(second) as stack:
        assert stack.axes == "TYX"
        assert np.array_equal(np.concatenate(list(stack.blocks(1))), movie)
    assert [job.source for job in jobs_of([tmp_path], tmp_path / "out")[0]] == [first]
    assert not caplog.text


def test_positions_in_files_of_their_own_are_answered_one_by_one(tmp_path: Path) -> None:
    images = {f"p{i}": counts(3, 24, 20) for i in range(3)}
    paths = data_set(tmp_path, images, [[(name, t) for t in range(3)] for name in images])
    assert [job.source for job in jobs_of([tmp_path], tmp_path / "out")[0]] == paths


@pytest.mark.parametrize("there", [True, False])
def test_metadata_in_a_companion_file(tmp_path: Path, there: bool, caplog: pytest.LogCaptureFixture) -> None:
    image = counts(2, 3, 24, 20)
    identity = "urn:uuid:00000000-0000-0000-0000-000000000001"
    schema = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    only = f'<OME {schema} UUID="{identity}"><BinaryOnly MetadataFile="x.companion.ome" UUID="urn:uuid:0-0"/></OME>'
    tifffile.imwrite(tmp_path / "x.ome.tif", image, description=only.encode(), metadata=None, photometric="minisblack")
    data = f'<TiffData IFD="0" PlaneCount="6"><UUID FileName="x.ome.tif">{identity}</UUID></TiffData>'
    xml = (
        f'<OME {schema} UUID="urn:uuid:0-0"><Image ID="Image:0" Name="i"><Pixels ID="Pixels:0" SizeX="20" SizeY="24" '
        'DimensionOrder="XYCZT" Type="uint16" SizeC="3" SizeZ="1" SizeT="2" PhysicalSizeX="0.2" PhysicalSizeY="0.2">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><Channel ID="Channel:0:1" SamplesPerPixel="1"/>'
        f'<Channel ID="Channel:0:2" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
    )
    if there:
        (tmp_path / "x.companion.ome").write_text(xml)
    with open_stack(tmp_path / "x.ome.tif") as stack:
        assert stack.axes == ("TCYX" if there else stack.axes)
        assert np.array_equal(np.concatenate(list(stack.blocks(1))), image.reshape(6, 24, 20))
        assert (stack.metadata.x is not None) == there
    assert ("x.companion.ome, which cannot be read: goes by the pages alone" in caplog.text) == (not there)


def test_min_is_white_is_inverted_for_the_network_and_back(tmp_path: Path, tiny: Denoiser) -> None:
    image = counts(32, 40)
    for bits, kind in ((12, np.uint16), (16, np.uint16), (32, np.float32), (16, np.int16)):
        top = 2**bits - 1 if kind == np.uint16 else 0
        stored = (top - image.astype(np.int64)).astype(kind)
        tifffile.imwrite(
            tmp_path / "white.tif", stored, photometric="miniswhite", bitspersample=bits if bits == 12 else None
        )
        tifffile.imwrite(tmp_path / "black.tif", image, photometric="minisblack")
        with open_stack(tmp_path / "white.tif") as stack:
            assert np.array_equal(stack.plane(0), image)
            assert np.array_equal(stack.restored(stack.plane(0)), stored)
        for name in ("white", "black"):
            denoise_file(tiny, tmp_path / f"{name}.tif", tmp_path / f"{name}-answer.tif", ALONE)
        with tifffile.TiffFile(tmp_path / "white-answer.tif") as tif:
            assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE
            white = tif.asarray()
        assert np.allclose(top - white, tifffile.imread(tmp_path / "black-answer.tif"), atol=0.01)


def test_indices_of_a_colour_table_are_refused_unless_they_are_intensities(tmp_path: Path, tiny: Denoiser) -> None:
    image = counts(32, 40).astype(np.uint8)
    ramp = np.stack([np.zeros(256), np.arange(256) * 257, np.arange(256) * 99]).astype(np.uint16)
    tables = {"green": ramp, "mixed": RANDOM.integers(0, 65535, (3, 256)).astype(np.uint16)}
    for name, table in tables.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", image, photometric="palette", colormap=table)
    denoise_file(tiny, tmp_path / "green.tif", tmp_path / "y.tif", ALONE, form=Form(dtype="same"))
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.PALETTE
        assert np.array_equal(tif.pages[0].colormap, ramp)
    with pytest.raises(
        ValueError, match=r"mixed\.tif: expected intensities, found indices .*: save it as grey or as RGB"
    ):
        denoise_file(tiny, tmp_path / "mixed.tif", tmp_path / "z.tif", ALONE)


def test_orientation_and_colours_of_jpeg_are_kept(tmp_path: Path, tiny: Denoiser) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counts(20, 30), extratags=[(274, 3, 1, 6, False)])
    denoise_file(tiny, tmp_path / "x.tif", tmp_path / "y.tif", ALONE)
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.pages[0].tags[274].value == 6
    colours = counts(32, 48, 3).astype(np.uint8)
    tifffile.imwrite(tmp_path / "j.tif", colours, photometric="ycbcr", compression="jpeg")
    with open_stack(tmp_path / "j.tif") as stack:
        assert np.array_equal(stack.plane(1), tifffile.imread(tmp_path / "j.tif")[..., 1])
    denoise_file(tiny, tmp_path / "j.tif", tmp_path / "k.tif", ALONE, form=Form(dtype="same"))
    with tifffile.TiffFile(tmp_path / "k.tif") as tif:
        assert (tif.pages[0].photometric, tif.asarray().shape) == (tifffile.PHOTOMETRIC.RGB, colours.shape)


def test_an_offset_beyond_float32_is_kept(tmp_path: Path, tiny: Denoiser, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    image = counts(2, 32, 40).astype(np.float64)
    for platform in (False, True):
        for name, offset in (("low", 0.0), ("high", 1e9)):
            tifffile.imwrite(tmp_path / f"{name}.tif", image + offset, photometric="minisblack")
            form = Form(platform=platform)
            denoise_file(tiny, tmp_path / f"{name}.tif", tmp_path / f"{name}-answer.tif", ALONE, form=form)
        low, high = (tifffile.imread(tmp_path / f"{name}-answer.tif") for name in ("low", "high"))
        assert (low.dtype, high.dtype) == (np.float32, np.float64)
        assert np.allclose(high - 1e9, low, atol=0.01)
    assert "high.tif: the offset 1e+09 is taken out and added again" in caplog.text
    # The same as integers again.
    tifffile.imwrite(tmp_path / "u32.tif", (image + 1e9).astype(np.uint32), photometric="minisblack")
    denoise_file(tiny, tmp_path / "u32.tif", tmp_path / "y.tif", ALONE, form=Form(dtype="same"))
    answer = tifffile.imread(tmp_path / "y.tif")
    assert answer.dtype == np.uint32
    assert np.abs(answer - 1e9 - low).max() <= 0.51


def test_a_metaimage_in_two_files(tmp_path: Path, tiny: Denoiser) -> None:
    image = counts(3, 20, 30)
    for packed in (False, True):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), str(tmp_path / "x.mhd"), packed)
        with open_stack(tmp_path / "x.mhd") as stack:
            assert np.array_equal(np.concatenate(list(stack.blocks(1))), image)
    jobs, problems = jobs_of([tmp_path], tmp_path / "out")
    assert (jobs, problems) == ([Job(tmp_path / "x.mhd", tmp_path / "out" / "x.mha")], [])
    assert runner.run(tiny, jobs, problems, ALONE).code == 0
    assert SimpleITK.ReadImage(str(tmp_path / "out" / "x.mha")).GetSize() == (30, 20, 3)
    (tmp_path / "x.raw").unlink(missing_ok=True)
    (tmp_path / "x.zraw").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"x\.mhd: expected a MetaImage"):
        denoise_file(tiny, tmp_path / "x.mhd", tmp_path / "y.mha", ALONE)
