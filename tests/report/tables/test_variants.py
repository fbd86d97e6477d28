"""Tables: the printed ablation, its numbers, and what holes look like."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.evidence.evidence import evidence_of
from bench.evidence.variants import TIMED
from bench.protocol import words
from bench.records.files import write_json
from bench.records.record import read, write
from bench.report.tables import catalogue, formats, latex, protocol
from bench.report.tables.confounds import undeclared
from bench.report.tables.variants import OTHER_HARDWARE, ablation_table, front_table, tuning_table

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)


@pytest.fixture
def half(tmp_path: Path, planted_results: Plant) -> Path:
    """Results with every kind of hole."""
    return planted_results(
        tmp_path,
        scores={
            A: [0.6, None, 0.61],
            B: ["failed", "out_of_memory", None],
            C: [0.65, 0.67, 0.66],
            D: [0.7, None, None],
        },
        costs={B: "out_of_memory", C: {"isolated": False}, D: None},
    )


def test_the_ablation_table_reads_as_planted(tmp_path: Path, planted_results: Plant) -> None:
    table = ablation_table(evidence_of(planted_results(tmp_path))).printed()
    assert list(table.columns) == [
        "attention", "upsampling", "mIoU (%) ↑", "Seeds", "Δ mIoU (points)", "Verdict", "Parameters (M) ↓",
        "MACs (G) ↓", "Latency (ms) ↓", "Peak memory (MiB) ↓",
    ]  # fmt: skip
    assert list(table.iloc[0]) == [
        "✗", "dilated", "61.00 ± 1.00", "3/3", "—", "baseline", "3.00", "1.00", "20.0", "100.0",
    ]  # fmt: skip
    assert list(table.iloc[2]) == [
        "✓", "dilated", "66.00 ± 1.05", "3/3", "+5.00 [+4.75, +5.25]", "better", "5.00 (×1.67)", "3.00 (×3.00)",
        "30.0 (×1.50)", "120.0 (×1.20)",
    ]  # fmt: skip


def test_a_hole_is_counted_and_named_never_averaged_away(half: Path) -> None:
    table = ablation_table(evidence_of(half)).printed()
    assert list(table["Seeds"]) == ["2/3", "0/3", "3/3", "1/3"]
    assert table["mIoU (%) ↑"][1] == "— (1 failed, 1 out of memory)"
    assert table["Δ mIoU (points)"][1] == "—"
    assert table["Δ mIoU (points)"][2].endswith("(2 pairs)")
    assert table["Δ mIoU (points)"][3] == "+10.00 (1 pair)"
    assert table["Verdict"][3] == "not resolved (one seed)"
    assert list(table["MACs (G) ↓"]) == ["1.00", "— (out of memory)", "3.00 (×3.00)", "—"]


def test_a_timing_beside_other_work_is_left_out_and_marked(half: Path) -> None:
    table, values = ablation_table(evidence_of(half)).printed(), evidence_of(half).variants
    assert table["Latency (ms) ↓"][2] == "— †"
    assert table["Peak memory (MiB) ↓"][2] == "120.0 †"
    assert values["latency_s_ratio"].isna()[2]
    assert values["macs_ratio"][2] == 3


def test_boundary_f_at_three_pixels_is_shown_where_it_was_measured(tmp_path: Path, planted_results: Plant) -> None:
    head = "Boundary F, 3 px (%) ↑"
    table = ablation_table(evidence_of(planted_results(tmp_path / "with", boundary_px=(3,)))).printed()
    assert list(table[head]) == ["90.00 ± 0.00"] * 4
    assert head not in ablation_table(evidence_of(planted_results(tmp_path / "without"))).printed()
    assert head not in ablation_table(evidence_of(planted_results(tmp_path / "other", boundary_px=(5,)))).printed()


def test_tolerances_of_the_study_are_among_the_numbers(tmp_path: Path, planted_results: Plant) -> None:
    values = evidence_of(planted_results(tmp_path, boundary_px=(2,))).variants
    assert values["boundary_f_2px_mean"].tolist() == pytest.approx([0.9] * 4)


def test_numbers_are_unrounded_and_in_stored_units(tmp_path: Path, planted_results: Plant) -> None:
    row = evidence_of(planted_results(tmp_path)).variants.iloc[3]
    assert row["miou_mean"] == pytest.approx((0.640 + 0.665 + 0.662) / 3, abs=1e-6)
    assert row["latency_s"] == 0.035
    assert row["parameters_ratio"] == 2
    assert (row["n"], row["planned"], row["miou_pairs"]) == (3, 3, 3)


def test_zero_records_give_a_table_of_dashes(tmp_path: Path, planted_results: Plant) -> None:
    nothing = {name: [None, None] for name in (A, B, C, D)}
    table = ablation_table(
        evidence_of(planted_results(tmp_path, scores=nothing, costs=dict.fromkeys((A, B, C, D))))
    ).printed()
    assert list(table["Seeds"]) == ["0/2"] * 4
    assert set(table["mIoU (%) ↑"]) | set(table["Latency (ms) ↓"]) == {"—"}


def test_a_study_without_factors_names_its_variant(tmp_path: Path, planted_results: Plant) -> None:
    table = ablation_table(evidence_of(planted_results(tmp_path, factors={}, scores={"only": [0.5, 0.6]}))).printed()
    assert list(table["Variant"]) == ["only"]
    assert list(table["Verdict"]) == ["baseline"]


def test_a_stage_that_is_not_planned_has_no_columns(tmp_path: Path, planted_results: Plant) -> None:
    table = ablation_table(evidence_of(planted_results(tmp_path / "c", stages=["cost"]))).printed()
    assert "mIoU (%) ↑" not in table
    assert "Latency (ms) ↓" in table
    assert (
        "Latency (ms) ↓"
        not in ablation_table(evidence_of(planted_results(tmp_path / "q", stages=["quality"]))).printed()
    )


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        (["off", "on"], ["✗", "✓"]),
        (["none", "jpu"], ["✗", "✓"]),
        (["jpu", "Absent"], ["✓", "✗"]),
        (["dilated", "jpu"], ["dilated", "jpu"]),
        (["off", "ungated", "gated"], ["off", "ungated", "gated"]),
        (["off", "none"], ["off", "none"]),
    ],
)
def test_a_factor_shows_a_tick_where_one_of_two_levels_is_off(levels: list[str], shown: list[str]) -> None:
    assert [words.level(level, levels) for level in levels] == shown


@pytest.mark.parametrize(
    ("everywhere", "elsewhere"),
    [
        ({}, {"device": "Other GPU"}),
        ({"hardware": "Planted CPU, 1 threads"}, {"hardware": "Planted CPU, 8 threads"}),
    ],
)
def test_times_and_memory_of_other_hardware_are_left_out_with_the_remedy_and_counts_stay(
    tmp_path: Path, planted_results: Plant, everywhere: dict[str, str], elsewhere: dict[str, str]
) -> None:
    folder = planted_results(tmp_path, environment=everywhere)
    before = evidence_of(folder)
    record = read(folder / "records" / "c1.aaaa1111.json")
    write(record.having(environment={**record.environment.as_json(), **elsewhere}), folder / "records")
    variant, evidence = record.trial.variant, evidence_of(folder)
    rows = evidence.variants.set_index("variant")
    assert rows.loc[variant, list(TIMED)].isna().all()
    assert rows.loc[variant, [f"{name}_ratio" for name in TIMED]].isna().all()
    for name in ("parameters", "macs"):
        assert rows.loc[variant, [name, f"{name}_ratio"]].notna().all()
    others = [name for name in rows.index if name != variant]
    pd.testing.assert_frame_equal(rows.loc[others], before.variants.set_index("variant").loc[others])
    table = ablation_table(evidence)
    assert table.printed().to_csv().count("— §") == 2
    assert f"§ {OTHER_HARDWARE}" in table.all_notes
    assert OTHER_HARDWARE not in ablation_table(before).all_notes
    assert variant in before.front("latency_s").costs
    assert variant not in evidence.front("latency_s").costs
    assert variant in evidence.front("macs").costs
    told = " ".join(evidence.confounds["Difference"]) + " ".join(evidence.confounds["Where"])
    assert "Other GPU" in told or everywhere


def test_of_a_variant_timed_on_two_machines_the_record_of_the_baseline_s_counts(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(tmp_path, scores={A: [0.6], B: [0.6], C: [0.6], D: [0.6]})
    before = evidence_of(folder).variants
    for name in ("c0", "c1"):
        record = read(folder / "records" / f"{name}.aaaa1111.json")
        slower = [2 * seconds for seconds in record.measured.latency_s]
        elsewhere = {**record.environment.as_json(), "device": "Other GPU"}
        measured = {**record.measured.as_json(), "latency_s": slower}
        write(record.having(key=f"{name}-gpu", environment=elsewhere, measured=measured), folder / "records")
    after = evidence_of(folder)
    assert len(after.results.frame().query("stage == 'cost'")) == 6
    pd.testing.assert_frame_equal(after.variants, before)


def test_unused_and_extrapolated_counts_are_said_where_there_are_any(tmp_path: Path, planted_results: Plant) -> None:
    before = catalogue.table(evidence_of(planted_results(tmp_path / "before")), "cost")
    assert "Unused" not in before.printed().to_csv()
    how = "extrapolated from 128x160, 160x224, quadratic in pixels; 0.40% off at 192x256"
    costs = {A: {"macs": {"head": 10**10}, "macs_wasted": {"head": 25 * 10**8}, "macs_extrapolated": how}}
    evidence = evidence_of(planted_results(tmp_path / "after", costs=costs))
    made = catalogue.table(evidence, "cost")
    printed = made.printed().set_index("Variant")
    unused = next(printed[name] for name in printed if "Unused MACs (G)" in name)
    macs = next(printed[name] for name in printed if name.startswith("MACs (G)"))
    of_a = evidence.labels[A]
    assert unused[of_a].startswith("≈ 2.50")
    assert macs[of_a].startswith("≈ 10.00")
    assert {value.split()[0] for variant, value in unused.items() if variant != of_a} == {"0.00"}
    assert not any("≈" in value for variant, value in macs.items() if variant != of_a)
    assert f"≈ E{how[1:]}." in made.all_notes
    assert f"Of the MACs of {A}, 2.50 G reach no output." in made.all_notes
    costs = {A: {"macs": {"head": 10**10}, "macs_wasted": {"head": 5 * 10**7}}}
    little = catalogue.table(evidence_of(planted_results(tmp_path / "little", costs=costs)), "cost")
    assert not any("reach no output" in note for note in little.all_notes), "half a per cent"


def test_only_a_resolved_improvement_stands_out(tmp_path: Path, planted_results: Plant) -> None:
    bold = ablation_table(evidence_of(planted_results(tmp_path))).emphasis()
    assert list(bold["mIoU (%) ↑"]) == [False, False, True, True]
    assert int(bold.to_numpy().sum()) == 2


def test_short_labels_say_what_differs_from_the_baseline(tmp_path: Path, planted_results: Plant) -> None:
    assert evidence_of(planted_results(tmp_path)).labels == {
        A: "baseline", B: "upsampling=jpu", C: "attention=on", D: "attention=on + upsampling=jpu",
    }  # fmt: skip


def test_labels_that_would_say_the_same_give_way_to_full_names(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    plan = evidence_of(folder).results.plan.as_json()
    plan["trials"] = [{**cell, "levels": {"attention": "off", "upsampling": "jpu"}} for cell in plan["trials"]]
    plan["baseline_levels"] = {"attention": "off", "upsampling": "jpu"}
    shutil.rmtree(folder / "records")
    write_json(plan, folder / "study.json")
    assert evidence_of(folder).labels == {A: "baseline", B: B, C: C, D: D}


def test_every_planned_cell_has_an_outcome(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(
        tmp_path, scores={A: [0.6, "diverged"], B: [None, "failed"], C: [0.6, 0.6]}, excluded={D: "JPU needs stride 32"}
    )
    evidence = evidence_of(folder)
    table = protocol.outcomes(evidence).printed()
    assert len(table) == len(evidence.results.plan.trials) == 3 * 3 + 2
    assert list(table["Outcome"])[:5] == ["done", "diverged", "done", "missing", "failed"]
    assert list(table["Reason"])[-2:] == ["JPU needs stride 32"] * 2
    assert list(table["Seed"])[-1] == "—"
    assert list(protocol.tracebacks(evidence.results)) == ["q1s1.aaaa1111.json"]


def test_provenance_names_uncommitted_changes_and_differing_values(tmp_path: Path, planted_results: Plant) -> None:
    table = (
        protocol.provenance(evidence_of(planted_results(tmp_path, environment={"threads": 2})))
        .printed()
        .set_index("Fact")
    )
    assert table.loc["commit", "quality trials"] == "c0ffee0c0ffe (with uncommitted changes)"
    assert list(table.loc["threads"]) == ["1", "2"]
    assert table.loc["bench.numpy", "cost trials"] == "2.4.6"


def test_recipe_and_protocol_are_tables_of_plain_values(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    assert protocol.recipe(evidence).printed().set_index("Setting")["Value"].to_dict() == {
        "crop_px": "[64, 64]", "iterations": "100", "optimiser.name": "SGD", "optimiser.lr": "0.01",
    }  # fmt: skip
    values = protocol.protocol(evidence).printed().set_index("Protocol")["Value"]
    assert values["Split"] == "val"
    assert values["Cost input"] == "64 × 96 px, batch 1"
    assert values["Reported"].startswith("the last iteration")


def test_fields_of_a_recipe_that_other_fields_leave_unused_are_named(tmp_path: Path, planted_results: Plant) -> None:
    steps = {"schedule": "step", "step_at": [0.5, 0.9], "step_factor": 0.1, "poly_power": 0.9}
    recipe = {**steps, "momentum": 0.9, "optimiser": {"class": "torch.optim.AdamW", "choices": {"eps": 1e-8}}}
    recipe |= {"warmup_iterations": 0, "warmup_start": 1e-6, "averaged": "logits", "test_flip": True}
    table = protocol.recipe(evidence_of(planted_results(tmp_path, plan={"recipe": recipe})))
    assert table.notes == "Not used in this recipe: poly_power, momentum, warmup_start."
    used = protocol.recipe(evidence_of(planted_results(tmp_path / "used", plan={"recipe": {"poly_power": 0.9}})))
    assert used.notes == ""


def test_markdown_escapes_what_it_would_act_on_and_bolds_what_is_resolved(
    tmp_path: Path, planted_results: Plant
) -> None:
    factors = {"a|b_c": ["<off>", "*on*"]}
    scores = {"a|b_c=<off>": [0.60, 0.61], "a|b_c=*on*": [0.70, 0.7101]}
    evidence = evidence_of(planted_results(tmp_path, factors=factors, scores=scores, stages=["quality"]))
    lines = formats.markdown(ablation_table(evidence)).splitlines()
    assert len(lines) == 4
    assert lines[0].replace(" ", "").startswith(r"|a\|b\_c|mIoU(%)↑|")
    assert r"\<off\>" in lines[2]
    assert r"| \*on\* " in lines[3]
    assert "**70.50 ± 0.71**" in lines[3]


def test_latex_escapes_every_special_character(tmp_path: Path, planted_results: Plant) -> None:
    level = r"a&b%c$d#e_f{g}h~i^j\k<l"
    factors = {"neck": ["x", level]}
    scores = {"neck=x": [0.6], f"neck={level}": [0.7]}
    evidence = evidence_of(planted_results(tmp_path, factors=factors, scores=scores))
    text = latex.latex(replace(ablation_table(evidence), caption="50 % & more"))
    escaped = r"a\&b\%c\$d\#e\_f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k\textless{}l"
    assert escaped in text
    assert r"\caption{50 \% \& more Mean" in text
    assert r"mIoU (\%) $\uparrow$" in text
    assert text.isascii()


def test_latex_of_ticks_and_bold_compiles_to_known_symbols(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    lines = latex.latex(ablation_table(evidence)).splitlines()
    assert lines[11].startswith(
        r"    {}$\checkmark$ & dilated & \textbf{66.00 $\pm$ 1.05} & 3/3 & +5.00 [+4.75, +5.25]"
    )
    assert sum(line.endswith(r" \\") for line in lines) == 5


def test_a_noisy_latency_is_kept_and_marked(tmp_path: Path, planted_results: Plant) -> None:
    steady, noisy = [0.010] * 40, [0.010] * 20 + [0.014] * 20
    folder = planted_results(tmp_path, costs={A: {"latency_s": steady}, B: {"latency_s": noisy}})
    table = ablation_table(evidence_of(folder)).printed()
    latencies = next(table[head] for head in table.columns if head.startswith("Latency"))
    assert latencies[0] == "10.0"
    assert latencies[1] == "12.0 ‡ (×1.20)"


def test_the_table_of_tuning_has_every_variant_at_both_settings_and_the_budget_of_its_arm(
    tmp_path: Path, planted_results: Plant
) -> None:
    arms = [
        {"levels": {"head": "base"}, "trials": 0, "settings": {}},
        {
            "levels": {"head": "mine"}, "trials": 20, "settings": {"rate": 0.0123}, "miou": 0.5, "default_miou": 0.4,
            "pruned": 3, "iterations": 1700,
        },
    ]  # fmt: skip
    default, tuned, mine = "head=base, settings=default", "head=base, settings=tuned", "head=mine, settings="
    evidence = evidence_of(
        planted_results(
            tmp_path,
            factors={"head": ["base", "mine"], "settings": ["default", "tuned"]},
            scores={default: [0.5, 0.52], f"{mine}default": [0.6, 0.62], f"{mine}tuned": [0.65, 0.672]},
            excluded={tuned: "not tuned"},
            stages=("quality",),
            plan={"recipe": {"rate": 0.1}, "audit": {"tuned": {"arms": arms, "as_written": True}}},
        )
    )
    base, other = tuning_table(evidence).printed().to_dict("records")
    heads = ("Variant", "Settings tried", "Tuned settings", "Default: mIoU (%) ↑", "Tuned: mIoU (%) ↑", "Seeds")
    assert [base[head] for head in heads] == ["head=base", "0", "— (not tuned)", "51.00 ± 1.41", "—", "2/2"]
    assert [other[head] for head in heads] == [
        "head=mine", "20", "rate 0.0123", "61.00 ± 1.41", "66.10 ± 1.56", "2/2",
    ]  # fmt: skip
    assert (other["Default settings"], other["Δ mIoU (points)"]) == ("rate 0.1", "+5.10")
    assert (other["Held out, default: mIoU (%) ↑"], other["Held out, tuned: mIoU (%) ↑"]) == ("40.00", "50.00")
    assert [(row["Pruned"], row["Iterations of the search"]) for row in (base, other)] == [("0", "—"), ("3", "1700")]
    confounds = undeclared(evidence).printed()
    assert confounds.loc[0, "Difference"] == (
        "The arms were not tuned alike: head=base not tuned, head=mine 20 settings tried"
    )


def test_the_front_has_the_variants_that_no_other_beats_by_all_objectives(
    tmp_path: Path, planted_results: Plant
) -> None:
    table = front_table(evidence_of(planted_results(tmp_path, costs={B: {"peak_bytes": 2**20 * 300}}))).printed()
    assert list(table.columns) == ["Variant", "mIoU (%) ↑", "Seeds", "Latency (ms) ↓", "Peak memory (MiB) ↓"]
    assert table["Variant"].tolist() == ["attention=on", "upsampling=jpu", "baseline"], "the fourth costs more for less"
    assert list(table.iloc[0]) == ["attention=on", "66.00 ± 1.05", "3/3", "30.0", "120.0"]
    alone = planted_results(tmp_path / "alone", costs={name: {"isolated": False} for name in (A, B, C, D)})
    assert list(front_table(evidence_of(alone)).printed().columns) == ["Variant", "mIoU (%) ↑", "Seeds"]
