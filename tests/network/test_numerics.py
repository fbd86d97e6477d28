"""The switches of precision and kernels: set inside the block, restored after it. None of them needs a GPU."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.network.numerics import autocast, halved, numerics, outside_training, reserve_workspace, switches
from bench.parts import ChoiceError
from bench.protocol.recipe import Kernels, Precision

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def state() -> dict[str, Any]:
    cudnn = torch.backends.cudnn
    return {
        "TF32 of products": torch.backends.cuda.matmul.allow_tf32,
        "TF32 of convolutions": cudnn.allow_tf32,
        "benchmark": cudnn.benchmark,
        "deterministic": cudnn.deterministic,
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "warn": torch.is_deterministic_algorithms_warn_only_enabled(),
        "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "precision of products": torch.get_float32_matmul_precision(),
        "autocast": torch.is_autocast_enabled("cpu"),
    }


@pytest.mark.parametrize(
    ("precision", "tf32"), [("float32", False), ("tf32", True), ("bfloat16", False), ("float16", False)]
)
def test_tf32_is_on_in_products_and_convolutions_or_in_neither(precision: Precision, tf32: bool) -> None:
    before = state()
    with switches(precision, "default", CUDA):
        inside = state()
    assert (inside["TF32 of products"], inside["TF32 of convolutions"]) == (tf32, tf32)
    assert state() == before


@pytest.mark.parametrize(
    ("kernels", "benchmark", "deterministic"),
    [("fastest", True, False), ("default", False, False), ("deterministic", False, True)],
)
def test_kernels_choose_the_benchmark_and_determinism_of_cudnn(
    kernels: Kernels, benchmark: bool, deterministic: bool
) -> None:
    before = state()
    with switches("float32", kernels, CUDA):
        inside = state()
    assert (inside["benchmark"], inside["deterministic"], inside["algorithms"]) == (
        benchmark, deterministic, deterministic,
    )  # fmt: skip
    assert state() == before


def test_deterministic_products_have_a_workspace_that_the_user_may_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    reserve_workspace("fastest")
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    reserve_workspace("deterministic")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    reserve_workspace("deterministic")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that the fixture takes it away again


def test_what_was_set_before_is_set_again_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    precision = torch.get_float32_matmul_precision()
    seen: list[dict[str, Any]] = []

    def fail() -> None:
        with switches("float32", "deterministic", CUDA):
            seen.append(state())
            raise ZeroDivisionError

    try:
        torch.set_float32_matmul_precision("medium")
        before = state()
        with pytest.raises(ZeroDivisionError):
            fail()
        assert (seen[0]["precision of products"], seen[0]["workspace"]) == ("highest", ":16:8")
        assert state() == before
    finally:
        torch.set_float32_matmul_precision(precision)


def test_settings_without_a_meaning_on_a_cpu_change_nothing_there() -> None:
    before = state()
    for kernels in ("fastest", "default"):
        with numerics("float32", kernels, CPU):
            assert state() == before
    with numerics("float32", "deterministic", CPU):
        assert {**state(), "algorithms": False, "warn": False, "workspace": before["workspace"]} == before
        assert torch.are_deterministic_algorithms_enabled()
    assert state() == before


def test_half_precision_is_autocast_and_float32_is_none() -> None:
    x = torch.randn(4, 4)
    with numerics("bfloat16", "default", CPU):
        assert (x @ x).dtype == torch.bfloat16
        with numerics("float32", "default", CPU):
            assert (x @ x).dtype == torch.float32
    assert autocast("float16", CPU, cache=False).fast_dtype == torch.float16


def test_tf32_on_a_cpu_is_refused_with_the_remedy() -> None:
    with pytest.raises(ChoiceError, match="'tf32' needs a CUDA device, this is 'cpu'; use float32 or bfloat16"):
        switches("tf32", "default", CPU).__enter__()


def test_the_search_for_the_fastest_kernels_is_one_of_training_alone() -> None:
    assert [outside_training(kernels) for kernels in ("fastest", "default", "deterministic")] == [
        "default", "default", "deterministic",
    ]  # fmt: skip


class Standardised(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight / self.weight.norm(), self.bias)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.layer = nn.Linear(4, 4)
        self.layer.weight = self.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x) + self.weight.exp()
        return out


def test_weights_that_are_computed_with_or_used_elsewhere_stay_in_float32() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Standardised(4, 4), Tied(), nn.LayerNorm(4), nn.Linear(4, 4)).eval()
    x = torch.randn(4, 4)
    with torch.inference_mode(), autocast("bfloat16", CPU):
        expected = network(x)
        halved(network, torch.bfloat16)
        assert torch.equal(network(x), expected)
    dtypes = {name: parameter.dtype for name, parameter in network.named_parameters()}
    assert {name for name, dtype in dtypes.items() if dtype == torch.bfloat16} == {
        "1.layer.bias", "3.weight", "3.bias",
    }  # fmt: skip
