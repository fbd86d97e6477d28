"""Speed-ups from records: derived numbers, what is left out and marked, where a ratio crosses 1, published pairs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.evidence.evidence import evidence_of
from bench.evidence.ranks import Ratio
from bench.evidence.speedups import Crossing, changes_answer, crossing_table, crossings, frame
from bench.protocol.words import NOTHING
from bench.records.record import read_all, write
from bench.records.results import load
from bench.report.page.findings import speed_findings
from bench.report.tables.speed import comparisons, remark
from tests.planted_speed import CROWDED, measured, planted


def test_a_comparison_gives_ratio_interval_and_throughput_of_both_sides(tmp_path: Path) -> None:
    steps = {"ours": {"forward": [0.1, 0.3, 0.2], "backward": [0.4], "update": [0.01]}, "against": {}}
    row = frame(load(planted(tmp_path, {64: measured([0.5] * 12, [0.75] * 12, step_s=steps)}))).iloc[0]
    assert (row["ratio"], row["low"], row["high"]) == pytest.approx((1.5, 1.5, 1.5))
    assert (row["blocks"], row["images_per_s"], row["noisy"], row["isolated"]) == (6, 4.0, False, True)
    assert row["against_images_per_s"] == pytest.approx(2 / 0.75)
    assert (row["forward_s"], row["backward_s"], row["update_s"]) == (0.2, 0.4, 0.01)
    assert (row["neck"], row["against"], row["height"], row["device"]) == (
        "jpu",
        "neck=off",
        64,
        "Planted CPU, 2 threads",
    )


def test_a_comparison_on_other_hardware_than_most_is_left_out_with_the_reason(tmp_path: Path) -> None:
    folder = planted(tmp_path, {side: measured([0.5] * 12, [0.75] * 12) for side in (64, 128, 256)})
    record = next(
        each for each in read_all(folder / "records") if each.trial.setting and each.trial.setting.height == 128
    )
    write(record.having(environment={**record.environment.as_json(), "hardware": "Other GPU"}), folder / "records")
    table = frame(load(folder))
    assert table["ratio"].notna().tolist() == [True, False, True]
    assert table["reason"].tolist() == ["", "timed on Other GPU, most others on Planted CPU, 2 threads", ""]
    assert table["verdict"].notna().tolist() == [True, False, True]
    assert remark(table.iloc[1].to_dict()) == "left out: timed on Other GPU, most others on Planted CPU, 2 threads"
    assert crossing_table(table)["ratio crosses 1"].tolist() == ["none in the range"]


def test_a_noisy_timing_is_kept_and_marked_and_a_crowded_one_is_left_out_with_the_reason(tmp_path: Path) -> None:
    noisy = measured([1.0, 1.2] * 6, [2.0] * 12)
    crowded = measured([1.0] * 12, [2.0] * 12, CROWDED)
    rows = frame(load(planted(tmp_path, {64: noisy, 128: crowded, 256: None})))
    assert list(rows["noisy"].eq(True)) == [True, False, False]
    assert list(rows["ratio"].isna()) == [False, True, True]
    assert list(rows["reason"]) == ["", CROWDED, ""]
    assert list(rows["status"]) == ["done", "done", "missing"]


def test_a_mode_that_changes_the_answer_says_so_even_where_its_timing_was_not_alone(tmp_path: Path) -> None:
    same = {"max_abs": 1e-6, "largest": 2.0, "changed": 0.0}
    others = {"ours": same | {"changed": 0.0312}, "against": same | {"changed": 0.02}}
    prepared = {"ours": 4.0, "against": 6.0}
    planted_sizes = {
        64: measured([1.0] * 12, [2.0] * 12, difference={"ours": same, "against": same}, prepared_s=prepared),
        128: measured([1.0] * 12, [2.0] * 12, difference=others),
        256: measured([1.0] * 12, [2.0] * 12, CROWDED, difference=others),
    }
    evidence = evidence_of(planted(tmp_path, planted_sizes))
    alike, other, crowded = evidence.speedups.to_dict("records")
    assert [changes_answer(row) for row in (alike, other, crowded)] == [False, True, True]
    assert (alike["prepared_s"], alike["against_prepared_s"], other["difference"]) == (4.0, 6.0, 1e-6)
    assert remark(other) == "changes the answer: 3.12 % / 2 % of pixels"
    assert remark(crowded).endswith("; changes the answer: 3.12 % / 2 % of pixels")
    printed = comparisons(evidence).printed()
    assert printed["Pixels changed"].tolist() == ["0 %", "3.12 % / 2 %", "3.12 % / 2 %"]
    assert printed["Prepared in s"].tolist() == ["4.0 / 6.0", NOTHING, NOTHING]
    assert "changes the answer: 3.12 % / 2 % of pixels" in " ".join(each.text for each in speed_findings(evidence))


def test_eager_torch_alone_has_no_columns_of_modes(tmp_path: Path) -> None:
    printed = comparisons(evidence_of(planted(tmp_path, {64: measured([1.0] * 12, [2.0] * 12)}))).printed()
    assert not {"Pixels changed", "Prepared in s"} & set(printed.columns)


def test_speed_comparisons_are_not_in_the_frame_of_quality_and_cost(tmp_path: Path) -> None:
    assert load(planted(tmp_path, {64: measured([1.0] * 12, [2.0] * 12)})).frame().empty


def test_a_ratio_crosses_1_where_its_logarithm_is_zero_over_the_logarithm_of_the_pixels() -> None:
    points = [(4**4, Ratio(0.5, 0.25, 0.5, 6)), (4**6, Ratio(2.0, 2.0, 4.0, 6))]
    [found] = crossings(points[::-1])
    assert found.pixels == pytest.approx(4**5)
    # the lower end goes from 1/4 to 2: two thirds of the way; the upper from 1/2 to 4: one third
    assert (found.low, found.high) == pytest.approx((4 ** (4 + 2 / 3), 4 ** (4 + 4 / 3)))


def test_an_end_outside_the_range_is_nan_and_no_crossing_is_none() -> None:
    [found] = crossings([(100, Ratio(0.9, 0.5, 1.2, 6)), (400, Ratio(1.1, 1.05, 1.3, 6))])
    assert isinstance(found, Crossing)
    assert math.isnan(found.low)
    assert found.pixels < found.high < 400
    assert crossings([(100, Ratio(1.2, 1.1, 1.3, 6)), (400, Ratio(1.5, 1.4, 1.6, 6))]) == []


def test_the_interval_of_a_crossing_ends_at_the_nearest_ends() -> None:
    """The upper end goes below 1 and above it again before the ratio crosses."""
    ratios = [Ratio(0.9, 0.8, 1.1, 6), Ratio(0.85, 0.75, 0.95, 6), Ratio(0.95, 0.9, 1.05, 6), Ratio(1.1, 1.05, 1.2, 6)]
    [found] = crossings(list(zip([100, 200, 400, 800], ratios, strict=True)))
    assert 200 < found.low < 400 < found.pixels < found.high < 800


def test_crossings_are_told_a_variant_and_kind_of_setting(tmp_path: Path) -> None:
    slower, faster = measured([2.0] * 12, [1.0] * 12), measured([1.0] * 12, [2.0] * 12)
    table = crossing_table(frame(load(planted(tmp_path / "a", {64: slower, 256: faster, 512: faster}))))
    assert list(table["ratio crosses 1"]) == ["at 128² px (128² to 128²)"]
    table = crossing_table(frame(load(planted(tmp_path / "b", {256: faster, 512: faster}))))
    assert list(table["ratio crosses 1"]) == ["none in the range"]
