"""TensorBoard: event files in a folder of the results, a subfolder for each trial.

They are written by tensorboardX, as Ray Tune writes its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.run.tracking.tracker import Run, RunFacts, needed

FOLDER = "tensorboard"
"""The folder of a results folder that has the event files."""
LONGEST_NAME = 120
"""Characters of a run's name in the name of its folder; a variant of many factors has a longer one."""


class TensorBoard:
    """Writes event files under ``folder``."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._package = needed("tensorboardX", "--tensorboard", "tensorboard")
        self._summaries = needed("tensorboardX.summary", "--tensorboard", "tensorboard")

    def start(self, described: RunFacts) -> Run:
        name = re.sub(r"[^\w=,. -]", "_", described.name)[:LONGEST_NAME]
        folder = self._folder / f"{name} {described.key[:8]}"
        return _Events(self._package.SummaryWriter(str(folder)), self._summaries, described)


class _Events:
    def __init__(self, writer: Any, summaries: Any, described: RunFacts) -> None:
        self._writer, self._summaries, self._described = writer, summaries, described

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def attach(self, report: Path) -> None:
        """Show the methods and every table of the report as text, since TensorBoard shows no pages."""
        for file in sorted(report.rglob("*.md")):
            self._writer.add_text(file.relative_to(report).with_suffix("").as_posix(), file.read_text(encoding="utf-8"))

    def end(self, status: str, metrics: Mapping[str, float]) -> None:
        parameters = {**self._described.parameters, "status": status}
        for summary in self._summaries.hparams(hparam_dict=parameters, metric_dict=dict.fromkeys(metrics, 0)):
            self._writer.file_writer.add_summary(summary)
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, 0)
        self._writer.close()
