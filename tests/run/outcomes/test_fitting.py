"""Trainings that need more than their share of a GPU, by the memory that their cost trials measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.run.outcomes.fitting import OF_A_PROCESS_BYTES, too_large
from bench.run.resources import Resources
from bench.run.trial import Trial
from bench.study.source import Source

GIB = 2**30
SMALL, LARGE = "attention=off, upsampling=dilated", "attention=on, upsampling=jpu"
TRIALS = [
    Trial(Source("s.py"), variant, seed, stage, f"{stage}{variant}{seed}")
    for variant in (SMALL, LARGE)
    for stage, seed in (("cost", None), ("quality", 0), ("quality", 1))
]


def measured(peak_bytes: int, kind: str = "cuda allocator") -> dict[str, Any]:
    parts = dict.fromkeys(("input_bytes", "weight_bytes", "buffer_bytes", "gradient_bytes", "optimiser_bytes"), 0)
    return {"memory_kind": kind, "training_memory": {"peak_bytes": peak_bytes, **parts, "saved_bytes": {}}}


@pytest.fixture(autouse=True)
def gpus_of_24_and_16_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [24 * GIB, 16 * GIB]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(sizes))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: SimpleNamespace(total_memory=sizes[place]))


def resources(gpus: float, address: str | None = None) -> Resources:
    return Resources(cpus=1, gpus=gpus, node_cpus=4, node_gpus=2, address=address)


def test_a_training_that_needs_more_than_its_share_of_the_smallest_gpu_is_named_in_every_seed(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    half = 8 * GIB - OF_A_PROCESS_BYTES
    folder = planted_results(tmp_path / "planted", costs={SMALL: measured(half), LARGE: measured(half + 1)})
    assert too_large(TRIALS, folder, resources(0.5)) == TRIALS[4:]
    assert too_large(TRIALS, folder, resources(0.25)) == [*TRIALS[1:3], *TRIALS[4:]]
    assert too_large(TRIALS, folder, resources(1)) == []
    assert too_large(TRIALS, folder, resources(0)) == []
    assert too_large(TRIALS, folder, resources(0.5, "auto")) == [], "the GPUs of a cluster are not known"


def test_no_training_is_named_whose_memory_was_not_measured_on_a_gpu(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    costs = {SMALL: None, LARGE: measured(100 * GIB, "cpu resident set")}
    folder = planted_results(tmp_path / "planted", costs=costs)
    assert too_large(TRIALS, folder, resources(0.5)) == []
    next((folder / "records").glob("*.json")).write_text("{")
    assert too_large(TRIALS, folder, resources(0.5)) == []
    assert too_large(TRIALS, tmp_path, resources(0.5)) == [], "a folder without a plan"
