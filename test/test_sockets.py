"""Inputs are found where the platform puts them, and answers go where it looks."""

import json
from pathlib import Path

import pytest

from quietfield.files.jobs import FOLDERS, SLUGS, find_jobs


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def listing(folder: Path, *sockets: dict[str, object], key: str = "socket") -> None:
    (folder / "inputs.json").write_text(json.dumps([{key: s, "image": {"name": "x"}} for s in sockets]))


@pytest.mark.parametrize(
    ("folder", "answer"),
    [
        ("image-stack-unstructured-noise", "image-stack-denoised"),
        ("image-stack-structured-noise", "image-stack-denoised"),
        ("stacked-neuron-images-with-noise", "stacked-neuron-images-with-reduced-noise"),
    ],
)
@pytest.mark.parametrize("name", ["0a1b-2c.tif", "a b.tiff", "ü.mha", "A.TIF", "-x.tif"])
def test_each_socket(tmp_path: Path, folder: str, answer: str, name: str) -> None:
    source = touch(tmp_path / "in" / "images" / folder / name)
    jobs, problems = find_jobs(tmp_path / "in", tmp_path / "out")
    target = tmp_path / "out" / "images" / answer / f"{Path(name).stem}.tif"
    assert [(j.source, j.target) for j in jobs] == [(source, target)]
    assert not problems


def test_all_sockets_at_once_and_nothing_else(tmp_path: Path) -> None:
    for index, folder in enumerate(FOLDERS):
        touch(tmp_path / "images" / folder / f"{index}.tif")
        touch(tmp_path / "images" / folder / "notes.txt")
        touch(tmp_path / "images" / folder / f"._{index}.tif")
    touch(tmp_path / "images" / "elsewhere" / "x.tif")
    jobs, problems = find_jobs(tmp_path, tmp_path / "out")
    assert sorted(j.source.name for j in jobs) == ["0.tif", "1.tif", "2.tif"]
    assert not problems


@pytest.mark.parametrize("key", ["socket", "interface"])
@pytest.mark.parametrize("slug", SLUGS)
def test_inputs_json_names_the_folder(tmp_path: Path, slug: str, key: str) -> None:
    touch(tmp_path / "images" / "some-other-place" / "x.tif")
    listing(tmp_path, {"slug": slug, "relative_path": "images/some-other-place"}, key=key)
    jobs, problems = find_jobs(tmp_path, tmp_path / "out")
    assert [j.target for j in jobs] == [tmp_path / "out" / "images" / FOLDERS[SLUGS[slug]] / "x.tif"]
    assert not problems


@pytest.mark.parametrize("content", ["{", "[1]", '{"slug": 1}', "[{}]", '[{"socket": {}}]'])
def test_a_broken_inputs_json_is_named_and_the_folders_are_done(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path / "images" / "image-stack-structured-noise" / "x.tif")
    (tmp_path / "inputs.json").write_text(content)
    jobs, problems = find_jobs(tmp_path, tmp_path / "out")
    assert len(jobs) == 1
    assert not problems
    assert "inputs.json: expected a list of sockets" in caplog.text


def test_an_unknown_slug_is_named_and_an_error_only_if_images_are_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path / "images" / "image-stack-structured-noise" / "x.tif")
    listing(tmp_path, {"slug": "holiday-photographs", "relative_path": "images/holiday"})
    jobs, problems = find_jobs(tmp_path, tmp_path / "out")
    assert len(jobs) == 1
    assert not problems
    assert "'holiday-photographs'" in caplog.text
    touch(tmp_path / "images" / "holiday" / "y.tif")
    jobs, problems = find_jobs(tmp_path, tmp_path / "out")
    assert len(jobs) == 1
    assert "'holiday-photographs'" in problems[0]


@pytest.mark.parametrize("known_first", [True, False])
def test_an_unknown_slug_of_a_known_folder_costs_a_warning(
    tmp_path: Path, known_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the folder is known by itself or by another entry of the list."""
    place = "images/some-other-place"
    for folder in ("images/image-stack-structured-noise", place):
        touch(tmp_path / folder / f"{Path(folder).name}.tif")
    sockets = [
        {"slug": "image-stack-structured-noise", "relative_path": place},
        {"slug": "new", "relative_path": place},
    ]
    renamed = {"slug": "renamed", "relative_path": "images/image-stack-structured-noise"}
    listing(tmp_path, *(sockets if known_first else sockets[::-1]), renamed)
    jobs, problems = find_jobs(tmp_path, tmp_path / "out")
    assert len(jobs) == 2
    assert not problems
    assert "found 'new': its folder images/some-other-place is known" in caplog.text
    assert "found 'renamed': its folder images/image-stack-structured-noise is known" in caplog.text


def test_a_plain_folder_and_a_single_file(tmp_path: Path) -> None:
    a, b = touch(tmp_path / "mine" / "a.tif"), touch(tmp_path / "mine" / "b.tiff")
    out = tmp_path / "out"
    assert [(j.source, j.target) for j in find_jobs(tmp_path / "mine", out)[0]] == [
        (a, out / "a.tif"),
        (b, out / "b.tif"),
    ]
    assert [(j.source, j.target) for j in find_jobs(b, out)[0]] == [(b, out / "b.tif")]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    touch(tmp_path / "a.tif")
    touch(tmp_path / "a.mha")
    assert [j.target.name for j in find_jobs(tmp_path, tmp_path / "out")[0]] == ["a.mha", "a.tif"]
    jobs, problems = find_jobs(tmp_path, tmp_path / "out", tiffs=True)
    assert [(j.source.name, j.target.name) for j in jobs] == [("a.mha", "a.tif")]
    assert "a.tif: its answer would overwrite that of" in problems[0]
    jobs, problems = find_jobs(tmp_path / "a.tif", tmp_path)
    assert not jobs
    assert "choose another --output" in problems[0]


@pytest.mark.parametrize("made", ["", "images", "images/image-stack-structured-noise", "images/elsewhere"])
def test_no_input_says_where_it_looked(tmp_path: Path, made: str) -> None:
    (tmp_path / "in" / made).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"expected \.tif, .* files, looked in .*in.*images"):
        find_jobs(tmp_path / "in", tmp_path / "out")


def test_a_folder_called_images_beside_images_is_just_a_folder(tmp_path: Path) -> None:
    """As people keep images/ and masks/; the platform's has one of its sockets, or nothing beside it."""
    mine = touch(tmp_path / "in" / "a.tif")
    touch(tmp_path / "in" / "images" / "b.tif")
    assert [job.source for job in find_jobs(tmp_path / "in", tmp_path / "out")[0]] == [mine]
    socket = touch(tmp_path / "in" / "images" / "image-stack-structured-noise" / "c.tif")
    assert [job.source for job in find_jobs(tmp_path / "in", tmp_path / "out")[0]] == [socket]


def test_images_of_other_kinds_are_read_or_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.lsm", "b.STK", "c.btf", "d.czi", "e.nd2", "notes.txt"):
        touch(tmp_path / name)
    jobs, problems = find_jobs(tmp_path, tmp_path / "out")
    assert [job.source.name for job in jobs] == ["a.lsm", "b.STK", "c.btf"]
    assert not problems
    assert "2 files are of kinds that are not read and are left out: d.czi, e.nd2" in caplog.text
