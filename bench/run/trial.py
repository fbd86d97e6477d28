"""One trial in this process: its cell is loaded, compared with the plan and measured, and the outcome is recorded.

The same function runs under ``bench trial`` (so that a debugger works), on a Ray worker and in tests.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data.base import Dataset, Sample
from bench.data.contract import is_ours
from bench.data.decoded.dataset import decoded
from bench.data.decoded.shelf import Shelf
from bench.data.fed import FedDataset
from bench.measure.quality.evaluate import Viewer
from bench.network.numerics import reserve_workspace
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting, Stage
from bench.records.files import arrays_digest
from bench.records.forms import build, problem
from bench.records.pictures import Album
from bench.records.record import MEASURED, UNKNOWN_HARDWARE, Record, write
from bench.run import environment
from bench.run.environment import Machine
from bench.run.handling import USUAL, Handling
from bench.run.identity.many.on_demand import KeyOnDemand
from bench.run.keeping.curve import Curve
from bench.run.keeping.place import forget, state_path, states_of
from bench.run.keeping.retested import TrainedKeeper, trained_for
from bench.run.keeping.state import FileKeeper
from bench.run.keeping.weights import WEIGHTS, described_weights, digest_of, packed
from bench.run.outcomes.attempts import with_attempts_before
from bench.run.outcomes.log import log_to
from bench.run.outcomes.outcome import TimedOutError, outcome_of, relative
from bench.run.outcomes.progress import Event, Listener, place_of
from bench.run.processes.agreement import disagreement
from bench.run.processes.children.helpers import helped
from bench.run.processes.stopping import Stopped, sigterm_waits
from bench.run.stages import STAGE_FUNCTIONS, key_of, measure_quality_in_group, measure_speed
from bench.run.store import Files, StoreError, keep, storing
from bench.study.cells import Cell
from bench.study.factors import StudyError
from bench.study.source import FILE_DIGESTS, Loaded, Source, load

log = logging.getLogger("bench.run.trial")


@dataclass(frozen=True)
class Trial:
    """One measurement of one cell, with all the values that a worker needs to run it.

    Attributes:
        source: the source of the study.
        variant: the name of the cell.
        seed: the seed of weights and batches; ``None`` for a stage that runs once for each variant.
        stage: the stage, that is the kind of measurement.
        key: the key from the plan, made when it is first read. If the worker computes another one, source or data
            changed after planning.
        against: the name of the cell that a speed trial compares with.
        setting: the setting in which both cells of a speed trial are timed.
        parts: the number of parts in which a training computes what its recipe computes at once, since memory ran out
            for that. It is no part of the plan, so the key is the same.
        processes: the number of processes that train the network of a quality trial together.
        rivals: the looks at other settings of a search, each as (number of the look, mean IoU): a training that is
            worse is ended early. They are no part of the key, which is that of the whole training.
    """

    source: Source
    variant: str
    seed: int | None
    stage: Stage
    key: KeyOnDemand = KeyOnDemand()  # noqa: RUF009 - a descriptor is what the dataclass reads and writes the field by
    against: str | None = None
    setting: Setting | None = None
    parts: int = 1
    processes: int = 1
    rivals: tuple[tuple[tuple[int, float], ...], ...] = ()

    def recipe_of(self, cell: Cell) -> Recipe:
        """The recipe with which this trial trains its cell: the cell's own, in the trial's parts."""
        return cell.recipe.having(accumulate=cell.recipe.accumulate * self.parts)

    def is_among(self, keys: Collection[str]) -> bool:
        """True if the trial's key is one of these; it is not made to be looked for among none."""
        return bool(keys) and self.key in keys

    def __getstate__(self) -> dict[str, Any]:
        """The attributes for another process, which takes the key as a text."""
        return {**vars(self), "key": self.key}


OUTSIDE_RECORDS = ("source", "key", "parts", "processes", "rivals")
"""The attributes of a trial that its record does not describe it by: it has them elsewhere, or in part."""


class ChangedError(RuntimeError):
    """A trial whose source, settings or data changed after it was planned."""


class UnwritableError(RuntimeError):
    """A trial whose choices no record can hold."""


def run(
    trial: Trial,
    folder: Path,
    machine: Machine,
    *,
    tell: Listener | None = None,
    handling: Handling = USUAL,
) -> Record:
    """Run a trial, and write its record and its log under ``folder``. A trial that fails is recorded too.

    SIGTERM interrupts a trial that is measured; one that is over is stored first.

    Args:
        trial: the trial to run.
        folder: the study's results folder.
        machine: the device and the number of threads.
        tell: a function that is called with the progress.
        handling: the time limit, and what is kept of the trial.

    Raises:
        KeyboardInterrupt: if the user interrupts the trial, after its record is written with status ``interrupted``.
        SystemExit: in the same way, if the process is told to exit.
        StoreError: if ``folder`` cannot be written to. A trial that is done is kept elsewhere then, if possible.
    """
    with ExitStack() as storing_all:
        return _run(trial, folder, machine, tell, handling, storing_all)


def _run(
    trial: Trial, folder: Path, machine: Machine, tell: Listener | None, handling: Handling, storing_all: ExitStack
) -> Record:
    """Run a trial as :func:`run` does. Into ``storing_all`` goes what is in force from the end of measuring on."""
    start, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    key = record_key(trial, machine)
    log_path = folder / "logs" / f"{key}.{environment.host_tag()}.log"
    listener = _Timed(tell, None if handling.timeout_s is None else start + handling.timeout_s)
    choices: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    outcome: dict[str, Any] = {"status": "done", "reason": None, "traceback": None}
    ending: BaseException | None = None
    unstored: StoreError | None = None
    files = Files()
    with log_to(log_path, folder):
        log.info("%s, seed %s, %s on %s", trial.variant, trial.seed, trial.stage, machine.hardware)
        try:
            torch.set_num_threads(machine.shared_by(trial.processes).threads)
            seed_other_generators(trial.seed)
            content, files = _measure(trial, folder, machine, listener, choices, handling)
            storing_all.enter_context(sigterm_waits())
            whole = build(MEASURED[trial.stage], content).as_json()
            try:
                files.write(folder)
            except StoreError as error:
                unstored = error
            measured = whole
        except (KeyboardInterrupt, SystemExit, Exception) as error:  # noqa: BLE001 - a user's code may raise anything
            if isinstance(error, Stopped):
                error.obeyed()
            outcome = outcome_of(error, choices, listener.reached, machine.torch_device, handling)
            if isinstance(error, Exception):
                level = logging.INFO if outcome["status"] == "pruned" else logging.ERROR
                log.log(level, "%s", "\n".join(filter(None, (outcome["reason"], outcome["traceback"]))))
            else:
                ending = error
        log.info("%s after %.1f s", outcome["status"], time.monotonic() - start)
    outcome |= {"started_at": started_at, "wall_s": time.monotonic() - start}
    record = with_attempts_before(_record_of(trial, machine, outcome, choices, measured), folder / "records")
    try:
        with storing(folder):
            if record.status != "interrupted" or not (folder / "records" / record.file_name).exists():
                write(record, folder / "records")  # an interruption says nothing, so it replaces no earlier record
    except StoreError as error:
        unstored = error
    if record.status in ("done", "diverged", "pruned") and trial.stage == "quality" and unstored is None:
        for path in states_of(folder, trial.key):
            forget(path)
    if ending is not None:
        raise ending
    if unstored is not None:
        raise keep(record, files, unstored) if record.status == "done" else unstored
    return record


def _record_of(
    trial: Trial,
    machine: Machine,
    outcome: Mapping[str, Any],
    choices: Mapping[str, Any],
    measured: Mapping[str, Any],
) -> Record:
    """The record of a trial; one that says why, for a trial whose choices no record can hold."""
    try:
        return make_record(trial, machine, outcome, choices=choices, measured=measured)
    except ValueError as error:
        reason = f"the record cannot be written: {problem(error)}"
        return make_record(trial, machine, {**outcome, "status": "failed", "reason": reason})


def _refuse_unwritable(trial: Trial, machine: Machine, choices: Mapping[str, Any]) -> None:
    """Raise :class:`UnwritableError` for choices that no record can hold, before anything is measured."""
    outcome = {"status": "interrupted", "reason": None, "traceback": None}
    try:
        make_record(trial, machine, outcome, choices=choices)
    except ValueError as error:
        raise UnwritableError(f"the choices of this trial cannot be written: {problem(error)}") from error


def record_fault(trial: Trial, folder: Path, machine: Machine, reason: str, traceback: str) -> Record:
    """Write the record of a trial that was not run, because its network was found to be faulty before.

    Raises:
        StoreError: if ``folder`` cannot be written to.
    """
    outcome = {"status": "failed", "reason": relative(reason), "traceback": relative(traceback)}
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    record = make_record(trial, machine, {**outcome, "started_at": started_at, "wall_s": 0.0})
    with storing(folder):
        write(record, folder / "records")
    return record


def make_record(
    trial: Trial,
    machine: Machine,
    outcome: Mapping[str, Any],
    *,
    choices: Mapping[str, Any] | None = None,
    measured: Mapping[str, Any] | None = None,
) -> Record:
    """The record of ``trial``, with the environment of this process.

    The ``distributions`` among the choices, which are those that the trial's key names, go to the environment, and so
    do the ``switches`` among the measurements: the precision and the kernels that were in force. The ``parts`` among
    the choices are those of an earlier training, which the outcome names as it names the trial's own.
    """
    resolved, content = dict(choices or {}), dict(measured or {})
    distributions, switches = resolved.pop("distributions", {}), content.pop("switches", None)
    parts = resolved.pop("parts", trial.parts)
    described = {name: value for name, value in asdict(trial).items() if name not in OUTSIDE_RECORDS}
    described |= {"study": Path(trial.source.path).stem, "size": trial.source.size}
    record = {
        "key": record_key(trial, machine),
        "trial": described,
        "choices": resolved,
        "environment": {
            **environment.describe(machine, Path(trial.source.path), distributions),
            **({} if switches is None else {"switches": switches}),
        },
        "outcome": {**outcome, **({"parts": parts} if parts > 1 else {})},
        "measured": content,
    }
    return build(Record, record)


def record_key(trial: Trial, machine: Machine) -> str:
    """The key of a trial's record: the trial's key, followed by the hardware class unless it is a quality trial."""
    if trial.stage == "quality":
        return trial.key
    return trial.key + (UNKNOWN_HARDWARE if machine.hardware_key is None else f"-{machine.hardware_key}")


def _measure(
    trial: Trial, folder: Path, machine: Machine, tell: Listener, choices: dict[str, Any], handling: Handling
) -> tuple[dict[str, Any], Files]:
    """Measure a trial, fill in ``choices``, and return the content of its record and the files that belong to it."""
    loaded, study_file = load(trial.source), Path(trial.source.path)
    try:
        cell = loaded.study.cell(trial.variant)
        against = None if trial.against is None else loaded.study.cell(trial.against)
    except StudyError as error:
        raise ChangedError(disagreement(None, trial.variant, study_file, folder)) from error
    reserve_workspace(cell.recipe.kernels)
    choices |= {"variant": cell.variant.describe(), "recipe": cell.recipe.describe(), "levels": dict(cell.levels)}
    if against is not None and trial.setting is not None:
        choices |= {"against": against.variant.describe(), "setting": asdict(trial.setting)}
    dataset = loaded.dataset_of(cell)
    fingerprint = dataset.fingerprint(folder / FILE_DIGESTS)
    key = key_of(
        cell,
        trial.stage,
        trial.seed,
        fingerprint,
        against=against,
        setting=trial.setting,
        modules=loaded.modules,
        processes=trial.processes,
    )
    choices |= {"hash": key.text, "fingerprint": fingerprint, "distributions": dict(key.versions)}
    if key.text != trial.key:
        why = disagreement(cell, trial.variant, study_file, folder)
        raise ChangedError(f"planned as {trial.key}, is {key.text} now: {why}")
    _refuse_unwritable(trial, machine, choices)
    if against is not None and trial.setting is not None:
        measured = measure_speed(
            cell.variant, against.variant, cell.recipe, trial.setting, dataset, machine.torch_device, tell
        )
        return measured, Files()
    if trial.stage == "quality":
        return _measure_quality(trial, loaded, folder, machine, tell, choices, handling)
    stage = STAGE_FUNCTIONS[trial.stage]
    return stage(cell.variant, cell.recipe, dataset, trial.seed, machine.torch_device, tell), Files()


def _measure_quality(
    trial: Trial,
    loaded: Loaded,
    folder: Path,
    machine: Machine,
    tell: Listener,
    choices: dict[str, Any],
    handling: Handling,
) -> tuple[dict[str, Any], Files]:
    """Train and test a network, and return the content of the record and the files that belong to it."""
    cell, device = loaded.study.cell(trial.variant), machine.torch_device
    dataset = loaded.dataset_of(cell)
    name = f"{record_key(trial, machine)}.{environment.host_tag()}"
    artifact = f"artifacts/{name}"
    kept = {
        "predictions": f"{artifact}.predictions.zip",
        "images": f"pictures/{_data_tag(loaded, cell, choices['fingerprint'])}-{cell.recipe.split}.zip",
    }
    album = Album(*(folder / path for path in kept.values())) if handling.pictures else None
    show = album and _viewer(album)
    own = machine.shared_by(trial.processes)
    read = read_ahead(dataset, folder, own, handling.cache)
    keeper: FileKeeper | TrainedKeeper
    if handling.trained_in is None:
        curve = Curve(read.split("val"), cell.recipe, device) if cell.recipe.validated_at else None
        state, rivals = state_path(folder, trial.key, trial.parts), list(map(dict, trial.rivals))
        keeper = FileKeeper(state, handling.checkpoint_s, cell.recipe.iterations, curve, rivals)
    else:
        assert trial.seed is not None
        keeper = TrainedKeeper(trained_for(cell, trial.seed, handling.trained_in))
        choices["parts"] = keeper.trained.record.outcome.parts or 1
    stage = STAGE_FUNCTIONS["quality"]
    with ExitStack() as stack:
        if isinstance(keeper, FileKeeper):
            stack.enter_context(keeper.heeding_sigterm())
            if trial.processes > 1:
                order = {"trial": asdict(trial), "folder": str(folder.resolve()), "machine": asdict(own)}
                helpers = helped({**order, "handling": handling.as_values()}, trial.processes, device)
                stage = partial(measure_quality_in_group, group=stack.enter_context(helpers))
        measured = stage(cell.variant, trial.recipe_of(cell), read, trial.seed, device, tell, show, keeper=keeper)
        arrays, measured["artifact"] = measured["artifact"], f"{artifact}.npz"
        measured["artifact_digest"] = arrays_digest(arrays)
        measured |= ({} if trial.processes == 1 else {"processes": trial.processes}) | keeper.facts()
        if album is not None:
            measured["pictures"] = kept
        weights: dict[str, bytes] = {}
        if handling.weights and isinstance(keeper, FileKeeper):
            content = packed(keeper.weights, described_weights(trial, choices, dataset.classes))
            weights[f"{WEIGHTS}/{name}.safetensors"] = content
            measured["weights"], measured["weights_digest"] = f"{WEIGHTS}/{name}.safetensors", digest_of(content)
    return measured, Files({f"{artifact}.npz": arrays}, album, weights)


MOST_WORKERS = 4
"""Threads that load images beside a training on a GPU, at most."""


def read_ahead(dataset: Dataset, folder: Path, machine: Machine, cache: Path | None) -> Dataset | FedDataset:
    """A data set of this package, read by threads beside the training and from the cache; any other as it is."""
    if not is_ours(dataset):
        return dataset
    decoded_once = None if cache is None else decoded(dataset, Shelf(cache), folder / FILE_DIGESTS)
    return FedDataset(decoded_once or dataset, workers_of(machine))


def workers_of(machine: Machine) -> int:
    """The number of threads that load images beside a training: on a CPU one, which has little to do there."""
    return min(machine.threads, MOST_WORKERS) if machine.device == "cuda" else 1


def _data_tag(loaded: Loaded, cell: Cell, fingerprint: str) -> str:
    """A text that tells the data sets of a study apart, also those that differ in choices which no fingerprint has."""
    if len({other.recipe.data for other in loaded.study.cells()}) == 1:
        return fingerprint[:16]
    return hashlib.sha256(f"{fingerprint} {cell.recipe.data}".encode()).hexdigest()[:16]


def _viewer(album: Album) -> Viewer:
    def show(prediction: Tensor, samples: Sequence[Sample]) -> None:
        for classes, sample in zip(prediction.cpu().numpy(), samples, strict=True):
            album.add(sample.name, sample.image.numpy(), sample.label.numpy(), classes)

    return show


def seed_other_generators(seed: int | None) -> None:
    """Seed Python's and numpy's shared generators, which a component of a study may draw from."""
    random.seed(seed or 0)
    np.random.seed((seed or 0) % 2**32)


class _Timed:
    """A listener that passes events on, logs some of them, and raises when the time limit is over.

    Attributes:
        reached: the last event; ``None`` before the first one.
    """

    def __init__(self, tell: Listener | None, deadline: float | None) -> None:
        self.tell, self.deadline, self.logged_at = tell, deadline, 0.0
        self.reached: Event | None = None

    def __call__(self, event: Event) -> None:
        self.reached = event
        now = time.monotonic()
        if now - self.logged_at > 5 or event.done == event.total:
            self.logged_at = now
            loss = "" if event.loss is None else f", loss {event.loss:.4f}"
            log.info("%s %d/%d%s", event.phase, event.done, event.total, loss)
        if self.tell is not None:
            self.tell(event)
        if self.deadline is not None and now > self.deadline:
            raise TimedOutError(f"time was up {place_of(event)}")
