"""The execution of trials with Ray Tune: the driver's side; :mod:`bench.run.processes.worker` is the workers'.

Tune runs the missing trials only. Results are stored in the results folder alone, because Tune's own restore cannot
extend a study. Each cost or speed trial gets a fresh process and a whole GPU with its share of the node's CPUs, or a
whole node without a GPU; quality trials share the machine. A trial whose memory ran out on a GPU that it shared is
tried once more when the others are over, on a GPU of its own; one whose measured memory is more than its share is tried
there alone. A trial that another run in the same folder has claimed is left to that run, and awaited at the end.
"""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import ray
from ray import tune

from bench.protocol.setting import Stage
from bench.records.record import Record, read, write
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.outcomes.attempts import with_attempts_before
from bench.run.outcomes.fitting import too_large
from bench.run.outcomes.outcome import relative
from bench.run.outcomes.progress import Event, phase_of, place_of
from bench.run.processes.apart import Arrivals, marked
from bench.run.processes.cluster import cluster, search_path
from bench.run.processes.descendants import descendants
from bench.run.processes.stopping import stopped_whatever_is_raised
from bench.run.processes.worker import work
from bench.run.resources import ResourceError, Resources, share_of_cpus
from bench.run.sharing.claims import live
from bench.run.sharing.others import Seen, ended_since, of_trial, seen
from bench.run.store import StoreError, storing
from bench.run.trial import Trial, make_record, record_key

STOP_S = 20.0
"""Seconds that trials have to keep their state and end when the run is stopped; SLURM's default leaves a job 30."""
LOOK_EVERY_S = 2.0
"""Seconds between two looks at the trials that another run has."""


class Display(Protocol):
    """A display of running trials, which is told when a trial starts, makes progress and ends."""

    def started(self, trial: Trial) -> None: ...

    def progress(self, trial: Trial, event: Event) -> None: ...

    def finished(self, trial: Trial, record: Record) -> None: ...

    def taken(self, trial: Trial, owner: str) -> None:
        """Another run has the trial: ``owner`` says which; it is empty if that has ended it already."""


def execute(
    trials: Sequence[Trial],
    folder: Path,
    resources: Resources,
    display: Display,
    handling: Handling,
    *,
    run: str = "",
    before: Seen | None = None,
) -> None:
    """Run trials. Each started trial leaves a record in ``folder``, whatever happens to it.

    A trial that another run is at work on is run here only if that run gives it up, and awaited until then.

    Args:
        trials: the trials to run.
        folder: the study's results folder.
        resources: the CPUs and GPUs that trials take, and the cluster if there is one.
        display: the display that is told of the trials.
        handling: the time limit of each trial, and what is kept of it.
        run: the name of this run, which its claims tell.
        before: the records that the folder held when the trials were chosen; ``None`` for those of now.

    Raises:
        ResourceError: if no node has the resources that a trial asks for, before such trials start.
        Stopped: on Ctrl-C, SIGTERM or a hang-up, after the running trials are recorded as interrupted.
        StoreError: if ``folder`` cannot be written to, after the running trials are stopped.
    """
    with (
        _raised_as_itself(),
        stopped_whatever_is_raised(),
        _marked_for(resources, folder) as marker,
        cluster(resources) as scratch,
    ):
        batches = _Batches(folder, resources, display, scratch, replace(handling, marker=marker), run)
        before = seen(folder) if before is None else before
        crowded: list[Trial] = []
        taken: list[Trial] = []
        for batch in _by_kind(trials):
            large = too_large(batch, folder, resources)  # not before the batch begins: its costs may be measured first
            crowded += large
            if shared := [trial for trial in batch if trial not in large]:
                watch = batches.fit(shared, before)
                crowded += watch.chosen(watch.crowded)
                taken += watch.chosen(watch.taken)
        for batch in _by_kind(crowded):
            watch = batches.fit(batch, seen(folder), alone=True)
            taken += watch.chosen(watch.taken)
        while taken:
            free, taken = batches.given_up(taken, before)
            for batch in _by_kind(free):
                watch = batches.fit(batch, before)
                taken += watch.chosen(watch.taken)


def _by_kind(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """The timings among trials, those of cost first, and the trainings."""
    timed = [trial for stage in ("cost", "speed") for trial in trials if trial.stage == stage]
    yield from filter(None, (timed, [trial for trial in trials if trial.stage == "quality"]))


@dataclass
class _Batches:
    """The batches of trials of one kind, timings or trainings, that Tune runs one after the other.

    Attributes:
        count: the number of batches so far.
    """

    folder: Path
    resources: Resources
    display: Display
    scratch: Path
    handling: Handling
    run: str
    count: int = 0

    def fit(self, trials: Sequence[Trial], before: Seen, *, alone: bool = False) -> _Watch:
        """Run trials of one kind.

        Args:
            trials: the trials.
            before: the records that the folder held when they were chosen.
            alone: ``True`` to give each a whole GPU.
        """
        request = _request(trials[0].stage, self.resources) | ({"gpu": 1.0} if alone else {})
        self.count += 1
        is_timing = trials[0].stage != "quality"
        machine = Machine("cuda" if "gpu" in request else "cpu", int(request["cpu"]))
        elsewhere = self.resources.address is not None
        watch = _Watch(trials, self.folder, replace(machine, elsewhere=elsewhere), self.display)
        tuner = tune.Tuner(
            tune.with_resources(work, dict(request)),
            param_space={
                "trial": tune.grid_search([self._claimed(trial, machine, before) for trial in trials]),
                "folder": str(self.folder.resolve()),
                "machine": asdict(machine),
                "handling": replace(self.handling, gpu_share=request.get("gpu", 1.0)).as_values(),
                "path": search_path(),
                "cwd": str(Path.cwd()),
                "own_cpus": is_timing and "gpu" in request,
                "run": self.run,
            },
            tune_config=tune.TuneConfig(
                # A reused process saves seconds of start-up, but a cost or speed trial needs a process of its own.
                reuse_actors=not is_timing,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name=str(self.count), storage_path=str(self.scratch / "tune"), verbose=0, callbacks=[watch]
            ),
        )
        try:
            tuner.fit()
        except _StoreFailed:
            with suppress(_StoreFailed):
                watch.end_all("interrupted", "the run was stopped, since its results folder could not be written to")
            raise
        except (KeyboardInterrupt, SystemExit):
            watch.let_stop()
            watch.end_all("interrupted", "the run was stopped")
            raise
        watch.end_all("failed", "Ray ended the run before this trial was over")
        return watch

    def given_up(self, taken: Sequence[Trial], before: Seen) -> tuple[list[Trial], list[Trial]]:
        """Wait until another run gives up one of the trials that it has, or has ended all of them.

        Returns:
            The trials that are free, and those that another run still has.
        """
        while True:
            owners, free, held = live(self.folder), list[Trial](), list[Trial]()
            for trial in taken:
                name = self._claim(trial, self.resources.machine(trial.stage))
                record = ended_since(self.folder, name, of_trial(before, name))
                if record is not None:
                    self.display.finished(trial, record)
                else:
                    (held if name in owners else free).append(trial)
            if free or not held:
                return free, held
            taken = held
            time.sleep(LOOK_EVERY_S)

    def _claimed(self, trial: Trial, machine: Machine, before: Seen) -> dict[str, Any]:
        name = self._claim(trial, machine)
        return {**asdict(trial), "claim": name, "before": of_trial(before, name)}

    def _claim(self, trial: Trial, machine: Machine) -> str:
        """The name of a trial's claim: its record's key, as a timing counts for one hardware class alone.

        The class of a cluster's node is not known before, and a timing of any counts there.
        """
        return trial.key if self.resources.address is not None else record_key(trial, machine)


class _StoreFailed(SystemExit):
    """A :class:`StoreError` on its way through Tune, which only lets pass what ends a program."""

    def __init__(self, error: StoreError) -> None:
        super().__init__()
        self.error = error


@contextmanager
def _marked_for(resources: Resources, folder: Path) -> Iterator[str | None]:
    """Mark the results folder for the nodes of a cluster; on this machine alone nothing needs a mark."""
    if resources.address is None:
        yield None
        return
    with ExitStack() as marks:
        with storing(folder):
            marker = marks.enter_context(marked(folder))
        yield marker


@contextmanager
def _raised_as_itself() -> Iterator[None]:
    try:
        yield
    except _StoreFailed as failed:
        raise failed.error from None


class _Watch(tune.Callback):
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
            self.processes |= {ours.key: result["pid"]} if "pid" in result else {}
        elif "record" in result and ours.key not in self.ended:
            self._end(ours, Record.model_validate(result["record"]))
        elif "piece" in result:
            self._arrive(ours, result["piece"])
        elif "unstored" in result:
            raise _StoreFailed(StoreError(result["unstored"]))
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
            raise _StoreFailed(error) from None

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = self._ours(trial)
        where = place_of(self.reached.get(ours.key))
        reason = f"the worker or its node was lost {where} ({_last_sentence(trial.pickled_error_file)}); run again"
        self._record_end(ours, "failed", reason)

    def chosen(self, keys: Collection[str]) -> list[Trial]:
        """The trials with some keys, in their order."""
        return [trial for trial in self.trials.values() if trial.key in keys]

    def let_stop(self) -> None:
        """Let the trials that run on this machine keep their state and end, as long as that takes less than a while."""
        if self.machine.elsewhere:
            return
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

    def _record_end(self, trial: Trial, status: str, reason: str, traceback: str | None = None) -> None:
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
            self.ended.add(trial.key)  # not before, so that a stop that comes meanwhile finds it open
            if record.outcome.shared is not None:
                self.crowded.add(trial.key)
            self.display.finished(trial, record)
        except StoreError as error:
            self.ended.add(trial.key)
            raise _StoreFailed(error) from None

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


def _request(stage: Stage, resources: Resources) -> dict[str, float]:
    """The resources that a trial of a stage asks Ray for.

    Raises:
        ResourceError: if no node has these resources.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = resources.gpus if stage == "quality" else float(resources.gpus > 0)
    able = [node for node in nodes if node.get("GPU", 0) >= gpus and node.get("CPU", 0) >= resources.cpus]
    if not able:
        have = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise ResourceError(
            f"a {stage} trial asks for {resources.cpus} CPUs and {gpus:g} GPUs, and no node has them ({have}); "
            "ask for less with --cpus and --gpus"
        )
    shares = [share_of_cpus(int(node["CPU"]), int(node["GPU"]) if gpus else 0) for node in able]
    cpus = resources.cpus if stage == "quality" else min(shares)
    return {"cpu": float(cpus), **({"gpu": gpus} if gpus else {})}
