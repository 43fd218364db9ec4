"""The contract of inference.py, end to end, in a process of its own."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import tifffile
import torch

from quietfield import pipeline, runner
from quietfield.adapt.plan import Options
from quietfield.files.jobs import Job
from quietfield.network.model import save_model
from quietfield.network.normalise import Normalisation
from quietfield.network.predict import Denoiser
from quietfield.network.unet import UNet
from quietfield.pipeline import denoise_file

ROOT = Path(__file__).resolve().parents[1]
SOCKET = "images/image-stack-unstructured-noise"
ANSWER = "images/image-stack-denoised"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(ROOT / "inference.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def put(path: Path, image: np.ndarray, **options: object) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image, photometric="minisblack", **options)
    return image


def frame(*shape: int, dtype: str = "uint16") -> np.ndarray:
    light = 4 + 6 * np.sin(np.arange(shape[-1]) / 9) ** 2
    return (103.4 + 13.4 * np.random.default_rng(0).poisson(np.broadcast_to(light, shape))).astype(dtype)


def test_good_and_bad_files_together(tmp_path: Path) -> None:
    """Every good file is done, every bad one is named with its reason, and the exit code says so."""
    folder, out = tmp_path / "in" / SOCKET, tmp_path / "out"
    good = {
        "stack.tif": put(folder / "stack.tif", frame(2, 3, 64, 70)),
        "odd.tiff": put(folder / "odd.tiff", frame(90, 101, dtype="int16") - 300, byteorder=">", compression="zstd"),
        "one pixel.tif": put(folder / "one pixel.tif", np.full((1, 1), 7, np.uint8)),
        "constant.tif": put(folder / "constant.tif", np.full((40, 40), -3.5, np.float64)),
        "mask.tif": put(folder / "mask.tif", frame(40, 40) > 200),
    }
    broken = frame(2, 50, 60, dtype="float32")
    broken[0, 10, 10], broken[0, 11, 11], broken[1] = np.nan, np.inf, np.nan
    good["nan.tif"] = put(folder / "nan.tif", broken)
    good["meta.mha"] = frame(3, 30, 31, dtype="int32")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(good["meta.mha"]), str(folder / "meta.mha"))
    whole = (folder / "stack.tif").read_bytes()
    (folder / "truncated.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "text.tif").write_text("this is not an image\n")
    (folder / "empty.tif").write_bytes(b"")
    (folder / "folder.tif").mkdir()

    result = run("--input", tmp_path / "in", "--output", out)
    assert result.returncode == 1, result.stderr
    for name, image in good.items():
        answer = tifffile.imread(out / ANSWER / f"{Path(name).stem}.tif")
        assert answer.dtype == np.float32
        assert answer.shape == image.shape
        assert np.isfinite(answer).all()
        assert f"{name} -> " in result.stderr
        assert f"shape {image.shape}, {image.dtype}" in result.stderr
    assert sorted(p.stem for p in (out / ANSWER).iterdir()) == sorted(Path(n).stem for n in good)
    assert [p.name for p in out.rglob("*.part")] == []

    constant = tifffile.imread(out / ANSWER / "constant.tif")
    assert (constant == np.float32(-3.5)).all()
    assert tifffile.imread(out / ANSWER / "one pixel.tif") == 7
    odd = tifffile.imread(out / ANSWER / "odd.tif")
    assert odd.mean() == pytest.approx(good["odd.tiff"].mean(), abs=3)
    assert not tifffile.imread(out / ANSWER / "nan.tif")[1].any()
    assert "nan.tif: 3002 pixels are NaN" in result.stderr
    for name, reason in {
        "truncated.tif": "cut short",
        "text.tif": "expected a TIFF, found something else",
        "empty.tif": "empty file",
        "folder.tif": "found a folder",
    }.items():
        assert any(name in line and reason in line for line in result.stderr.splitlines()), (name, result.stderr)
    assert "stack.tif: noise (in 4 of 64 x 70): standard deviation" in result.stderr
    assert "stack.tif: noise is white: correlation with the next pixel x " in result.stderr
    assert not re.search("(constant|one pixel).tif: noise", result.stderr)
    for word in ("torch 2", "numpy", "device", "weights sha256", "MPix/s", "7 of 11 images denoised"):
        assert word in result.stderr


def test_every_socket_of_the_platform(tmp_path: Path) -> None:
    for name in ("image-stack-unstructured-noise", "image-stack-structured-noise", "stacked-neuron-images-with-noise"):
        put(tmp_path / "in" / "images" / name / f"{name}.tif", frame(20, 30))
    entry = {"socket": {"slug": "stacked-images-subject-to-structured-noise", "relative_path": None}}
    (tmp_path / "in" / "inputs.json").write_text(json.dumps([entry]))
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.tif")) == [
        "images/image-stack-denoised/image-stack-structured-noise.tif",
        "images/image-stack-denoised/image-stack-unstructured-noise.tif",
        "images/stacked-neuron-images-with-reduced-noise/stacked-neuron-images-with-noise.tif",
    ]


def test_no_input_and_no_model_exit_2_and_say_where_they_looked(tmp_path: Path) -> None:
    (tmp_path / "in" / SOCKET).mkdir(parents=True)
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert result.returncode == 2
    assert f"looked in {tmp_path / 'in' / SOCKET}" in result.stderr
    put(tmp_path / "in" / SOCKET / "x.tif", frame(20, 30))
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out", "--model", tmp_path / "nowhere")
    assert result.returncode == 2
    assert f"looked in {tmp_path / 'nowhere'}" in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    put(tmp_path / "in" / SOCKET / "x.tif", frame(20, 30))
    (tmp_path / "out").write_text("a file where the folder should be")
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert result.returncode == 1
    assert "x.tif" in result.stderr
    assert str(tmp_path / "out") in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "out").read_text() == "a file where the folder should be"


def test_a_model_of_ones_own_and_a_damaged_one(tmp_path: Path) -> None:
    put(tmp_path / "in" / "x.tif", frame(20, 30))
    model = shutil.copytree(ROOT / "resources", tmp_path / "model")
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out", "--model", model)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "x.tif").is_file()
    weights = model / "weights.pt"
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 1
    weights.write_bytes(content)
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out2", "--model", model)
    assert result.returncode == 2
    assert f"found {hashlib.sha256(content).hexdigest()}" in result.stderr
    assert not (tmp_path / "out2").exists()


def test_memory_does_not_grow_with_the_stack(tmp_path: Path, tiny_model: Path) -> None:
    """Peak memory beyond that of a short stack: a few planes, not the 180 more of the long one."""
    peaks = []
    for count in (24, 204):
        source = tmp_path / f"in{count}"
        put(
            source / "x.tif", np.random.default_rng(0).integers(0, 999, (count, 512, 512), np.uint16), compression="lzw"
        )
        # A process starts with the peak of the one that it was forked from: a shell's, not this one's.
        command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, str(ROOT / "inference.py"), "--input", source]
        command += ["--output", tmp_path / f"out{count}", "--model", tiny_model]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        peaks.append(int(result.stderr.rsplit("peak memory ", 1)[1].split()[0]))
    # A third of this is what the input alone would take, two thirds the answer.
    stack_mib = 180 * 512 * 512 * (2 + 4) / 2**20
    assert peaks[1] - peaks[0] < 0.2 * stack_mib, peaks


def test_sagemakers_forms(tmp_path: Path, tiny_model: Path) -> None:
    """The input is a symbolic link, there is no HOME, and the environment is all but empty."""
    put(tmp_path / "elsewhere" / SOCKET / "x.tif", frame(20, 30))
    (tmp_path / "in").symlink_to(tmp_path / "elsewhere")
    command = [sys.executable, "-W", "error", str(ROOT / "inference.py"), "--model", str(tiny_model)]
    command += ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    result = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / ANSWER / "x.tif").is_file()


def test_an_unforeseen_failure_is_told_and_the_next_image_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "x.tif", frame(30, 30))

    def fail(*arguments: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(runner, "denoise_file", fail)
    job = Job(tmp_path / "x.tif", tmp_path / "y.tif")
    outcome = runner.run(Denoiser(UNet((4, 8)), Normalisation()), [job, job], ["z.tif: lost"], Options())
    assert (outcome.denoised, outcome.code, len(outcome.problems)) == (0, 1, 3)
    assert "x.tif -> " in caplog.text
    assert "nobody thought of this" in caplog.text


def test_an_image_unlike_the_training_images_is_named(tmp_path: Path, tiny_model: Path) -> None:
    """It is denoised all the same."""
    noise = np.random.default_rng(0).standard_normal((64, 64))
    put(tmp_path / "in" / "like.tif", 100 + 10 * noise)
    put(tmp_path / "in" / "unlike.tif", np.stack(2 * [np.linspace(0, 9, 4096).reshape(64, 64)] + [noise]))
    record = json.loads((tiny_model / "model.json").read_text())
    (tiny_model / "model.json").write_text(json.dumps({**record, "domain": {"noise": [0.5, 1.5]}}))
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out", "--model", tiny_model)
    assert result.returncode == 0, result.stderr
    assert "like.tif: unlike" not in result.stderr.replace("unlike.tif", "")
    assert re.search(r"WARNING .*unlike\.tif: unlike the training images: there is so little noise", result.stderr)
    assert (tmp_path / "out" / "unlike.tif").is_file()
    (tiny_model / "model.json").write_text(json.dumps({**record, "domain": ["noise", 0.5]}))
    damaged = run("--input", tmp_path / "in", "--output", tmp_path / "out2", "--model", tiny_model)
    assert damaged.returncode == 2
    assert "expected a model record of format 1" in damaged.stderr


def test_a_model_that_doubles_the_pixels(tmp_path: Path) -> None:
    """Twice as many in Y and X; leading axes, samples, intensities and what is wrong with a file stay."""
    torch.manual_seed(0)
    network = UNet((4, 8), scale=2)
    with torch.no_grad():
        network.out.weight.mul_(0.01)
        network.out.bias.zero_()
    architecture = {"channels": [4, 8], "scale": 2}
    save_model(tmp_path / "model", network, {"kind": "plane"}, {"name": "double", "architecture": architecture})
    folder, out = tmp_path / "in" / SOCKET, tmp_path / "out"
    good = {
        "stack": (put(folder / "stack.tif", frame(2, 3, 64, 70)), (2, 3, 128, 140)),
        "odd": (put(folder / "odd.tif", frame(31, 45, dtype="int16")), (62, 90)),
        "one pixel": (put(folder / "one pixel.tif", np.full((1, 1), 7, np.uint8)), (2, 2)),
        "constant": (put(folder / "constant.tif", np.full((40, 40), -3.5)), (80, 80)),
    }
    colours = np.stack([frame(20, 21), 2 * frame(20, 21), 3 * frame(20, 21)], axis=-1)
    tifffile.imwrite(folder / "colours.tif", colours, photometric="rgb")
    good["colours"] = (colours, (40, 42, 3))
    broken = frame(2, 20, 30, dtype="float32")
    broken[0, 10, 10], broken[1] = np.nan, np.nan
    good["nan"] = (put(folder / "nan.tif", broken), (2, 40, 60))
    (folder / "text.tif").write_text("this is not an image\n")

    result = run("--input", tmp_path / "in", "--output", out, "--model", tmp_path / "model")
    assert result.returncode == 1, result.stderr
    assert "model double, scale 2, weights sha256" in result.stderr
    assert "6 of 7 images denoised" in result.stderr
    assert sorted(p.name for p in (out / ANSWER).iterdir()) == sorted(f"{name}.tif" for name in good)
    for name, (image, shape) in good.items():
        answer = tifffile.imread(out / ANSWER / f"{name}.tif")
        assert (answer.shape, answer.dtype) == (shape, np.float32)
        assert np.isfinite(answer).all()
        if name != "nan":
            assert answer.mean() == pytest.approx(image.mean(), rel=0.02)
    assert (tifffile.imread(out / ANSWER / "constant.tif") == np.float32(-3.5)).all()
    answer = tifffile.imread(out / ANSWER / "colours.tif")
    assert np.allclose(answer.mean(axis=(0, 1)) / answer[..., 0].mean(), [1, 2, 3], rtol=0.01)
    assert not tifffile.imread(out / ANSWER / "nan.tif")[1].any()


def test_twice_the_pixels_need_four_times_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "x.tif", frame(100, 100))
    monkeypatch.setattr(pipeline, "disk_free", lambda folder: 3 * 4 * 100 * 100)
    denoise_file(Denoiser(UNet((4, 8)), Normalisation()), tmp_path / "x.tif", tmp_path / "y.tif")
    with pytest.raises(OSError, match=r"x\.tif: .*the answer needs .* on the disk"):
        denoise_file(Denoiser(UNet((4, 8), scale=2), Normalisation()), tmp_path / "x.tif", tmp_path / "z.tif")
    assert not (tmp_path / "z.tif").exists()


def test_what_suits_a_file_is_done_unless_it_is_told_not_to(tmp_path: Path) -> None:
    """Stripes by the model's own default, the mean of eight answers for minutes; a wrong word stops it at once."""
    image = frame(96, 96, dtype="float32")
    put(tmp_path / "in" / "striped.tif", image + np.random.default_rng(1).normal(0, 60, (96, 1)).astype(np.float32))
    answers = {}
    for words in ((), ("--adapt", "off"), ("--adapt", "1")):
        result = run("--input", tmp_path / "in", "--output", tmp_path / "out", "--overwrite", *words)
        assert result.returncode == 0, result.stderr
        assert ("the offsets of rows are taken out" in result.stderr) == (words != ("--adapt", "off"))
        assert (": test-time augmentation" in result.stderr) == (words == ("--adapt", "1"))
        answers[words] = tifffile.imread(tmp_path / "out" / "striped.tif")
    auto, off, minute = answers.values()
    between_rows = [float(np.diff(answer.mean(axis=1)).std()) for answer in (auto, off)]
    assert between_rows[0] < 0.5 * between_rows[1]
    assert not np.array_equal(auto, minute)
    result = run("--input", tmp_path / "in", "--output", tmp_path / "out", "--adapt", "never")
    assert result.returncode == 2
    assert "expected auto, off, or minutes above 0, found 'never'" in result.stderr
