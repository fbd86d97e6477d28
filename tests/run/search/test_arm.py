"""The search of one arm: known optima, finite spaces, failures, and what a killed process leaves."""

from __future__ import annotations

from collections.abc import Callable
from math import log10
from pathlib import Path

import optuna
import pytest

from bench.run.search.arm import ArmSearch
from bench.run.search.rounds import FIRST_ROUND
from bench.run.search.storage import JOURNAL, opened
from bench.study.tuning.ranges import Among, LinearRange, LogRange, Settings, Space

RATE: dict[str, Space] = {"rate": LogRange(1e-4, 1.0), "momentum": LinearRange(0.0, 0.99)}
DEFAULT: Settings = {"rate": 0.5, "momentum": 0.1}
Score = Callable[[Settings], float | None]


def known(settings: Settings) -> float:
    """A function with its optimum at a rate of 0.01 and a momentum of 0.9."""
    return -((log10(float(settings["rate"])) + 2) ** 2) - 4 * (float(settings["momentum"]) - 0.9) ** 2


def searched(folder: Path, score: Score, budget: int, *, name: str = "arm", seed: int = 0) -> ArmSearch:
    search = ArmSearch(name, RATE, DEFAULT, budget, seed, opened(folder))
    while asked := search.ask():
        for settings in asked:
            search.tell(settings, score(settings))
    return search


def test_the_known_optimum_is_found_with_the_same_budget_by_every_arm(tmp_path: Path) -> None:
    for seed, name in enumerate(["one", "other"]):
        search = searched(tmp_path, known, 40, name=name, seed=seed)
        assert len(search.scored) == 40
        assert search.scored[0].settings == DEFAULT
        assert search.best is not None
        assert 0.005 < float(search.best.settings["rate"]) < 0.02
        assert abs(float(search.best.settings["momentum"]) - 0.9) < 0.08


def test_no_settings_are_tried_twice_and_a_finite_space_is_searched_in_full(tmp_path: Path) -> None:
    tune: dict[str, Space] = {"kind": Among(("a", "b", "c")), "count": LinearRange(0, 3)}
    search = ArmSearch("arm", tune, {"kind": "a", "count": 0}, 100, 0, opened(tmp_path))
    asked = []
    while batch := search.ask():
        for settings in batch:
            asked.append(repr(sorted(settings.items())))
            search.tell(settings, float(settings["count"]))
    assert len(asked) == len(set(asked)) == search.budget == 12


def test_failed_trials_count_and_are_never_the_best(tmp_path: Path) -> None:
    search = searched(tmp_path, lambda settings: None if float(settings["rate"]) > 0.1 else known(settings), 12)
    assert len(search.scored) == 12
    assert any(scored.score is None for scored in search.scored)
    assert search.best is not None
    assert float(search.best.settings["rate"]) <= 0.1
    assert searched(tmp_path, lambda settings: None, 9, name="all").best is None


def test_a_search_that_was_killed_at_any_moment_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = searched(tmp_path / "whole", known, 13)
    search = ArmSearch("arm", RATE, DEFAULT, 13, 0, opened(tmp_path))
    told = 0
    while asked := search.ask():
        search.tell(asked[0], known(asked[0]))
        told += 1
        with (tmp_path / JOURNAL).open("ab") as file:
            file.write(b'{"op_code":')  # a process that was killed while it wrote
        (tmp_path / f"{JOURNAL}.lock").touch()  # and while it held the lock
        search = ArmSearch("arm", RATE, DEFAULT, 13, 0, opened(tmp_path))
    assert told == 13
    assert search.scored == whole.scored


def test_a_search_that_was_killed_while_it_asked_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole = searched(tmp_path, known, 13).scored
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    for count in range(2, len(lines), 9):
        (tmp_path / JOURNAL).write_bytes(b"".join(lines[:count]))
        assert searched(tmp_path, known, 13).scored == whole, f"killed after {count} lines"


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    first = searched(tmp_path, known, FIRST_ROUND)
    assert len(first.scored) == FIRST_ROUND
    assert searched(tmp_path, known, 12).scored == searched(tmp_path / "whole", known, 12).scored


def test_two_arms_share_a_storage_and_neither_sees_the_other(tmp_path: Path) -> None:
    searched(tmp_path, known, 9, name="one")
    other = searched(tmp_path, lambda settings: -known(settings), 9, name="other")
    alone = tmp_path / "alone"
    alone.mkdir()
    assert other.scored == searched(alone, lambda settings: -known(settings), 9, name="other").scored
    assert optuna.study.get_all_study_names(opened(tmp_path)) == ["one", "other"]


def test_defaults_outside_of_the_ranges_are_not_tried(tmp_path: Path) -> None:
    search = ArmSearch("arm", {"rate": LogRange(1e-4, 0.1)}, {"rate": 0.5}, 3, 0, opened(tmp_path))
    assert all(float(settings["rate"]) <= 0.1 for settings in search.ask())
    with pytest.raises(StopIteration):
        search.tell({"rate": 0.5}, 0.0)
