"""Two sets of results: pairing where it is sound, Welch where not, exact counts, timings that nobody judges."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.evidence.compare.comparison import DRIFT, Comparison, compare
from bench.evidence.compare.sides import Side, side
from bench.records.files import RecordError
from bench.records.record import read, write

Plant = Callable[..., Path]
FACTORS = {"attention": ["off", "on"]}
OFF, ON = "attention=off", "attention=on"
BEFORE: dict[str, list[Any]] = {OFF: [0.600, 0.620, 0.610, 0.605], ON: [0.650, 0.671, 0.659, 0.655]}
WORSE = [0.640, 0.660, 0.650, 0.645]


@pytest.fixture
def sides(tmp_path: Path, planted_results: Plant) -> Callable[..., tuple[Side, Side]]:
    """Two folders, the second with other scores of ``attention=on`` and other options of the planting."""

    def make(after: Sequence[Any] = BEFORE[ON], **options: Any) -> tuple[Side, Side]:
        one = planted_results(tmp_path / "a", factors=FACTORS, scores=BEFORE)
        unmeasured = [None] * (len(after) - len(BEFORE[OFF]))
        scores = {OFF: [*BEFORE[OFF][: len(after)], *unmeasured], ON: list(after)}
        other = planted_results(tmp_path / "b", **{"factors": FACTORS, "scores": scores, **options})
        return side(str(one)), side(str(other))

    return make


def of(found: Comparison, variant: str, quantity: str = "miou", table: str = "quality") -> dict[str, Any]:
    rows = getattr(found, table)
    [row] = rows[(rows["variant"] == variant) & (rows["quantity"] == quantity)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def edited(folder: Path, variant: str, edit: Callable[[Any], Any]) -> None:
    for path in (folder / "records").glob("*.json"):
        record = read(path)
        if record.trial.variant == variant:
            write(edit(record), folder / "records")


def test_common_seeds_are_paired_and_holm_runs_over_all_rows(sides: Callable[..., tuple[Side, Side]]) -> None:
    found = compare(*sides([0.660, 0.683, 0.668, 0.664]))
    row = of(found, ON)
    differences = [0.010, 0.012, 0.009, 0.009]
    assert row["delta"] == pytest.approx(0.010, abs=1e-6)
    assert row["p"] == pytest.approx(scipy_stats.ttest_1samp(differences, 0).pvalue, rel=1e-3)
    assert row["p_holm"] == pytest.approx(2 * row["p"])
    assert (row["method"], row["n"], row["verdict"]) == ("paired", 4, "better")
    assert (of(found, OFF)["verdict"], of(found, OFF)["reason"]) == ("not resolved", "identical values")
    assert found.worse == []


def test_a_resolved_worsening_is_named(sides: Callable[..., tuple[Side, Side]]) -> None:
    found = compare(*sides([0.640, 0.660, 0.648, 0.646]))
    assert of(found, ON)["verdict"] == "worse"
    assert found.worse == [f"{ON}: mIoU"]


@pytest.mark.parametrize("costs", [{}, {ON: "failed"}])
def test_a_variant_that_trained_before_and_fails_now_is_worse(
    sides: Callable[..., tuple[Side, Side]], costs: dict[str, Any]
) -> None:
    """Whether or not its costs are there: without a score nothing about it can be resolved, and a gate would pass."""
    found = compare(*sides(["diverged", "diverged", "failed", None], costs=costs))
    assert found.worse[0] == f"{ON}: trained in A, 2 diverged, 1 failed in B"


def test_survivors_do_not_speak_for_the_seeds_that_were_lost(sides: Callable[..., tuple[Side, Side]]) -> None:
    found = compare(*sides(["diverged", "diverged", 0.70, 0.71]))
    assert found.worse == [f"{ON}: trained in A, 2 diverged in B"]
    assert compare(*reversed(sides(["diverged", "diverged", 0.70, 0.71]))).lost == ()


def test_a_network_that_no_longer_fits_is_worse_on_the_same_hardware_only(
    sides: Callable[..., tuple[Side, Side]], tmp_path: Path
) -> None:
    assert compare(*sides(costs={ON: "out_of_memory"})).worse == [f"{ON}: measured in A, 1 out of memory in B"]
    edited(
        tmp_path / "b",
        ON,
        lambda record: record.having(environment={**record.environment.as_json(), "hardware": "small"}),
    )
    assert compare(side(str(tmp_path / "a")), side(str(tmp_path / "b"))).worse == []


def test_failures_at_other_seeds_count_where_no_seed_is_in_common(sides: Callable[..., tuple[Side, Side]]) -> None:
    def later(record: Any) -> Any:
        seed = record.trial.seed
        return record if seed is None else record.having(trial={**record.trial.as_json(), "seed": seed + 10})

    one, other = sides(["failed", "failed", "diverged", 0.7])
    moved = replace(other, records=tuple(map(later, other.records)))
    assert compare(one, moved).worse == [f"{ON}: trained in A, 2 failed, 1 diverged in B"]
    assert compare(moved, one).worse == []


def test_what_has_not_run_yet_is_not_worse_but_may_be(sides: Callable[..., tuple[Side, Side]]) -> None:
    found = compare(*sides([None, None, 0.659, "interrupted"]))
    assert found.worse == []
    assert found.lacking == ("B has not finished 3 quality trials that A has",)
    assert found.unjudged == found.unjudged[:1] == ["B has not finished 3 quality trials that A has"]
    found = compare(*sides([None, None, 0.1, None]))
    assert found.unjudged[1:] == [f"{ON}: mIoU (one seed)"]


def test_equal_results_are_judged_also_with_one_seed(tmp_path: Path, planted_results: Plant) -> None:
    def one(name: str, on: float) -> Side:
        return side(str(planted_results(tmp_path / name, factors=FACTORS, scores={OFF: [0.6], ON: [on]})))

    assert compare(one("a", 0.65), one("b", 0.65)).unjudged == []
    assert compare(one("a", 0.65), one("c", 0.10)).unjudged == [f"{ON}: mIoU (one seed)"]


def test_another_recipe_is_no_pairing(sides: Callable[..., tuple[Side, Side]], tmp_path: Path) -> None:
    sides([0.640, 0.660, 0.650, 0.645])
    edited(tmp_path / "b", ON, lambda record: record.having(choices={"recipe": {"iterations": 200}}))
    row = of(compare(side(str(tmp_path / "a")), side(str(tmp_path / "b"))), ON)
    expected = scipy_stats.ttest_ind(WORSE, BEFORE[ON], equal_var=False)
    assert row["method"] == "Welch: other recipe"
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-3)
    interval = expected.confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), abs=1e-5)


@pytest.mark.parametrize("field", [{"latency_samples": 7}, {"test_mode": "onnxruntime"}, {"test_flip": True}], ids=str)
def test_recipe_fields_of_cost_and_of_how_logits_are_computed_leave_the_pairing(
    field: dict[str, Any], sides: Callable[..., tuple[Side, Side]], tmp_path: Path
) -> None:
    sides(WORSE)
    edited(tmp_path / "b", ON, lambda record: record.having(choices={"recipe": field}))
    row = of(compare(side(str(tmp_path / "a")), side(str(tmp_path / "b"))), ON)
    assert row["method"] == "paired"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"plan": {"data": {"name": "s", "classes": ["road", "pole", "sky"], "fingerprint": "x"}}},
            "Welch: other data, perhaps other images",
        ),
        ({"classes": ("road", "pole")}, "not compared: other classes"),
    ],
)
def test_other_data_is_not_paired_and_other_classes_are_not_compared(
    sides: Callable[..., tuple[Side, Side]], options: dict[str, Any], said: str
) -> None:
    row = of(compare(*sides(WORSE, **options)), ON)
    assert row["method"] == said
    assert math.isnan(row["delta"]) == said.startswith("not compared")
    assert row["verdict"] == "not resolved" or said.startswith("Welch")


def test_other_labels_are_other_images_whatever_the_fingerprint(
    sides: Callable[..., tuple[Side, Side]], tmp_path: Path
) -> None:
    sides(WORSE)

    def doubled(record: Any) -> Any:
        if record.trial.stage != "quality":
            return record
        confusion = (2 * np.array(record.measured.confusion)).tolist()
        return record.having(measured={**record.measured.as_json(), "confusion": confusion})

    for variant in (OFF, ON):
        edited(tmp_path / "b", variant, doubled)
    row = of(compare(side(str(tmp_path / "a")), side(str(tmp_path / "b"))), ON)
    assert row["method"] == "not compared: other images"
    assert math.isnan(row["delta"])


@pytest.mark.parametrize(
    ("contents", "said"),
    [(("same", "same"), "Welch: other data"), (("one", "another"), "not compared: other images")],
)
def test_the_digest_of_evaluated_images_decides_where_both_sides_have_it(
    sides: Callable[..., tuple[Side, Side]], tmp_path: Path, contents: tuple[str, str], said: str
) -> None:
    sides(WORSE)
    for name, content in zip(("a", "b"), contents, strict=True):
        path = tmp_path / name / "study.json"
        plan = json.loads(path.read_text(encoding="utf-8"))
        plan["data"]["fingerprint"] = name
        plan["evaluated"] = dict.fromkeys((OFF, ON), content)
        path.write_text(json.dumps(plan), encoding="utf-8")
    row = of(compare(side(str(tmp_path / "a")), side(str(tmp_path / "b"))), ON)
    assert row["method"] == said


def test_seeds_not_in_common_are_not_paired(sides: Callable[..., tuple[Side, Side]]) -> None:
    row = of(compare(*sides([None, None, None, 0.64, 0.65])), ON)
    assert (row["method"], row["n_a"], row["n_b"]) == ("Welch: seeds not in common", 4, 2)


def test_counts_are_exact_and_a_growth_is_a_worsening(sides: Callable[..., tuple[Side, Side]]) -> None:
    more = {"parameters": {"backbone": 2_000_000, "head": 2_000_001}}
    found = compare(*sides(costs={ON: more}))
    row = of(found, ON, "parameters", "cost")
    assert (row["a"], row["b"], row["verdict"]) == (4_000_000, 4_000_001, "worse")
    assert of(found, ON, "macs", "cost")["verdict"] == "same"
    assert found.worse == [f"{ON}: Parameters"]


def test_latencies_of_one_hardware_class_have_a_ratio_and_no_verdict(
    sides: Callable[..., tuple[Side, Side]],
) -> None:
    slower = {"latency_s": [0.050 * step for step in (0.98, 0.99, 1.0, 1.01, 1.02, 1.03)]}
    row = of(compare(*sides(costs={ON: slower})), ON, "latency_s", "cost")
    assert row["ratio"] == pytest.approx(2, rel=0.15)
    assert (row["verdict"], row["reason"]) == ("", DRIFT)


def test_timings_of_other_hardware_are_listed_only(sides: Callable[..., tuple[Side, Side]]) -> None:
    found = compare(*sides(environment={"hardware": "Other CPU, 9 threads"}))
    row = of(found, ON, "latency_s", "cost")
    assert math.isnan(row["ratio"])
    assert row["a"] > 0 < row["b"]
    assert row["reason"] == "not compared: other hardware"
    assert of(found, ON, "macs", "cost")["verdict"] == "same"


@pytest.mark.parametrize(
    ("costs", "quantity", "said"),
    [
        ({"input_px": [32, 32]}, "macs", "not compared: another input"),
        ({"isolated": False}, "latency_s", "not compared: a timing was not alone; repeat with --retry not_alone"),
        ({"memory_kind": "cuda allocator"}, "peak_bytes", "not compared: another way to read memory"),
    ],
)
def test_costs_of_another_kind_are_not_compared(
    sides: Callable[..., tuple[Side, Side]], costs: dict[str, Any], quantity: str, said: str
) -> None:
    found = compare(*sides(costs={ON: costs}))
    row = of(found, ON, quantity, "cost")
    assert row["reason"] == said
    assert math.isnan(row["ratio"])
    assert found.worse == []


def test_what_changed_is_told_once(sides: Callable[..., tuple[Side, Side]], tmp_path: Path) -> None:
    sides(environment={"threads": 8}, plan={"margin": 0.01, "recipe": {"crop_px": [64, 64], "iterations": 200}})
    for name, width in (("a", 64), ("b", 32)):
        chosen = {"variant": {"head": {"class": "FCN", "choices": {"width": width}}}, "recipe": {}}
        for variant in (OFF, ON):
            edited(tmp_path / name, variant, lambda record, chosen=chosen: record.having(choices=chosen))
    table = compare(side(str(tmp_path / "a")), side(str(tmp_path / "b"))).changed
    assert [tuple(row) for row in table.itertuples(index=False)] == [
        ("study", "margin", "—", "0.01"),
        ("recipe", "iterations", "100", "200"),
        ("recipe", "optimiser.name", "SGD", "—"),
        ("recipe", "optimiser.lr", "0.01", "—"),
        ("choices", "all variants: head.choices.width", "64", "32"),
        ("environment of cost", "threads", "1", "8"),
    ]


def test_variants_of_one_side_are_listed(sides: Callable[..., tuple[Side, Side]]) -> None:
    factors = {"attention": ["off", "position"]}
    scores = {"attention=off": BEFORE[OFF], "attention=position": BEFORE[ON]}
    found = compare(*sides(factors=factors, scores=scores))
    assert found.only.to_numpy().tolist() == [[ON, "A"], ["attention=position", "B"]]
    assert set(found.quality["variant"]) == {OFF}


def test_a_quantity_without_seeds_is_refused(sides: Callable[..., tuple[Side, Side]]) -> None:
    with pytest.raises(RecordError, match="cannot be judged over seeds"):
        compare(*sides(), quantities=["latency_s"])


def test_old_records_without_optional_keys_are_compared_all_the_same(
    sides: Callable[..., tuple[Side, Side]], tmp_path: Path
) -> None:
    sides(WORSE)
    for name in ("a", "b"):
        plan = json.loads((tmp_path / name / "study.json").read_text())
        (tmp_path / name / "study.json").write_text(
            json.dumps({**plan, "recipe": {}, "data": {"name": "s", "classes": plan["data"]["classes"]}})
        )
    found = compare(side(str(tmp_path / "a")), side(str(tmp_path / "b")))
    assert of(found, ON)["method"] == "paired"
    assert set(found.cost["quantity"]) == {"parameters", "macs", "latency_s", "peak_bytes"}


def test_a_reading_of_no_bytes_has_no_ratio(tmp_path: Path, planted_results: Plant) -> None:
    costs = {ON: {"memory": {"peak_bytes": 0}, "peak_bytes": 0}}
    a, b = (
        side(str(planted_results(tmp_path / name, factors=FACTORS, scores=BEFORE, costs=costs))) for name in ("a", "b")
    )
    row = of(compare(a, b), ON, "peak_bytes", "cost")
    assert (row["a"], row["b"]) == (0, 0)
    assert math.isnan(row["ratio"])


def test_a_seed_that_only_one_side_plans_is_neither_lost_nor_lacking(sides: Callable[..., tuple[Side, Side]]) -> None:
    fewer = compare(*sides(after=BEFORE[ON][:2]))
    assert (fewer.lost, fewer.lacking) == ((), ()), "B does not plan the last two seeds"
    more = compare(*sides(after=[*BEFORE[ON], "failed"]))
    assert more.lost == (), "A never tried the last seed, and there are seeds in common"
