"""What a run shows: how much time is left, plain lines without a terminal, one calm table with one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from bench.cli.console import PlainConsole
from bench.cli.display import LiveTable, PlainLines, Tally, display_for, spell_s
from bench.protocol.setting import Stage
from bench.records.record import Record
from bench.run.outcomes.progress import Event
from bench.run.trial import Trial
from bench.study.source import Source


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def trials(stage: Stage, count: int) -> list[Trial]:
    return [Trial(Source("s.py"), f"head=v{i}", i, stage, f"{stage}{i}") for i in range(count)]


MEASURED = {
    "input_px": [8, 8], "batch": 1, "parameters": {}, "macs": {}, "uncounted_operators": {}, "latency_s": [1.0],
    "peak_bytes": 1, "memory_kind": "planted",
}  # fmt: skip


def record(status: str = "done", reason: str | None = None) -> Record:
    trial, outcome = {"stage": "cost", "variant": "v"}, {"status": status, "reason": reason, "wall_s": 10.0}
    parts = {"trial": trial, "choices": {}, "environment": {}, "outcome": outcome}
    return Record.model_validate({"key": "k", **parts, "measured": MEASURED if status == "done" else {}})


def tally_of_a_run(slots: int = 2) -> tuple[Tally, Clock]:
    clock = Clock()
    return Tally([*trials("cost", 1), *trials("quality", 4)], {"cost": 1, "quality": slots}, clock=clock), clock


def test_time_left_counts_what_runs_side_by_side() -> None:
    tally, clock = tally_of_a_run()
    cost, first, second, *_ = tally.trials
    tally.started(cost)
    clock.now = 5.0
    tally.finished(cost, record())
    assert tally.left_s() is None  # nothing is known of quality trials yet
    for trial in (first, second):
        tally.started(trial)
    clock.now = 10.0
    tally.progress(first, Event("train", 25, 100, 1.5))
    assert tally.trial_left_s(first.key) == pytest.approx(15.0)
    assert tally.left_s() == pytest.approx((4 * 20 - 2 * 5) / 2)
    clock.now = 35.0
    tally.finished(first, record())
    tally.finished(second, record("failed", "oops"))
    assert tally.left_s() == pytest.approx(30.0)
    assert tally.summary() == "3/5 trials · 2 done · 1 failed · 30 s left"


def test_a_trial_that_has_barely_begun_gives_no_time() -> None:
    tally, clock = tally_of_a_run()
    tally.started(tally.trials[1])
    clock.now = 1.0
    tally.progress(tally.trials[1], Event("train", 1, 1000, 2.0))
    assert tally.trial_left_s(tally.trials[1].key) is None
    assert tally.summary() == "0/5 trials · time left not known yet"


def test_plain_lines_say_start_end_and_now_and_then_how_far_it_is() -> None:
    tally, clock = tally_of_a_run()
    out = io.StringIO()
    trial = tally.trials[1]
    with PlainLines(tally, PlainConsole(file=out, width=200)) as display:
        display.started(trial)
        for second in (1.0, 29.0, 31.0, 40.0):
            clock.now = second
            display.progress(trial, Event("train", int(second), 100, 0.5))
        display.finished(trial, record("failed", "[red]oops"))
    lines = out.getvalue().splitlines()
    assert lines[0] == "start  quality head=v0 seed 0"
    assert lines[1].strip() == "quality head=v0 seed 0: train 31/100, loss 0.500"
    assert lines[2].startswith("failed quality head=v0 seed 0 (10 s): [red]oops")
    assert len(lines) == 4


def test_the_live_table_shows_each_running_trial_and_keeps_what_ended_badly() -> None:
    tally, clock = tally_of_a_run()
    out = io.StringIO()
    console = PlainConsole(file=out, width=120, force_terminal=True, color_system=None)
    with LiveTable(tally, console) as display:
        display.started(tally.trials[1])
        clock.now = 10.0
        display.progress(tally.trials[1], Event("train", 50, 100, 0.25))
        display.live.refresh()
        display.started(tally.trials[2])
        display.finished(tally.trials[2], record("out_of_memory", "GPU memory"))
    text = out.getvalue()
    for word in ("variant", "head=v0", "quality: train", "50/100", "0.250", "10 s"):
        assert word in text
    assert "out_of_memory quality head=v1 seed 1 (10 s): GPU memory" in text
    assert "1/5 trials · 1 out_of_memory · time left" in text.splitlines()[-1]


@pytest.mark.parametrize(("terminal", "kind"), [(True, LiveTable), (False, PlainLines)])
def test_the_table_is_for_terminals(terminal: bool, kind: type[Any]) -> None:
    assert isinstance(display_for(tally_of_a_run()[0], PlainConsole(file=io.StringIO(), force_terminal=terminal)), kind)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (11_100, "3 h 05 min")]
)
def test_durations_are_spelt_for_humans(seconds: float, text: str) -> None:
    assert spell_s(seconds) == text


def test_the_reason_of_a_failed_trial_is_one_line_and_text() -> None:
    tally, _ = tally_of_a_run()
    console = PlainConsole(file=io.StringIO(), width=250)
    lines = PlainLines(tally, console)
    lines.finished(tally.trials[0], record("failed", "RuntimeError: one\ntwo\tthree"))
    assert str(console.file.getvalue()).count("\n") == 1
    assert "one two\\tthree" in console.file.getvalue()


def test_a_trial_that_is_tried_again_counts_once_by_its_last_outcome() -> None:
    tally, clock = tally_of_a_run()
    cost = tally.trials[0]
    for status, summary in (("out_of_memory", "1/5 trials · 1 out_of_memory"), ("done", "1/5 trials · 1 done")):
        tally.started(cost)
        assert tally.summary().startswith("0/5 trials · time left")
        clock.now += 2.0
        tally.finished(cost, record(status))
        assert tally.summary().startswith(summary)


def test_each_ended_trial_is_counted_once_and_no_list_of_trials_is_gone_through_again() -> None:
    class Counted(list[Trial]):
        passes = 0

        def __iter__(self) -> Iterator[Trial]:
            Counted.passes += 1
            return super().__iter__()

    planned = Counted(trials("quality", 50))
    clock = Clock()
    tally = Tally(planned, {"quality": 1}, clock)
    passes = Counted.passes
    for number, trial in enumerate(trials("quality", 50), start=1):
        tally.started(trial)
        clock.now += 1.0
        tally.finished(trial, record("done"))
        assert tally.summary() == f"{number}/50 trials · {number} done · {spell_s(50.0 - number)} left"
    assert Counted.passes == passes
