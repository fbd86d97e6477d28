"""``bench plan`` says for each trial how it ended, and why it runs again after an edit; as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cli.documents.plan import PlanDocument
from bench.cli.trials import listing, planning
from bench.records.plan.tuned import Best
from bench.run.forecast.pilot import evaluated_pixels
from bench.run.identity.many.template import Template
from bench.run.schedule.many_keys import MOST_CHECKED
from bench.run.schedule.plan import write_plan
from bench.study.tuning.best import write_best
from tests.run.schedule.test_schedule import ended, planned

BROKEN = """
class Broken:
    def __init__(self, levels):
        raise ValueError("no\\nway")
"""
Bench = Callable[..., tuple[int, str, str]]


def document(bench: Bench, *arguments: str | Path) -> PlanDocument:
    code, out, _ = bench("plan", *arguments, "--json")
    assert code == 0
    assert len(out.splitlines()) == 1, "standard output holds the document and nothing else"
    return PlanDocument.model_validate_json(out)


def test_the_document_has_every_trial_and_what_is_left(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path, results = tiny_study(), tmp_path / "results"
    plan = planned(path, results)
    done = next(trial for trial in plan.trials if trial.stage == "quality")
    ended(plan, done, "done")
    told = document(bench, path, "--results", results)
    assert (told.document, told.version, told.study, told.cells) == ("plan", 1, "tiny", 2)
    assert [state.key for state in told.trials] == [trial.key for trial in plan.trials]
    assert (told.done, told.left) == (1, 5)
    assert {state.key: state.outcome for state in told.trials} == plan.statuses()
    assert [state.key for state in told.trials if not state.left] == [done.key]
    assert all(state.again is None and state.fault is None for state in told.trials)
    assert told.time is not None
    assert told.time.basis == "pilot", "the cost trials have no record"
    assert told.disk is not None
    assert told.disk.weights > 0


def test_after_an_edit_the_trials_that_run_again_say_which_setting_changed(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path, results = tiny_study(), tmp_path / "results"
    plan = planned(path, results)
    plan.folder.mkdir(parents=True)
    write_plan(plan, "bench run tiny.py")
    for trial in plan.trials:
        ended(plan, trial, "done")
    assert document(bench, path, "--results", results).left == 0
    path = tiny_study(name="edited", learning_rate="0.02")
    path.write_text(path.read_text() + "\nprint('a word of the study, which is no part of the document')\n")
    told = document(bench, path, "--results", results)
    again = {state.stage: state.again for state in told.trials if state.left}
    assert (told.left, list(again)) == (4, ["quality"]), "the learning rate changes no cost"
    because = again["quality"]
    assert because is not None
    (setting,) = because.settings
    assert (setting.name, setting.before, setting.after) == ("recipe.learning_rate", "0.01", "0.02")
    assert (because.data, because.versions, because.definitions) == (False, [], [])
    _, out, _ = bench("plan", path, "--results", results)
    assert out.count("recipe.learning_rate 0.01 → 0.02") == 5, "at each trial, and once for all unused records"
    assert "Of these, 4 were run before and run again." in out


def test_a_process_that_prints_does_not_spoil_the_document() -> None:
    script = (
        "import os, subprocess\n"
        "from bench.cli.documents.document import Document, only_document\n"
        "class Small(Document):\n    number: int\n"
        "with only_document(True) as give:\n"
        "    give(Small(number=1))\n"
        "    subprocess.run(['echo', 'a word of a process'], check=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"number": 1}
    assert "a word of a process" in done.stderr


def test_a_variant_that_cannot_be_built_is_told_and_the_exit_status_is_1(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path = tiny_study()
    assert "neck=part(JPU, width=8)" in path.read_text()
    path.write_text(
        path.read_text()
        .replace("neck=part(JPU, width=8)", "neck=part(Broken)")
        .replace("STUDY = ", f"{BROKEN}\n\nSTUDY = ")
    )
    code, out, _ = bench("plan", path, "--results", tmp_path / "results", "--json")
    told = PlanDocument.model_validate_json(out)
    assert code == 1
    assert len(told.faulty) == 1
    assert "no way" in told.faulty[0].reason
    assert {state.variant for state in told.trials if state.fault} == {told.faulty[0].variant}


def test_a_plan_of_many_cells_builds_some_and_says_how_many_it_left_out(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MOST_BUILT", 1)
    code, out, _ = bench("plan", tiny_study(), "--results", tmp_path / "results")
    assert code == 0
    assert "Not built to look for faults: 1 of 2 networks" in out
    assert "About" in out, "the time follows from the networks that were built"


def test_a_plan_for_people_makes_the_keys_of_the_trials_that_it_lists_alone(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, results = tiny_study(), tmp_path / "results"
    plan = planned(path, results)
    with_all = bench("plan", path, "--results", results)[1]
    made = counted_keys(monkeypatch)
    monkeypatch.setattr(listing, "MOST_LISTED", 3)
    monkeypatch.setattr(listing, "FIRST_LISTED", 2)
    out = bench("plan", path, "--results", results)[1]
    assert len(made) == 2 + MOST_CHECKED
    assert [row.split()[-1] for row in out.splitlines()[1:3]] == [trial.key for trial in plan.trials[:2]]
    assert "and 4 more trials (--all lists them); of all: 2 cost missing, 4 quality missing." in out
    assert out.splitlines()[4] == with_all.splitlines()[7] == "0 of 6 trials done, 6 to run."
    last = plan.trials[-1]
    ended(plan, last, "failed")
    out = bench("plan", path, "--results", results)[1]
    assert "of all: 2 cost missing, 3 quality missing, 1 quality failed." in out, "records are found by all keys"


def counted_keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that templates make from now on."""
    made: list[str] = []
    make = Template.key

    def key(self: Template, *asked: Any) -> str:
        made.append(make(self, *asked))
        return made[-1]

    monkeypatch.setattr(Template, "key", key)
    return made


def test_each_split_is_read_once_however_many_trials_a_plan_has(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = planned(tiny_study(), tmp_path)
    pixels_of = evaluated_pixels(plan)
    cells = plan.study.cells()
    assert {pixels_of(cell) for cell in cells} == {4 * 32 * 32}
    plan.loaded.built.clear()
    assert {pixels_of(cell) for cell in cells for _ in range(100)} == {4 * 32 * 32}
    assert not plan.loaded.built, "no data set was asked for again"


def test_a_plan_and_a_check_at_tuned_settings_name_arms_that_were_not_tuned_alike(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    tuned = tmp_path / "tuned.json"
    arms = [
        Best(levels={"neck": "off"}, trials=0, settings={}),
        Best(levels={"neck": "on"}, trials=4, settings={"learning_rate": 0.02}),
    ]
    write_best(arms, tuned)
    said = "The arms were not tuned alike: neck=off not tuned, neck=on 4 settings tried."
    path, results = tiny_study(), tmp_path / "results"
    assert document(bench, path, "--results", results, "--tuned", tuned).tuning == [said]
    assert said in bench("check", path, "--tuned", tuned)[1].splitlines()
