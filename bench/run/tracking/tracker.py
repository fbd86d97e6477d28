"""The one form in which this package uses a tracker: a program that keeps the histories of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from bench.parts import BenchError


class TrackerError(BenchError, RuntimeError):
    """A tracker that cannot be used: its package is not installed, or it does not know where to send runs."""


@dataclass(frozen=True)
class RunFacts:
    """A run of a tracker before it starts.

    Attributes:
        key: the key of the trial. A trial that is run again goes on in the run that has its key.
        name: the name that people read.
        group: the kind of run: a stage, or ``report``.
        parameters: name -> a parameter of the run.
    """

    key: str
    name: str
    group: str
    parameters: Mapping[str, str | int | float | bool]


class Run(Protocol):
    """One run of a tracker."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add the values of metrics after some iterations."""

    def attach(self, report: Path) -> None:
        """Add the report in a folder, as far as the tracker can hold it."""

    def end(self, status: str, metrics: Mapping[str, float]) -> None:
        """Add the last values of metrics, and close the run.

        Args:
            status: the outcome of the trial, such as ``done``.
            metrics: column -> its value, in the stored unit.
        """


class Tracker(Protocol):
    """A tracker, whose methods and runs are used by one thread alone.

    Attributes:
        name: its name, as people read it.
    """

    name: str

    def start(self, described: RunFacts) -> Run:
        """Begin a run, or go on with the one that has its key."""


def needed(module: str, option: str, extra: str) -> Any:
    """The module of a package that an extra of this one installs.

    Raises:
        TrackerError: if it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name:
            raise
        raise TrackerError(
            f"{option} needs {module.split('.')[0]}, which is not installed: pip install 'segbench[{extra}]'"
        ) from None
