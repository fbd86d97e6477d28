"""The process that runs trials: it sees what a trial leaves behind, and nothing where nothing is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

from bench.run.processes.process import changed, left_behind, traces


@pytest.fixture
def restored() -> Iterator[None]:
    forward, relu = nn.BatchNorm2d.forward, nn.functional.relu
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    nn.modules.module._global_forward_hooks.clear()
    nn.BatchNorm2d.forward, nn.functional.relu = forward, relu
    os.environ.pop("BENCH_PLANTED", None)
    np.seterr(divide="warn")


def patch_a_layer() -> None:
    nn.BatchNorm2d.forward = lambda self, x: x


def patch_a_function() -> None:
    nn.functional.relu = lambda x, inplace=False: x


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("leave", "name"),
    [
        (lambda: torch.set_default_dtype(torch.float64), "default dtype"),
        (lambda: torch.set_float32_matmul_precision("medium"), "precision of float32 products"),
        (lambda: torch.use_deterministic_algorithms(True), "deterministic algorithms"),
        (lambda: setattr(torch.backends.cudnn, "benchmark", True), "cuDNN"),
        (lambda: nn.modules.module.register_module_forward_hook(lambda *_: None), "hooks of every module"),
        (patch_a_layer, "functions of torch"),
        (patch_a_function, "functions of torch"),
        (lambda: os.environ.update(BENCH_PLANTED="1"), "environment variables"),
        (lambda: np.seterr(divide="raise"), "warnings of numpy"),
    ],
)
def test_what_a_trial_leaves_behind_is_named(leave: Callable[[], object], name: str) -> None:
    before = traces()
    leave()
    assert name in changed(before, traces())


def test_a_training_step_leaves_nothing_behind() -> None:
    before = traces()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.rand(2, 3, 8, 8)).sum().backward()
    optimiser.step()
    assert changed(before, traces()) == []


def test_memory_that_is_kept_for_later_goes_back_to_the_gpu_after_each_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: calls.append(name))
    assert left_behind(traces()) == []
    assert calls == ["synchronize", "empty_cache", "reset_peak_memory_stats"]


def test_an_error_of_the_gpu_that_shows_after_a_trial_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    before = traces()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lost)
    assert left_behind(before) == ["an error of the GPU: CUDA error: an illegal memory access was encountered"]
