"""MLflow: a run for each trial in the experiment of the study, in the store that ``MLFLOW_TRACKING_URI`` names."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.run.tracking.tracker import Run, RunFacts, needed

KEY = "segbench.key"
"""The tag of a run that holds the key of its trial."""
MOST_METRICS = 1000
"""The most metrics that MLflow takes at once."""
MOST_PARAMETERS = 100
"""The most parameters that MLflow takes at once."""
LONGEST_VALUE = 6000
"""The most characters of a parameter's value."""
ENDS = {"done": "FINISHED", "interrupted": "KILLED"}
"""Outcome of a trial -> MLflow's word for the end of a run; ``FAILED`` for every other."""


class MLflow:
    """Logs to MLflow's tracking store by a client of its own, so that no run becomes the active one of this process."""

    name = "MLflow"

    def __init__(self, study: str) -> None:
        self._study = study
        self._package = needed("mlflow", "--mlflow", "mlflow")
        self._entities = needed("mlflow.entities", "--mlflow", "mlflow")
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self._client: Any = None
        self._experiment = ""

    def start(self, described: RunFacts) -> Run:
        if self._client is None:
            self._client = self._package.MlflowClient()
            known = self._client.get_experiment_by_name(self._study)
            self._experiment = known.experiment_id if known else self._client.create_experiment(self._study)
        earlier = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{described.key}'", max_results=1)
        if earlier:
            run_id = earlier[0].info.run_id
            self._client.update_run(run_id, status="RUNNING")
            return _Logged(self._client, self._entities, run_id)
        tags = {KEY: described.key, "segbench.group": described.group}
        run_id = self._client.create_run(self._experiment, tags=tags, run_name=described.name).info.run_id
        parameters = [
            self._entities.Param(_name(name), str(value)[:LONGEST_VALUE])
            for name, value in described.parameters.items()
        ]
        for first in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(run_id, params=parameters[first : first + MOST_PARAMETERS])
        return _Logged(self._client, self._entities, run_id)


class _Logged:
    def __init__(self, client: Any, entities: Any, run_id: str) -> None:
        self._client, self._entities, self._run_id = client, entities, run_id

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        now_ms = int(time.time() * 1000)
        logged = [self._entities.Metric(_name(name), value, now_ms, step) for name, value in metrics.items()]
        for first in range(0, len(logged), MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=logged[first : first + MOST_METRICS])

    def attach(self, report: Path) -> None:
        self._client.log_artifacts(self._run_id, str(report), "report")

    def end(self, status: str, metrics: Mapping[str, float]) -> None:
        self.log(0, metrics)
        self._client.set_tag(self._run_id, "status", status)
        self._client.set_terminated(self._run_id, ENDS.get(status, "FAILED"))


def _name(text: str) -> str:
    """A name with the characters alone that MLflow allows in one."""
    return re.sub(r"[^\w./: -]", "_", text, flags=re.ASCII)
