"""Attempts before the last: a record keeps those whose memory ran out on a shared GPU, and no others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bench.records.record import Record, read, read_all, write
from bench.run.outcomes.attempts import with_attempts_before

SHARED: dict[str, Any] = {
    "status": "out_of_memory", "reason": "GPU memory", "phase": "train at 3/800", "traceback": "File …",
    "shared": "it had 0.5 of the GPU", "wall_s": 2.0,
}  # fmt: skip


def record(status: str, host: str = "0" * 8, **outcome: Any) -> Record:
    content = {
        "key": "k", "trial": {"stage": "quality", "variant": "v", "seed": 0}, "choices": {},
        "environment": {"host": host}, "outcome": {"status": status, **outcome}, "measured": {},
    }  # fmt: skip
    return Record.model_validate(content)


def test_both_attempts_of_a_trial_that_shared_its_gpu_are_in_its_record(tmp_path: Path) -> None:
    write(record(**SHARED), tmp_path)
    last = with_attempts_before(record("out_of_memory", reason="alone too"), tmp_path)
    kept = read(write(last, tmp_path))
    assert [attempt.as_json() for attempt in kept.outcome.attempts] == [SHARED]
    assert (kept.outcome.reason, kept.is_final) == ("alone too", True)
    assert "attempts" not in record("failed").outcome.as_json()


def test_attempts_add_up_until_one_is_final_and_other_hosts_count(tmp_path: Path) -> None:
    write(record(**SHARED), tmp_path)
    second = with_attempts_before(record(**{**SHARED, "reason": "again"}, host="1" * 8), tmp_path)
    write(second, tmp_path)
    third = with_attempts_before(record("diverged"), tmp_path)
    assert [attempt.reason for attempt in third.outcome.attempts] == ["GPU memory", "again"]
    write(third, tmp_path)
    assert read_all(tmp_path) == [third], "a result stands in place of attempts"


def test_a_record_of_another_outcome_is_no_attempt(tmp_path: Path) -> None:
    write(record("failed", reason="oops"), tmp_path)
    (tmp_path / "k.2.json").write_text("{half")
    last = record("diverged")
    assert with_attempts_before(last, tmp_path) is last


def test_the_folder_of_records_is_listed_once_for_a_trial_however_many_attempts_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(record(**SHARED), tmp_path)
    write(record(**{**SHARED, "reason": "again"}, host="1" * 8).having(key="k-unknown"), tmp_path)
    listed: list[object] = []
    list_names = os.listdir

    def counted(folder: Path) -> list[str]:
        listed.append(folder)
        return list_names(folder)

    monkeypatch.setattr(os, "listdir", counted)
    assert len(with_attempts_before(record("diverged"), tmp_path).outcome.attempts) == 2
    assert listed == [tmp_path]
