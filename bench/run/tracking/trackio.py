"""Trackio: a run for each trial in the project of the study, in files below ``TRACKIO_DIR`` or where it is told to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import Context
from pathlib import Path
from typing import Any

from bench.run.tracking.tracker import Run, RunFacts, needed


class Trackio:
    """Logs to the project of a study."""

    name = "Trackio"

    def __init__(self, study: str) -> None:
        self._project = re.sub(r"[^\w-]", "_", study)
        self._package = needed("trackio", "--trackio", "trackio")
        for module in ("trackio", "trackio.run", "trackio.utils"):
            # It has no switch for what it prints, which would stand amid the progress of the trials.
            vars(needed(module, "--trackio", "trackio"))["print"] = _say_nothing

    def start(self, described: RunFacts) -> Run:
        # A run of its own context, since Trackio ends the current run of a context when another one starts.
        run = Context().run(
            self._package.init, self._project, name=f"{described.name} {described.key[:8]}", group=described.group,
            config=dict(described.parameters), resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        return _Recorded(run, self._package)


def _say_nothing(*texts: Any, **options: Any) -> None:
    pass


class _Recorded:
    def __init__(self, run: Any, package: Any) -> None:
        self._run, self._package = run, package

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=step)

    def attach(self, report: Path) -> None:
        self._run.log_artifact(report, name="report", type="report")

    def end(self, status: str, metrics: Mapping[str, float]) -> None:
        self._run.log({**metrics, "status": status})
        self._run.finish()
