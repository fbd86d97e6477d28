"""The trackers of one ``bench run``: told of its trials as a display is, and never able to harm one.

Ray Tune's own callbacks for MLflow, W&B and TensorBoard are not used. They log a trial's whole configuration, the
folders of this machine among it, and count messages instead of iterations; that for TensorBoard writes into the scratch
folder of Tune, and that for W&B starts two processes for each trial. The run's one callback of Tune, in
:mod:`bench.run.processes.watch`, tells the display, and so the trackers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from bench.records.record import Record
from bench.run.outcomes.progress import Event
from bench.run.tracking.tracker import Run, RunFacts, Tracker
from bench.run.tracking.values import curves_of, metrics_of
from bench.run.trial import Trial

CLOSING_S = 60.0
"""Seconds that a tracker gets at the end of a run for what it has not sent yet."""
MOST_WAITING = 1000
"""Progress that finds more than this waiting for a slow tracker is not told to it."""
MOST_SHOWN = 200
"""Characters of a tracker's error that are told."""
LIVE_LOSS = "live_loss"
"""The metric of the losses that are told while a network is trained; the record's own are logged at its end."""


class Tracking:
    """The display that passes on to trackers what it is told, each in a thread of its own.

    A tracker that raises is left out from then on, which is told once.

    Args:
        trackers: the trackers.
        described: a function that describes the run of a trial.
        warn: a function that tells a person of a tracker that fails.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        described: Callable[[Trial], RunFacts],
        warn: Callable[[str], None],
    ) -> None:
        self._described = described
        self._feeds = [_Feed(tracker, warn) for tracker in trackers]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for feed in self._feeds:
            feed.close()

    def started(self, trial: Trial) -> None:
        described = self._described(trial)
        for feed in self._feeds:
            feed.put(lambda runs: runs.start(described))

    def progress(self, trial: Trial, event: Event) -> None:
        if event.loss is None:
            return
        step, metrics = event.done, {LIVE_LOSS: event.loss}
        for feed in self._feeds:
            if not feed.is_behind():
                feed.put(lambda runs: runs.of(trial.key).log(step, metrics))

    def finished(self, trial: Trial, record: Record) -> None:
        status, metrics, curves = record.status, metrics_of(record), curves_of(record)

        def tell(runs: _Runs) -> None:
            run = runs.of(trial.key)
            for step, values in curves.items():
                run.log(step, values)
            run.end(status, metrics)

        for feed in self._feeds:
            feed.put(tell)

    def taken(self, trial: Trial, owner: str) -> None:
        """Nothing: the trial's run waits for its record, from whichever run of the study that comes."""

    def reported(self, study: RunFacts, report: Path, status: str) -> None:
        """Attach the report in a folder to a run of its own.

        Args:
            study: the description of that run.
            report: the folder of the report.
            status: ``done`` if every trial is, else ``failed``.
        """

        def tell(runs: _Runs) -> None:
            runs.start(study)
            runs.of(study.key).attach(report)
            runs.of(study.key).end(status, {})

        for feed in self._feeds:
            feed.put(tell)


class _Runs:
    """The open runs of a tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._open: dict[str, Run] = {}

    def start(self, described: RunFacts) -> None:
        self._open[described.key] = self._tracker.start(described)

    def of(self, key: str) -> Run:
        return self._open[key]


class _Feed:
    """The thread of one tracker, and what waits for it: a run never waits for a tracker, except at its end."""

    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        self._name, self._warn = tracker.name, warn
        self._waiting: SimpleQueue[Callable[[_Runs], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, args=(_Runs(tracker),), name=tracker.name, daemon=True)
        self._thread.start()

    def put(self, tell: Callable[[_Runs], None]) -> None:
        if self._thread.is_alive():
            self._waiting.put(tell)

    def is_behind(self) -> bool:
        return self._waiting.qsize() > MOST_WAITING

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(CLOSING_S)
        if self._thread.is_alive():
            self._warn(f"{self._name} has not taken everything within {CLOSING_S:g} s, the rest is lost")

    def _work(self, runs: _Runs) -> None:
        try:
            while (tell := self._waiting.get()) is not None:
                tell(runs)
        except Exception as error:  # noqa: BLE001 - a tracker may raise anything
            why = f"{type(error).__name__}: {error}".splitlines()[0][:MOST_SHOWN]
            self._warn(f"{self._name} failed and is told of nothing more; the trials go on ({why})")
