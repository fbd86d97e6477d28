"""The evidence and the report of a study whose seeds were added in rounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.evidence.evidence import evidence_of
from bench.evidence.sequential.progress import fix_rounds
from bench.evidence.stats import effect
from bench.report.page.findings import findings
from bench.report.page.methods import methods
from bench.report.tables.effects import effects_table

Plant = Callable[..., Path]
FACTOR = {"head": ["fcn", "aspp", "psp"]}
SCORES = {
    "head=fcn": [0.600, 0.620, 0.610, 0.605, 0.615],
    "head=aspp": [0.700, 0.721, 0.709, 0.706, None],  # resolved at the first look, so without a fifth seed
    "head=psp": [0.640, 0.625, 0.635, 0.640, 0.628],
}


def planted(folder: Path, plant: Plant, scores: dict[str, list[float | None]], **plan: object) -> Path:
    rounds = fix_rounds((0,), 2, most=8).as_json()
    return plant(folder, factors=FACTOR, scores=scores, stages=("quality",), plan={"rounds": rounds, **plan})


def test_differences_are_judged_with_the_looks_accounted_for(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted(tmp_path, planted_results, SCORES))
    assert evidence.rounds is not None
    assert (evidence.rounds.over, evidence.rounds.ended) == (2, False)
    rows = {row["label"]: row for row in evidence.effects.to_dict("records")}
    aspp, psp = rows["head=aspp"], rows["head=psp"]
    assert (aspp["stand"], aspp["looks"], aspp["n"], aspp["verdict"]) == ("resolved", 1, 4, "better")
    assert (psp["stand"], psp["looks"], psp["n"]) == ("open", 2, 5)
    assert (psp["verdict"], psp["reason"]) == ("not resolved", "more seeds are to come")
    plain = effect([0.040, 0.005, 0.025, 0.035, 0.013])
    assert psp["delta"] == pytest.approx(plain.delta, abs=1e-5)
    assert psp["p"] > plain.p, "two looks cost more than one"
    assert psp["low"] < plain.low < plain.high < psp["high"]


def test_table_methods_and_findings_tell_of_the_rounds_and_say_nothing_of_them_for_fixed_seeds(
    tmp_path: Path, planted_results: Plant
) -> None:
    evidence = evidence_of(planted(tmp_path / "rounds", planted_results, SCORES))
    table = effects_table(evidence)
    shown = table.printed().set_index("Effect of")
    assert shown["Looks"].to_dict() == {"head=aspp": "1", "head=psp": "2"}
    assert shown["Ended"].to_dict() == {"head=aspp": "resolved", "head=psp": "open"}
    assert "account for the looks" in table.notes
    said = methods(evidence)
    assert "looks at 4, 5, 6, 7, 8 seeds: 2 rounds took place" in said
    assert "(n / 8)^1.75 was spent" in said
    assert any("With up to 8 seeds" in finding.text for finding in findings(evidence))
    fixed = evidence_of(planted_results(tmp_path / "fixed"))
    assert fixed.rounds is None
    assert {"Looks", "Ended"}.isdisjoint(effects_table(fixed).printed())
    assert not {"looks", "stand"} & {*fixed.effects}
    assert "Student-t 95 % intervals" in effects_table(fixed).notes


def test_equivalence_of_a_comparison_that_has_ended_counts_on_the_looks(tmp_path: Path, planted_results: Plant) -> None:
    scores = {
        "head=fcn": [0.600, 0.620, 0.610, 0.605],
        "head=aspp": [0.6005, 0.6194, 0.6104, 0.6047],
        "head=psp": [0.6004, 0.6195, 0.6106, 0.6048],
    }
    evidence = evidence_of(planted(tmp_path, planted_results, scores, margin=0.01))
    assert evidence.effects["stand"].tolist() == ["futile", "futile"]
    assert evidence.effects["reason"].tolist() == ["stopped for futility"] * 2
    assert (evidence.effects["p_equivalent"] < 0.05).all()
