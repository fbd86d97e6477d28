"""``--until-resolved``: rounds that are fixed before the first, recorded, followed, and never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.cli.documents.document import Document, Give
from bench.cli.documents.plan import PlanDocument
from bench.cli.documents.trials import RunDocument
from bench.cli.trials.rounds import InRounds, asked, in_rounds, in_words, rounds_in, run_rounds
from bench.cli.trials.running import ended as documented
from bench.records.plan.plan import read_plan
from bench.records.record import write
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.sharing.shares import parse_share
from bench.run.trial import Trial, make_record
from bench.study.factors import StudyError
from tests.run.schedule.test_schedule import MEASURED, ended, planned

Bench = Callable[..., tuple[int, str, str]]
Tiny = Callable[..., Path]
HELPS = {"baseline": [50, 52, 51, 49, 50], "other": [70, 73, 70, 70, 71]}
"""Right pixels of 100, by seed."""
UNCLEAR = {"baseline": [50, 50, 50, 50, 50, 50, 50], "other": [59, 50, 57, 53, 56, 52, 57]}


def study_in(path: Path, results: Path, most: int | None = 7) -> InRounds:
    found = asked(planned(path, results), True, most)
    assert found is not None
    return found


Run = Callable[[Schedule, Sequence[Trial] | None, Give], bool]


def fake(
    study: InRounds, hits: dict[str, list[int]], rounds: list[list[int]], fail: frozenset[int] = frozenset()
) -> Run:
    """Runs trials by writing their records; ``rounds`` gets the seeds of each round."""

    def run(schedule: Schedule, trials: Sequence[Trial] | None, give: Give) -> bool:
        schedule.folder.mkdir(parents=True, exist_ok=True)
        write_plan(schedule, "bench run tiny.py --until-resolved")
        todo = [trial for trial in schedule.pending() if trials is None or trial in trials]
        rounds.append([trial.seed for trial in todo if trial.seed is not None])
        for trial in todo:
            if trial.seed is None or trial.seed in fail:
                ended(schedule, trial, "done" if trial.seed is None else "failed")
                continue
            side = "baseline" if trial.variant == schedule.study.baseline_name else "other"
            right = hits[side][study.rounds.seeds.index(trial.seed)]
            confusion = [[right, 100 - right], [100 - right, right]]
            outcome = {"status": "done", "reason": None, "traceback": None, "started_at": None, "wall_s": 1.0}
            cell = schedule.cells[trial.variant]
            choices = {"variant": cell.variant.describe(), "recipe": cell.recipe.describe(), "levels": {**cell.levels}}
            measured = {**MEASURED["quality"], "classes": ["road", "sky"], "confusion": confusion}
            machine = schedule.resources.machine("quality")
            write(make_record(trial, machine, outcome, choices=choices, measured=measured), schedule.folder / "records")
        give(
            RunDocument(
                folder=str(schedule.folder),
                complete=not fail,
                stopped_by=None,
                ran=len(todo),
                trials=documented(schedule, schedule.trials),
                report=None,
                tables={},
            )
        )
        return not fail

    return run


def test_a_clear_difference_ends_with_the_first_round_and_the_plan_tells_so(
    bench: Bench, tiny_study: Tiny, tmp_path: Path
) -> None:
    path = tiny_study()
    study, rounds, given, said = study_in(path, tmp_path), [], list[Document](), list[str]()
    assert run_rounds(study, fake(study, HELPS, rounds), given.append, said.append)
    assert rounds == [[0, 0, 1, 1, 2, 2, 3, 3]]
    plan = read_plan(study.whole.folder)
    assert plan.rounds == study.rounds
    assert (plan.seeds, plan.rounds.looks, plan.rounds.comparisons) == ([0, 1, 2, 3], [4, 5, 6, 7], 1)
    (document,) = given
    assert isinstance(document, RunDocument)
    assert document.rounds is not None
    assert (document.complete, document.rounds.ended, document.rounds.comparisons) == (True, True, {"resolved": 1})
    assert "No more seeds are needed: 4 of at most 7 taken." in said[-1]
    assert rounds_in(study.whole.folder) == study.rounds
    code, out, _ = bench("plan", path, "--until-resolved", "--results", tmp_path, "--json")
    told = PlanDocument.model_validate_json(out)
    assert (code, told.left, json.loads(out)["rounds"]["most"]) == (0, 0, 7)
    assert told.rounds is not None
    assert (told.rounds.over, told.rounds.seeds, told.rounds.ended) == (1, 4, True)
    _what_is_fixed_stays(path, tmp_path, study)


def _what_is_fixed_stays(path: Path, results: Path, study: InRounds) -> None:
    schedule = planned(path, results)
    assert in_rounds(schedule, None).rounds == study.rounds
    with pytest.raises(StudyError, match=r"fixed its rounds before the first look, .* looks from .* to \[4, 5, 6\]"):
        in_rounds(schedule, 6)
    with pytest.raises(StudyError, match="give --until-resolved, or another folder"):
        asked(schedule, False, None)
    with pytest.raises(StudyError, match="takes no --shard"):
        asked(schedule, True, None, parse_share("1/2"))


def test_an_unclear_one_takes_a_seed_a_round_and_the_same_command_goes_on_at_the_same_look(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    path, rounds = tiny_study(), list[list[int]]()
    study, given = study_in(path, tmp_path), list[Document]()
    assert run_rounds(study, fake(study, UNCLEAR, rounds), given.append, lambda _: None)
    assert rounds == [[0, 0, 1, 1, 2, 2, 3, 3], [4, 4], [5, 5], [6, 6]]
    (document,) = given
    assert isinstance(document, RunDocument)
    assert document.ran == len(document.trials), "every trial of every round, the cost trials too"
    newest = [record for record in (study.whole.folder / "records").iterdir() if '"seed": 6' in record.read_text()]
    for record in newest:
        record.unlink()
    again = study_in(path, tmp_path, None)
    progress = again.progress()
    assert (again.rounds, progress.over, set(progress.seeds.values())) == (study.rounds, 3, {7})
    assert in_words(again.state(progress)) == (
        "3 rounds over, comparisons: 1 open. The next round is up to 7 seeds, of at most 7."
    )
    after: list[list[int]] = []
    assert run_rounds(again, fake(again, UNCLEAR, after), given.append, lambda _: None)
    assert after == [[6, 6]]


def test_trials_that_fail_do_not_hold_up_the_rounds_and_run_again_with_the_next_command(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    path, rounds = tiny_study(), list[list[int]]()
    study, given = study_in(path, tmp_path), list[Document]()
    run = fake(study, UNCLEAR, rounds, fail=frozenset({0}))
    assert not run_rounds(study, run, given.append, lambda _: None)
    assert rounds == [[0, 0, 1, 1, 2, 2, 3, 3], [4, 4], [5, 5], [6, 6]]
    again: list[list[int]] = []
    study = study_in(path, tmp_path)
    run_rounds(study, fake(study, UNCLEAR, again), given.append, lambda _: None)
    assert again[0] == [0, 0]


def test_results_of_fixed_seeds_may_have_been_looked_at_so_rounds_do_not_begin_there(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    path = tiny_study()
    plan = planned(path, tmp_path)
    ended(plan, next(trial for trial in plan.trials if trial.stage == "quality"), "done")
    with pytest.raises(StudyError, match="holds 1 training of fixed seeds, which may have been looked at"):
        asked(plan, True, None)
    assert asked(plan, False, None) is None
    with pytest.raises(StudyError, match="goes with --until-resolved alone"):
        asked(plan, False, 9)


def test_a_new_study_has_as_many_seeds_as_resolve_one_spread(tiny_study: Tiny, tmp_path: Path) -> None:
    schedule = planned(tiny_study(), tmp_path)
    study = in_rounds(schedule, None)
    assert in_words(study.state(study.progress())) == (
        "0 rounds over, comparisons: 1 open. The next round is up to 4 seeds, of at most 13."
    )
    with pytest.raises(StudyError, match="--seeds-at-most: expected 5 to 200 seeds at most, got 3"):
        in_rounds(schedule, 3)
