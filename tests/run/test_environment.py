"""The environment in a record: nothing that a broken or missing GPU cannot tell ends a run without a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from bench.protocol.setting import Setting, Stage
from bench.records.record import read_all
from bench.run import environment
from bench.run.environment import Machine, describe
from bench.run.trial import Trial, make_record, record_fault
from bench.study.source import Source

GPU = Machine("cuda", 8)


def no_gpu(*_: object) -> NoReturn:
    raise RuntimeError("Found no NVIDIA driver on your system.\nPlease check")


def other_cudnn() -> NoReturn:
    raise RuntimeError("cuDNN version incompatibility: PyTorch was compiled against (9, 20, 0) but found (9, 1, 0)")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose torch raises for everything that is asked of a GPU."""
    monkeypatch.setattr(torch.cuda, "get_device_name", no_gpu)
    monkeypatch.setattr(torch.backends.cudnn, "version", other_cudnn)


def test_a_study_that_git_does_not_hold_is_no_clean_state_of_its_commit(
    tiny_study: Callable[..., Path], tmp_path: Path, commit: Callable[..., str]
) -> None:
    (tmp_path / "other").write_text("")
    head = commit(tmp_path, "other")
    state = describe(Machine("cpu", 1), tiny_study())
    assert (state["study_commit"], state["study_dirty"]) == (head, True)


@pytest.mark.usefixtures("broken")
def test_what_a_machine_without_a_gpu_cannot_tell_is_none_with_the_reason() -> None:
    state = describe(GPU, Path(__file__))
    assert (state["device"], state["hardware"], state["cudnn"]) == (None, None, None)
    assert state["unknown"] == {
        "device": "RuntimeError: Found no NVIDIA driver on your system.",
        "cudnn": "RuntimeError: cuDNN version incompatibility: PyTorch was compiled against (9, 20, 0) but found "
        "(9, 1, 0)",
    }
    assert state["threads"] == 8


def test_a_build_of_torch_without_cuda_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_cuda(*_: object) -> NoReturn:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch.cuda, "get_device_name", no_cuda)
    assert GPU.name_or_reason() == (None, "AssertionError: Torch not compiled with CUDA enabled")


def test_a_machine_that_knows_all_gives_no_reasons() -> None:
    assert "unknown" not in describe(Machine("cpu", 1), Path(__file__))


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("stage", ["quality", "cost", "speed"])
def test_a_head_node_without_a_gpu_records_a_trial_of_a_gpu(tmp_path: Path, stage: Stage) -> None:
    setting = Setting(height=64, width=64) if stage == "speed" else None
    trial = Trial(Source(__file__), "baseline", 0, stage, "0" * 16, setting=setting)
    record = record_fault(trial, tmp_path, GPU, "it cannot be built", "")
    assert read_all(tmp_path / "records") == [record]
    assert record.key == "0" * 16 + ("" if stage == "quality" else "-unknown")
    assert "device" in record.environment.unknown


@pytest.mark.usefixtures("broken")
def test_the_class_of_hardware_is_the_one_that_the_worker_told() -> None:
    outcome = {"status": "failed", "reason": "lost", "traceback": None}
    trial = Trial(Source(__file__), "baseline", None, "cost", "0" * 16)
    told = make_record(trial, Machine("cuda", 8, "NVIDIA H200", elsewhere=True), outcome)
    assert told.environment.hardware == "NVIDIA H200, 8 threads"
    assert told.key == f"{'0' * 16}-{Machine('cuda', 8, 'NVIDIA H200').hardware_key}"


def test_a_driver_does_not_take_its_own_device_for_that_of_a_worker_that_told_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU of the driver")
    monkeypatch.setattr(environment, "_cpu_name", lambda: "CPU of the driver")
    for device in ("cuda", "cpu"):
        assert Machine(device, 8, elsewhere=True).hardware is None
        assert Machine(device, 8).hardware == f"{'GPU' if device == 'cuda' else 'CPU'} of the driver, 8 threads"
