"""Training learns, resumes exactly, keeps fields apart, and turns image and truth alike."""

import copy
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from demo.simulate import GAIN, OFFSET, simulate_field
from denoiser.model import load_model
from denoiser.unet import UNet
from train.__main__ import main
from train.config import Config
from train.data import W2S_OVERLAPS, W2S_TEST, W2S_TRAIN, Pair, draw_batch, read_pairs, split_fovs
from train.export import export
from train.fit import build, build_optimiser, fit, learning_rate
from train.noise import photon_transfer, poisson_frame
from train.optimiser import Muon
from train.workers import Workers, join

TINY = Config(
    channels=(16, 32),
    unshuffle=2,
    steps=40,
    batch=8,
    crop=48,
    optimiser="adamw",
    lr=1e-2,
    warmup=5,
    ema=0.9,
    precision="float32",
    validate_every=10,
)


def pair(seed: int = 0) -> Pair:
    noisy, truth = simulate_field(seed, side=96)
    return Pair(
        f"{seed:03}_0", seed, torch.from_numpy(noisy.astype(np.float32)), torch.from_numpy(truth).float(), GAIN, OFFSET
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["average"]


def test_forty_steps_reduce_the_loss(tmp_path: Path) -> None:
    fit(TINY, [pair(1)], [pair(2)], tmp_path)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].split(",")[3:] == ["loss", "validation_si_psnr"]
    first, *_, last = (list(map(float, line.split(","))) for line in lines[1:])
    assert last[3] < 0.9 * first[3]
    assert last[4] > first[4]


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_resumed_equals_uninterrupted(tmp_path: Path, optimiser: str) -> None:
    pairs = [pair(1)], [pair(2)]
    config = dataclasses.replace(TINY, optimiser=optimiser)
    whole = weights(fit(config, *pairs, tmp_path / "whole"))
    assert not (tmp_path / "halves" / "checkpoint.pt").exists()
    fit(config, *pairs, tmp_path / "halves", max_minutes=0)
    steps = torch.load(tmp_path / "halves" / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < steps < config.steps, "stopped by time, with a checkpoint"
    resumed = weights(fit(config, *pairs, tmp_path / "halves", resume=True))
    assert all(torch.allclose(whole[k], resumed[k], atol=1e-6) for k in whole)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Each computes half of the same batches; in float32 only the order of the sums differs."""
    config = dataclasses.replace(TINY, steps=10)
    one = weights(fit(config, [pair(1), pair(3)], [pair(2)], tmp_path / "one"))
    launch = [sys.executable, "-W", "error", "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    script = Path(__file__).with_name("two_processes.py")
    result = subprocess.run(
        [*launch, str(script), str(tmp_path / "two")], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    two = weights(tmp_path / "two" / "checkpoint.pt")
    assert all(torch.allclose(one[k], two[k], atol=1e-5) for k in one)
    assert (tmp_path / "one" / "log.csv").read_text().count("\n") == (tmp_path / "two" / "log.csv").read_text().count(
        "\n"
    )


def test_a_batch_that_the_processes_cannot_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.fit.join", lambda device: Workers(0, 3))
    with pytest.raises(ValueError, match="batch: expected a multiple of the 3 processes, found 8"):
        fit(TINY, [pair(1)], [pair(2)], tmp_path)


def test_several_processes_on_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="several processes: expected the CPU, found cuda: start one process"):
        join(torch.device("cuda"))


def test_an_unknown_optimiser_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="optimiser: expected adamw or muon, found 'sgd'"):
        fit(dataclasses.replace(TINY, optimiser="sgd"), [pair(1)], [pair(2)], tmp_path)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_muon_agrees_with_torchs_own(shape: tuple[int, int]) -> None:
    """torch's takes matrices only: the same weights as a convolution of one tap."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(shape, generator=generator))
    convolution = torch.nn.Conv2d(shape[1], shape[0], 1, bias=False)
    convolution.weight.data.copy_(matrix.data[:, :, None, None])
    theirs = torch.optim.Muon([matrix], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    ours = Muon(convolution, lr=0.01, weight_decay=0.1)
    for _ in range(5):
        matrix.grad = torch.randn(shape, generator=generator)
        convolution.weight.grad = matrix.grad[:, :, None, None].clone()
        theirs.step()
        ours.step()
    assert torch.allclose(convolution.weight.flatten(1), matrix, atol=1e-3)


def test_muon_leaves_the_rest_to_adamw() -> None:
    torch.manual_seed(0)
    network = UNet((8, 16), 1)
    again = copy.deepcopy(network)
    ours, theirs = Muon(network, 1e-2, 1e-2), torch.optim.AdamW(again.parameters(), lr=1e-2, weight_decay=1e-2)
    for step in range(3):
        for p, q in zip(network.parameters(), again.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
            q.grad = p.grad.clone()
        ours.step()
        theirs.step()
    rest = [n for n, p in network.named_parameters() if p.ndim == 1 or min(p.shape[:2]) < 8]
    assert {"down.0.0.weight", "out.weight", "out.bias"} <= set(rest)
    for name, p in network.named_parameters():
        assert torch.allclose(p, again.get_parameter(name), atol=1e-6) == (name in rest)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    fit(TINY, [pair(1)], [pair(2)], tmp_path, max_minutes=0)
    with pytest.raises(ValueError, match=r"checkpoint\.pt: expected channels=\(16, 48\), found \(16, 32\)"):
        fit(dataclasses.replace(TINY, channels=(16, 48)), [pair(1)], [pair(2)], tmp_path, resume=True)
    with pytest.raises(ValueError, match="expected a checkpoint to resume from, found no file"):
        fit(TINY, [pair(1)], [pair(2)], tmp_path / "new", resume=True)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    bad = pair(1)
    bad.noisy[:] = torch.nan
    with pytest.raises(ValueError, match="step 1: the loss is nan"):
        fit(TINY, [bad], [pair(2)], tmp_path)


def test_starts_from_a_checkpoint_or_a_model_folder_of_the_same_network(tmp_path: Path) -> None:
    checkpoint = fit(TINY, [pair(1)], [pair(2)], tmp_path / "first")
    export(checkpoint, tmp_path / "model", "tiny", None)
    still = dataclasses.replace(TINY, steps=1, lr=0.0)
    for initial in (checkpoint, tmp_path / "model"):
        again = weights(fit(still, [pair(1)], [pair(2)], tmp_path / "second", initial=initial))
        assert all(torch.equal(v, again[k]) for k, v in weights(checkpoint).items())
        with pytest.raises(ValueError, match=rf"{initial.name}: expected weights of the network .* size mismatch"):
            fit(dataclasses.replace(TINY, channels=(16, 24)), [pair(1)], [pair(2)], tmp_path / "third", initial=initial)


def test_photon_transfer_finds_gain_and_offset() -> None:
    noisy, truth = simulate_field(3)
    gain, offset = photon_transfer(noisy, truth)
    assert gain == pytest.approx(GAIN, rel=0.02)
    assert offset == pytest.approx(OFFSET, abs=2)
    with pytest.raises(ValueError, match="expected a variance that grows with the mean"):
        photon_transfer(truth, truth)


def test_photon_transfer_finds_the_cameras_own_on_raw_frames(data: Path) -> None:
    """Raw frames of W2S have gain 13.4 and offset 103.4; the truth is 8-bit, so it is mapped first."""
    for channel, noisy in enumerate(tifffile.imread(data / "w2s-raw16" / "w2s_noisy_0.tiff").astype(float)):
        clean = tifffile.imread(data / "w2s" / "clean" / f"001_{channel}.tif").astype(float)
        gain, offset = photon_transfer(noisy, np.polyval(np.polyfit(clean.ravel(), noisy.ravel(), 1), clean))
        assert gain == pytest.approx(13.4, rel=0.1)
        assert offset == pytest.approx(103.4, abs=10)


def test_poisson_frames_have_the_mean_and_variance_of_the_camera() -> None:
    truth = torch.full((1, 1, 400, 400), 240.0)
    frame = poisson_frame(truth, torch.tensor(13.4), torch.tensor(103.4), torch.Generator().manual_seed(0))
    assert frame.mean().item() == pytest.approx(240.0, rel=0.01)
    assert frame.var().item() == pytest.approx(13.4 * (240.0 - 103.4), rel=0.02)


def test_crops_turn_image_and_truth_alike() -> None:
    same = pair(4)
    same = dataclasses.replace(same, noisy=same.truth)
    generator = torch.Generator().manual_seed(0)
    noisy, truth = draw_batch([same], 32, 48, 0.0, generator)
    assert noisy.shape == (32, 1, 48, 48)
    assert torch.equal(noisy, truth)
    assert len({t.sum().item() for t in truth}) > 20, "crops differ"
    square = dataclasses.replace(same, noisy=same.noisy[:48, :48], truth=same.truth[:48, :48])
    _, turned = draw_batch([square], 64, 48, 0.0, generator)
    assert len(torch.unique(turned.flatten(1), dim=0)) == 8, "all flips and quarter turns, and no others"


def test_a_share_of_the_noise_is_drawn_anew() -> None:
    source = pair(5)
    source = dataclasses.replace(source, noisy=source.noisy[:48, :48], truth=source.truth[:48, :48])
    real = source.noisy.sum().item()
    for share, low, high in [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)]:
        noisy, _ = draw_batch([source], 200, 48, share, torch.Generator().manual_seed(0))
        drawn = sum(abs(n.sum().item() - real) > 1e-3 * real for n in noisy.double())
        assert low * 0.9 <= drawn <= high


@pytest.mark.parametrize("seed", range(20))
def test_no_overlapping_fields_on_both_sides(seed: int) -> None:
    training, validation = split_fovs(W2S_TRAIN, 0.1, seed)
    assert sorted(training + validation) == list(W2S_TRAIN)
    assert 8 <= len(validation) <= 9
    assert not set(validation) & set(W2S_TEST)
    for a, b in W2S_OVERLAPS:
        assert (a in validation) == (b in validation)


def test_learning_rate_rises_and_ends_at_zero() -> None:
    rates = [learning_rate(TINY, step) for step in range(TINY.steps)]
    assert rates[0] == pytest.approx(TINY.lr / 5, rel=0.01)
    assert max(rates) == pytest.approx(TINY.lr, rel=0.05)
    assert rates[-1] < 0.01 * TINY.lr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder laid out as W2S is, with simulated fields."""
    for fov in (*range(3, 81, 1),):
        noisy, truth = simulate_field(fov, side=48)
        for kind, image in (("noisy", noisy), ("clean", np.rint(truth).astype(np.uint16))):
            (tmp_path / kind).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / kind / f"{fov:03}_0.tif", image)
    return tmp_path


def test_fit_export_and_load_by_the_command_line(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--channels", "4", "8", "--steps", "4", "--crop", "32", "--batch", "2", "--validate-every", "2"]
    monkeypatch.setattr("sys.argv", ["train", "fit", "--data", str(tree), "--out", str(tree / "run"), *arguments])
    assert main() == 0
    checkpoint = str(tree / "run" / "checkpoint.pt")
    monkeypatch.setattr("sys.argv", ["train", "export", "--checkpoint", checkpoint, "--model", str(tree / "model")])
    assert main() == 0
    model = load_model(tree / "model")
    assert all(torch.equal(model.network.state_dict()[k], v) for k, v in weights(Path(checkpoint)).items())
    record = json.loads((tree / "model" / "model.json").read_text())
    assert record["training"]["steps"] == 4
    assert record["training"]["config"]["channels"] == [4, 8]


def test_pairs_that_are_none_are_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"found none of the fields asked for"):
        read_pairs(tree, [99])
    (tree / "clean" / "007_0.tif").unlink()
    with pytest.raises(ValueError, match=r"clean/007_0\.tif: expected the truth of noisy/007_0\.tif"):
        read_pairs(tree, [7])
    tifffile.imwrite(tree / "clean" / "007_0.tif", np.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match=r"007_0\.tif: expected two \(Y, X\) images, found \(48, 48\) and \(9, 9\)"):
        read_pairs(tree, [7])
    monkeypatch.setattr("sys.argv", ["train", "fit", "--data", str(tree / "nowhere"), "--out", str(tree / "run")])
    assert main() == 1
    assert "nowhere: expected noisy/FFF_C.tif" in capsys.readouterr().err


def test_without_biases_the_network_is_homogeneous() -> None:
    network = build({"channels": (4, 8), "unshuffle": 1, "biases": False})
    optimiser = build_optimiser(Config(biases=False), network)
    x = torch.randn(2, 1, 16, 16)
    (network(x) ** 2).mean().backward()
    optimiser.step()
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))
    with torch.no_grad():
        assert torch.allclose(network(3 * x), 3 * network(x), atol=1e-5)
