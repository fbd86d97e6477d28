"""The execution of trials with Ray Tune: the driver's side; :mod:`bench.run.processes.worker` is the workers'.

Tune runs the missing trials only. Results are stored in the results folder alone, because Tune's own restore cannot
extend a study. Each cost or speed trial gets a fresh process and a whole GPU with its share of the node's CPUs, or a
whole node without a GPU; quality trials share the machine. A trial whose memory ran out on a GPU that it shared is
tried once more when the others are over, on a GPU of its own; one whose measured memory is more than its share is tried
there alone. One whose process was killed, or whose machine had no memory left beside others, is tried once more by
itself, and one whose worker or node was lost on what is left. If asked, a training that is too large even alone is
tried with its batches in 2, 4, 8 … parts. A trial that another run in the same folder has claimed is left to that run,
and awaited at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.protocol.setting import Stage
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.outcomes.fitting import too_large
from bench.run.outcomes.parts import in_more_parts
from bench.run.processes.apart import marked
from bench.run.processes.cluster import cluster, search_path
from bench.run.processes.stopping import STOP_S, stopped_whatever_is_raised
from bench.run.processes.watch import Display, StoreFailed, TrialWatch
from bench.run.processes.worker import work
from bench.run.resources import ResourceError, Resources, share_of_cpus
from bench.run.sharing.claims import live
from bench.run.sharing.desk import MOST_AT_ONCE, NAME, Desk
from bench.run.sharing.others import Seen, ended_since, of_trial, seen
from bench.run.store import storing
from bench.run.trial import Trial, record_key

LOOK_EVERY_S = 2.0
"""Seconds between two looks at the trials that another run has."""


def execute(
    trials: Sequence[Trial],
    folder: Path,
    resources: Resources,
    display: Display,
    handling: Handling,
    *,
    run: str = "",
    before: Seen | None = None,
    accumulate: bool = False,
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
        accumulate: ``True`` to run trainings that are too large even alone with their batches in parts.

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
        desk = None if marker is None else _desk(folder, run)
        batches = _Batches(folder, resources, display, scratch, replace(handling, marker=marker), run, desk, accumulate)
        before = seen(folder) if before is None else before
        taken, before = _run_and_repeat(batches, trials, before)
        while taken:
            free, taken = batches.given_up(taken, before)
            more, before = _run_and_repeat(batches, free, before)
            taken += more


def _run_and_repeat(batches: _Batches, trials: Sequence[Trial], before: Seen) -> tuple[list[Trial], Seen]:
    """Run trials, and once more those that something from outside ended.

    Returns:
        The trials that another run has, and the records that were there before: of a trial that was run once more, the
        one of its first attempt too.
    """
    watches: list[TrialWatch] = []
    crowded: list[Trial] = []
    for batch in _by_kind(trials):
        large = too_large(batch, batches.folder, batches.resources)  # not before: its costs may be measured first
        crowded += large
        if shared := [trial for trial in batch if trial not in large]:
            watches.append(batches.fit(shared, before))
    killed = [trial for watch in watches for trial in watch.chosen(watch.killed)]
    lost = [trial for watch in watches for trial in watch.chosen(watch.lost)]
    tried = seen(batches.folder)
    with suppress(ResourceError):  # what is left of the cluster has no room for them, as their records say
        for batch in _by_kind(lost):
            watches.append(batches.fit(batch, seen(batches.folder)))
    crowded += [trial for watch in watches for trial in watch.chosen(watch.crowded)]
    by_itself = killed + [trial for watch in watches for trial in watch.chosen(watch.beside)]
    with suppress(ResourceError):
        for batch in _by_kind(by_itself):
            watches.append(batches.fit(batch, seen(batches.folder), alone=True, one_at_a_time=True))
        for batch in _by_kind(crowded):
            watches.append(batches.fit(batch, seen(batches.folder), alone=True))
        whole = [trial for watch in watches for trial in watch.chosen(watch.too_large)] if batches.accumulate else []
        watches += _in_parts(batches, whole)
    again = {trial.key for watch in watches for trial in watch.chosen(watch.lost | watch.too_large)}
    again |= {trial.key for trial in (*by_itself, *crowded)}
    first = {key: files for key, files in tried.items() if key in again}
    return [trial for watch in watches for trial in watch.chosen(watch.taken)], {**before, **first}


def _in_parts(batches: _Batches, trials: Sequence[Trial]) -> Iterator[TrialWatch]:
    """Run trainings that are too large even alone in 2, 4, 8 … parts, until each is small enough or has no parts."""
    while smaller := [more for trial in trials if (more := in_more_parts(trial)) is not None]:
        # Trainings on the CPU share the memory of the machine, so no two run at once.
        on_cpu = not batches.resources.gpus
        watch = batches.fit(smaller, seen(batches.folder), alone=True, one_at_a_time=on_cpu)
        yield watch
        trials = watch.chosen(watch.too_large)


def _by_kind(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """The timings among trials, those of cost first, and the trainings."""
    timed = [trial for stage in ("cost", "speed") for trial in trials if trial.stage == stage]
    yield from filter(None, (timed, [trial for trial in trials if trial.stage == "quality"]))


@dataclass
class _Batches:
    """The batches of trials of one kind, timings or trainings, that Tune runs one after the other.

    Attributes:
        desk: the desk of a run on a cluster, an actor of Ray; ``None`` for a run on this machine alone.
        accumulate: ``True`` to run trainings that are too large even alone with their batches in parts.
        count: the number of batches so far.
    """

    folder: Path
    resources: Resources
    display: Display
    scratch: Path
    handling: Handling
    run: str
    desk: Any = None
    accumulate: bool = False
    count: int = 0

    def fit(
        self, trials: Sequence[Trial], before: Seen, *, alone: bool = False, one_at_a_time: bool = False
    ) -> TrialWatch:
        """Run trials of one kind.

        Args:
            trials: the trials.
            before: the records that the folder held when they were chosen.
            alone: ``True`` to give each a whole GPU, if they use any.
            one_at_a_time: ``True`` to run no two of them at once, so that each has the memory of its machine.
        """
        request = _request(trials[0].stage, self.resources)
        if alone and "gpu" in request:
            request["gpu"] = max(1.0, request["gpu"])
        self.count += 1
        is_timing = trials[0].stage != "quality"
        machine = Machine("cuda" if "gpu" in request else "cpu", int(request["cpu"]))
        elsewhere = self.resources.address is not None
        at_once = 1 if one_at_a_time else len(trials) if elsewhere else self.resources.at_a_time(trials[0].stage)
        beside_others = min(at_once, len(trials)) > 1
        handling = replace(self.handling, gpu_share=request.get("gpu", 1.0), beside_others=beside_others)
        watch = TrialWatch(trials, self.folder, replace(machine, elsewhere=elsewhere), self.display)
        tuner = tune.Tuner(
            tune.with_resources(work, dict(request)),
            param_space={
                "folder": str(self.folder.resolve()),
                "machine": asdict(machine),
                "handling": handling.as_values(),
                "path": search_path(),
                "cwd": str(Path.cwd()),
                "own_cpus": is_timing and "gpu" in request,
                "run": self.run,
            },
            tune_config=tune.TuneConfig(
                search_alg=_InOrder([{"trial": self._claimed(trial, machine, before)} for trial in trials]),
                num_samples=len(trials),
                # A reused process saves seconds of start-up, but a cost or speed trial needs a process of its own.
                reuse_actors=not is_timing,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
                max_concurrent_trials=1 if one_at_a_time else None,
            ),
            run_config=tune.RunConfig(
                name=str(self.count), storage_path=str(self.scratch / "tune"), verbose=0, callbacks=[watch]
            ),
        )
        try:
            tuner.fit()
        except StoreFailed:
            with suppress(StoreFailed):
                watch.end_all("interrupted", "the run was stopped, since its results folder could not be written to")
            raise
        except (KeyboardInterrupt, SystemExit):
            self._let_stop(watch)
            watch.end_all("interrupted", "the run was stopped")
            raise
        watch.end_all("failed", "Ray ended the run before this trial was over")
        return watch

    def _let_stop(self, watch: TrialWatch) -> None:
        """Let the trials of a batch keep their state and end, as long as that takes less than a while."""
        if self.desk is None:
            watch.let_stop()
            return
        with suppress(ray.exceptions.RayError):  # the cluster is gone, or takes longer, and so does every trial
            ray.get(self.desk.stop.remote(watch.open(), STOP_S), timeout=STOP_S + 1)

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
            time.sleep(LOOK_EVERY_S)  # the other run may be on another machine, which can wake nobody here

    def _claimed(self, trial: Trial, machine: Machine, before: Seen) -> dict[str, Any]:
        name = self._claim(trial, machine)
        return {**asdict(trial), "claim": name, "before": of_trial(before, name)}

    def _claim(self, trial: Trial, machine: Machine) -> str:
        """The name of a trial's claim: its record's key, as a timing counts for one hardware class alone.

        The class of a cluster's node is not known before, and a timing of any counts there.
        """
        return trial.key if self.resources.address is not None else record_key(trial, machine)


class _InOrder(Searcher):
    """The trials of a batch as Tune asks for them. Its own grid would copy the list of all of them for each one.

    Args:
        values: the values that each trial has besides those that all of them have.
    """

    def __init__(self, values: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self._left = iter(values)

    def suggest(self, trial_id: str) -> dict[str, Any]:
        return next(self._left)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save nothing, as Tune's restore is not used."""


def _desk(folder: Path, run: str) -> Any:
    """The desk of a run, on the node of this process, which sees the results folder. Ray ends it with the run."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": NAME, "num_cpus": 0, "max_concurrency": MOST_AT_ONCE, "scheduling_strategy": here}
    return ray.remote(Desk).options(**options).remote(str(folder.resolve()), run)


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
    except StoreFailed as failed:
        raise failed.error from None


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
