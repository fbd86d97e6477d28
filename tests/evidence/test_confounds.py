"""Which variants the audit compares, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.evidence.evidence import evidence_of
from bench.records.files import with_digest
from bench.report.page.findings import findings
from bench.report.page.summary import commands, notes
from bench.report.tables.confounds import undeclared
from bench.study.audit import summary
from tests.planted_speed import CROWDED, measured, planted

Plant = Callable[..., Path]
PLAIN = "attention=off, upsampling=dilated"
ATTENDED, BOTH = PLAIN.replace("off", "on"), "attention=on, upsampling=jpu"


def facts(attention: str, upsampling: str, head: str, macs: int) -> dict[str, Any]:
    """A network of two slots as an audit keeps it; the neck has all that upsampling changes."""
    slots = {
        slot: {"class": name, "choices": {}, "macs": count}
        for slot, name, count in (("head", head, macs), ("neck", upsampling, 5 * 10**9))
    }
    unset: dict[str, Any] = {"losses": [], "recipe": {}, "learning_rates": {}, "conventions": {}}
    return {"levels": {"attention": attention, "upsampling": upsampling}, "slots": slots, **unset}


def test_a_timed_variant_is_compared_with_the_other_side_of_its_comparison_planned_or_not(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path)
    plan = json.loads((folder / "study.json").read_text())
    attended = {"attention": "on", "upsampling": "jpu"}
    cell = {"key": "s0", "stage": "speed", "seed": None, "excluded": None, "levels": attended}
    plan["trials"] = [{**cell, "variant": BOTH, "against": ATTENDED, "setting": {"height": 64, "width": 64}}]
    plan["stages"] = ["speed"]
    sides = {
        PLAIN: facts("off", "dilated", "Plain", 10**9),
        ATTENDED: facts("on", "dilated", "Attending", 2 * 10**9),
        BOTH: facts("on", "jpu", "Attending", 4 * 10**9),
    }
    about = {"attention": ["head"], "upsampling": ["neck"]}
    plan["audit"] = {"about": about, "touched": about, "input_px": [64, 64], "variants": sides}
    (folder / "study.json").write_text(json.dumps(plan))
    table = evidence_of(folder).confounds.set_index("Where")
    assert list(table["Kind"].sort_index()) == ["follows", "declared"]
    assert (table.loc["head", "macs_low"], table.loc["head", "macs_high"]) == (2 * 10**9, 2 * 10**9)
    assert set(table["Compared"]) == {f"attention=on + upsampling=jpu against {ATTENDED}"}
    assert evidence_of(folder).confounded == []


def audited(folder: Path, networks: dict[str, dict[str, Any]], about: dict[str, list[str]]) -> Path:
    plan = json.loads((folder / "study.json").read_text())
    plan["audit"] = {"about": about, "touched": about, "input_px": [64, 64], "variants": networks}
    (folder / "study.json").write_text(json.dumps(plan))
    return folder


def test_what_hides_behind_another_factor_is_found_in_the_pairs_that_an_average_is_made_of(
    tmp_path: Path, planted_results: Plant
) -> None:
    """With attention on, jpu changes the head; against the baseline that passes for attention's own change."""
    networks = {
        PLAIN: facts("off", "dilated", "Plain", 10**9),
        PLAIN.replace("dilated", "jpu"): facts("off", "jpu", "Plain", 10**9),
        ATTENDED: facts("on", "dilated", "Attending", 3 * 10**9),
        BOTH: facts("on", "jpu", "AttendingLess", 10**9),
    }
    about = {"attention": ["head"], "upsampling": ["neck"]}
    evidence = evidence_of(audited(planted_results(tmp_path), networks, about))
    (row,) = undeclared(evidence).printed().to_dict("records")
    assert row == {
        "Compared": "upsampling=jpu, on average",
        "Where": "head",
        "Difference": "Attending() → AttendingLess(), in 1 of 2 pairs (attention=on)",
        "Kind": "undeclared",
        "Parameters (M)": "+0.00",
        "MACs (G)": "-2.00",
        "Share of Δ MACs (%)": "—",
    }
    assert evidence.confounded == ["upsampling=jpu, on average"]
    said = {each.text.split(":")[0]: each.text for each in findings(evidence)}
    assert said["upsampling=jpu, on average"].endswith(
        "In 1 of 2 pairs the sides differ in more than the factors are about: head."
    )
    assert said["attention=on × upsampling=jpu"].endswith(
        "In 1 of 4 pairs the sides differ in more than the factors are about: head."
    )
    assert "more than" not in said["attention=on"] + said["upsampling=jpu"]
    assert any("1 comparison differs in more than the factors are about" in note.text for note in notes(evidence))
    assert summary(evidence.results.plan.audit, PLAIN) == [
        "upsampling=jpu, on average, differs beyond its factor: head: Attending() → AttendingLess(), in 1 of 2 pairs "
        "(attention=on)."
    ]


def test_environments_are_compared_without_any_facts_of_networks(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    for file in sorted((folder / "records").glob("*.json")):
        record = json.loads(file.read_text())
        if record["trial"]["variant"] == BOTH and record["trial"]["stage"] == "quality":
            record["environment"] |= {"torch": "2.6.0", "bench": {"numpy": "1.26.4"}}
            file.write_text(with_digest(record))
    table = evidence_of(folder).confounds
    assert set(table["Kind"]) == {"environment"}
    rows = {(row["Compared"], row["Where"]): row["Difference"] for row in table.to_dict("records")}
    assert rows["attention=on + upsampling=jpu", "torch of quality trials"].endswith("→ 2.6.0")
    assert rows["attention=on + upsampling=jpu", "numpy of quality trials"].endswith("→ 1.26.4")
    assert rows["attention=on, on average", "torch of quality trials"] == "differs in 1 of 2 pairs"
    assert len(rows) == 2 + 2 * 2


def test_a_package_that_only_one_side_uses_belongs_to_the_networks_and_is_no_other_environment(
    tmp_path: Path, planted_results: Plant
) -> None:
    """A record names the packages that the code of its trial reaches, as transformers for a network of it."""
    folder = planted_results(tmp_path)
    for file in sorted((folder / "records").glob("*.json")):
        record = json.loads(file.read_text())
        if record["trial"]["variant"] == ATTENDED:
            record["environment"]["bench"]["transformers"] = "5.24.0"
            file.write_text(with_digest(record))
    assert evidence_of(folder).confounds.empty


def test_variants_that_were_trained_by_other_numbers_of_processes_are_named(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path)
    for file in sorted((folder / "records").glob("*.json")):
        record = json.loads(file.read_text())
        if record["trial"]["variant"] == BOTH and record["trial"]["stage"] == "quality":
            record["measured"]["processes"] = 4
            file.write_text(with_digest(record))
    rows = {(row["Compared"], row["Where"]): row for row in evidence_of(folder).confounds.to_dict("records")}
    row = rows["attention=on + upsampling=jpu", "processes of quality trials"]
    assert (row["Difference"], row["Kind"]) == ("1 → 4", "environment")
    assert rows["attention=on, on average", "processes of quality trials"]["Difference"] == "differs in 1 of 2 pairs"
    assert len(rows) == 1 + 2


def test_of_a_single_pair_that_an_effect_is_made_of_the_change_itself_is_said(
    tmp_path: Path, planted_results: Plant
) -> None:
    factors, excluded = {"gate": ["off", "on"], "dual": ["off", "on"]}, {"gate=off, dual=on": "no boundary head"}
    scores = {"gate=off, dual=off": [0.60, 0.61], "gate=on, dual=off": [0.62, 0.63], "gate=on, dual=on": [0.66, 0.65]}
    folder = planted_results(tmp_path, factors=factors, scores=scores, excluded=excluded, stages=["quality"])
    for file in (folder / "records").glob("*.json"):
        record = json.loads(file.read_text())
        if record["trial"]["variant"] == "gate=on, dual=on":
            record["environment"]["torch"] = "2.6.0"
            file.write_text(with_digest(record))
    rows = {row["Compared"]: row["Difference"] for row in evidence_of(folder).confounds.to_dict("records")}
    assert rows["dual=on at gate=on"].endswith("→ 2.6.0")
    assert set(rows) == {"dual=on at gate=on", "gate=on + dual=on"}


def test_environments_are_compared_seed_by_seed(tmp_path: Path, planted_results: Plant) -> None:
    """Both variants ran on the same two hosts, but no seed of one on the host of the other's."""
    folder = planted_results(tmp_path)
    for file in sorted((folder / "records").glob("*.json")):
        record = json.loads(file.read_text())
        if record["trial"]["stage"] == "quality" and record["trial"]["variant"] in (PLAIN, ATTENDED):
            odd = (record["trial"]["seed"] + (record["trial"]["variant"] == PLAIN)) % 2
            record["environment"] |= {"host": f"host{odd}", "platform": "a name that is longer than a commit's digits"}
            file.write_text(with_digest(record))
    rows = evidence_of(folder).confounds.to_dict("records")
    changes = {row["Where"]: row["Difference"] for row in rows if row["Compared"] == "attention=on"}
    assert changes == {
        "host of quality trials": "host1 → host0 in 2 of 3 trials; host0 → host1 in 1 of 3 trials",
    }


def test_a_timing_in_doubt_is_a_row_of_the_audit_with_the_reason(tmp_path: Path) -> None:
    crowded = measured([1.0] * 20, [2.0] * 20, CROWDED)
    noisy = measured([1.0, 1.2] * 10, [2.0] * 20, steady=False)
    evidence = evidence_of(planted(tmp_path, {64: crowded, 128: noisy, 256: measured([1.0] * 20, [2.0] * 20)}))
    rows = {row["Where"]: (row["Kind"], row["Difference"]) for row in evidence.confounds.to_dict("records")}
    assert rows == {
        "times at 64x64 batch 2": (
            "timing",
            "not alone, so left out: other processes used 0.90 CPUs (allowed: 0.15); repeat with --retry not_alone",
        ),
        "times at 128x128 batch 2": ("timing", "noisy: quartiles 18% of the median apart; not steady after warm-up"),
    }
    assert evidence.confounded == []
    assert any("are in doubt: not known to be alone, noisy or not steady" in note.text for note in notes(evidence))


def test_records_of_several_commits_are_each_checked_out_by_the_commands(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path)
    for file in sorted((folder / "records").glob("*.json"))[:3]:
        record = json.loads(file.read_text())
        record["environment"] |= {"commit": "a" * 40, "dirty": True}
        file.write_text(with_digest(record))
    said = commands(evidence_of(folder).results)
    assert "several states of the source" in said[0]
    assert f"git checkout {'a' * 12}  # (with uncommitted changes)" in said
    assert len([line for line in said if line.startswith("git checkout")]) == 2


def test_a_finding_says_what_else_differs_though_it_costs_nothing(tmp_path: Path, planted_results: Plant) -> None:
    """As in DANet's own ablation: another learning rate came with attention."""
    networks = {PLAIN: facts("off", "dilated", "Plain", 10**9), ATTENDED: facts("on", "dilated", "Attending", 10**9)}
    networks[ATTENDED]["recipe"] = {"learning_rate": 0.003}
    networks[PLAIN]["recipe"] = {"learning_rate": 0.01}
    about = {"attention": ["head"], "upsampling": ["neck"]}
    (said,) = [
        each.text
        for each in findings(evidence_of(audited(planted_results(tmp_path), networks, about)))
        if each.text.startswith("attention=on: ")
    ]
    assert said.endswith("The sides differ in more than the factors are about: recipe.learning rate.")
