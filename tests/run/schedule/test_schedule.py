"""Plans: which trials there are, which are done, and what makes a finished one stale."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.records.files import with_digest
from bench.records.record import Record, read_all, write
from bench.run.environment import Machine
from bench.run.resources import Resources
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import plan_of, write_plan
from bench.run.schedule.schedule import MAYBE_NOT_ALONE, NOT_ALONE, Schedule
from bench.run.trial import Trial, make_record
from bench.study.source import Source, load

RESOURCES = Resources(cpus=1, gpus=0, node_cpus=2, node_gpus=0)
MEASURED: dict[str, dict[str, Any]] = {
    "quality": {
        "classes": ["road"], "split": "val", "images": 1, "iterations": 1, "confusion": [[9]], "train_s": 0.5,
        "history": {"iteration": [1], "loss": [0.7]},
    },
    "cost": {
        "input_px": [32, 32], "batch": 1, "parameters": {}, "macs": {}, "uncounted_operators": {}, "latency_s": [0.1],
        "peak_bytes": 1, "memory_kind": "cpu resident set",
    },
}  # fmt: skip


def planned(path: Path, results: Path, **source: object) -> Schedule:
    return make_schedule(load(Source(str(path), **source)), results, RESOURCES)


def ended(plan: Schedule, trial: Trial, status: str, wall_s: float = 2.0) -> Record:
    outcome = {"status": status, "reason": None, "traceback": None, "started_at": None, "wall_s": wall_s}
    measured = MEASURED[trial.stage] if status == "done" else {}
    cell = next((cell for cell in plan.study.cells() if cell.name == trial.variant), plan.study.cell("baseline"))
    choices = {"variant": cell.variant.describe(), "recipe": cell.recipe.describe(), "levels": dict(cell.levels)}
    record = make_record(trial, plan.resources.machine(trial.stage), outcome, choices=choices, measured=measured)
    write(record, plan.folder / "records")
    return record


def test_cost_runs_once_a_variant_and_quality_once_a_seed(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    assert [(t.stage, t.seed) for t in plan.trials] == [("cost", None)] * 2 + [("quality", 0)] * 2 + [
        ("quality", 1)
    ] * 2
    assert len({t.key for t in plan.trials}) == 6


def test_planning_twice_gives_the_same_keys(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study()
    assert planned(path, tmp_path).trials == planned(path, tmp_path).trials


def test_a_trial_makes_its_key_when_it_is_read_and_takes_it_to_another_process_as_a_text(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = planned(tiny_study(), tmp_path)
    trial, same = plan.trials[0], planned(tiny_study(), tmp_path).trials[0]
    assert not isinstance(vars(trial)["key"], str)
    assert not trial.is_among(())
    assert not isinstance(vars(trial)["key"], str), "no key is needed to look for it among none"
    sent = pickle.loads(pickle.dumps(trial))
    assert vars(sent)["key"] == trial.key == same.key
    assert sent == trial == same
    assert trial.is_among([trial.key])
    assert replace(trial, parts=2).key == trial.key == plan.keys[trial.key].text


def test_a_finished_trial_is_not_run_again_and_a_failed_one_is(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    statuses = ["done", "out_of_memory", "failed", "interrupted", "timed_out", "diverged"]
    for trial, status in zip(plan.trials, statuses, strict=True):
        ended(plan, trial, status)
    assert plan.pending() == [plan.trials[2], plan.trials[3], plan.trials[4]]
    assert plan.pending({"out_of_memory"}) == [plan.trials[i] for i in (1, 2, 3, 4)]


def test_memory_that_ran_out_on_a_shared_gpu_is_no_result(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    alone, crowded, *_ = (trial for trial in plan.trials if trial.stage == "quality")
    outcome = {"status": "out_of_memory", "reason": None, "traceback": None}
    for trial, shared in ((alone, {}), (crowded, {"shared": "it had 0.5 of the GPU"})):
        record = make_record(trial, RESOURCES.machine("quality"), outcome | shared)
        write(record, plan.folder / "records")
    assert alone not in plan.pending()
    assert crowded in plan.pending()


def test_a_head_node_without_a_gpu_finds_the_costs_that_its_cluster_has_measured(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = make_schedule(load(Source(str(tiny_study()))), tmp_path, Resources(8, 1.0, 2, 0, "auto"))
    cost, other, *_ = plan.trials
    outcome = {"status": "failed", "reason": "the worker was lost", "traceback": None}
    lost = [make_record(trial, Machine("cuda", 8, elsewhere=True), outcome) for trial in (cost, other)]
    outcome = {"status": "done", "reason": None, "traceback": None}
    done = make_record(cost, Machine("cuda", 8, "NVIDIA H200"), outcome, measured=MEASURED["cost"])
    for record in (*lost, done):
        write(record, plan.folder / "records")
    assert [record.key for record in lost] == [f"{cost.key}-unknown", f"{other.key}-unknown"]
    assert (plan.statuses()[cost.key], plan.statuses()[other.key]) == ("done", "failed")
    assert cost not in plan.pending()
    assert other in plan.pending()
    assert len(read_all(plan.folder / "records")) == 2, "what is known of a trial stands in place of what is not"


def test_a_timing_that_was_not_alone_is_repeated_if_asked_and_no_other(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = planned(tiny_study(), tmp_path)
    for trial in plan.trials:
        ended(plan, trial, "done")
    assert plan.pending({NOT_ALONE}) == []
    crowded = next(trial for trial in plan.trials if trial.stage == "cost")
    (file,) = (plan.folder / "records").glob(f"{crowded.key}*")
    record = json.loads(file.read_text())
    file.write_text(with_digest(record | {"measured": record["measured"] | {"isolated": False}}))
    assert plan.pending() == []
    assert plan.pending({NOT_ALONE}) == [crowded]
    assert crowded not in plan.pending({MAYBE_NOT_ALONE})
    file.write_text(with_digest(record | {"measured": record["measured"] | {"isolated": None}}))
    assert plan.pending({NOT_ALONE}) == []
    assert crowded in plan.pending({MAYBE_NOT_ALONE})
    assert all(trial.stage != "quality" for trial in plan.pending({MAYBE_NOT_ALONE}))


def test_adding_a_seed_or_a_level_runs_only_what_is_missing(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny_study()
    plan = planned(path, tmp_path)
    for trial in plan.trials:
        ended(plan, trial, "done")
    more_seeds = planned(path, tmp_path, seeds=(0, 1, 2))
    assert {(t.stage, t.seed) for t in more_seeds.pending()} == {("quality", 2)}
    text = path.read_text()
    path.write_text(text.replace('"on": change(', '"wide": change(backbone=choose(width=16)), "on": change('))
    grown = planned(path.rename(path.with_name("grown.py")), tmp_path)
    assert {t.variant for t in grown.pending()} == {"neck=wide"}


def test_records_of_other_settings_are_counted_as_stale(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    ended(plan, plan.trials[-1], "done")
    assert plan.stale() == 0
    assert planned(tiny_study(name="longer", iterations="4"), tmp_path).stale() == 1


def test_what_a_stage_does_not_use_repeats_nothing(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    longer = planned(tiny_study(name="longer", iterations="4"), tmp_path)
    keys = [{t.variant: t.key for t in schedule.trials if t.stage == "cost"} for schedule in (plan, longer)]
    assert keys[0] == keys[1]
    quality = [{t.key for t in schedule.trials if t.stage == "quality"} for schedule in (plan, longer)]
    assert not quality[0] & quality[1]


def test_what_a_training_step_holds_repeats_cost_trials_and_the_rest_of_the_recipe_does_not(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    def cost_keys(iterations: str, batch: str) -> set[str]:
        path = tiny_study(name=f"after{iterations}of{batch}", iterations=iterations)
        path.write_text(path.read_text().replace("batch=4", f"batch={batch}"))
        return {t.key for t in planned(path, tmp_path).trials if t.stage == "cost"}

    assert cost_keys("3", "4") == cost_keys("9", "4")
    assert not cost_keys("3", "4") & cost_keys("3", "6")


def test_a_timing_is_done_only_for_its_class_of_hardware(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    for trial in plan.trials:
        ended(plan, trial, "done")
    other = replace(plan, resources=replace(RESOURCES, node_cpus=64))
    assert {t.stage for t in other.pending()} == {"cost"}
    on_a_cluster = replace(plan, resources=replace(RESOURCES, node_cpus=64, address="auto"))
    assert on_a_cluster.pending() == []


def test_the_plan_on_disk_names_every_cell_and_its_key(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    document = json.loads(write_plan(plan, "bench run tiny.py").read_text())
    assert [trial["key"] for trial in document["trials"]] == [t.key for t in plan.trials]
    assert document["baseline"] == "neck=off"
    assert document["data"]["classes"][0] == "sky"
    assert document["recipe"]["split"] == "val"


def test_the_plan_lists_the_files_of_the_studys_own_code(
    tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_study("listed")
    head = "from bench.network.heads.fcn import FCNHead\nfrom unused_here import nothing\nclass Own(FCNHead): pass\n"
    (tmp_path / "own_head_here.py").write_text(head)
    (tmp_path / "unused_here.py").write_text("nothing = None\n")
    (tmp_path / "stranger_here.py").write_text("")
    text = path.read_text().replace(
        "from bench.network.heads.fcn import FCNHead", "from own_head_here import Own as FCNHead"
    )
    path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "studies", raising=False)  # another test may have imported a study from there
    modules = plan_of(planned(path, tmp_path), "bench plan").modules
    files = [path, tmp_path / "own_head_here.py", tmp_path / "unused_here.py"]
    assert modules == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
