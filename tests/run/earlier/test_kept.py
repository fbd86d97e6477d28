"""Planning changes nothing; a run keeps what earlier runs planned and measured, as long as it still holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner

from bench.cli.app import app
from bench.cli.trials import single
from bench.cli.trials.lock import at_work
from bench.records.plan.plan import Plan, PlannedTrial, read_plan
from bench.records.record import write
from bench.records.results import load as load_results
from bench.report.page.page import write_report
from bench.run.earlier.kept import kept_trials
from bench.run.handling import Handling
from bench.run.resources import Resources
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import is_planned, write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import make_record
from bench.study.cells import Cell
from bench.study.source import Source, load

RESOURCES = Resources(cpus=1, gpus=0, node_cpus=2, node_gpus=0)
STUDY = """
from bench.data.synthetic import NAMES, Synthetic
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from bench.study.factors import Factor, change, choose
from bench.study.study import Study

WIDTHS = {{"narrow": change(), "wide": change(head=choose(width=16)), "wider": change(head=choose(width=24))}}
WIDTHS["broad"] = WIDTHS["wide"]
STUDY = Study(
    name="kept",
    question="How wide?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("width", {{name: WIDTHS[name] for name in {levels!r}}}),),
    baseline={{"width": "narrow"}},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=32, train_images=4, val_images=2),
        crop_px=(32, 32), iterations={iterations}, batch=2, latency_samples=2, latency_least_s=0.0,
    ),
    stages=("quality",),
)
"""
MEASURED = {
    "split": "val", "images": 2, "iterations": 2, "train_s": 0.5, "history": {"iteration": [1], "loss": [0.7]},
}  # fmt: skip
TWO, RENAMED, THREE = ("narrow", "wide"), ("narrow", "broad"), ("narrow", "wide", "wider")


def study_file(tmp_path: Path, levels: Sequence[str], iterations: int = 2) -> Path:
    path = tmp_path / f"{'_'.join(levels)}_{iterations}.py"
    path.write_text(STUDY.format(levels=tuple(levels), iterations=iterations))
    return path


def run_of(tmp_path: Path, levels: Sequence[str], seeds: Sequence[int], iterations: int = 2, done: bool = True) -> Plan:
    """The plan that a run of these levels and seeds leaves; its trials are recorded as done."""
    schedule = schedule_of(tmp_path, levels, seeds, iterations)
    schedule.folder.mkdir(parents=True, exist_ok=True)
    write_plan(schedule, f"bench run kept.py --seeds {','.join(map(str, seeds))}")
    names = list(schedule.loaded.dataset_of(schedule.study.cell("baseline")).classes)
    measured = {**MEASURED, "classes": names, "confusion": [[9] * len(names)] * len(names)}
    outcome = {"status": "done", "reason": None, "traceback": None, "started_at": None, "wall_s": 1.0}
    for trial in schedule.pending() if done else ():
        record = make_record(trial, RESOURCES.machine("quality"), outcome, measured=measured)
        write(record, schedule.folder / "records")
    return read_plan(schedule.folder)


def schedule_of(tmp_path: Path, levels: Sequence[str], seeds: Sequence[int], iterations: int = 2) -> Schedule:
    source = Source(str(study_file(tmp_path, levels, iterations)), seeds=tuple(seeds))
    return make_schedule(load(source), tmp_path / "results", RESOURCES)


def key_of_trial(tmp_path: Path, variant: str, seed: int) -> str:
    """The key of a trial in the plan that the results folder holds."""
    plan = read_plan(tmp_path / "results" / "kept")
    return next(trial.key for trial in plan.trials if (trial.variant, trial.seed) == (variant, seed))


def trained(plan: Plan) -> set[tuple[str, int | None]]:
    return {(trial.variant.removeprefix("width="), trial.seed) for trial in plan.trials}


def test_a_run_of_other_seeds_keeps_those_of_earlier_runs(tmp_path: Path) -> None:
    run_of(tmp_path, TWO, (0, 1))
    plan = run_of(tmp_path, TWO, (2,))
    assert trained(plan) == {(level, seed) for level in TWO for seed in (0, 1, 2)}
    assert plan.seeds == [2, 0, 1]
    assert plan.command == "bench run kept.py --seeds 0,1,2"
    results = load_results(tmp_path / "results" / "kept")
    assert len(results.records) == 6
    assert not results.stale


def test_a_run_of_other_seeds_keeps_the_open_trials_of_one_that_is_at_work_beside_it(tmp_path: Path) -> None:
    first, second = schedule_of(tmp_path, TWO, (0, 1)), schedule_of(tmp_path, TWO, (2,))
    first.folder.mkdir(parents=True)
    with at_work(first.folder) as presence:
        assert presence.others() == []
        write_plan(first, "bench run kept.py --seeds 0,1", beside=bool(presence.others()))
        assert is_planned(first)
        with at_work(first.folder) as other:
            write_plan(second, "bench run kept.py --seeds 2", beside=bool(other.others()))
            plan = read_plan(first.folder)
            assert trained(plan) == {(level, seed) for level in TWO for seed in (0, 1, 2)}
            assert {trial.seed for trial in plan.trials if trial.kept} == {0, 1}
            assert plan.command == "bench run kept.py --seeds 0,1,2"
            assert not is_planned(second), "trials of the first run are open"
            assert other.leave(), "the first run is at work"
        assert not is_planned(first), "its own trials are those of another run there"
        run_of(tmp_path, TWO, (0, 1))
        assert presence.leave() == []
    assert is_planned(first)
    assert trained(read_plan(first.folder)) == {(level, seed) for level in TWO for seed in (0, 1)}, "2 was never run"


def test_a_level_that_was_run_and_is_gone_stays_with_its_network_in_the_audit(tmp_path: Path) -> None:
    run_of(tmp_path, THREE, (0,))
    plan = run_of(tmp_path, TWO, (0,))
    assert plan.factors["width"] == list(THREE)
    assert trained(plan) == {(level, 0) for level in THREE}
    assert "width=wider" in plan.audit.variants
    assert [trial.variant for trial in plan.trials if trial.kept] == ["width=wider"]
    assert schedule_of(tmp_path, TWO, (0,)).stale() == 0
    assert [row.variant for row in schedule_of(tmp_path, TWO, (0,)).kept()] == ["width=wider"]
    assert trained(run_of(tmp_path, TWO, (0,))) == trained(plan)  # a third run keeps it too


def test_a_renamed_level_has_its_trials_under_the_new_name(tmp_path: Path) -> None:
    run_of(tmp_path, TWO, (0, 1))
    schedule = schedule_of(tmp_path, RENAMED, (0, 1))
    assert (schedule.pending(), schedule.kept(), schedule.stale()) == ([], [], 0)
    plan = run_of(tmp_path, RENAMED, (0, 1))
    assert plan.factors["width"] == list(RENAMED)
    assert trained(plan) == {(level, seed) for level in RENAMED for seed in (0, 1)}
    records = load_results(tmp_path / "results" / "kept").records
    assert {(record.trial.variant, record.trial.seed) for record in records} == {
        (f"width={level}", seed) for level in RENAMED for seed in (0, 1)
    }
    assert "width=wide" not in write_report(tmp_path / "results" / "kept").read_text()


def test_seeds_of_earlier_runs_of_a_renamed_level_stay_under_the_new_name(tmp_path: Path) -> None:
    run_of(tmp_path, TWO, (0, 1))
    plan = run_of(tmp_path, RENAMED, (0,))
    assert trained(plan) == {(level, seed) for level in RENAMED for seed in (0, 1)}
    assert {(trial.variant, trial.seed) for trial in plan.trials if trial.kept} == {
        ("width=narrow", 1), ("width=broad", 1)
    }  # fmt: skip
    assert len(load_results(tmp_path / "results" / "kept").records) == 4
    assert schedule_of(tmp_path, RENAMED, (0, 1)).pending() == []


def test_a_level_is_gone_and_a_seed_is_new(tmp_path: Path) -> None:
    run_of(tmp_path, THREE, (0,))
    plan = run_of(tmp_path, TWO, (0, 1))
    assert trained(plan) == {("wider", 0), *((level, seed) for level in TWO for seed in (0, 1))}
    results = load_results(tmp_path / "results" / "kept")
    assert results.planned("quality") == {"width=narrow": 2, "width=wide": 2, "width=wider": 1}
    assert "The report keeps 1 variant of earlier runs" in write_report(tmp_path / "results" / "kept").read_text()


def test_a_seed_of_an_unfinished_run_stays_for_the_variants_that_it_was_run_with(tmp_path: Path) -> None:
    run_of(tmp_path, TWO, (0, 1))
    (unfinished,) = (tmp_path / "results" / "kept" / "records").glob(f"{key_of_trial(tmp_path, 'width=wide', 1)}*")
    unfinished.unlink()
    plan = run_of(tmp_path, TWO, (2,))
    assert trained(plan) == {("narrow", 0), ("narrow", 1), ("wide", 0), ("narrow", 2), ("wide", 2)}


def test_what_was_planned_and_never_run_does_not_stay(tmp_path: Path) -> None:
    run_of(tmp_path, THREE, (0,), done=False)
    assert trained(run_of(tmp_path, TWO, (0,))) == {(level, 0) for level in TWO}


def test_trials_of_another_recipe_do_not_stay(tmp_path: Path) -> None:
    run_of(tmp_path, THREE, (0, 1))
    plan = run_of(tmp_path, TWO, (0,), iterations=3)
    assert trained(plan) == {(level, 0) for level in TWO}
    assert plan.factors["width"] == list(TWO)
    assert schedule_of(tmp_path, TWO, (0,), iterations=3).stale() == 6


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_plan_writes_nothing_neither_in_a_finished_folder_nor_where_there_is_none(tmp_path: Path) -> None:
    results = tmp_path / "results"
    what_if = [str(study_file(tmp_path, THREE)), "--results", str(results)]
    answer = CliRunner().invoke(app, ["plan", *what_if])
    assert answer.exit_code == 0, answer.output
    assert not results.exists()
    run_of(tmp_path, TWO, (0, 1, 2))
    before = contents(tmp_path / "results")
    answer = CliRunner().invoke(app, ["plan", *what_if])
    assert answer.exit_code == 0, answer.output
    assert "6 of 9 trials done, 3 to run" in answer.output
    assert contents(tmp_path / "results") == before


def test_plan_says_which_trials_of_earlier_runs_stay(tmp_path: Path) -> None:
    run_of(tmp_path, THREE, (0, 1, 2))
    answer = CliRunner().invoke(app, ["plan", str(study_file(tmp_path, TWO)), "--results", str(tmp_path / "results")])
    assert "3 trials of earlier runs stay in the report, though not planned now: width=wider." in answer.output


def test_a_single_trial_gives_a_folder_without_plan_one_and_leaves_a_plan_alone(tmp_path: Path) -> None:
    schedule = schedule_of(tmp_path, TWO, (0,))
    assert single.trial(
        schedule, ["bench", "trial", "kept.py"], "width=wide", "quality", handling=Handling(pictures=False)
    )
    assert [record.trial.variant for record in load_results(schedule.folder).records] == ["width=wide"]
    before = (schedule.folder / "study.json").read_bytes()
    assert single.trial(
        schedule_of(tmp_path, TWO, (5,)), ["bench"], "baseline", "quality", handling=Handling(pictures=False)
    )
    assert (schedule.folder / "study.json").read_bytes() == before
    assert trained(run_of(tmp_path, TWO, (0, 1))) == {("narrow", 0), ("narrow", 1), ("wide", 0), ("wide", 1)}


def test_trials_of_levels_that_are_gone_look_for_their_witness_in_few_keys(tmp_path: Path) -> None:
    earlier = run_of(tmp_path, THREE, (0,))
    gone = next(row for row in earlier.trials if row.variant == "width=wider")
    many = [gone.model_copy(update={"variant": f"width=wider{number}", "key": f"{number}"}) for number in range(200)]
    study = load(Source(str(study_file(tmp_path, TWO)))).study
    asked: list[str] = []

    def present_key(row: PlannedTrial, cell: Cell, against: Cell | None) -> str:
        asked.append(cell.name)
        return row.key

    kept = kept_trials(
        study, earlier.model_copy(update={"trials": [*earlier.trials, *many]}), [], [], None, present_key
    )
    assert [row.key for row in kept[-200:]] == [row.key for row in many]
    assert len(asked) == 3, "those of both variants that are there, and of the witness of all others"
