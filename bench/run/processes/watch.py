"""The driver's watch over a batch of trials: it tells the display of them, and records those that cannot do so."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ray import tune

from bench.records.record import PLACES, Record, read, write
from bench.run.environment import Machine
from bench.run.keeping.place import forget, state_path
from bench.run.outcomes.attempts import with_attempts_before
from bench.run.outcomes.memory import BESIDE_OTHERS
from bench.run.outcomes.outcome import relative
from bench.run.outcomes.progress import Event, phase_of, place_of
from bench.run.processes.apart import Arrivals
from bench.run.processes.descendants import descendants
from bench.run.processes.stopping import STOP_S
from bench.run.store import StoreError, storing
from bench.run.trial import Trial, make_record


class Display(Protocol):
    """A display of running trials, which is told when a trial starts, makes progress and ends."""

    def started(self, trial: Trial) -> None: ...

    def progress(self, trial: Trial, event: Event) -> None: ...

    def finished(self, trial: Trial, record: Record) -> None: ...

    def taken(self, trial: Trial, owner: str) -> None:
        """Another run has the trial: ``owner`` says which; it is empty if that has ended it already."""


class StoreFailed(SystemExit):
    """A :class:`StoreError` on its way through Tune, which only lets pass what ends a program."""

    def __init__(self, error: StoreError) -> None:
        super().__init__()
        self.error = error


class TrialWatch(tune.Callback):
    """The observer of a Tune run. It informs the display, and writes the record of a trial that wrote none itself.

    Attributes:
        trials: key -> trial.
        started: key -> the time at which the trial started.
        reached: key -> the last progress of the trial.
        devices: key -> the name of the device of the trial's process, as that process told it.
        processes: key -> the id of the trial's process on its machine.
        ended: the keys of trials that have ended.
        arrivals: the files that nodes send which do not see the results folder.
        crowded: the keys of trials whose memory ran out on a GPU that they shared.
        killed: the keys of trials whose process a signal killed.
        beside: the keys of trials whose machine had no memory left while others could run beside them.
        lost: the keys of trials whose worker or node was lost.
        too_large: the keys of trainings whose memory ran out though they had a whole device, or no GPU.
        taken: the keys of trials that another run has claimed or ended.
        earlier: name of each record of an earlier run -> the time of its last change.
    """

    def __init__(self, trials: Sequence[Trial], folder: Path, machine: Machine, display: Display) -> None:
        self.trials = {trial.key: trial for trial in trials}
        self.folder, self.machine, self.display = folder, machine, display
        self.started: dict[str, str] = {}
        self.reached: dict[str, Event] = {}
        self.devices: dict[str, str | None] = {}
        self.processes: dict[str, int] = {}
        self.ended: set[str] = set()
        self.arrivals = Arrivals(folder)
        self.crowded: set[str] = set()
        self.killed: set[str] = set()
        self.beside: set[str] = set()
        self.lost: set[str] = set()
        self.too_large: set[str] = set()
        self.taken: set[str] = set()
        self.earlier = {path.name: path.stat().st_mtime_ns for path in (folder / "records").glob("*.json")}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as an empty callback: Tune pickles callbacks, and a terminal's lock cannot be pickled."""
        return tune.Callback, ()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self._ours(trial)
        if ours.key not in self.started:
            self.started[ours.key] = datetime.now(UTC).isoformat(timespec="seconds")
            self.display.started(ours)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        ours = self._ours(trial)
        if "event" in result:
            self.reached[ours.key] = Event(**result["event"])
            self.display.progress(ours, self.reached[ours.key])
        elif "device" in result:
            self.devices[ours.key] = result["device"]
            self.processes |= {ours.key: result["process"]} if "process" in result else {}
        elif "recorded" in result and ours.key not in self.ended:
            self._close(ours, result["recorded"])
        elif "record" in result and ours.key not in self.ended:
            self._end(ours, Record.model_validate(result["record"]))
        elif "piece" in result:
            self._arrive(ours, result["piece"])
        elif "unstored" in result:
            raise StoreFailed(StoreError(result["unstored"]))
        elif "taken" in result:
            self.taken.add(ours.key)
            self.ended.add(ours.key)
            self.display.taken(ours, result["taken"])
        elif "ending" in result:
            self._record_end(ours, **result["ending"])

    def _arrive(self, trial: Trial, piece: Mapping[str, Any]) -> None:
        try:
            with storing(self.folder):
                self.arrivals.take(trial.key, piece)
        except StoreError as error:
            self.arrivals.drop(trial.key)
            raise StoreFailed(error) from None

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Empty Tune's statistics of the trial: most of the memory that Tune would keep of it until the run's end."""
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self._ours(trial)
        where, words = place_of(self.reached.get(ours.key)), _last_sentence(trial.pickled_error_file)
        lost = "node" if "node has died" in words or "node died" in words else "worker"
        self._record_end(ours, "failed", f"the {lost} of the trial was lost {where} ({words}); run again", lost=lost)

    def chosen(self, keys: Collection[str]) -> list[Trial]:
        """The trials with some keys, in their order."""
        return [trial for trial in self.trials.values() if trial.key in keys]

    def open(self) -> list[str]:
        """The keys of the trials that were started and have not ended."""
        return [key for key in self.started if key not in self.ended]

    def let_stop(self) -> None:
        """Let the trials that run on this machine keep their state and end, as long as that takes less than a while."""
        left = {pid for key, pid in self.processes.items() if key not in self.ended}
        for pid in left:
            with suppress(OSError):  # it has ended meanwhile
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while (left := left & descendants()) and time.monotonic() < deadline:
            time.sleep(0.05)  # they are no children of this process, so it is not told of their end

    def end_all(self, status: str, reason: str) -> None:
        """Write a record with this status for every trial that was started and has not ended."""
        for key in self.started:
            self._record_end(self.trials[key], status, reason)

    def _record_end(
        self, trial: Trial, status: str, reason: str, traceback: str | None = None, lost: str | None = None
    ) -> None:
        self.arrivals.drop(trial.key)
        if trial.key in self.ended:
            return
        outcome = {
            "status": status,
            "reason": reason,
            "phase": phase_of(self.reached.get(trial.key)),
            "traceback": traceback and relative(traceback),
            "started_at": self.started.get(trial.key),
            "wall_s": None,
            **({} if lost is None else {"lost": lost}),
        }
        told = self.devices.get(trial.key)
        machine = self.machine if told is None else replace(self.machine, name=told)
        self._end(trial, make_record(trial, machine, outcome))

    def _end(self, trial: Trial, record: Record) -> None:
        """Write the record of a trial and show it, unless the worker has written one itself: then show that one.

        An interruption says nothing about a trial, so it replaces no record of an earlier run.
        """
        path = self.folder / "records" / record.file_name
        try:
            with storing(self.folder):
                is_there = path.exists()
                if is_there and path.stat().st_mtime_ns != self.earlier.get(path.name):
                    record = read(path)
                elif not is_there or record.status != "interrupted":
                    record = with_attempts_before(record, path.parent)
                    write(record, path.parent)
        except StoreError as error:
            self.ended.add(trial.key)
            raise StoreFailed(error) from None
        self._show(trial, record)

    def _close(self, trial: Trial, file_name: str) -> None:
        """Show the record that the worker has written into the results folder."""
        try:
            with storing(self.folder):
                record = read(self.folder / "records" / file_name)
        except StoreError as error:
            self.ended.add(trial.key)
            raise StoreFailed(error) from None
        self._show(trial, record)

    def _show(self, trial: Trial, record: Record) -> None:
        self.ended.add(trial.key)  # not before, so that a stop that comes meanwhile finds it open
        if self.machine.elsewhere and trial.stage == "quality" and record.status in ("done", "diverged", "pruned"):
            forget(state_path(self.folder, trial.key))  # its node may not have seen it
        if record.outcome.shared is not None:
            (self.beside if record.outcome.shared == BESIDE_OTHERS else self.crowded).add(trial.key)
        elif record.outcome.lost is not None:
            (self.lost if record.outcome.lost in PLACES else self.killed).add(trial.key)
        if record.status == "out_of_memory" and record.is_final and trial.stage == "quality":
            self.too_large.add(trial.key)
        try:
            self.display.finished(trial, record)
        except StoreError as error:
            raise StoreFailed(error) from None

    def _ours(self, trial: Any) -> Trial:
        return self.trials[trial.config["trial"]["key"]]


def _last_sentence(pickled_error_file: str | None) -> str:
    """The last line of an error that Tune has written, which says what has died; its first sentence alone.

    Tune's own function reads the error from the storage, to which Tune copies it later.
    """
    try:
        error = pickle.loads(Path(pickled_error_file or "").read_bytes())
    except (OSError, ValueError, EOFError, AttributeError, ImportError, pickle.UnpicklingError):
        return "Ray does not say why"
    return str(error).strip().rpartition("\n")[2].partition(". ")[0].rstrip(".")
