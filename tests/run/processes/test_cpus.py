"""The CPUs of a timing on one of several GPUs: its own, from the first moment of its process on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ray.tune.result import AUTO_RESULT_KEYS

from bench.run.processes import cpus as cpus_module
from bench.run.processes.cpus import cpus_of_gpu, nth_share
from bench.run.processes.worker import TrialProcess


def test_no_two_gpus_share_a_cpu_and_a_share_is_whole() -> None:
    shares = [nth_share(list(range(10)), slot, 3) for slot in range(4)]
    assert shares == [{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, None]


def test_both_threads_of_a_core_go_to_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu in range(8):  # as Linux numbers two chips of two cores with two threads each
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{cpu % 2}\n")
        (topology / "core_id").write_text(f"{cpu // 2 % 2}\n")
    monkeypatch.setattr(cpus_module, "TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert [cpus_of_gpu(slot, 2) for slot in range(4)] == [{0, 4}, {2, 6}, {1, 5}, {3, 7}]


MAIN = """
import os
from multiprocessing.connection import Connection

def main(connection_fd, crash_fd, parent):
    connection = Connection(connection_fd)
    connection.recv()
    connection.send(("started", os.getpid(), "a device"))
    connection.send(("record", {"cpus": sorted(os.sched_getaffinity(0))}, ["traces"]))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to CPUs")
@pytest.mark.parametrize("count", [1, None])
def test_the_process_of_a_timing_keeps_to_its_cpus_and_that_of_a_training_has_all(
    tmp_path: Path, count: int | None
) -> None:
    package = tmp_path / "bench" / "run" / "processes"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "process.py").write_text(MAIN)
    ours = os.sched_getaffinity(0)
    own = None if count is None else frozenset([max(ours)])
    process = TrialProcess((str(tmp_path), *sys.path), str(tmp_path), own)
    started, ended = process.run({"handling": {"timeout_s": None}})
    assert (started["device"], ended) == ("a device", {"recorded": {"cpus": sorted(own or ours)}})
    assert started["process"] != os.getpid()
    assert not {*started, *ended} & {*AUTO_RESULT_KEYS}, "Tune would put its own values in their place"
    assert os.sched_getaffinity(0) == ours, "the worker itself keeps its own"
