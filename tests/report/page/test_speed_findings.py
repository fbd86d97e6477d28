"""Sentences on speed-ups, from records with planted timings."""

from __future__ import annotations

from pathlib import Path

from bench.evidence.evidence import evidence_of
from bench.report.page.findings import findings, speed_findings
from bench.report.page.summary import facts
from bench.report.tables import protocol
from tests.planted_speed import CROWDED, measured, planted


def test_a_side_is_faster_only_if_that_is_resolved_at_every_size(tmp_path: Path) -> None:
    faster, slower = measured([1.0] * 20, [2.0] * 20), measured([2.0] * 20, [1.0] * 20)
    (finding,) = speed_findings(evidence_of(planted(tmp_path / "a", {64: faster, 128: faster})))
    assert (finding.verdict, finding.href) == ("better", "#speed")
    assert finding.text.endswith(
        ": faster at 64x64 batch 2 (2.00 × [2.00, 2.00]) and at 128x128 batch 2 (2.00 × [2.00, 2.00]). "
        "The ratio crosses 1 nowhere between the sizes measured."
    )
    assert [sentence.href for sentence in finding.sentences] == ["#speed", "#crossings"]
    (finding,) = speed_findings(evidence_of(planted(tmp_path / "b", {64: slower})))
    assert (finding.verdict, "slower at 64x64" in finding.text) == ("worse", True)
    assert "crosses" not in finding.text, "of one size nobody can know"
    (finding,) = speed_findings(evidence_of(planted(tmp_path / "c", {64: slower, 128: faster})))
    assert finding.verdict == "not resolved"
    assert ": faster at 128x128 batch 2 (2.00 × [2.00, 2.00]); slower at 64x64 batch 2 (0.50 ×" in finding.text
    assert finding.text.endswith("The ratio crosses 1 at 91² px (91² to 91²).")


def test_blocks_that_cannot_pass_holms_correction_resolve_nothing_and_say_so(tmp_path: Path) -> None:
    # Six blocks of one sign: p = 2 / 2⁶ = 0.031, twice that for the smaller of two comparisons.
    six_blocks = measured([1.0] * 12, [2.0] * 12)
    (finding,) = speed_findings(evidence_of(planted(tmp_path / "two", {64: six_blocks, 128: six_blocks})))
    assert finding.verdict == "not resolved"
    assert finding.text.endswith("and at 128x128 batch 2 (2.00 × [2.00, 2.00]): 6 blocks; 2 comparisons need 7 each.")
    (finding,) = speed_findings(evidence_of(planted(tmp_path / "one", {64: six_blocks})))
    assert finding.verdict == "better"


def test_a_noisy_comparison_says_so_beside_its_ratio(tmp_path: Path) -> None:
    noisy = measured([1.0, 1.5] * 10, [3.0] * 20, steady=False)
    (finding,) = speed_findings(evidence_of(planted(tmp_path, {64: noisy})))
    assert "noisy: quartiles over 10 % apart, not steady after warm-up)." in finding.text


def test_a_timing_that_was_not_alone_is_in_no_sentence_and_a_missing_one_is_counted(tmp_path: Path) -> None:
    crowded = measured([1.0] * 12, [2.0] * 12, CROWDED)
    evidence = evidence_of(planted(tmp_path, {64: crowded, 128: None}))
    assert speed_findings(evidence) == []
    assert [finding.text for finding in findings(evidence)] == ["1 of 2 trials gave no measurement: 1 missing."]
    assert dict(facts(evidence))["Trials"] == "1 of 2 done"
    outcomes = protocol.outcomes(evidence).printed()
    assert list(outcomes["Stage"]) == ["speed at 64x64 batch 2", "speed at 128x128 batch 2"]
    assert "0.90 CPUs" in outcomes["Reason"][0]


def test_the_protocol_of_a_study_of_speed_is_about_comparisons_alone(tmp_path: Path) -> None:
    evidence = evidence_of(planted(tmp_path, {64: measured([1.0] * 12, [2.0] * 12)}))
    assert protocol.protocol(evidence).rows["Protocol"].tolist() == [
        "Data",
        "Speed comparisons",
        "Blocks",
        "Calls at a time",
    ]
    assert list(protocol.provenance(evidence).heads) == ["Fact", "speed trials"]
