"""A timing of which it is not known whether it was alone counts, and is marked wherever it is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.evidence.compare import comparison
from bench.evidence.compare.sides import side
from bench.evidence.compare.speed import speed
from bench.evidence.evidence import evidence_of
from bench.report.figures.accuracy import accuracy_against
from bench.report.figures.speed import figures
from bench.report.page.methods import methods
from bench.report.tables import catalogue
from tests.planted_speed import CROWDED, UNKNOWN, measured, planted

Plant = Callable[..., Path]
ON = "attention=on, upsampling=dilated"
PHRASE = "not known whether it was alone: other processes on the GPU are not known: no NVML"
CAPPED = {"isolation": {"notes": ["the GPU ran at its power cap in 80% of 12 readings"]}}


def test_a_comparison_counts_and_has_the_remark_and_a_note_is_no_doubt(tmp_path: Path) -> None:
    samples = [1.0] * 20, [2.0] * 20
    sides = {
        32: measured(*samples, **UNKNOWN), 64: measured(*samples, CROWDED), 128: measured(*samples, **CAPPED),
        256: measured(*samples),
    }  # fmt: skip
    evidence = evidence_of(planted(tmp_path, sides))
    table = evidence.speedups
    assert table["ratio"].notna().tolist() == [True, False, True, True]
    assert table["isolated"].tolist() == [None, False, True, True]
    remarks = catalogue.table(evidence, "speed").printed()["Remark"].tolist()
    assert remarks[0] == PHRASE
    assert remarks[2:] == ["the GPU ran at its power cap in 80% of 12 readings", ""]
    [figure] = figures(evidence)
    assert "Of 1 timing it is not known whether the machine was alone" in figure.caption
    rows = {row["Where"]: row["Difference"] for row in evidence.confounds.to_dict("records")}
    assert rows["times at 32x32 batch 2"] == PHRASE
    assert set(rows) == {"times at 32x32 batch 2", "times at 64x64 batch 2"}


def test_a_latency_counts_and_has_a_mark_with_its_meaning(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path, costs={ON: UNKNOWN}))
    for name in ("ablation", "cost"):
        table = catalogue.table(evidence, name)
        assert table.printed()["Latency (ms) ↓"].tolist()[2] == "30.0 ¶ (×1.50)"
        assert f"¶ N{PHRASE[1:]}." in catalogue.written(table, "markdown")
        assert table.printed()["Peak memory (MiB) ↓"].tolist()[2] == "120.0 (×1.20)"
    caption = accuracy_against(evidence, "latency_s").caption
    assert f"Not known whether the timing was alone: {evidence.labels[ON]}." in caption
    assert "Not known" not in accuracy_against(evidence, "macs").caption
    assert "Of 1 timing it is not known whether the machine was alone; none is left out" in methods(evidence)
    assert "Of 3 timings, 3 had the machine alone" in methods(evidence)
    assert evidence.in_doubt == [evidence.labels[ON]]
    frame = evidence.results.frame()
    [reason] = frame.loc[frame["variant"].eq(ON) & frame["stage"].eq("cost"), "reason"]
    assert reason == PHRASE


def test_two_results_are_compared_and_the_reason_says_what_is_not_known(tmp_path: Path, planted_results: Plant) -> None:
    known, unknown = (
        side(str(planted(tmp_path / name, {64: measured([1.0] * 20, [2.0] * 20, **fields)})))
        for name, fields in (("known", {}), ("unknown", UNKNOWN))
    )
    [row] = speed(known, unknown).to_dict("records")
    assert (row["ratio"], row["reason"]) == (1.0, PHRASE)
    before, after = (
        side(str(planted_results(tmp_path / name, costs=costs))) for name, costs in (("a", {}), ("b", {ON: UNKNOWN}))
    )
    costs = comparison.compare(before, after).cost
    [row] = costs[costs["variant"].eq(ON) & costs["quantity"].eq("latency_s")].to_dict("records")
    assert row["ratio"] == 1.0
    assert row["reason"] == f"{comparison.DRIFT}; {PHRASE}"
