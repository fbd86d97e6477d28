"""The process of trials that do nothing: the first one trains and tests a network, and all others have its numbers."""

from __future__ import annotations

import copy
from typing import Any

from bench.run import trial
from bench.run.processes import process
from bench.run.stages import STAGE_FUNCTIONS, measure_quality


def main(connection_fd: int, crash_fd: int, parent: int) -> None:
    """Take orders as :func:`bench.run.processes.process.main` does."""
    leave_out_work()
    process.main(connection_fd, crash_fd, parent)


def leave_out_work() -> None:
    """From now on, no trial of this process but its first one trains or tests a network."""
    if vars(trial)["STAGE_FUNCTIONS"] is not STAGE_FUNCTIONS:
        return
    measured: dict[str, Any] = {}  # in no module's variables, where it would be a trace that a trial has left

    def measure(*arguments: Any, **options: Any) -> dict[str, Any]:
        if not measured:
            measured.update(measure_quality(*arguments, **options))
        return copy.deepcopy(measured)

    vars(trial)["STAGE_FUNCTIONS"] = {**STAGE_FUNCTIONS, "quality": measure}
