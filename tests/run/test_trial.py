"""One trial in this process: its record, its log, and every way in which it can end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench.evidence.evidence import evidence_of
from bench.records.cost import MeasuredCost
from bench.records.files import RecordError, arrays_digest, read_arrays
from bench.records.pictures import VOID, read_names, read_pictures, read_predictions
from bench.records.record import read, read_all
from bench.report.tables import catalogue
from bench.run import trial as trial_module
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.identity.explained import unpacked
from bench.run.outcomes.progress import Event
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import plan_of, write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial, record_key, run
from bench.study.source import Source, load
from bench.training.late import DivergedError

MACHINE = Machine("cpu", 1)


@pytest.fixture
def plan(tiny_study: Callable[..., Path], tmp_path: Path) -> Schedule:
    return make_schedule(load(Source(str(tiny_study()))), tmp_path / "results", here())


def of(plan: Schedule, stage: str, variant: str = "neck=off") -> Trial:
    return next(t for t in plan.trials if (t.stage, t.variant) == (stage, variant))


def test_a_quality_trial_leaves_raw_counts_and_a_history(plan: Schedule) -> None:
    events: list[Event] = []
    record = run(of(plan, "quality"), plan.folder, MACHINE, tell=events.append)
    assert record.status == "done", record.outcome
    assert read(plan.folder / "records" / record.file_name) == record
    measured = record.measured.as_json()
    assert sum(map(sum, measured["confusion"])) == 4 * 30 * 30  # four images, a frame of one void pixel
    assert measured["history"]["iteration"] == [1, 2, 3]
    assert measured["split"] == "val"
    with np.load(plan.folder / measured["artifact"]) as arrays:
        assert arrays["images"].tolist() == [f"val_{index:04d}" for index in range(4)]
        assert arrays["confusion"].sum(0).tolist() == measured["confusion"]
        assert arrays["boundary_matched_label"].sum(0).tolist() == measured["boundary"]["matched_label"]
    assert {event.phase for event in events} == {"train", "evaluate"}
    assert record.choices.variant["backbone"]["choices"]["width"] == 8
    assert record.choices.recipe["momentum"] == 0.9
    assert record.environment.threads == 1
    versions = unpacked(plan_of(plan, "bench run").identity)[record.key].versions
    assert {"numpy", "scipy"} <= versions.keys()
    recorded = {"torch": record.environment.torch.partition("+")[0], **record.environment.bench}
    assert {name: recorded.get(name) for name in versions} == dict(versions), "every package that its key names"
    assert measured["artifact_digest"] == arrays_digest(read_arrays(plan.folder / measured["artifact"]))


def test_kept_predictions_give_the_recorded_counts_again(plan: Schedule) -> None:
    measured = run(of(plan, "quality"), plan.folder, MACHINE).measured.as_json()
    paths = {name: plan.folder / path for name, path in measured["pictures"].items()}
    names = [f"val_{index:04d}" for index in range(4)]
    assert read_names(paths["predictions"]) == read_names(paths["images"]) == names
    guesses, pictures = read_predictions(paths["predictions"], range(4)), read_pictures(paths["images"], range(4))
    counts = np.zeros((256, 9), dtype=int)
    for index in range(4):
        np.add.at(counts, (pictures[index].label, guesses[index]), 1)
    assert counts[:9].tolist() == measured["confusion"]
    assert counts[VOID].sum() == 4 * (32 * 32 - 30 * 30)


def test_the_second_trial_leaves_the_images_of_the_first_alone(plan: Schedule) -> None:
    one, two = (run(of(plan, "quality", variant), plan.folder, MACHINE) for variant in ("neck=off", "neck=on"))
    shared = one.measured.pictures["images"]
    assert two.measured.pictures["images"] == shared
    images, later = plan.folder / shared, plan.folder / two.measured.pictures["predictions"]
    assert [path.name for path in (plan.folder / "pictures").iterdir()] == [images.name]
    assert images.stat().st_mtime_ns < (plan.folder / one.measured.pictures["predictions"]).stat().st_mtime_ns
    assert later != plan.folder / one.measured.pictures["predictions"]
    assert read_names(later) == read_names(images)


def test_a_trial_may_keep_no_pictures_and_is_the_same_trial(plan: Schedule) -> None:
    record = run(of(plan, "quality"), plan.folder, MACHINE, handling=Handling(pictures=False))
    assert "pictures" not in record.measured.as_json()
    assert not (plan.folder / "pictures").exists()
    assert [path.name for path in (plan.folder / "artifacts").iterdir()] == [Path(record.measured.artifact).name]
    with_them = run(of(plan, "quality"), plan.folder, MACHINE)
    assert with_them.key == record.key
    assert with_them.measured.confusion == record.measured.confusion


def test_a_cost_trial_leaves_every_sample_and_counts_by_slot(plan: Schedule) -> None:
    record = run(of(plan, "cost", "neck=on"), plan.folder, MACHINE)
    assert record.status == "done", record.outcome
    measured = record.measured.as_json()
    assert len(measured["latency_s"]) >= 5
    assert measured["latency_protocol"]["clock"] == "synchronised"
    assert measured["isolation"]["unknown"] == ["the timing lasted less than 0.5 s, too short to show other processes"]
    assert measured["isolated"] is (None if measured["isolation"]["reasons"] == [] else False)
    assert set(measured["macs"]) == {"backbone", "neck", "head"}
    assert measured["input_px"] == [32, 32]
    assert measured["output_shape"] == [1, 9, 32, 32]
    assert measured["macs"] == measured["macs_torch"]
    assert measured["peak_bytes"] == measured["inference_memory"]["peak_bytes"] > 0
    assert (measured["training_memory"]["batch"], measured["training_memory"]["input_px"]) == (4, [32, 32])
    assert set(measured["training_memory"]["saved_bytes"]) == {"backbone", "neck", "head", "outside"}
    assert record.key == record_key(of(plan, "cost", "neck=on"), MACHINE)
    assert record.key.endswith(MACHINE.hardware_key)


def test_a_record_says_the_precision_and_the_switches_that_were_in_force(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    path = tiny_study("halves")
    path.write_text(path.read_text().replace("Recipe(", 'Recipe(precision="bfloat16", kernels="deterministic", '))
    plan = make_schedule(load(Source(str(path))), tmp_path / "results", here())
    for stage in ("cost", "quality"):
        record = run(of(plan, stage), plan.folder, MACHINE)
        assert record.status == "done", record.outcome
        switches = record.environment.switches
        assert switches is not None
        assert switches.deterministic_algorithms
        assert switches.tf32_products is switches.cudnn_benchmark is None, "a CPU has no such switch"
        assert read(plan.folder / "records" / record.file_name) == record
        assert "switches" not in record.measured.as_json()
        if isinstance(record.measured, MeasuredCost):
            assert (record.measured.precision, record.measured.memory_format) == ("bfloat16", "contiguous")
            assert record.measured.peaks is not None
            assert record.measured.peaks.precision == "bfloat16"
            weights, counts = record.measured.as_json()["inference_memory"]["weight_bytes"], record.measured.parameters
            assert weights < 2.2 * sum(counts.values())
    assert not torch.are_deterministic_algorithms_enabled()


def test_peaks_that_do_not_fit_leave_the_other_costs(plan: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 128 MiB.")

    monkeypatch.setattr(torch, "mm", exhaust)
    record = run(of(plan, "cost"), plan.folder, MACHINE)
    assert (record.status, record.outcome.reason) == ("done", None)
    measured = record.measured
    assert isinstance(measured, MeasuredCost)
    assert (measured.peaks, measured.training_problem) == (None, "")
    assert measured.peaks_problem.startswith("a matrix product and a copy do not fit: OutOfMemoryError: CUDA out of")
    evidence = evidence_of(write_plan(plan, "bench run").parent)
    problem = f"eaks not measured: {measured.peaks_problem}"
    assert any(problem in reason for reason in catalogue.table(evidence, "outcomes").printed()["Reason"])
    [row] = [row for row in evidence.variants.to_dict("records") if row["variant"] == "neck=off"]
    assert row["macs"] > 0 < row["latency_s"]
    assert np.isnan(row["flops_share"])


def test_a_training_step_that_does_not_fit_leaves_the_other_costs(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr("bench.run.cost.training_memory", exhaust)
    record = run(of(plan, "cost"), plan.folder, MACHINE)
    assert (record.status, record.outcome.reason) == ("done", None)
    measured = record.measured
    assert isinstance(measured, MeasuredCost)
    assert measured.training_memory is None
    assert measured.training_problem.startswith("a step of batch 4 does not fit: OutOfMemoryError: CUDA out of memory")
    assert measured.peak_bytes > 0 < len(measured.latency_s)
    assert measured.macs
    evidence = evidence_of(write_plan(plan, "bench run").parent)
    problem = f"raining memory not measured: {measured.training_problem}"
    assert any(problem in reason for reason in catalogue.table(evidence, "outcomes").printed()["Reason"])
    [row] = [row for row in evidence.variants.to_dict("records") if row["variant"] == "neck=off"]
    assert row["training_problem"] == measured.training_problem
    assert np.isnan(row["train_peak_bytes"])
    assert f"No training memory of neck=off: {measured.training_problem}" in catalogue.written(
        catalogue.table(evidence, "cost"), "markdown"
    )


def test_an_error_of_a_training_step_other_than_memory_fails_the_trial(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr("bench.run.cost.training_memory", fail)
    record = run(of(plan, "cost"), plan.folder, MACHINE)
    assert (record.status, record.outcome.reason) == ("failed", "RuntimeError: shapes do not fit")


def test_the_same_trial_twice_gives_the_same_numbers(plan: Schedule) -> None:
    one, two = (run(of(plan, "quality"), plan.folder, MACHINE) for _ in range(2))
    assert one.measured.confusion == two.measured.confusion
    assert one.measured.history == two.measured.history


def test_the_log_tells_how_it_went_and_records_hold_no_absolute_path(plan: Schedule, tmp_path: Path) -> None:
    record = run(of(plan, "quality"), plan.folder, MACHINE)
    log = (plan.folder / "logs" / record.file_name).with_suffix(".log").read_text()
    assert "train 3/3, loss" in log
    assert "done after" in log
    assert str(tmp_path) not in (plan.folder / "records" / record.file_name).read_text()


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def stage(*_: Any, **__: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(trial_module, "STAGE_FUNCTIONS", {"quality": stage, "cost": stage})
    key = SimpleNamespace(text="k", versions={})
    monkeypatch.setattr(trial_module, "key_of", lambda cell, stage, seed, data, **others: key)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB"), "out_of_memory", "GPU memory, at batch 4"),
        (MemoryError(), "out_of_memory", "host memory, at batch 4"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory", "host memory"),
        (DivergedError("the loss is nan at iteration 3"), "diverged", "iteration 3"),
        (ZeroDivisionError("oops"), "failed", "ZeroDivisionError: oops"),
    ],
)
def test_whatever_goes_wrong_is_an_outcome(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: str, reason: str
) -> None:
    failing(monkeypatch, error)
    trial = Trial(**{**vars(of(plan, "quality")), "key": "k"})
    record = run(trial, plan.folder, MACHINE)
    assert record.status == status
    assert reason in record.outcome.reason
    assert record.measured.as_json() == {}
    assert ("Traceback" in (record.outcome.traceback or "")) == (status in ("failed", "out_of_memory"))
    assert read_all(plan.folder / "records") == [record]


def test_escape_sequences_of_an_exception_reach_neither_its_record_nor_its_log(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, RuntimeError("bad\x1b]0;title\x07 \x9b2J\nsecond line \u202e"))
    record = run(Trial(**{**vars(of(plan, "quality")), "key": "k"}), plan.folder, MACHINE)
    assert record.outcome.reason == "RuntimeError: bad\\x1b]0;title\\x07 \\x9b2J\nsecond line \\u202e"
    log = (plan.folder / "logs" / record.file_name).with_suffix(".log").read_text(encoding="utf-8")
    for text in (record.outcome.traceback or "", log):
        assert "bad\\x1b]0;title" in text
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)


def test_an_interrupt_is_recorded_and_passed_on(plan: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    trial = Trial(**{**vars(of(plan, "quality")), "key": "k"})
    with pytest.raises(KeyboardInterrupt):
        run(trial, plan.folder, MACHINE)
    assert [record.status for record in read_all(plan.folder / "records")] == ["interrupted"]


@pytest.mark.parametrize("timeout_s", [1e-6, 0.0])
def test_a_trial_that_takes_too_long_is_timed_out(plan: Schedule, timeout_s: float) -> None:
    record = run(of(plan, "quality"), plan.folder, MACHINE, handling=Handling(timeout_s=timeout_s))
    assert record.status == "timed_out"
    assert "time was up in train at 1/3" in record.outcome.reason


def test_a_loss_that_explodes_is_diverged(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    source = Source(str(tiny_study(name="explosive", learning_rate="1e30")))
    plan = make_schedule(load(source), tmp_path / "results", here())
    assert run(of(plan, "quality"), plan.folder, MACHINE).status == "diverged"


def test_a_trial_that_is_not_what_was_planned_is_refused(plan: Schedule) -> None:
    trial = Trial(**{**vars(of(plan, "quality")), "key": "0" * 16})
    record = run(trial, plan.folder, MACHINE)
    assert record.status == "failed"
    assert "planned as 0000000000000000, is" in record.outcome.reason


def test_final_evaluates_the_test_split_in_a_folder_of_its_own(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    source = Source(str(tiny_study()), final=True)
    plan = make_schedule(load(source), tmp_path / "results", here())
    assert plan.folder.name == "tiny-final"
    assert run(of(plan, "quality"), plan.folder, MACHINE).measured.split == "test"


def test_other_data_is_chosen_with_an_option_and_has_a_folder_of_its_own(
    tiny_study: Callable[..., Path], tmp_path: Path, camvid_like: Path
) -> None:
    plan = make_schedule(load(Source(str(tiny_study()), data=f"camvid={camvid_like}")), tmp_path, here())
    assert plan.folder.name == "tiny-camvid"
    record = run(of(plan, "quality"), plan.folder, MACHINE)
    assert len(record.measured.classes) == 11


def test_a_record_file_that_is_rubbish_is_named(plan: Schedule) -> None:
    folder = plan.folder / "records"
    folder.mkdir(parents=True)
    (folder / "x.y.json").write_text("{half")
    with pytest.raises(RecordError, match=r"x.y.json is not a record .*delete it"):
        plan.statuses()
    (folder / "x.y.json").write_text(json.dumps({"version": 99}))
    with pytest.raises(RecordError, match="has record format 99"):
        plan.statuses()


def test_choices_that_no_record_can_hold_are_told_before_anything_is_trained(
    plan: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.protocol.recipe.Recipe.describe", lambda self: {"batch": 4, "scale": float("nan")})
    events: list[Event] = []
    record = run(of(plan, "quality"), plan.folder, MACHINE, tell=events.append)
    assert record.status == "failed"
    assert "cannot be written" in str(record.outcome.reason)
    assert events == []
    assert read(plan.folder / "records" / record.file_name) == record
