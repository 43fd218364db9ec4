"""TIFF and MetaImage in every layout: what was stored is what is read, and what is written comes back."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile

from quietfield.files.arrays import ArrayStack
from quietfield.files.images import open_stack
from quietfield.files.tiff import write_tiff

DTYPES = ["uint8", "uint16", "int16", "int32", "float16", "float32", "float64", "bool"]
SHAPES = [(1, 1), (1, 7), (33, 35), (3, 1, 1), (5, 33, 35), (3, 33, 35), (4, 33, 35), (2, 3, 17, 19), (2, 1, 3, 17, 19)]
LAYOUTS = {
    "plain": {},
    "bigtiff": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "lzw": {"compression": "lzw"},
    "zstd-predictor": {"compression": "zstd", "predictor": True},
    "jpeg2000": {"compression": "jpeg2000"},
    "deflate-tiled": {"compression": "zlib", "tile": (16, 16)},
    "big-endian-lzw": {"byteorder": ">", "compression": "lzw"},
    "imagej": {"imagej": True},
    "ome": {"ome": True},
    "strips": {"rowsperstrip": 5},
}


def make(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(0).normal(100, 400, shape)
    if dtype.startswith("u"):
        values = np.abs(values)
    return (values % 251 if dtype == "uint8" else values).astype(dtype)


def read(path: Path) -> np.ndarray:
    with open_stack(path) as stack:
        planes = np.concatenate(list(stack.blocks(1000)))
        assert planes.shape == (stack.count, *stack.plane_shape)
        assert planes.dtype == stack.dtype
        if stack.samples > 1:
            leading, samples = stack.shape[:-3], stack.shape[-1]
            return np.moveaxis(planes.reshape(*leading, samples, *stack.plane_shape), -3, -1)
        return planes.reshape(stack.shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_dtype_and_shape(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    expected = make(shape, dtype)
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="minisblack")
    found = read(tmp_path / "x.tif")
    assert found.shape == shape
    assert found.dtype == dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(tmp_path: Path, layout: str) -> None:
    expected = make((6, 33, 35), "uint16")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="minisblack", **LAYOUTS[layout])
    assert np.array_equal(read(tmp_path / "x.tif"), expected)


def test_planar_samples_as_in_the_challenges_own_frames(tmp_path: Path) -> None:
    expected = make((3, 20, 21), "int16")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="rgb", planarconfig="separate")
    with open_stack(tmp_path / "x.tif") as stack:
        assert stack.axes == "SYX"
    assert np.array_equal(read(tmp_path / "x.tif"), expected)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("shape", [(20, 21, 3), (2, 20, 21, 3), (2, 20, 21, 4)], ids=str)
def test_colours_keep_their_place(tmp_path: Path, shape: tuple[int, ...], compression: str | None) -> None:
    expected = make(shape, "uint8")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="rgb", compression=compression)
    assert np.array_equal(read(tmp_path / "x.tif"), expected)
    with open_stack(tmp_path / "x.tif") as stack:
        write_tiff(tmp_path / "y.tif", stack, (p.astype(np.float32) for page in stack.blocks(1) for p in page))
    assert np.array_equal(tifffile.imread(tmp_path / "y.tif"), expected)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("shape", [(33, 35, 1), (3, 33, 35, 1), (1, 1, 1)], ids=str)
def test_a_trailing_axis_of_one_is_no_width(tmp_path: Path, shape: tuple[int, ...], compression: str | None) -> None:
    expected = make(shape, "uint16")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="minisblack", compression=compression)
    assert np.array_equal(read(tmp_path / "x.tif"), expected)
    with open_stack(tmp_path / "x.tif") as stack:
        assert stack.plane_shape == (shape[-3:-1] if shape != (1, 1, 1) else (1, 1))
        write_tiff(tmp_path / "y.tif", stack, (p.astype(np.float32) for page in stack.blocks(1) for p in page))
    assert np.array_equal(tifffile.imread(tmp_path / "y.tif"), expected)


def test_equal_images_stored_one_by_one_are_all_read(tmp_path: Path) -> None:
    expected = make((4, 20, 21), "uint16")
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        for plane in expected:
            tif.write(plane, contiguous=False)
    assert np.array_equal(read(tmp_path / "x.tif"), expected)


def test_an_image_of_another_shape_is_left_out_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as tif:
        tif.write(make((20, 21), "uint16"))
        tif.write(make((5, 6), "uint16"))
    assert read(tmp_path / "x.tif").shape == (20, 21)
    assert "leaves out others of shape (5, 6)" in caplog.text


@pytest.mark.parametrize("shape", [(9, 11), (5, 9, 11)], ids=str)
def test_metaimage(tmp_path: Path, shape: tuple[int, ...]) -> None:
    expected = make(shape, "int16")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(expected), str(tmp_path / "x.mha"), True)
    assert np.array_equal(read(tmp_path / "x.mha"), expected)
    colours = make((9, 11, 3), "uint8")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colours, isVector=True), str(tmp_path / "c.mha"))
    assert np.array_equal(read(tmp_path / "c.mha"), colours)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_written_as_the_importer_wants_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    expected = make(shape, "float32")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="minisblack")
    with open_stack(tmp_path / "x.tif") as stack:
        write_tiff(tmp_path / "new" / "y.tif", stack, iter(expected.reshape(-1, *shape[-2:])))
    with tifffile.TiffFile(tmp_path / "new" / "y.tif") as tif:
        page = tif.pages[0]
        assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert (page.tags["XResolution"].value, page.tags["ResolutionUnit"].value) == ((1, 1), 2)
        assert tif.series[0].shape == shape
        assert np.array_equal(tif.asarray(), expected)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["y.tif"]


TWICE = {
    (1, 1): (2, 2), (1, 7): (2, 14), (3, 1, 1): (3, 2, 2), (5, 33, 35): (5, 66, 70), (2, 3, 17, 19): (2, 3, 34, 38),
    (20, 21, 3): (40, 42, 3), (2, 20, 21, 4): (2, 40, 42, 4), (33, 35, 1): (66, 70, 1), (1, 1, 1): (1, 2, 2),
}  # fmt: skip


@pytest.mark.parametrize("shape", TWICE, ids=str)
def test_twice_the_pixels_keep_axes_and_physical_size(tmp_path: Path, shape: tuple[int, ...]) -> None:
    colours = shape[-1] in (3, 4)
    expected = make(shape, "uint8" if colours else "uint16")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="rgb" if colours else "minisblack")
    with open_stack(tmp_path / "x.tif") as stack:
        assert (stack.enlarged(1), stack.enlarged(2)) == (shape, TWICE[shape])
        planes = (np.kron(p, np.ones((2, 2))).astype(np.float32) for page in stack.blocks(1) for p in page)
        write_tiff(tmp_path / "y.tif", stack, planes, scale=2)
    y, x = (i for i, (a, b) in enumerate(zip(shape, TWICE[shape], strict=True)) if a != b)
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.pages[0].tags["XResolution"].value == tif.pages[0].tags["YResolution"].value == (2, 1)
        assert np.array_equal(tif.asarray(), expected.repeat(2, axis=y).repeat(2, axis=x))


@pytest.mark.parametrize("shape", [(9, 11), (4, 9, 11), (9, 11, 3)], ids=str)
def test_twice_the_pixels_of_a_metaimage(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = SimpleITK.GetImageFromArray(make(shape, "uint8"), isVector=shape[-1] == 3)
    SimpleITK.WriteImage(image, str(tmp_path / "x.mha"))
    with open_stack(tmp_path / "x.mha") as stack:
        assert stack.enlarged(2) == {(9, 11): (18, 22), (4, 9, 11): (4, 18, 22), (9, 11, 3): (18, 22, 3)}[shape]


def test_bigtiff_when_the_answer_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quietfield.files.tiff.CLASSIC_TIFF_BYTES", 4 * 4 * 81 - 1)
    tifffile.imwrite(tmp_path / "x.tif", make((9, 9), "float32"), photometric="minisblack")
    with open_stack(tmp_path / "x.tif") as stack:
        write_tiff(tmp_path / "y.tif", stack, iter(np.zeros((1, 18, 18), np.float32)), scale=2)
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.is_bigtiff


@pytest.mark.parametrize(("limit", "big"), [(3 * 9 * 9 * 4, False), (3 * 9 * 9 * 4 - 1, True)])
def test_bigtiff_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, big: bool) -> None:
    monkeypatch.setattr("quietfield.files.tiff.CLASSIC_TIFF_BYTES", limit)
    expected = make((3, 9, 9), "float32")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="minisblack")
    with open_stack(tmp_path / "x.tif") as stack:
        write_tiff(tmp_path / "y.tif", stack, iter(expected))
    with tifffile.TiffFile(tmp_path / "y.tif") as tif:
        assert tif.is_bigtiff == big
        assert np.array_equal(tif.asarray(), expected)


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", make((3, 9, 9), "float32"), photometric="minisblack")
    (tmp_path / "y.tif").write_text("what was there before")

    def planes():
        yield np.zeros((9, 9), np.float32)
        raise RuntimeError("in the middle")

    with open_stack(tmp_path / "x.tif") as stack, pytest.raises(RuntimeError, match="in the middle"):
        write_tiff(tmp_path / "y.tif", stack, planes())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.tif", "y.tif"]
    assert (tmp_path / "y.tif").read_text() == "what was there before"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.97, 0.6, 0.1, 0.001])
def test_a_file_cut_short_is_never_taken_for_a_shorter_one(tmp_path: Path, layout: str, share: float) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, make((10, 64, 70), "uint16"), photometric="minisblack", **LAYOUTS[layout])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"x\.tif: "):
        read(path)


@pytest.mark.parametrize("content", [b"", b"II", b"not an image\n" * 9, b"<html></html>", b"II*\0" + b"\xff" * 40])
@pytest.mark.parametrize("name", ["x.tif", "x.mha"])
def test_what_is_no_image_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: expected"):
        read(tmp_path / name)


def test_folders_and_complex_numbers_are_named(tmp_path: Path) -> None:
    (tmp_path / "d.tif").mkdir()
    with pytest.raises(ValueError, match="found a folder"):
        read(tmp_path / "d.tif")
    tifffile.imwrite(tmp_path / "c.tif", np.ones((4, 4), np.complex64))
    with pytest.raises(ValueError, match="expected real numbers, found complex64"):
        read(tmp_path / "c.tif")


def test_blocks_hold_no_more_than_asked(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", make((10, 8, 8), "uint16"))
    with open_stack(tmp_path / "x.tif") as stack:
        assert [len(b) for b in stack.blocks(3 * 64)] == [3, 3, 3, 1]
        assert [len(b) for b in stack.blocks(1)] == [1] * 10


def data_set(folder: Path, images: dict[str, np.ndarray], parts: list[list[tuple[str, int]]]) -> list[Path]:
    """OME-TIFFs that each hold a part of the planes of several images (T, Y, X), and each the OME-XML of all.

    `parts` has, for each file, the planes that lie in it, by image and number.
    """
    paths = [folder / f"file{number}.ome.tif" for number in range(len(parts))]
    where = {plane: (number, at) for number, part in enumerate(parts) for at, plane in enumerate(part)}
    identity = "urn:uuid:00000000-0000-0000-0000-00000000000{}"
    xml = ""
    for index, (name, image) in enumerate(images.items()):
        planes = "".join(
            f'<TiffData FirstT="{t}" IFD="{at}" PlaneCount="1"><UUID FileName="{paths[number].name}">'
            f"{identity.format(number)}</UUID></TiffData>"
            for t in range(len(image))
            for number, at in [where[name, t]]
        )
        xml += (
            f'<Image ID="Image:{index}" Name="{name}"><Pixels BigEndian="false" DimensionOrder="XYZCT" '
            f'ID="Pixels:{index}" SizeC="1" SizeT="{len(image)}" SizeX="{image.shape[2]}" SizeY="{image.shape[1]}" '
            f'SizeZ="1" Type="uint16"><Channel ID="Channel:{index}:0" SamplesPerPixel="1"/>{planes}</Pixels></Image>'
        )
    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        # Of other lengths, so that pixels do not begin at the same place in every file.
        head = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="{"x" * 300 * number}" '
        text = f'<?xml version="1.0" encoding="UTF-8"?>{head}UUID="{identity.format(number)}">{xml}</OME>'
        pixels = np.stack([images[name][t] for name, t in part])
        tifffile.imwrite(path, pixels, description=text.encode(), metadata=None, photometric="minisblack")
    return paths


def test_each_file_of_several_positions_gives_its_own_pixels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = {f"p{i}": random.integers(1000 * i, 1000 * i + 99, (3, 24, 20), np.uint16) for i in range(3)}
    for path, image in zip(
        data_set(tmp_path, images, [[(n, t) for t in range(3)] for n in images]), images.values(), strict=True
    ):
        with open_stack(path) as stack:
            assert (stack.shape, stack.axes) == ((3, 24, 20), "TYX")
            assert np.array_equal(np.concatenate(list(stack.blocks(1))), image)


def test_a_movie_in_several_files_is_read_from_each_of_them(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 999, (4, 24, 20), np.uint16)
    for path in data_set(tmp_path, {"m": movie}, [[("m", 0), ("m", 1)], [("m", 2), ("m", 3)]]):
        with open_stack(path) as stack:
            assert np.array_equal(np.concatenate(list(stack.blocks(1))), movie)


def test_a_thumbnail_is_never_the_image(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 999, (64, 80), np.uint16)
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(image[::4, ::4], subfiletype=1, metadata=None)
        file.write(image, metadata=None)
    with open_stack(tmp_path / "x.tif") as stack:
        assert np.array_equal(np.concatenate(list(stack.blocks(1)))[0], image)
    with tifffile.TiffWriter(tmp_path / "only.tif") as file:
        file.write(image, subfiletype=1, metadata=None)
    with open_stack(tmp_path / "only.tif") as stack:
        assert stack.shape == (64, 80)


def test_of_pages_of_two_sizes_the_larger_part_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    movie = np.random.default_rng(0).integers(0, 999, (5, 40, 50), np.uint16)
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(movie[0, :30], metadata=None)
        for plane in movie:
            file.write(plane, metadata=None)
    with open_stack(tmp_path / "x.tif") as stack:
        assert np.array_equal(np.concatenate(list(stack.blocks(1))), movie)
    assert "takes the image of shape (5, 40, 50) and leaves out others of shape (30, 50)" in caplog.text


ORDER = [4, 0, 5, 5, 2, 1, 3]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_planes_are_read_in_any_order(tmp_path: Path, layout: str) -> None:
    expected = make((6, 33, 35), "uint16")
    tifffile.imwrite(tmp_path / "x.tif", expected, photometric="minisblack", **LAYOUTS[layout])
    with open_stack(tmp_path / "x.tif") as stack:
        for index in ORDER:
            plane = stack.plane(index)
            assert plane.dtype == np.uint16
            assert np.array_equal(plane, expected[index])
        assert np.array_equal(np.concatenate(list(stack.blocks(2000, ORDER))), expected[ORDER])
        for index in (-1, 6):
            with pytest.raises(IndexError, match="expected a plane from 0 to 5"):
                stack.plane(index)


@pytest.mark.parametrize("kind", ["pages", "samples", "images", "mha", "array"])
def test_planes_of_every_kind_of_file_are_read_in_any_order(tmp_path: Path, kind: str) -> None:
    expected = make((6, 20, 21), "uint16")
    path = tmp_path / ("x.mha" if kind == "mha" else "x.tif")
    if kind == "samples":
        pixels = np.moveaxis(expected.reshape(2, 3, 20, 21), 1, -1)
        tifffile.imwrite(path, pixels, photometric="rgb", compression="lzw")
    elif kind == "mha":
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(expected), str(path))
    elif kind == "array":
        stack = ArrayStack(expected.astype(">u2").transpose(1, 0, 2), "YTX").stack
        assert all(np.array_equal(stack.plane(i), expected[i]) and stack.plane(i).dtype == "=u2" for i in ORDER)
        return
    else:
        with tifffile.TiffWriter(path) as file:
            for plane in expected:
                file.write(plane, contiguous=False, metadata=None if kind == "pages" else {})
    with open_stack(path) as stack:
        assert all(np.array_equal(stack.plane(index), expected[index]) for index in ORDER)
