"""Records: the results of trials as typed objects, each one JSON file of a results folder.

A record stores SI base units, raw: confusion matrices, boundary counts, every latency sample, peak bytes, MACs a slot.
Counts of each image are arrays in an NPZ file under ``artifacts``, which the record names. No torch, no ray.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from bench.protocol.setting import Stage
from bench.records.cost import MeasuredCost
from bench.records.files import (
    RecordError,
    is_digest,
    is_finite,
    no_collection,
    parse_json,
    read_bytes,
    with_digest,
    without_digest,
    write_text,
)
from bench.records.forms import (
    AS_WRITTEN,
    Amount,
    Form,
    Harmless,
    Seed,
    TimingSetting,
    Whole,
    build,
    other_version,
    problem,
)
from bench.records.measured import Measured
from bench.records.quality import MeasuredQuality, ScoreCurve
from bench.records.speed import MeasuredSpeed

VERSION = 2
"""The version of the record format. 1: first (2026-11), without a digest, still read; 2: with one."""


Status = Literal["diverged", "done", "excluded", "out_of_memory", "failed", "interrupted", "timed_out", "pruned"]


FINAL: frozenset[str] = frozenset({"done", "out_of_memory", "diverged", "excluded"})
"""The statuses that are results: such a trial is not run again unless it is asked for. One whose memory ran out beside
others is run again all the same, see :attr:`Record.is_final`. A trial that a search pruned says nothing outside of
that search, which knows it by itself."""


STATUSES: tuple[str, ...] = get_args(Status)


UNKNOWN_HARDWARE = "-unknown"
"""The end of the key of a timing whose hardware class is not known."""


MEASURED: Mapping[Stage, type[Measured]] = {"quality": MeasuredQuality, "cost": MeasuredCost, "speed": MeasuredSpeed}
"""Stage -> the form of the measurements of its finished trials."""


class TrialFacts(Form):
    """The trial that a record belongs to.

    Attributes:
        stage: what was measured.
        variant: the name of the variant.
        seed: the seed of weights and batches; ``None`` for a stage that runs once a variant.
        against: the other side of a speed comparison.
        setting: the setting that both sides were timed in.
        study: the name of the study.
        levels: factor -> level; a record that a program writes may lack them.
    """

    stage: Stage
    variant: str
    seed: Seed | None = None
    against: str | None = None
    setting: TimingSetting | None = None
    study: str | None = None
    levels: dict[str, str] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.stage == "quality" and self.seed is None:
            raise ValueError("a quality trial has a seed")
        if self.stage == "speed" and self.setting is None:
            raise ValueError("a speed trial has a setting")
        return self


class Switches(Form):
    """The positions of torch's switches while a trial was measured; ``None`` for those that its device does not have.

    Attributes:
        tf32_products: whether products of float32 matrices were computed in TF32.
        tf32_convolutions: whether convolutions of float32 maps were.
        cudnn_benchmark: whether cuDNN tried its algorithms and kept the fastest.
        cudnn_deterministic: whether cuDNN chose among deterministic algorithms alone.
        deterministic_algorithms: whether torch took the deterministic form of operators that have one.
    """

    tf32_products: bool | None
    tf32_convolutions: bool | None
    cudnn_benchmark: bool | None
    cudnn_deterministic: bool | None
    deterministic_algorithms: bool


class Environment(Form):
    """The machine and the software of a trial.

    Attributes:
        commit: the commit of the source, where it is a repository.
        dirty: whether tracked files differed from the commit.
        study_commit: the commit of the study's repository.
        study_dirty: whether the study's own files differed from that commit, or were not in it.
        bench: package -> version.
        device: the name of the device.
        hardware: the hardware class, which timings of one comparison must share.
        threads: the number of CPU threads.
        host: eight hexadecimal digits that tell hosts apart without naming them.
        unknown: value that could not be known -> the reason.
        switches: the precision and the kernels that were in force; records of an earlier bench, and trials that failed,
            have none.
    """

    commit: str | None = None
    dirty: bool | None = None
    study_commit: str | None = None
    study_dirty: bool | None = None
    bench: dict[str, Any] = Field(default_factory=dict)
    python: str | None = None
    torch: str | None = None
    cuda: str | None = None
    cudnn: int | None = None
    driver: str | None = None
    device: str | None = None
    hardware: str | None = None
    threads: Whole | None = None
    platform: str | None = None
    host: str = "unknown"
    unknown: dict[str, str] = Field(default_factory=dict)
    switches: Switches | None = None

    @property
    def differs_from_commits(self) -> bool:
        """True if the harness or the study differed from its commit, which then does not reproduce the record."""
        return bool(self.dirty or self.study_dirty)


class Choices(Form):
    """The variant and the recipe with every choice resolved, as :meth:`bench.parts.Part.describe` writes them.

    Attributes:
        variant: slot -> its component with all choices.
        recipe: field -> value.
        fingerprint: the digest of the data; records of an earlier bench have none.
    """

    variant: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    fingerprint: str | None = None


PLACES: tuple[str, ...] = ("worker", "node")
"""The places that a trial may lose: the worker that watches its process, or the machine that it ran on."""


class Ending(Form):
    """How an attempt of a trial ended.

    Attributes:
        status: ``done``, or how it failed.
        reason: the failure in one sentence.
        phase: the last progress of an attempt that failed, such as ``train at 3/800``; ``None`` before its first step.
        traceback: the traceback of an error that nobody expected, and of memory that was not enough.
        shared: how the trial shared its GPU, or the memory of its machine, when there was none left; ``None`` if it had
            that to itself, as far as is known.
        lost: what ended the attempt from outside: the name of the signal that killed its process, or one of
            :data:`PLACES`; ``None`` if it ended by itself.
        wall_s: seconds that the attempt took.
        parts: the number of parts in which each batch was computed, besides those that the recipe says, since memory
            had run out for larger ones: batch normalisation saw the parts. ``None`` for a batch as planned.
    """

    status: Status
    reason: Harmless | None = None
    phase: Harmless | None = None
    traceback: Harmless | None = None
    shared: str | None = None
    lost: str | None = None
    wall_s: Amount | None = None
    parts: Whole | None = None


class Outcome(Ending):
    """How a trial ended: its last attempt.

    Attributes:
        attempts: those before the last, whose memory ran out beside other trials or for a larger part of a batch, or
            that something ended from outside.
        looks: the scores of a training that a search pruned. The last is of the iteration after which it ended.
    """

    attempts: list[Ending] = Field(default_factory=list)
    looks: ScoreCurve | None = None


class _OfItsStage:
    """The annotation of what a record measured: the form that belongs to its stage if it is done, else any.

    From JSON text the first form that fits is taken, which is twice as fast as to go through Python's data: no two
    stages' forms fit one content, and :class:`Record` asks again. From Python's data the form of the stage is taken, so
    that an error says what that form lacks.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        forms: list[Any] = [handler.generate_schema(form) for form in (*MEASURED.values(), Measured)]
        return core_schema.json_or_python_schema(
            core_schema.union_schema(forms, mode="left_to_right"),
            core_schema.with_info_plain_validator_function(cls._from_python),
            serialization=handler(source).get("serialization"),
        )

    @classmethod
    def _from_python(cls, value: object, so_far: ValidationInfo) -> Measured:
        trial, outcome = so_far.data.get("trial"), so_far.data.get("outcome")
        if isinstance(trial, TrialFacts) and isinstance(outcome, Outcome) and outcome.status == "done":
            return MEASURED[trial.stage].model_validate(value)
        return Measured.model_validate(value)


class Record(Form):
    """One trial's result. See the README of a results folder, or any file in one, for the keys.

    Attributes:
        key: identity of the trial; equal keys mean equal settings, source and data. A timing's key ends in ``-`` and a
            digest of the hardware class that it was taken on.
        trial: the trial.
        choices: variant and recipe with every choice resolved.
        environment: commit, versions, device, threads, a hash of the host's name.
        outcome: status, reason, traceback, seconds.
        measured: the raw measurements; a trial that is done has those of its stage (:data:`MEASURED`).
    """

    model_config = ConfigDict(extra="forbid")

    version: Literal[1, 2] = 2
    key: Annotated[str, Field(min_length=1)]
    trial: TrialFacts
    choices: Choices
    environment: Environment
    outcome: Outcome
    measured: Annotated[SerializeAsAny[Measured], _OfItsStage]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.status == "done" and not isinstance(self.measured, MEASURED[self.trial.stage]):
            raise ValueError(f"its measurements are not those of a trial of {self.trial.stage}")
        return self

    @property
    def planned_key(self) -> str:
        """The key without the hardware class: the planned trial's key."""
        return self.key.partition("-")[0]

    @property
    def status(self) -> Status:
        """How the trial ended."""
        return self.outcome.status

    @property
    def is_final(self) -> bool:
        """True for a result. Memory that a trial lacked beside others may be there when it is alone."""
        crowded = self.outcome.shared is not None or (self.outcome.lost is not None and not self.outcome.attempts)
        return self.status in FINAL and not (self.status == "out_of_memory" and crowded)

    @property
    def file_name(self) -> str:
        """``<key>.<host tag>.json``: two machines' records lie side by side in one folder."""
        return f"{self.key}.{self.environment.host}.json"

    def having(self, **changes: Any) -> Record:
        """The record with other JSON data in some of its fields."""
        plain = {name: value.as_json() if isinstance(value, Form) else value for name, value in changes.items()}
        return build(Record, {**self.as_json(), **plain})


AnyMeasured = TypeVar("AnyMeasured", bound=Measured)


def measured_by(records: Iterable[Record], form: type[AnyMeasured]) -> Iterator[tuple[Record, AnyMeasured]]:
    """The finished records of one stage, each with what its trial measured.

    Args:
        records: records of any stage and status.
        form: one of :data:`MEASURED`.
    """
    for record in records:
        if isinstance(record.measured, form) and record.status == "done":
            yield record, record.measured


class EditedError(ValueError):
    """A record whose content is not what its digest says."""


def write(record: Record, folder: Path) -> Path:
    """Write a record into ``folder`` in one atomic step: a reader sees all of it or nothing."""
    path = folder / record.file_name
    write_text(with_digest({**record.as_json(), "version": VERSION}), path)
    return path


def read(path: Path) -> Record:
    """One record.

    Raises:
        OSError: for a file that is not there or may not be read.
        RecordError: for a file that is no record, one of a newer format, or one that was edited after it was written.
    """
    try:
        return _parsed(read_bytes(path))
    except ValidationError as error:
        if version := other_version(error):
            raise RecordError(
                f"{path} has record format {version}, this bench reads up to {VERSION}; use the bench that wrote it"
            ) from error
        raise RecordError(f"{path} is not a record ({problem(error)}); delete it and run again") from error
    except EditedError as error:
        raise RecordError(f"{path} {error}; restore it, or delete it and run again") from error
    except ValueError as error:
        raise RecordError(f"{path} is not a record ({error}); delete it and run again") from error


def _parsed(content: bytes) -> Record:
    """The record in a file's content: most are as they were written, and the others are read slowly, but with words."""
    text = without_digest(content)
    if text is not None or is_finite(content):
        try:
            if text is None:
                record = Record.model_validate_json(content)
            else:
                record = Record.model_validate_json(text, context=AS_WRITTEN)
            if (text is None) == (record.version == 1):
                return record
        except ValidationError:
            pass
    data = parse_json(content)
    digest = data.pop("digest", None) if isinstance(data, dict) else None
    record = Record.model_validate(data)
    if (record.version > 1 or digest is not None) and not is_digest(digest, data):
        raise EditedError("was edited after it was written: its content is not what its digest says")
    return record


def record_files(folder: Path) -> list[Path]:
    """The files of a ``records`` folder in the order of their names; none where there is no folder.

    Hidden files are none of them: some systems put one beside each file that is copied, such as ``._NAME.json``.

    Raises:
        OSError: for a folder that may not be read: its records are not missing.
    """
    files = folder.iterdir() if folder.exists() else ()
    return sorted(path for path in files if path.suffix == ".json" and not path.name.startswith("."))


def record_files_of(folder: Path, names: Collection[str]) -> list[Path]:
    """The files in a ``records`` folder of the trials whose records have some keys, in the order of their names.

    The folder is listed once, and only the names that are looked for become paths: a trial does this at its start and
    at its end, however many records there are. A folder that is not there, or may not be read, has none.

    Args:
        folder: the folder.
        names: the beginnings of names, up to and with the character after the key.
    """
    starts = tuple(names)
    try:
        listed = os.listdir(folder)  # Path.iterdir makes a path of each name, which takes five times as long
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # the reading of all records tells of it
        return []
    return sorted(folder / name for name in listed if name.startswith(starts) and name.endswith(".json"))


def read_all(folder: Path) -> list[Record]:
    """The records of a ``records`` folder, one a key, in file-name order.

    An unfinished record gives way to a finished one of another machine. One of a machine that is unknown, since its
    worker was lost before it could say, gives way to any other record of its trial.

    Raises:
        RecordError: for two finished records of one trial, or a file in place of the folder.
        OSError: for a folder that may not be read.
    """
    if folder.exists() and not folder.is_dir():
        raise RecordError(f"{folder} is no folder, so no record can be in it; move it away")
    chosen: dict[str, tuple[Path, Record]] = {}
    with no_collection():
        read_files = [(path, read(path)) for path in record_files(folder)]
    for path, record in read_files:
        other = chosen.get(record.key)
        if other is None or not other[1].is_final:
            chosen[record.key] = (path, record)
        elif record.is_final:
            raise RecordError(
                f"two finished records of one trial ({record.trial.variant}, seed {record.trial.seed}): "
                f"{other[0].name} and {path.name}; keep one of them"
            )
    known = {record.planned_key for key, (_, record) in chosen.items() if not key.endswith(UNKNOWN_HARDWARE)}
    return [
        record for key, (_, record) in chosen.items()
        if not (key.endswith(UNKNOWN_HARDWARE) and record.planned_key in known)
    ]  # fmt: skip
