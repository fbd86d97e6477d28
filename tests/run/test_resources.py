"""The part of a machine that a trial takes: by CPUs and GPUs, timings alone on a GPU with its share of the CPUs."""

from __future__ import annotations

import pytest
import torch

from bench.run import resources
from bench.run.environment import Machine
from bench.run.resources import ResourceError, Resources, here, share_of_cpus, trials_on_a_gpu


def test_on_cpus_trainings_share_a_machine_and_timings_are_alone() -> None:
    cpus_alone = Resources(cpus=1, gpus=0, node_cpus=2, node_gpus=0)
    assert cpus_alone.at_a_time("quality") == 2
    assert cpus_alone.at_a_time("cost") == 1
    assert cpus_alone.machine("cost") == Machine("cpu", 2)


def test_timings_run_on_each_gpu_at_once_with_its_share_of_the_cpus() -> None:
    node = Resources(cpus=4, gpus=1, node_cpus=26, node_gpus=4)
    assert [node.at_a_time(stage) for stage in ("cost", "speed")] == [4, 4]
    assert node.machine("cost") == node.machine("speed") == Machine("cuda", 6)
    on_cpus = Resources(cpus=4, gpus=0, node_cpus=26, node_gpus=4)
    assert (on_cpus.at_a_time("cost"), on_cpus.machine("cost")) == (1, Machine("cpu", 26))
    one_gpu = Resources(cpus=2, gpus=0.25, node_cpus=16, node_gpus=1)
    assert (one_gpu.at_a_time("cost"), one_gpu.machine("cost")) == (1, Machine("cuda", 16))
    few_cpus = Resources(cpus=1, gpus=1, node_cpus=2, node_gpus=4)
    assert (few_cpus.at_a_time("cost"), few_cpus.machine("cost")) == (2, Machine("cuda", 1))


@pytest.mark.parametrize(("cpus", "gpus", "share"), [(26, 4, 6), (8, 0, 8), (2, 4, 1), (8, 1, 8)])
def test_the_share_of_a_gpu_is_whole_cpus(cpus: int, gpus: int, share: int) -> None:
    assert share_of_cpus(cpus, gpus) == share


@pytest.mark.parametrize(
    ("share", "trials"), [(1.0, 1), (0.5, 2), (0.34, 2), (0.3333, 3), (0.25, 4), (0.1, 10), (0.6, 1), (1 / 3, 3)]
)
def test_a_fraction_of_a_gpu_is_packed_as_ray_does(share: float, trials: int) -> None:
    assert trials_on_a_gpu(share) == trials
    packed = Resources(cpus=1, gpus=share, node_cpus=64, node_gpus=2)
    assert packed.at_a_time("quality") == 2 * trials, "no trial gets parts of two GPUs"


@pytest.mark.parametrize("gpus", [1.5, 2.5, -1.0, 0.001, float("nan"), float("inf")])
@pytest.mark.parametrize("address", [None, "auto"])
def test_a_trial_of_a_gpu_and_a_part_of_another_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, gpus: float, address: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(ResourceError, match=f"--gpus {gpus:g}: a trial uses whole GPUs .*a share of one") as error:
        here(gpus=gpus, address=address)
    assert "\n" not in str(error.value)


def test_a_training_takes_several_gpus_with_a_process_and_the_share_of_cpus_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources.environment, "cpu_count", lambda: 32)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    four = here(gpus=4)
    assert four == Resources(cpus=16, gpus=4.0, node_cpus=32, node_gpus=8, processes=4)
    assert [four.processes_of(stage) for stage in ("quality", "cost", "speed")] == [4, 1, 1]
    assert [four.at_a_time(stage) for stage in ("quality", "cost")] == [2, 8]
    assert here(gpus=3).at_a_time("quality") == 2, "two of eight GPUs are left over"
    assert four.machine("quality").shared_by(4) == Machine("cuda", 4)
    with pytest.raises(ResourceError, match="--gpus 2: a measurement takes one GPU"):
        here(gpus=2, measures=True)
    with pytest.raises(ResourceError, match="ask for less"):
        here(gpus=9)
    assert here(gpus=9, cpus=9, address="auto").processes == 9


def test_processes_on_cpus_have_a_cpu_each_and_their_number_is_that_of_gpus_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources.environment, "cpu_count", lambda: 32)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert here(gpus=0, processes=2) == Resources(cpus=2, gpus=0, node_cpus=32, node_gpus=8, processes=2)
    assert here(gpus=2, processes=2).processes == 2
    for gpus, wrong in ((2, 3), (1, 2), (0.5, 2), (2, 1), (0, 0)):
        with pytest.raises(ResourceError, match=f"--processes {wrong} --gpus {gpus:g}: one process trains on each GPU"):
            here(gpus=gpus, processes=wrong)
    with pytest.raises(ResourceError, match="--cpus 1: each of the 2 processes of a trial needs a CPU"):
        here(1, 0, processes=2)


@pytest.mark.parametrize(("cpus", "gpus"), [(10**6, None), (0, None), (None, 1.0), (None, 0.5)])
def test_more_than_the_machine_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, cpus: int | None, gpus: float | None
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ResourceError, match="--cpus"):
        here(cpus, gpus)


def test_by_default_a_trial_takes_a_gpu_and_its_share_of_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources.environment, "cpu_count", lambda: 16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert here() == Resources(cpus=4, gpus=1.0, node_cpus=16, node_gpus=4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert here() == Resources(cpus=1, gpus=0.0, node_cpus=16, node_gpus=0)


def test_a_head_node_without_a_gpu_trains_on_no_cpus_by_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ResourceError, match="--gpus 1 or, on CPUs alone, --gpus 0"):
        here(address="auto")
    assert here(gpus=1, cpus=8, address="auto").machine("quality") == Machine("cuda", 8)
    assert here(gpus=0, address="auto").machine("quality") == Machine("cpu", 1)
