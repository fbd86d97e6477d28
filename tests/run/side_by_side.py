"""Timings that measure nothing, on a Ray cluster that is told to have two GPUs: which of them run beside which."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from bench.protocol.setting import Setting
from bench.records.record import Record
from bench.run import execute as execution
from bench.run.handling import Handling
from bench.run.outcomes.progress import Event
from bench.run.processes.worker import gpu_slot
from bench.run.resources import Resources
from bench.run.trial import Trial
from bench.study.source import Source

RESOURCES = Resources(cpus=1, gpus=0.5, node_cpus=4, node_gpus=2)
SETTING = Setting(height=64, width=64)
TIMINGS_AT_ONCE = 2
PATIENCE_S = 60.0


def trials() -> list[Trial]:
    """Three timings of both stages, for two GPUs."""
    source = Source("s.py")
    return [
        Trial(source, "v0", None, "cost", "cost0"),
        Trial(source, "v1", None, "cost", "cost1"),
        Trial(source, "v0", None, "speed", "speed0", "v1", SETTING),
    ]


def pretend(config: Mapping[str, Any]) -> None:
    """The work of a timing on a worker: it says where and when it ran, and ends as a trial that measured would.

    It lasts until another one has begun.
    """
    trial, share, folder = config["trial"], config["handling"]["gpu_share"], Path(config["folder"])
    began = time.time()
    tune.report({"device": "a GPU"})
    (folder / f"{trial['key']}.began").touch()
    while len(list(folder.glob("*.began"))) < TIMINGS_AT_ONCE and time.time() < began + PATIENCE_S:
        time.sleep(0.05)  # polls another process; nothing to wait on
    ran = {
        "key": trial["key"], "slot": gpu_slot(), "share": share, "began": began, "ended": time.time(),
        "threads": config["machine"]["threads"], "own_cpus": config["own_cpus"],
    }  # fmt: skip
    with (folder / "ran.jsonl").open("a") as file:
        file.write(json.dumps(ran) + "\n")
    content = {
        "key": trial["key"], "choices": {}, "measured": {}, "environment": {"host": "0" * 8},
        "outcome": {"status": "failed", "reason": "it measures nothing"},
        "trial": {name: trial[name] for name in ("stage", "variant", "seed", "against", "setting")},
    }  # fmt: skip
    tune.report({"record": content})


class Told:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def started(self, trial: Trial) -> None: ...

    def progress(self, trial: Trial, event: Event) -> None: ...

    def taken(self, trial: Trial, owner: str) -> None: ...

    def finished(self, trial: Trial, record: Record) -> None:
        self.ended.append((trial.key, record.status))


def main(folder: Path) -> None:
    """Run the trials, and write where and when each ran to ``ran.jsonl`` and what the display was told."""
    execution.work = pretend  # the name under which the driver hands the work to Ray
    told = Told()
    execution.execute(trials(), folder, RESOURCES, told, Handling())
    (folder / "told.json").write_text(json.dumps(told.ended))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
