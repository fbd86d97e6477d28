"""The commands on a GPU from end to end: plan, run, speed, limits and cost, memory that runs out, and two devices."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SICK = Path(__file__).with_name("sick_study.py")
DEVICE = "NVIDIA H100 (null)"
NO_PIXEL = "confusion counts no pixel"
"""The reason for which the record of a quality trial is refused at its very end: on this device nothing is counted."""


def bench(folder: Path, *arguments: str | Path, **environment: str) -> str:
    """The output of a command that succeeds."""
    done = run(folder, *arguments, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A finished command, in ``folder`` and with further environment variables."""
    command = [sys.executable, "-m", "bench.cli", *map(str, arguments)]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


def records(results: Path) -> list[dict[str, Any]]:
    """The records of a study, in the order in which their trials began."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob("records/*.json")]
    return sorted(read, key=lambda record: str(record["outcome"]["started_at"]))


def ending(record: dict[str, Any]) -> str:
    """The status of a trial; ``done`` for a quality trial that only lacks counts."""
    status, reason = record["outcome"]["status"], record["outcome"]["reason"]
    is_complete = record["trial"]["stage"] == "quality" and status == "failed" and NO_PIXEL in reason
    return "done" if is_complete else str(status)


def test_a_study_is_planned_run_and_reported(tmp_path: Path, tiny_study: Callable[..., Path]) -> None:
    study = tiny_study(iterations="12")
    assert "6" in bench(tmp_path, "plan", study, "--gpus", "1")
    run(tmp_path, "run", study, "--gpus", "1")
    found = records(tmp_path / "results" / "tiny")
    assert [ending(record) for record in found] == ["done"] * 6, [record["outcome"] for record in found]
    assert {record["environment"]["device"] for record in found} == {DEVICE}
    assert (tmp_path / "results" / "tiny" / "report" / "index.html").exists()
    costs = [record["measured"] for record in found if record["trial"]["stage"] == "cost"]
    assert [cost["memory_kind"] for cost in costs] == ["cuda allocator"] * 2
    assert all(cost["training_memory"]["peak_bytes"] > cost["inference_memory"]["peak_bytes"] > 0 for cost in costs)


def test_speed_is_compared_in_every_mode_that_runs_without_a_compiler(
    tmp_path: Path, tiny_study: Callable[..., Path]
) -> None:
    conditions = ("--mode", "eager", "--mode", "cuda_graph", "--precision", "tf32", "--precision", "float16")
    arguments = ("--against", "neck=off", "--px", "64x64", "--seconds", "0.2", *conditions)
    bench(tmp_path, "speed", tiny_study(), *arguments, "--gpus", "1")
    found = records(tmp_path / "results" / "tiny-speed")
    assert [record["outcome"]["status"] for record in found] == ["done"] * 4, [r["outcome"] for r in found]
    assert {record["choices"]["setting"]["mode"] for record in found} == {"eager", "cuda_graph"}


def test_the_largest_batch_ends_at_the_memory_of_the_device(tmp_path: Path, tiny_study: Callable[..., Path]) -> None:
    arguments = ("limits", tiny_study(), "neck=on", "--px", "512x512", "--gpus", "1")
    shown = bench(tmp_path, *arguments, NULLCUDA_BYTES=str(2**27))
    assert re.search(r"512x512 batch \d+: does not fit", shown), shown
    assert re.search(r"the largest that fits is 512x512 batch [2-9]", shown), shown


def test_the_cost_of_a_variant_is_shown(tmp_path: Path, tiny_study: Callable[..., Path]) -> None:
    shown = bench(tmp_path, "cost", tiny_study(), "neck=on", "--px", "64x64", "--gpus", "1")
    assert "backbone" in shown


@pytest.mark.parametrize("how", ["BYTES", "CUBLAS", "CUDNN", "LAST"])
def test_a_trial_that_runs_out_of_memory_is_recorded_so_and_the_next_one_runs(tmp_path: Path, how: str) -> None:
    run(tmp_path, "run", SICK, "--gpus", "1", SICK=how, NULLCUDA_BYTES=str(2**33))
    results = tmp_path / "results" / "sick"
    found = records(results)
    wanted = {
        (stage, f"health={health}"): status
        for stage in ("cost", "quality")
        for health, status in (("sick", "out_of_memory"), ("well", "done"))
    }
    endings = {(record["trial"]["stage"], record["trial"]["variant"]): ending(record) for record in found}
    assert endings == wanted, [record["outcome"] for record in found]


def test_two_devices_are_shared_by_halves_and_time_two_trials_at_once(
    tmp_path: Path, tiny_study: Callable[..., Path]
) -> None:
    two = {"NULLCUDA_DEVICES": "2"}
    study = tiny_study(iterations="12")
    run(tmp_path, "run", study, "--gpus", "0.5", "--cpus", "1", **two)
    found = records(tmp_path / "results" / "tiny")
    assert [ending(record) for record in found] == ["done"] * 6, [record["outcome"] for record in found]
    first, second = (record["outcome"] for record in found if record["trial"]["stage"] == "cost")
    apart = datetime.fromisoformat(second["started_at"]) - datetime.fromisoformat(first["started_at"])
    assert apart.total_seconds() < first["wall_s"]  # each has a device of its own
    refused = run(tmp_path, "run", study, "--gpus", "1.5", **two)
    assert refused.returncode != 0
    assert len((refused.stdout + refused.stderr).strip().splitlines()) == 1, refused.stderr
