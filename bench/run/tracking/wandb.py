"""Weights & Biases: a run for each trial in the project of the study. With ``WANDB_MODE=offline`` it stays in files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.run.tracking.tracker import Run, RunFacts, TrackerError, needed

STEP = "iteration"
"""The metric against which the others are drawn."""


class WeightsAndBiases:
    """Logs to the project of a study.

    Its helper process starts here, before the run's own processes, since what starts among those ends with them.
    """

    name = "W&B"

    def __init__(self, study: str) -> None:
        self._project = re.sub(r"[^\w.-]", "_", study)[:128]
        self._package = needed("wandb", "--wandb", "wandb")
        # The environment's settings stay in force: where runs go, their entity, and whether they are sent at all.
        self._settings = self._package.Settings(silent=True, console="off", disable_code=True, disable_git=True)
        setup = self._package.setup(self._settings)
        if setup.settings.mode == "online" and not self._package.api.api_key:
            raise TrackerError("--wandb: nobody is logged in; call wandb login, or set WANDB_MODE=offline")
        setup.ensure_service()

    def start(self, described: RunFacts) -> Run:
        run = self._package.init(
            project=self._project, id=re.sub(r"[^\w-]", "_", described.key), name=described.name[:128],
            group=described.group, config=dict(described.parameters), resume="allow", reinit="create_new",
            settings=self._settings,
        )  # fmt: skip
        run.define_metric("*", step_metric=STEP)
        return _Sent(run, self._package, f"{self._project}-report"[:128])


class _Sent:
    def __init__(self, run: Any, package: Any, report_name: str) -> None:
        self._run, self._package, self._report_name = run, package, report_name

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log({**metrics, STEP: step})

    def attach(self, report: Path) -> None:
        artifact = self._package.Artifact(self._report_name, type="report")
        artifact.add_dir(str(report))
        self._run.log_artifact(artifact)

    def end(self, status: str, metrics: Mapping[str, float]) -> None:
        self._run.summary.update({**metrics, "status": status})
        self._run.finish(exit_code=0 if status == "done" else 1)
