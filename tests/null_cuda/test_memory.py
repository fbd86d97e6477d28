"""The memory of the device is back at its start after every stage, and a measured peak does not depend on the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from bench.data.fed import FedDataset
from bench.measure.cost.memory import inference_memory, training_memory
from bench.network.model import SegModel, Variant
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting
from bench.run.cost import measure_cost
from bench.run.outcomes.progress import Event
from bench.run.stages import measure_quality, measure_speed
from tests.null_cuda.device import GPU, memory_in_use
from tests.null_cuda.networks import CLASSES, KEPT, LEAKING, PLAIN, VARIANTS, recipe

Stage = Callable[[Variant, Recipe], None]


def ignored(event: Event) -> None:
    """Tell nobody of the progress."""


def quality(variant: Variant, chosen: Recipe) -> None:
    measure_quality(variant, chosen, FedDataset(chosen.data.build(None), 2), 0, GPU, ignored)


def cost(variant: Variant, chosen: Recipe) -> None:
    measure_cost(variant, chosen, chosen.data.build(None), None, GPU, ignored)


def speed(variant: Variant, chosen: Recipe) -> None:
    data = chosen.data.build(None)
    for setting in (
        Setting(height=64, width=64, least_s=0.1),
        Setting(height=64, width=64, least_s=0.1, mode="cuda_graph", precision="bfloat16"),
        Setting(height=64, width=64, least_s=0.1, phase="training", batch=2, precision="float16"),
    ):
        measure_speed(variant, PLAIN, chosen, setting, data, GPU, ignored)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    KEPT.clear()


@pytest.fixture(scope="module", autouse=True)
def libraries_loaded() -> None:
    """One trial of each stage, after which libraries hold what they keep for the life of a process."""
    for stage in (quality, cost, speed):
        stage(VARIANTS["full"], recipe())


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("stage", [quality, cost, speed])
def test_the_memory_of_a_trial_is_given_back(stage: Stage, precision: str) -> None:
    chosen = recipe(precision=precision)
    stage(VARIANTS["full"], chosen)
    before = memory_in_use()
    stage(VARIANTS["full"], chosen)
    assert memory_in_use() == before


@pytest.mark.parametrize("stage", [quality, cost, speed])
def test_a_network_that_keeps_its_features_is_seen(stage: Stage) -> None:
    before = memory_in_use()
    stage(LEAKING, recipe())
    after = memory_in_use()
    assert after[0] > before[0]
    assert after[1] > before[1]


def test_a_second_measurement_of_memory_is_equal_to_the_first_and_leaves_nothing() -> None:
    chosen = recipe()
    before = memory_in_use()
    first, second = (training_memory(lambda: SegModel(VARIANTS["full"], CLASSES), chosen, GPU) for _ in range(2))
    assert first == second
    assert first.peak_bytes > sum(first.saved_bytes.values()) > 0
    assert memory_in_use() == before


def test_a_peak_above_memory_that_is_held_already_is_the_peak_alone() -> None:
    setting = Setting(height=64, width=64)
    alone = inference_memory(lambda: SegModel(PLAIN, CLASSES), setting, GPU)
    held = torch.zeros(2**24, device=GPU)
    assert inference_memory(lambda: SegModel(PLAIN, CLASSES), setting, GPU) == alone
    assert alone.peak_bytes < held.nbytes
