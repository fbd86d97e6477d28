"""What several parts of a report start from is made once, and nobody can spoil it for the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import stats
from bench.records import load
from bench.report import compare

Plant = Callable[..., Path]


def test_a_table_is_made_once_for_one_set_of_results_and_arguments(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = load(planted_results(tmp_path))
    first = compare.effects(results)
    monkeypatch.setattr(stats, "holm", lambda p: pytest.fail("made again"))
    assert compare.effects(results).equals(first)
    with pytest.raises(pytest.fail.Exception, match="made again"):
        compare.effects(results, "pixel_accuracy")
    with pytest.raises(pytest.fail.Exception, match="made again"):
        compare.effects(load(tmp_path))


def test_a_caller_that_changes_its_table_changes_no_other(tmp_path: Path, planted_results: Plant) -> None:
    results = load(planted_results(tmp_path))
    mine = compare.effects(results)
    truth = mine["delta"].tolist()
    mine["delta"] = 0.0
    assert compare.effects(results)["delta"].tolist() == truth
