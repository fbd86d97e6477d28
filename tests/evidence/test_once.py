"""What several parts of a report start from is made once, and nobody can spoil it for the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.evidence import effects, stats
from bench.records.results import load

Plant = Callable[..., Path]


def test_a_table_is_made_once_for_one_set_of_results_and_arguments(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = load(planted_results(tmp_path))
    first = effects.effects(results)
    monkeypatch.setattr(stats, "holm", lambda p: pytest.fail("made again"))
    assert effects.effects(results).equals(first)
    with pytest.raises(pytest.fail.Exception, match="made again"):
        effects.effects(results, "pixel_accuracy")
    with pytest.raises(pytest.fail.Exception, match="made again"):
        effects.effects(load(tmp_path))


def test_a_caller_that_changes_its_table_changes_no_other(tmp_path: Path, planted_results: Plant) -> None:
    results = load(planted_results(tmp_path))
    mine = effects.effects(results)
    truth = mine["delta"].tolist()
    mine["delta"] = 0.0
    assert effects.effects(results)["delta"].tolist() == truth
