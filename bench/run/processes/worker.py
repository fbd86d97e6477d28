"""A Ray worker's side of a trial: it claims the trial, hands it to a process of its own, watches that, and reports.

It imports neither torch nor a study, so that nothing that a trial does can harm it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray
from ray import tune

from bench.records.record import read
from bench.run.outcomes.memory_kills import memory_kills
from bench.run.outcomes.progress import Event, place_of
from bench.run.processes.apart import pieces
from bench.run.processes.children.child import TrialChild
from bench.run.processes.cpus import cpus_of_gpu
from bench.run.processes.scratch import scratch_folder
from bench.run.sharing.claims import Owner, take
from bench.run.sharing.desk import NAME as DESK
from bench.run.sharing.desk import Ask, DeskGoneError, Visitor
from bench.run.sharing.others import ended_since
from bench.run.store import StoreError, storing

ORDER = ("trial", "folder", "machine", "handling")
"""The names of the values that a trial's process takes."""
REPORT_EVERY_S = 0.5
GRACE_S = 5.0
"""Seconds after its time limit at which a trial is ended from outside; until then it can end itself and say where."""
START_S = 300.0
"""Seconds that a process may take from its start to its first trial: imports, over a slow network file system too."""
PROCESS = "bench.run.processes.process"
"""The module whose ``main`` a trial's process runs."""


def work(config: Mapping[str, Any]) -> None:
    """One trial on a worker, which reports its record to the driver.

    On a node that does not see the results folder, the trial writes into a scratch folder, and its files go to the
    driver before the record; the desk of the run claims the trial there, and has the kept state of its training. On
    another machine that sees it, the record is sent all the same, as the driver may see the file late.

    Args:
        config: the values that :func:`_work` takes.
    """
    marker, key = config["handling"]["marker"], config["trial"]["key"]
    if marker is None:
        _work(config, tune.report, None)
    elif Path(config["folder"], marker).exists():
        _visit(
            config, lambda message: tune.report(_with_record(message, Path(config["folder"]))), Visitor(_asked(), key)
        )
    else:
        with scratch_folder() as folder:
            own = {**config, "folder": str(folder)}
            _visit(own, lambda message: _report_all(message, folder), Visitor(_asked(), key, folder))


def _visit(config: Mapping[str, Any], report: Callable[[dict[str, Any]], None], visitor: Visitor) -> None:
    """One trial of a run on a cluster, after the desk of the run lets it begin."""
    refusal = visitor.claim(config["trial"]["before"])
    if refusal is None:
        _work(config, report, visitor)
    else:
        tune.report(refusal)


def _report_all(message: dict[str, Any], folder: Path) -> None:
    """Report a message of a trial that writes into a scratch folder, and before its last one the trial's files."""
    if "recorded" in message or "ending" in message:
        for piece in pieces(folder):
            tune.report({"piece": piece})
    if "unstored" in message:
        reason = f"it could not write into the scratch folder of its node: {message['unstored']}"
        message = {"ending": {"status": "failed", "reason": reason, "traceback": None}}
    tune.report(_with_record(message, folder))


def _with_record(message: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A message with the record itself in place of the name of its file in a results folder."""
    if "recorded" not in message:
        return message
    return {"record": read(folder / "records" / message["recorded"]).as_json()}


def _asked() -> Ask:
    """The desk of this worker's run."""
    desk = ray.get_actor(DESK)

    def ask(method: str, *arguments: Any) -> Any:
        try:
            return ray.get(getattr(desk, method).remote(*arguments))
        except ray.exceptions.RayActorError as error:
            raise DeskGoneError("the desk of the run is gone") from error

    return ask


def _work(config: Mapping[str, Any], report: Callable[[dict[str, Any]], None], visitor: Visitor | None) -> None:
    """One trial, whose messages are reported.

    A trial that another run has claimed, or has ended since this run was planned, is not run: that is all that is
    reported.

    Args:
        config: the parts of :data:`ORDER`, as the process takes them; ``path`` and ``cwd``: the driver's module search
            path and folder; ``own_cpus``: ``True`` for a trial that keeps to CPUs of its own, since others like it run
            beside it on the other GPUs; ``run``: the name of the run. The trial has two values more: ``claim``, the
            name of its claim, and ``before``, its records that were there when the run was planned.
        report: reports a message.
        visitor: the trial as the desk of a run on a cluster knows it; ``None`` for a run on this machine alone.
    """
    folder, trial = Path(config["folder"]), dict(config["trial"])
    name, before = trial.pop("claim"), trial.pop("before")
    try:
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            claim = take(folder, name, config["run"], again=visitor is not None)
    except StoreError as error:
        report({"unstored": str(error)})
        return
    if isinstance(claim, Owner):
        report({"taken": str(claim)})
        return
    cpus = cpus_of_gpu(gpu_slot(), config["machine"]["threads"]) if config["own_cpus"] else None
    process = _process(tuple(config["path"]), config["cwd"], cpus)
    listening = nullcontext() if visitor is None else visitor.kept(process.give_up, process.stop)
    with claim.kept(process.give_up), listening:
        if ended_since(folder, name, before) is not None:
            report({"taken": ""})
            return
        reported_at = 0.0
        for message in process.run({**{part: config[part] for part in ORDER}, "trial": trial}):
            is_lost = claim.lost or (visitor is not None and visitor.lost)
            if is_lost and not {"recorded", "event"} & message.keys():
                report({"taken": ""})
                continue
            if visitor is not None and "device" not in message:
                visitor.send_state()
            if "event" not in message:
                report(message)
            elif time.monotonic() - reported_at > REPORT_EVERY_S:
                reported_at = time.monotonic()
                report(message)


@functools.cache
def _process(path: tuple[str, ...], cwd: str, cpus: frozenset[int] | None) -> TrialProcess:
    """The worker's one process: as long as the worker gets trials, they share it."""
    return TrialProcess(path, cwd, cpus)


def gpu_slot() -> int:
    """The number that Ray gives this worker's GPU on its node, from 0 on, whatever CUDA calls it."""
    worker = ray._private.worker.global_worker  # Ray's public functions give CUDA's name of the GPU alone
    assigned = worker.core_worker.resource_ids()  # type: ignore[attr-defined]  # set when the worker connects
    slots = (
        slot for name, ids in assigned.items() if name == "GPU" or name.startswith("GPU_group_") for slot, _ in ids
    )
    return int(min(slots))


class TrialProcess:
    """Runs trials in a child process, which is started when it is needed and not kept after a trial left traces."""

    def __init__(self, path: tuple[str, ...], cwd: str, cpus: frozenset[int] | None = None) -> None:
        self._path, self._cwd, self._cpus = path, cwd, cpus
        self._child: TrialChild | None = None
        self._busy: TrialChild | None = None

    def give_up(self) -> None:
        """End the trial that runs, whose record is not wanted any more. Another thread may call this."""
        if self._busy is not None:
            self._busy.end()

    def stop(self) -> None:
        """Let the trial that runs keep its state and end; returns once it has, or after a while. As above."""
        if self._busy is not None:
            self._busy.stop()

    def run(self, order: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Run a trial and give what there is to report: ``event``s, and last ``recorded``, ``ending`` or ``unstored``.

        First comes the name of the ``device``, or ``None``, with the id of the ``process``: ``pid`` is Tune's name of
        the worker's, which it adds to each message. ``recorded`` is the name of the record's file: Tune's driver keeps
        the last message of every trial, and the record would be a large one. An ``ending`` has the ``status`` and
        ``reason`` of a trial that left no record, and the ``traceback`` if known. ``unstored`` says why the results
        folder cannot be written to.
        """
        child = self._child or TrialChild(self._path, self._cwd, self._cpus, module=PROCESS)
        self._child, self._busy = None, child
        kills = memory_kills()
        child.send(dict(order))
        limit: float | None = time.monotonic() + START_S
        timeout_s, where = order["handling"]["timeout_s"], place_of(None)
        while True:
            message = child.receive(limit)
            if message is None:
                child.kill()
                reason = f"ended from outside {GRACE_S:g} s after its time limit of {timeout_s:g} s, {where}"
                if child.pid is None:
                    reason = f"its process took more than {START_S:g} s to start"
                yield {"ending": {"status": "timed_out", "reason": reason, "traceback": None}}
                return
            if not message:
                yield {"ending": child.ending(where, memory_kills().since(kills))}
                return
            kind, content, *rest = message
            if kind == "started":
                child.pid = content
                yield {"device": rest[0], "process": content}
                limit = None if timeout_s is None else time.monotonic() + timeout_s + GRACE_S
            elif kind == "event":
                where = place_of(Event(**content))
                yield {"event": content}
            elif kind == "unstored":
                child.kill()
                yield {"unstored": content}
                return
            else:
                if rest[0]:
                    child.kill()
                else:
                    self._child = child
                yield {"recorded": content}
                return
