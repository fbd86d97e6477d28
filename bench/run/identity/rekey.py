"""New keys for records of an earlier version of keys, proven from the source that made them.

Over one source tree both keys of every planned trial are built: by the tree's own rules, and by the present ones. Where
the first is the record's, the second stands for the same settings, data and code. Nothing else gets a new key.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.parts import BenchError
from bench.protocol.setting import Setting
from bench.records.files import RecordError, read_json, with_digest, write_json, write_text
from bench.records.plan.plan import read_plan
from bench.records.record import VERSION as FORMAT
from bench.records.record import read, record_files
from bench.run.identity.explained import Explained, difference, explained, unpacked
from bench.run.identity.key import is_current
from bench.run.stages import SILENT, key_of
from bench.study.factors import StudyError
from bench.study.source import Loaded, Source, load, source_of_command

SCRIPT = Path(__file__).with_name("old_source.py")
OTHER_DATA = (
    "measured on the study's data although its level chooses others, which an earlier bench ignored; run it anew"
)
"""The reason why such a record has no new key."""


class RekeyError(BenchError, ValueError):
    """Keys that cannot be proven to belong to the same trials. The message says why; nothing was changed."""


@dataclass(frozen=True)
class Rekeyed:
    """The outcome of giving a results folder new keys.

    Attributes:
        records: the number of records with a new key.
        untouched: reason -> the number of records that were left as they are.
        keys: new key -> its contents.
        trials: the rows of the plan, with new keys.
        compared: the differences of the present source from the source that made the records, in one line each.
        digests: the number of records that had no digest of their content and have one now.
    """

    records: int
    untouched: Mapping[str, int]
    keys: Mapping[str, Explained]
    trials: Sequence[Mapping[str, Any]]
    compared: Sequence[str] = ()
    digests: int = 0


def rekey(folder: Path, source: Path | None = None, *, assume_installed: bool = False) -> Rekeyed:
    """Give the records of a results folder, and its plan, keys of the present version, and the records their digests.

    Records that have such keys already, but are of a format without a digest, get only that.

    Args:
        folder: the results folder, with ``study.json`` and ``records``.
        source: the tree that made the records; by default the commit that the plan names, from the repository that the
            present installation lies in.
        assume_installed: ``True`` to take the installed version of distributions whose version the records lack.

    Raises:
        RecordError: for a record that was edited after it was written; nothing is changed then.
        RekeyError: for anything that cannot be proven; nothing is changed then.
    """
    plan = _plan(folder)
    rows = [row for row in plan["trials"] if not row.get("excluded")]
    records = {path: _record(path) for path in record_files(folder / "records")}
    if rows and all(is_current(row["key"]) for row in rows):
        return Rekeyed(0, {}, {}, rows, digests=_given_digests(folder, records))
    environments = _environments(records.values())
    with _tree(plan, source) as tree:
        answer = _asked(tree, plan, rows, [dict(environment) for environment in environments])
    wrong = [row for row, key in zip(rows, answer["old"], strict=True) if row["key"] != key]
    if wrong:
        first = wrong[0]
        raise RekeyError(
            f"{len(wrong)} of {len(rows)} planned keys of {folder} are not those of the source "
            f"({first['stage']} {first['variant']}: {first['key']}); name the tree that made them with --source"
        )
    unnamed = sorted({name for names in answer["unnamed"] for name in names})
    if unnamed and not assume_installed:
        raise RekeyError(
            f"the records of {folder} do not name their version of {', '.join(unnamed)}; if it is the one that is "
            "installed, say so with --assume-installed"
        )
    made = _written(folder, plan, rows, records, environments, answer)
    return replace(made, compared=_compared(plan, made))


def _compared(plan: Mapping[str, Any], made: Rekeyed) -> list[str]:
    """The differences of the present source from the source that made the records, in one line each."""
    try:
        loaded = load(_source_of(plan))
    except (BenchError, OSError) as error:
        return [f"Whether the present source has the same keys cannot be told: {error}"]
    counts: Counter[str] = Counter()
    for row in made.trials:
        if row["key"] not in made.keys:
            continue
        reason = _present_difference(loaded, row, _fingerprint_of(plan, row), made.keys[row["key"]])
        if reason:
            counts[reason] += 1
    return [f"{count} of {len(made.trials)} trials are stale by now: {reason}" for reason, count in counts.items()]


def _present_difference(loaded: Loaded, row: Mapping[str, Any], fingerprint: str, then: Explained) -> str:
    """The difference of a trial's present key from an earlier one, in words; empty for equal keys."""
    try:
        cell = loaded.study.cell(row["variant"])
        against = loaded.study.cell(row["against"]) if row.get("against") else None
    except StudyError:
        return "the study plans no such variant now"
    setting = Setting.from_json(row["setting"]) if row.get("setting") else None
    now = key_of(
        cell,
        row["stage"],
        row["seed"],
        fingerprint,
        against=against,
        setting=setting,
        modules=loaded.modules,
        processes=row.get("processes", 1),
    )
    return "" if now.text == then.text else difference(then, explained(now))


def _fingerprint_of(plan: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The fingerprint of the data of a planned trial."""
    return str(plan.get("other_data", {}).get(row["variant"], plan["data"])["fingerprint"])


def _source_of(plan: Mapping[str, Any]) -> Source:
    """The study of a plan, as it is now."""
    return source_of_command(plan["command"], plan.get("size"), final=bool(plan.get("final")))


def _plan(folder: Path) -> dict[str, Any]:
    try:
        return read_plan(folder).as_json()
    except RecordError as error:
        raise RekeyError(str(error)) from error


def _record(path: Path) -> dict[str, Any]:
    """The data of a record whose form and digest are right, as it stands in the file."""
    read(path)
    data: dict[str, Any] = read_json(path)
    return data


def _given_digests(folder: Path, records: Mapping[Path, dict[str, Any]]) -> int:
    """Give the records of earlier formats a digest of their content, and return their number."""
    without = {path: record for path, record in records.items() if "digest" not in record}
    if not without:
        raise RekeyError(f"{folder} has keys of the present version already; there is nothing to do")
    for path, record in without.items():
        _write(record, path)
    return len(without)


def _write(record: Mapping[str, Any], path: Path) -> None:
    write_text(with_digest({**record, "version": FORMAT}), path)


def _environments(records: Iterable[Mapping[str, Any]]) -> list[tuple[tuple[str, str], ...]]:
    """The different sets of versions that records name, the most frequent first."""
    counts = Counter(_versions(record) for record in records)
    return [versions for versions, _ in counts.most_common()] or [()]


def _versions(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    environment = record["environment"]
    named = {"torch": environment.get("torch"), **environment.get("bench", {})}
    return tuple(sorted((name, str(version)) for name, version in named.items() if version))


@contextmanager
def _tree(plan: Mapping[str, Any], source: Path | None) -> Iterator[Path]:
    """The folder of the source tree from which the proof starts."""
    if source is not None:
        if not (source / "bench" / "__init__.py").is_file():
            raise RekeyError(f"{source} has no package bench; name a checkout of this project with --source")
        yield source.resolve()
        return
    commit = str(plan.get("created", {}).get("commit"))
    here = Path(__file__).resolve().parent
    done = subprocess.run(["git", "-C", str(here), "rev-parse", "--show-toplevel"], check=False, capture_output=True)
    root = os.fsdecode(done.stdout).strip()
    packed = (
        subprocess.run(["git", "-C", root or ".", "archive", commit], check=False, capture_output=True)
        if root
        else None
    )
    if packed is None or packed.returncode:
        raise RekeyError(f"the commit {commit} of the plan is not at hand; name a checkout of it with --source")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder).resolve()


def _asked(
    tree: Path, plan: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], versions: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """The answer of :mod:`~.old_source` about a source tree."""
    named = _source_of(plan)
    if not named.path:
        raise RekeyError(f"the plan's command names no study: {plan['command']}")
    path = tree / named.path if (tree / named.path).is_file() else Path(named.path)
    if not path.is_file():
        raise RekeyError(f"there is no {named.path}, neither in {tree} nor here; run this where the study was run")
    request = {
        "tree": str(tree),
        "path": str(path.resolve()),
        "size": named.size,
        "data": named.data,
        "final": named.final,
        "trials": [{**row, "fingerprint": _fingerprint_of(plan, row)} for row in rows],
        "knows_other_data": "other_data" in plan,
        "versions": versions,
        "silent": list(SILENT),
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        input=json.dumps(request),
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        env=environment,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RekeyError(f"the source at {tree} cannot build the keys of this plan: {last}")
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def _written(
    folder: Path,
    plan: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    records: Mapping[Path, dict[str, Any]],
    environments: Sequence[tuple[tuple[str, str], ...]],
    answer: Mapping[str, Any],
) -> Rekeyed:
    """Write the new files, then the plan, then remove the old ones: at no time does a plan lack its records."""
    other_data = {key for key, ignored in zip(answer["old"], answer["ignored_data"], strict=True) if ignored}
    new = {
        versions: {old: key for old, key in zip(answer["old"], keys, strict=True) if old not in other_data}
        for versions, keys in zip(environments, answer["new"], strict=True)
    }
    keys = {text: parts for packed in answer["explained"] for text, parts in unpacked(packed).items()}
    main = new[environments[0]]
    untouched: dict[str, int] = {}
    stale: list[Path] = []
    count = 0
    for path, record in records.items():
        old, _, hardware = record["key"].partition("-")
        key = new[_versions(record)].get(old)
        if key is None:
            reason = OTHER_DATA if old in other_data else "of no trial of the plan"
            untouched[reason] = untouched.get(reason, 0) + 1
            continue
        stale += [path, *_rekey_record(folder, path, record, f"{key}-{hardware}" if hardware else key)]
        count += 1
    for row in rows:
        row["key"] = main.get(row["key"], row["key"])
    plan["identity"] = answer["explained"][0]
    write_json(plan, folder / "study.json")
    for path in stale:
        path.unlink(missing_ok=True)
    return Rekeyed(count, untouched, keys, rows)


def _rekey_record(folder: Path, path: Path, record: dict[str, Any], key: str) -> list[Path]:
    """Write a record and the files that bear its key under a new key, and return the old files."""
    old = record["key"]
    record["choices"] = {**record["choices"], "earlier_keys": [*record["choices"].get("earlier_keys", []), old]}
    if "hash" in record["choices"]:
        record["choices"]["hash"] = key.partition("-")[0]
    record["key"] = key
    measured = record.get("measured", {})
    if isinstance(measured.get("artifact"), str):
        measured["artifact"] = measured["artifact"].replace(old, key)
    if isinstance(measured.get("weights"), str):
        measured["weights"] = measured["weights"].replace(old, key)
    if isinstance(measured.get("pictures"), dict):
        measured["pictures"] = {name: path.replace(old, key) for name, path in measured["pictures"].items()}
    replaced = []
    for other in (path for kind in ("artifacts", "weights", "logs") for path in folder.glob(f"{kind}/{old}.*")):
        shutil.copy2(other, other.with_name(other.name.replace(old, key)))
        replaced.append(other)
    _write(record, path.with_name(path.name.replace(old, key)))
    return replaced
