"""A training whose memory runs out runs in parts of its batches, keeps its place in the plan, and is marked for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.evidence.evidence import evidence_of
from bench.records.record import Record, read_all
from bench.report.page.methods import methods
from bench.run.environment import Machine
from bench.run.handling import Handling
from bench.run.keeping.place import state_path
from bench.run.outcomes.parts import in_more_parts
from bench.run.resources import here
from bench.run.schedule.making import make_schedule
from bench.run.schedule.plan import write_plan
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial, run
from bench.study.source import Source, load

MACHINE = Machine("cpu", 1)
LARGE = """

import torch


class Large(FCNHead):
    def forward(self, features, boundary=None, *, with_aux=False):
        if self.training and features[-1].device.type != "meta" and len(features[-1]) > MOST:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")
        return super().forward(features, boundary, with_aux=with_aux)


STUDY = STUDY.having(
    factors=(Factor("head", {"small": change(), "large": change(head=part(Large, width=8))}),),
    baseline={"head": "small"},
    seeds=(0,),
    stages=("quality",),
    recipe=STUDY.recipe.having(accumulate=PARTS),
)
"""


@pytest.fixture
def schedule_of(tiny_study: Callable[..., Path], tmp_path: Path) -> Callable[..., Schedule]:
    """Makes the schedule of a study whose large head has memory for some images alone."""

    def make(name: str, most: int, parts: int = 1) -> Schedule:
        study = tiny_study(name)
        study.write_text(study.read_text() + LARGE.replace("MOST", str(most)).replace("PARTS", str(parts)))
        return make_schedule(load(Source(str(study))), tmp_path / name, here(cpus=1, gpus=0))

    return make


def ran(schedule: Schedule, trial: Trial) -> Record:
    return run(trial, schedule.folder, MACHINE)


def test_in_parts_it_is_the_same_planned_trial_and_another_training(
    schedule_of: Callable[..., Schedule], tmp_path: Path
) -> None:
    schedule = schedule_of("whole", most=2)
    small, large = schedule.trials
    schedule.folder.mkdir(parents=True)
    write_plan(schedule, "bench run whole.py")
    whole = ran(schedule, large)
    assert whole.status == "out_of_memory"
    assert "at batch 4, before its first step; take a smaller batch or image, or run it with --accumulate" in str(
        whole.outcome.reason
    )
    assert schedule.pending() == [small]
    assert schedule.pending(accumulate=True) == [small, large]

    smaller = in_more_parts(large)
    assert smaller == replace(large, parts=2)
    assert in_more_parts(smaller) is None, "each part has two images at least"
    record = ran(schedule, smaller)
    ran(schedule, small)
    assert (record.status, record.outcome.parts, record.key) == ("done", 2, large.key)
    assert [(attempt.status, attempt.parts) for attempt in record.outcome.attempts] == [("out_of_memory", None)]
    assert schedule.pending(accumulate=True) == []
    assert record.choices == whole.choices, "the plan's"

    tested = run(large, tmp_path / "tested", MACHINE, handling=Handling(trained_in=schedule.folder, weights=False))
    assert (tested.status, tested.outcome.parts) == ("done", 2), "so does one that tests its weights again"

    planned_so = schedule_of("halves", most=2, parts=2)
    other = ran(planned_so, planned_so.trials[1])
    assert other.key != record.key
    assert other.measured.confusion == record.measured.confusion
    assert other.measured.history == record.measured.history

    told = "trained in 2 parts, because memory ran out at batch 4 (1 of 1 training)"
    evidence = evidence_of(schedule.folder)
    marked = evidence.confounds[evidence.confounds["Where"] == "batches"]
    assert marked[["Compared", "Difference", "Kind"]].to_numpy().tolist() == [["head=large", told, "undeclared"]]
    assert "head=large" in evidence.confounded
    assert f"head=large: {told}" in methods(evidence)


def test_what_is_too_large_in_parts_too_is_not_tried_again(schedule_of: Callable[..., Schedule]) -> None:
    schedule = schedule_of("none", most=1)
    _, large = schedule.trials
    ran(schedule, large)
    ran(schedule, replace(large, parts=2))
    (record,) = read_all(schedule.folder / "records")
    assert (record.status, record.outcome.parts, len(record.outcome.attempts)) == ("out_of_memory", 2, 1)
    assert large not in schedule.pending(accumulate=True)


def test_no_training_goes_on_from_the_state_of_another_number_of_parts(tmp_path: Path) -> None:
    assert len({state_path(tmp_path, "k", parts) for parts in (1, 2, 4)}) == 3
