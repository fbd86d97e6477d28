"""Speed-ups of two folders: each with its interval, one over the other, and none of a timing that was not alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.evidence.compare.comparison import compare
from bench.evidence.compare.sides import side
from bench.evidence.compare.speed import speed
from bench.protocol.setting import Setting
from bench.report.comparison import conclusion, tables
from tests.planted_speed import measured_ratios, plant_speed


def folder(
    root: Path, blocks: Sequence[float], hardware: str = "CPU, 2 threads", reason: str = "",
    batches: Sequence[int] = (1,),
) -> str:  # fmt: skip
    """A results folder with a comparison a batch, each of these ratios a block."""
    comparisons = {Setting(height=64, width=96, batch=batch): measured_ratios(blocks, 1.0, reason) for batch in batches}
    return str(plant_speed(root, comparisons, hardware=hardware))


def test_speed_ups_have_an_interval_each_and_one_over_the_other(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [1.40, 1.45, 1.50, 1.55, 1.60, 1.65])
    after = folder(tmp_path / "b", [2.80, 2.90, 3.00, 3.10, 3.20, 3.30])
    [row] = speed(side(before), side(after)).to_dict("records")
    assert (row["variant"], row["against"], row["setting"]) == ("neck=jpu", "neck=off", "64x96")
    assert row["ratio"] == pytest.approx(2)
    assert row["low"] < 2 < row["high"]
    assert (row["a_low"], row["b_high"]) == pytest.approx((1.40, 3.30))
    [shown] = tables(compare(side(before), side(after)))["speed"].printed().to_dict("records")
    assert shown["B over A"].startswith("2.000 [1.")
    # All 36 pairs agree: p = 2 / C(12, 6).
    assert (row["p"], row["p_holm"], row["verdict"]) == (pytest.approx(2 / 924), pytest.approx(2 / 924), "better")
    assert "1 of speed-ups, one session a side: 1 better, 0 worse, 0 not resolved" in conclusion(
        compare(side(before), side(after))
    )


def test_a_smaller_speed_up_is_worse_and_says_where(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [2.80, 2.90, 3.00, 3.10, 3.20, 3.30])
    after = folder(tmp_path / "b", [1.40, 1.45, 1.50, 1.55, 1.60, 1.65])
    found = compare(side(before), side(after))
    assert found.worse == ["neck=jpu against neck=off at 64x96: speed-up"]
    alike = compare(side(before), side(folder(tmp_path / "c", [2.81, 2.89, 3.01, 3.09, 3.21, 3.29])))
    assert (alike.worse, alike.speed["verdict"].iloc[0]) == ([], "not resolved")


def test_speed_ups_are_judged_after_holm(tmp_path: Path) -> None:
    """Of six ratios each, five of 36 pairs the other way: p = 0.041, resolved alone and not as one of two."""
    before, after = [1, 2, 3, 4, 5, 10.5], [6, 7, 8, 9, 10, 11]
    for batches, verdict in (((1,), "better"), ((1, 2), "not resolved")):
        root = tmp_path / str(len(batches))
        a, b = (folder(root / name, each, batches=batches) for name, each in (("a", before), ("b", after)))
        found = speed(side(a), side(b))
        assert found["p"].tolist() == pytest.approx([0.0411] * len(batches), abs=1e-4)
        assert found["verdict"].tolist() == [verdict] * len(batches)
        assert found["setting"].tolist() == ["64x96", "64x96 batch 2"][: len(batches)]


def test_a_timing_that_was_not_alone_has_no_ratio(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "a", [1.4] * 6), folder(tmp_path / "b", [2.8] * 6, reason="neighbour")
    [row] = speed(side(one), side(other)).to_dict("records")
    assert all(math.isnan(row[name]) for name in ("a", "b", "ratio", "low"))
    assert (row["reason"], row["verdict"]) == (
        "not compared: a timing was not alone; repeat with --retry not_alone",
        "",
    )


def test_speed_ups_of_other_hardware_are_no_pair(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "a", [1.4] * 6), folder(tmp_path / "b", [2.8] * 6, hardware="GPU, 8 threads")
    assert speed(side(one), side(other)).empty
