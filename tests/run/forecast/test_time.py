"""The device time of trials with its spread: from records of the same variant, then of the stage, else a pilot."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.measure.timing.turns import MIN_BLOCKS
from bench.protocol.setting import Setting
from bench.run.forecast import pilot as pilots
from bench.run.forecast.pilot import START_S, Pilot, comparison_s, pilot
from bench.run.forecast.time import time_from_pilot, time_from_records
from tests.run.schedule.test_schedule import ended, planned


def test_time_left_comes_from_records_of_the_same_variant_then_of_the_stage(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = planned(tiny_study(), tmp_path)
    assert time_from_records(plan, plan.trials) is None
    quality = [t for t in plan.trials if t.stage == "quality"]
    ended(plan, quality[0], "done", 10.0)
    ended(plan, quality[1], "done", 20.0)
    known = time_from_records(plan, quality[2:])
    assert known is not None
    assert known.device_s == 30.0
    assert known.here_s == 15.0, "two trials run side by side on two CPUs"
    new = time_from_records(plan, [replace(quality[0], variant="new")])
    assert new is not None
    assert new.device_s == 15.0
    assert new.low_s == 0.0
    assert new.high_s is not None
    assert new.high_s > 15.0 + 12.7 * statistics.stdev([10.0, 20.0])


def test_one_record_gives_a_time_without_a_spread(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    quality = [t for t in plan.trials if t.stage == "quality"]
    ended(plan, quality[0], "done", 10.0)
    known = time_from_records(plan, quality)
    assert known is not None
    assert (known.device_s, known.low_s, known.high_s) == (40.0, None, None)


def test_the_interval_of_a_repeated_variant_is_that_of_a_sum_of_new_trials(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = planned(tiny_study(), tmp_path)
    first, _, again, _ = (t for t in plan.trials if t.stage == "quality")
    ended(plan, first, "done", 9.0)
    ended(plan, again, "done", 11.0)
    known = time_from_records(plan, [replace(first, seed=7), replace(first, seed=8)])
    assert known is not None
    assert known.low_s is not None
    # 12.706 is the 97.5 % point of Student's t with one degree of freedom; the variance of one trial is 2.
    assert known.device_s - known.low_s == pytest.approx(min(20.0, 12.706 * (2 * 2 + 4 * 2 / 2) ** 0.5), rel=1e-3)


def test_a_pilot_times_steps_of_real_size_of_both_variants(tiny_study: Callable[..., Path], tmp_path: Path) -> None:
    plan = planned(tiny_study(), tmp_path)
    taken = pilot(plan)
    assert set(taken.steps) == {"neck=off", "neck=on"}
    assert all(len(steps) == pilots.STEPS for steps in taken.steps.values())
    foretold = time_from_pilot(plan, plan.trials, taken)
    assert foretold.low_s is not None
    assert foretold.high_s is not None
    assert 0 <= foretold.low_s < foretold.device_s < foretold.high_s
    assert foretold.device_s < 600
    assert plan.statuses() == {t.key: "missing" for t in plan.trials}


def test_a_pilot_that_would_take_long_is_two_small_steps_and_has_no_spread(
    tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilots, "AFFORDABLE_S", 0.0)
    plan = planned(tiny_study(), tmp_path)
    taken = pilot(plan)
    foretold = time_from_pilot(plan, plan.trials, taken)
    assert not taken.steps
    assert foretold.device_s > 0
    assert foretold.high_s is None


def test_a_network_that_was_not_timed_follows_from_its_macs_with_a_spread_of_its_own(
    tiny_study: Callable[..., Path], tmp_path: Path
) -> None:
    macs = {"a": 10, "b": 20, "c": 30, "new": 25}
    steps = {"a": [1.0, 1.2], "b": [2.0, 2.2], "c": [3.0, 3.2]}
    taken = pilots._of_real_steps(steps, macs)
    assert taken.image_s["new"] == pytest.approx(2.6)
    assert taken.unlike == pytest.approx(0.0, abs=1e-9)
    assert pilots._of_real_steps({"a": [1.0, 1.2], "c": [3.0, 3.2]}, macs).unlike is None
    plan = planned(tiny_study(), tmp_path)
    unlike = Pilot({"neck=off": 1.0, "neck=on": 1.0}, {"neck=off": [1.0, 1.0], "x": [1.0, 1.0], "y": [1.0, 1.0]}, 0.5)
    (trial,) = (t for t in plan.trials if (t.variant, t.stage) == ("neck=on", "cost"))
    foretold = time_from_pilot(plan, [trial], unlike)
    assert foretold.high_s == pytest.approx(foretold.device_s * (1 + 0.5 * 12.706), rel=1e-3)


def test_a_comparison_of_slow_calls_lasts_two_warm_ups_and_the_fewest_blocks() -> None:
    slow, fast = Setting(height=64, width=64), Setting(height=64, width=64, least_s=30.0)
    assert comparison_s(10.0, slow) == START_S + 2 * 2 * 10 + MIN_BLOCKS * 4 * 10
    assert comparison_s(0.01, fast) == pytest.approx(START_S + 2 * 2 * 0.05 + 30)
