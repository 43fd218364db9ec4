"""The self-test passes with a torch that computes right, and fails with one that does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from quietfield import machine as device

from quietfield import selftest
from quietfield.network.model import Model, ModelError
from quietfield.network.normalise import Normalisation


def test_it_passes_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.main() == 0
    said = capsys.readouterr().out
    assert said.startswith(f"torch {torch.__version__}")
    assert said.count(": ok") == 2
    assert said.endswith("self-test passed\n")


@pytest.mark.parametrize("wrong", [lambda x: x * 1.001, lambda x: x * float("nan"), torch.zeros_like])
def test_wrong_arithmetic_is_noticed(
    wrong: Callable[[torch.Tensor], torch.Tensor],
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert selftest.main(tiny_model) == 0
    right = torch.nn.functional.conv2d

    def conv2d(x: torch.Tensor, *arguments: object, **more: object) -> torch.Tensor:
        answer = right(x, *arguments, **more)
        return wrong(answer) if x.dtype == torch.float32 else answer

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    assert selftest.main(tiny_model) == 1
    assert "self-test failed" in capsys.readouterr().out


def test_a_model_of_another_kind_is_named(shipped: Model) -> None:
    model = replace(shipped, normalisation=Normalisation("dataset", 100.0, 10.0))
    with pytest.raises(ModelError, match="expected a model normalised by 'plane', found 'dataset'"):
        selftest.deviation(model, torch.device("cpu"))


@pytest.mark.parametrize(
    ("cuda", "words"),
    [
        (None, "without CUDA: it computes on the CPU"),
        ("11.8", "for CUDA 11.8: NVIDIA driver 450 or newer"),
        ("12.8", "for CUDA 12.8: NVIDIA driver 525 or newer"),
        ("13.0", "for CUDA 13.0: NVIDIA driver 580 or newer"),
        ("99.1", "for CUDA 99.1: NVIDIA driver see NVIDIA's table of CUDA and drivers"),
    ],
)
def test_torch_says_which_drivers_it_needs(cuda: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert device.describe_torch() == f"torch {torch.__version__}, {words}"
