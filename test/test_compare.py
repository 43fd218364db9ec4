"""The peers do what they are named for, and their figures are kept and tabulated as they were measured."""

import csv
import dataclasses
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from compare.__main__ import ORDER, choose, measure
from compare.cost import cost_of
from compare.dncnn import LAYERS, DnCNN
from compare.figure import COLOURED, draw
from compare.methods import (
    METHODS,
    NOISY,
    OURS,
    Method,
    find_method,
    noise_level,
    poisson_gaussian,
    stabilise,
    unstabilise,
)
from compare.peers import CONFIGS, DNCNN, denoiser_of, load, network_of, save, train
from compare.published import PUBLISHED, published
from compare.results import Cost, points, read_costs, slug, table, write, write_costs
from compare.sets import PHOTONS, W2S, cases, to_learn_from, training_crops
from demo.simulate import GAIN, OFFSET, simulate_field
from train.data.pairs import Images, Pair
from train.data.w2s import TEST
from train.measure.cases import Case
from train.measure.metrics import si_psnr
from train.measure.results import NAN, Row, read


def test_gain_and_offset_are_found_blindly() -> None:
    gain, intercept = poisson_gaussian(simulate_field(4)[0].astype(np.float64))
    assert gain == pytest.approx(GAIN, rel=0.15)
    assert -intercept / gain == pytest.approx(OFFSET, abs=15)


def test_the_noise_level_is_found_blindly() -> None:
    yy, xx = np.mgrid[:200, :200]
    image = 3.0 * yy + xx + 7 * np.random.default_rng(0).standard_normal((200, 200))
    assert noise_level(image) == pytest.approx(7, rel=0.03)


@pytest.mark.parametrize("photons", [3.0, 10.0, 100.0])
def test_anscombes_inverse_gives_the_mean_back(photons: float) -> None:
    """Exact and unbiased: of the mean of stabilised counts, not of the counts."""
    counts = np.random.default_rng(0).poisson(photons, 1_000_000).astype(np.float64)
    stable = stabilise(counts)
    assert stable.std() == pytest.approx(1, abs=0.05)
    assert unstabilise(np.array([stable.mean()]))[0] == pytest.approx(photons, rel=0.02)


@pytest.mark.parametrize("name", ["Gaussian filter", "median filter", "Wiener filter", "non-local means"])
def test_a_peer_lowers_the_noise(name: str) -> None:
    noisy, truth = (np.asarray(i[:128, :128], dtype=np.float64) for i in simulate_field(5))
    method = METHODS[name]
    setting = method.settings[choose(method, [Case("", "", noisy, truth)])]
    answer = method.run(noisy, setting)
    assert answer.shape == noisy.shape
    assert si_psnr(truth, answer) > si_psnr(truth, noisy) + 2


def test_the_best_setting_is_chosen() -> None:
    truth = np.arange(100.0).reshape(10, 10)
    images = [Case("", "", truth + 1, truth)]
    wrong = np.random.default_rng(0).standard_normal((10, 10))
    assert choose(Method(lambda image, s: image + s * wrong, (3, 0.1, 2)), images) == 1


def test_figures_are_kept_as_measured(tmp_path: Path) -> None:
    rows = [Row("a", "1", 30.1234, 0.8, 0.75), Row("b, c", "2", 20.0, 0.5, 0.25)]
    write(tmp_path / "x.csv", "python -m compare 'a method'; setting 1.2", rows)
    assert read(tmp_path / "x.csv", Row) == rows
    assert "'a method'; setting 1.2; numpy" in (tmp_path / "x.csv").read_text().splitlines()[0]
    costs = {"a, b": Cost(1.5, 12, 3, 2), "c": Cost(0.25, 7, 0, 1)}
    write_costs(tmp_path, costs)
    assert read_costs(tmp_path) == costs


def test_a_figure_that_is_not_known_is_none_when_it_is_read_again(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", "", [Row("a", "1", 30.0, 0.8)])
    assert np.isnan(read(tmp_path / "x.csv", Row)[0].micro_ssim)
    write_costs(tmp_path, {"x": Cost(1, NAN, 3, 2)})
    assert np.isnan(read_costs(tmp_path)["x"].peak_mib)


def test_the_table_shows_means_and_costs_and_marks_the_best() -> None:
    mine = [Row("a", "1", 30.0, 0.8, 0.5), Row("a", "2", 32.0, 0.6, 0.7), Row("b", "1", 10.0, 0.6, 0.7)]
    other = [Row("a", "1", 29.0, 0.9)]
    lines = table({"other": other, "mine": mine}, {"mine": Cost(0.5, 123.4, 2_160_000, 2)}).splitlines()
    assert lines[2:] == [
        "| other | 29.00 / 0.900 / - |  |  |  |  |",
        "| mine | **31.00 / 0.700 / 0.600** | **10.00 / 0.600 / 0.700** | 0.5 | 2.16 M | 123 |",
    ]


def test_the_figure_shows_every_method_whose_speed_is_known(tmp_path: Path) -> None:
    rows = [Row("a", "1", 30.0, 0.8), Row("b", "1", 20.0, 0.8)]
    costs = {"mine": Cost(1, 0, 0, 1), "other": Cost(0.5, 0, 0, 1)}
    found = points({"published": rows[:1], "mine": rows, "other": rows[:1]}, costs)
    assert found == {"a": {"mine": (1.0, 30.0), "other": (0.5, 30.0)}, "b": {"mine": (1.0, 20.0)}}
    draw(found, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert set(COLOURED) <= set(ORDER)


def test_every_method_has_a_file_of_its_own() -> None:
    assert len({slug(name) for name in ORDER}) == len(ORDER)


def test_dncnn_is_the_published_one() -> None:
    """Seventeen convolutions of 64 channels, 0.56 M parameters (Zhang et al., 2017), and a reach of 17 pixels."""
    network = DnCNN().eval()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == 16 * [64] + [1]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == LAYERS - 2
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(0.556e6, rel=1e-3)
    x = torch.rand(1, 1, 51, 41)
    y, moved = network(x), x.clone()
    moved[..., 25, 0] += 1
    changed = ((network(moved) - y) != 0)[0, 0, 25].nonzero()
    assert y.shape == x.shape
    assert changed.max() <= network.halo
    with torch.no_grad():
        convolutions[-1].weight.zero_()
        convolutions[-1].bias.zero_()
    assert torch.equal(network(x), x)


def test_peers_have_the_sizes_that_they_are_named_for() -> None:
    sizes = {name: sum(p.numel() for p in network_of(name).parameters()) / 1e6 for name in CONFIGS}
    assert [round(size, 2) for size in sizes.values()] == [0.56, 7.7, 1.93, 2.16]
    assert len({(c.batch, c.crop, c.seed, c.loss, c.normalisation) for c in CONFIGS.values()}) == 1


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_peer_learns_within_its_time_and_is_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float
) -> None:
    # A clock by which each step takes a hundredth of the time, however busy the machine is.
    clock = SimpleNamespace(process_time=itertools.count(0.0, 60 * 0.05 / 100).__next__)
    monkeypatch.setattr("compare.peers.time", clock)
    random = np.random.default_rng(0)
    truth = np.kron(random.random((16, 16)), np.ones((4, 4))).astype(np.float32)
    pair = Pair("a", "a", (truth + 0.5 * random.standard_normal((1, 64, 64))).astype(np.float32), truth, NAN, NAN)
    config = dataclasses.replace(CONFIGS["plain residual U-Net"], crop=32, warmup=5, ema=ema)
    torch.manual_seed(0)
    network, steps = train(network_of("plain residual U-Net"), config, Images([pair], [pair]), 0.05)
    assert steps > 3
    answer = denoiser_of(network)(pair.frames)[0]
    assert si_psnr(truth, answer) > si_psnr(truth, pair.frames[0]) + 1
    save(tmp_path / "plain-residual-u-net.pt", network, steps=steps, minutes=0.05, si_psnr=1.5)
    again, note = load("plain residual U-Net", tmp_path)
    assert np.array_equal(denoiser_of(again)(pair.frames)[0], answer)
    assert note.endswith(f"--minutes 0.05: {steps} steps, 1.50 dB on the validation fields")


def test_a_peer_that_is_not_trained_is_named_with_the_command_that_trains_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dncnn.pt: expected a trained baseline.*python -m compare.peers 'DnCNN'"):
        find_method(DNCNN, tmp_path, tmp_path)


def test_published_results_are_means_of_the_test_fields_alone(data: Path) -> None:
    with (data / "w2s" / "peers_081_100.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, key in PUBLISHED.items():
        (row,) = published(name, data)
        assert (row.set, row.image) == (W2S, "mean of 60")
        assert row.si_psnr == pytest.approx(sum(float(r[f"{key}_si_psnr"]) for r in rows) / 60)
        assert np.isnan(row.micro_ssim)
    bm3d, n2n = (published(name, data)[0] for name in PUBLISHED)
    assert (round(bm3d.si_psnr, 2), round(n2n.si_psnr, 2)) == (31.67, 30.83)  # as issue 4 and the README have them


def test_a_method_that_learns_is_given_noisy_images_and_no_test_field_of_w2s(data: Path) -> None:
    given = to_learn_from(W2S, [], data)
    tests = {case.noisy.tobytes() for case in cases(data) if case.set == W2S}
    assert len(given) > 150
    assert not tests & {image.tobytes() for image in given}
    case = Case("demo", "x", np.zeros((8, 8)), np.ones((8, 8)))
    assert to_learn_from("demo", [case], data) == [case.noisy]


def test_a_method_that_learns_is_run_with_what_it_learned(data: Path) -> None:
    seen = []

    def learn(name: str, images: list[np.ndarray]) -> float:
        seen.append((name, len(images)))
        return 2.0

    method = Method(lambda image, setting: setting * image + 1, learn=learn)
    (rows,) = measure(method, None, data, ["demo"])
    (plain,) = measure(METHODS[NOISY], None, data, ["demo"])
    assert seen == [("demo", 1)]
    assert rows[0].si_psnr == pytest.approx(plain[0].si_psnr)
    assert rows[0].micro_ssim == pytest.approx(plain[0].micro_ssim, abs=0.05)


def test_the_cost_is_measured_in_a_process_of_its_own(data: Path, tiny_model: Path) -> None:
    cost = cost_of(OURS, 0, data, tiny_model, tiny_model)
    assert cost.parameters == sum(p.numel() for p in torch.load(tiny_model / "weights.pt").values())
    assert cost.megapixels_per_second > 0.1
    if Path("/proc/self/clear_refs").exists():
        assert 1 < cost.peak_mib < 500


def test_the_sets_are_whole_and_never_trained_on(data: Path) -> None:
    found = list(cases(data))
    count = {name: sum(c.set == name for c in found) for name in {c.set for c in found}}
    assert count["W2S 081-100"] == 60
    assert count["w2s-raw16"] == 6
    assert count["FMD confocal"] == 5
    assert count["FLIM two-photon"] == 4
    assert all(count[f"clean, {p} photons"] == count["clean, 5 photons"] > 5 for p in PHOTONS)
    assert not {int(c.image[:3]) for c in training_crops(data)} & set(TEST)
    for case in found:
        assert case.noisy.shape == case.truth.shape
        assert si_psnr(case.truth, case.noisy) > 10, (case.set, case.image)
