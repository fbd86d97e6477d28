"""Variants that are evaluated on other classes or images than the baseline: shown, and never compared with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.evidence.evidence import Evidence, evidence_of
from bench.records.files import read_json, write_json
from bench.report.page import findings, methods, summary
from bench.report.tables.effects import effects_table
from bench.report.tables.quality import main
from bench.report.tables.variants import ablation_table

VARIANTS = {
    "data=a, neck=off": [0.60, 0.62, 0.61],
    "data=a, neck=on": [0.65, 0.671, 0.659],
    "data=b, neck=off": [0.90, 0.921, 0.911],
    "data=b, neck=on": [0.93, 0.95, 0.942],
}
CLASSES = ["road", "pole", "sky"]


@pytest.fixture
def evidence(planted_results: Callable[..., Path], tmp_path: Path) -> Callable[..., Evidence]:
    """The evidence of planted results whose variants with data=b have other data; by default, of other images."""

    def make(*, images: dict[str, str] | None = None) -> Evidence:
        chosen = images or {"a": "one", "b": "two"}
        plan: dict[str, Any] = {
            "other_data": {
                name: {"name": "field", "classes": CLASSES, "images": {"train": 50, "val": 20}}
                for name in VARIANTS
                if "data=b" in name
            },
            "evaluated": {name: chosen[name[5]] for name in VARIANTS},
        }
        factors = {"data": ["a", "b"], "neck": ["off", "on"]}
        return evidence_of(planted_results(tmp_path, factors=factors, scores=VARIANTS, plan=plan))

    return make


def test_no_difference_is_taken_between_scores_on_other_images(evidence: Callable[..., Evidence]) -> None:
    effects = evidence().effects.set_index("label")
    for label in ("data=b", "data=b + neck=on", "data=b, on average"):
        assert effects.loc[label, "n"] == 0
        assert effects.loc[label, "reason"] == "not compared: other images"


def test_differences_within_each_data_set_are_kept(evidence: Callable[..., Evidence]) -> None:
    effects = evidence().effects.set_index("label")
    assert effects.loc["neck=on", "delta"] == pytest.approx(0.05, abs=1e-3)
    assert effects.loc["neck=on, on average", "n"] == 3
    assert effects.loc["data=b × neck=on", "n"] == 3  # a difference of differences, each on one data set


def test_more_training_data_and_the_same_evaluated_images_are_compared(evidence: Callable[..., Evidence]) -> None:
    effects = evidence(images={"a": "one", "b": "one"}).effects.set_index("label")
    assert effects.loc["data=b", "n"] == 3
    assert effects.loc["data=b", "delta"] == pytest.approx(0.30, abs=2e-3)


def test_no_variant_on_other_images_is_the_best_or_on_the_front(evidence: Callable[..., Evidence]) -> None:
    found = evidence()
    assert found.best("miou") == "data=a, neck=on"
    assert set(found.front("macs").places) == {"data=a, neck=off", "data=a, neck=on"}
    assert set(found.class_effects["variant"]) == {"data=a, neck=on"}
    assert set(found.best_by_class.values()) <= {"", "data=a, neck=on"}
    assert found.squares("data", "neck") == {}


def test_tables_findings_and_methods_name_the_data_and_say_what_is_not_compared(
    evidence: Callable[..., Evidence],
) -> None:
    found = evidence()
    verdicts = ablation_table(found).printed().set_index(["data", "neck"])["Verdict"]
    assert verdicts["b", "✗"] == verdicts["b", "✓"] == "not compared (other images)"
    note = "Not compared with the baseline: data=b, data=b + neck=on (other images)."
    for table in (ablation_table(found), main(found), effects_table(found)):
        assert note in table.notes
    assert note in [each.text for each in summary.notes(found)]
    told = methods.methods(found)
    assert "Data of data=b, data=b + neck=on: field, 3 classes, 50 train and 20 val images." in told
    assert note in told
    assert any("Not compared: data=b (other images)" in each.text for each in findings.findings(found))


def test_records_of_a_bench_that_ignored_the_levels_data_are_not_compared(
    planted_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = planted_results(tmp_path, factors={"data": ["a", "b"]}, scores={"data=a": [0.6], "data=b": [0.9]})
    plan = read_json(folder / "study.json")
    own = {"a": {"class": "Yard", "choices": {}}, "b": {"class": "Field", "choices": {}}}
    plan["recipe"]["data"] = own["a"]
    plan["audit"] = {
        "about": {"data": ["recipe"]},
        "touched": {"data": ["recipe"]},
        "variants": {
            f"data={level}": {
                "levels": {"data": level}, "slots": {}, "losses": [], "learning_rates": {}, "conventions": {},
                "recipe": {"data": data},
            }
            for level, data in own.items()
        },
    }  # fmt: skip
    write_json(plan, folder / "study.json")
    (row,) = evidence_of(folder).effects.to_dict("records")
    assert row["n"] == 0
    assert "earlier bench" in row["reason"]
