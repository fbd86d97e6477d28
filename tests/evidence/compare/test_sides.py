"""One side of a comparison: a results folder, or what one commit or host left in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.evidence.compare.sides import side
from bench.records.files import RecordError
from bench.records.record import Record, read, write

Plant = Callable[..., Path]
OLD, NEW = "a" * 40, "b" * 40
FACTORS = {"attention": ["off", "on"]}
SCORES = {"attention=off": [0.6, 0.62], "attention=on": [0.65, 0.67]}


def scores(records: tuple[Record, ...]) -> int:
    return sum(record.trial.stage == "quality" for record in records)


def copy_as(folder: Path, environment: Mapping[str, Any], key: Callable[[str], str] = lambda key: key) -> None:
    """Every record once more, from another commit or host."""
    for path in sorted((folder / "records").glob("*.json")):
        record = read(path)
        own = {**record.environment.as_json(), **environment}
        write(record.having(key=key(record.key), environment=own), folder / "records")


def test_a_folder_alone_has_the_records_of_its_plan(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "x", factors=FACTORS, scores=SCORES)
    copy_as(folder, {"commit": OLD}, lambda key: f"old{key}")
    found = side(str(folder))
    assert scores(found.records) == 4
    assert {record.environment.commit[:4] for record in found.records} == {"c0ff"}
    assert found.variants == ["attention=off", "attention=on"]


def test_a_commit_selects_its_records_stale_ones_too(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "x", factors=FACTORS, scores=SCORES)
    copy_as(folder, {"commit": OLD}, lambda key: f"old{key}")
    found = side(f"{folder}@{OLD[:7]}")
    assert scores(found.records) == 4
    assert {record.key[:3] for record in found.records} == {"old"}


def test_a_host_selects_one_of_two_finished_records_of_a_trial(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "x", factors=FACTORS, scores=SCORES)
    copy_as(folder, {"host": "bbbb2222"})
    with pytest.raises(RecordError, match="two finished records"):
        side(str(folder))
    assert {record.environment.host for record in side(f"{folder}#bbbb2222").records} == {"bbbb2222"}
    assert scores(side(f"{folder}@c0ff#aaaa").records) == 4


def test_two_records_of_one_trial_need_a_choice(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "x", factors=FACTORS, scores=SCORES)
    copy_as(folder, {"commit": OLD}, lambda key: f"one{key}")
    copy_as(folder, {"commit": OLD}, lambda key: f"two{key}" if key[:3] != "one" else key)
    with pytest.raises(RecordError, match=r"two records of one trial.*choose one by its commit"):
        side(f"{folder}@{OLD}")


def test_an_unfinished_record_gives_way_and_a_planned_one_wins(tmp_path: Path, planted_results: Plant) -> None:
    failing = {**SCORES, "attention=on": ["failed", 0.67]}
    folder = planted_results(tmp_path / "x", factors=FACTORS, scores=failing)
    planned = sorted((folder / "records").glob("*.json"))
    for path in planned:
        record = read(path)
        status = {**record.outcome.as_json(), "status": "done"}
        measured = (
            record.measured if record.status == "done" else read(folder / "records" / "q1s1.aaaa1111.json").measured
        )
        write(record.having(key=f"old{record.key}", outcome=status, measured=measured), folder / "records")
    found = {(r.trial.variant, r.trial.seed): r.key for r in side(f"{folder}@c0ff").records}
    assert found["attention=on", 0] == "oldq1s0"
    assert found["attention=on", 1] == "q1s1"


def test_a_commit_or_host_without_records_names_those_that_are_there(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "x", factors=FACTORS, scores=SCORES)
    with pytest.raises(RecordError, match=r"has no record; .* @c0ffee0c0ffe#aaaa1111 \(6\)"):
        side(f"{folder}@dead")
    with pytest.raises(RecordError, match=r"no study\.json"):
        side(f"{tmp_path / 'nowhere'}@dead")


def test_a_folder_may_have_such_a_name_itself(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path / "x@c0ffee", factors=FACTORS, scores=SCORES)
    assert scores(side(str(folder)).records) == 4


@pytest.mark.parametrize("tag", ["@HEAD", "@v1.0", "#zzz", "@c0ff#zzz"])
def test_what_is_no_hash_is_told_the_hashes_that_there_are(tmp_path: Path, planted_results: Plant, tag: str) -> None:
    folder = planted_results(tmp_path / "x", factors=FACTORS, scores=SCORES)
    with pytest.raises(RecordError, match=r"branches and tags of git are not known here\); .*x has those of @c0ff"):
        side(f"{folder}{tag}")
