"""The catalogue of tables: what each says, its columns, formats, and what is bold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.evidence import stats
from bench.evidence.evidence import Evidence, evidence_of
from bench.evidence.variants import NOT_COMPARED
from bench.records.record import read, write
from bench.report.page.methods import methods
from bench.report.page.page import files, write_report
from bench.report.tables import catalogue
from bench.report.tables.table import TableError
from tests.planted_speed import measured, planted

Plant = Callable[..., Path]
A, B, C, D = (
    "attention=off, upsampling=dilated",
    "attention=off, upsampling=jpu",
    "attention=on, upsampling=dilated",
    "attention=on, upsampling=jpu",
)
ONE = {"neck": ["off", "on", "big"]}
BEST = {"neck=off": [0.60, 0.61, 0.62], "neck=on": [0.65, 0.6602, 0.67], "neck=big": [0.70, 0.71, 0.7201]}


def files_of(evidence: Evidence) -> dict[str, str]:
    return files(catalogue.all_tables(evidence).values(), methods(evidence))


def bold_of(table: pd.DataFrame, bold: pd.DataFrame, head: str) -> list[str]:
    return table["Variant"][bold[head].to_numpy()].tolist()


def test_every_table_says_why_it_is_empty_where_nothing_was_measured(tmp_path: Path, planted_results: Plant) -> None:
    nothing = {name: [None, None] for name in (A, B, C, D)}
    evidence = evidence_of(planted_results(tmp_path, scores=nothing, costs=dict.fromkeys((A, B, C, D))))
    empty = {name for name in catalogue.TABLES if catalogue.table(evidence, name).rows.empty}
    assert empty == {
        "tuning", "boundary", "classes", "class-effects", "images", "cost", "front", "speed", "crossings", "published",
        "published-classes", "published-memory", "published-speed", "provenance", "confounds", "differences",
    }  # fmt: skip
    assert all(catalogue.table(evidence, name).absent for name in empty)


def test_a_table_is_found_by_name_and_a_misspelt_one_is_named(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    with pytest.raises(
        TableError, match="no table 'ablaton' \\(did you mean 'ablation'\\?\\); there are: ablation, main"
    ):
        catalogue.table(evidence, "ablaton")
    with pytest.raises(TableError, match="has no column 'latency' \\(did you mean 'latency_s'"):
        catalogue.table(evidence, "ablation", ["latency"])
    with pytest.raises(TableError, match="no format 'latx' \\(did you mean 'latex'"):
        catalogue.written(catalogue.table(evidence, "main"), "latx")


def test_columns_are_chosen_and_ordered(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path, boundary_px=(3, 7)))
    names = ["latency_s", "upsampling", "boundary_f_7px", "variant", "verdict"]
    table = catalogue.table(evidence, "ablation", names).printed()
    assert list(table.columns) == ["Latency (ms) ↓", "upsampling", "Boundary F, 7 px (%) ↑", "Variant", "Verdict"]
    assert list(table.iloc[2]) == ["30.0 (×1.50)", "dilated", "90.00 ± 0.00", "attention=on", "better"]


def test_the_number_of_seeds_stays_where_a_trial_is_missing(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [0.6, 0.61, 0.62], B: [0.6, None, 0.61], C: [0.65, 0.66, 0.67], D: [0.7, 0.71, 0.72]}
    whole, holed = (
        evidence_of(planted_results(tmp_path / "a")),
        evidence_of(planted_results(tmp_path / "b", scores=scores)),
    )
    assert list(catalogue.table(whole, "main", ["variant", "miou"]).printed()) == ["Variant", "mIoU (%) ↑"]
    table = catalogue.table(holed, "main", ["variant", "miou"]).printed()
    assert list(table["Seeds"]) == ["3/3", "2/3", "3/3", "3/3"]
    assert catalogue.table(holed, "effects", ["effect", "delta"]).printed()["Seeds"][0] == "2/3"


def test_the_main_table_bolds_the_best_only_if_it_is_resolved_against_every_other(
    tmp_path: Path, planted_results: Plant
) -> None:
    evidence = evidence_of(planted_results(tmp_path / "clear", factors=ONE, scores=BEST))
    table = catalogue.table(evidence, "main")
    assert bold_of(table.printed(), table.emphasis(), "mIoU (%) ↑") == ["neck=big"]
    assert "resolved to be better than every other variant" in table.notes

    close = {**BEST, "neck=big": [0.655, 0.655, 0.68]}  # resolved against the baseline, not against the runner-up
    evidence = evidence_of(planted_results(tmp_path / "close", factors=ONE, scores=close))
    assert evidence.best("miou") == ""
    assert not catalogue.table(evidence, "main").emphasis().to_numpy().any()


def test_holm_over_the_others_decides_what_is_best(tmp_path: Path, planted_results: Plant) -> None:
    """Each p is between 0.025 and 0.05: resolved alone, not after Holm over two."""
    spread = [0.0, 0.0105, 0.024]
    scores = {
        "neck=off": [0.6, 0.6, 0.6],
        "neck=on": [0.6, 0.6, 0.6],
        "neck=big": [0.63 + deviation for deviation in spread],
    }
    evidence = evidence_of(planted_results(tmp_path, factors=ONE, scores=scores))
    p = stats.paired(scores["neck=big"], scores["neck=off"]).p
    assert 0.025 < p < 0.05
    assert evidence.best("miou") == ""
    two = evidence_of(planted_results(tmp_path / "two", factors={"neck": ["off", "big"]}, scores=scores))
    assert two.best("miou") == "neck=big"


def test_lower_is_best_for_a_loss(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path, factors=ONE, scores=BEST))
    assert evidence.best("final_loss") == "neck=big"  # the planted loss falls with mIoU
    assert evidence.best("train_s") == ""


def test_the_boundary_table_has_both_conventions_at_every_tolerance(tmp_path: Path, planted_results: Plant) -> None:
    table = catalogue.table(evidence_of(planted_results(tmp_path, boundary_px=(3, 7))), "boundary").printed()
    assert list(table.columns) == [
        "Variant", "Boundary F, 3 px (%) ↑", "Boundary F, 3 px, present (%) ↑", "Boundary F, 7 px (%) ↑",
        "Boundary F, 7 px, present (%) ↑", "Seeds",
    ]  # fmt: skip
    assert list(table.iloc[0]) == ["baseline", *["90.00 ± 0.00", "80.00 ± 0.00"] * 2, "3/3"]


def test_the_cost_table_has_what_was_measured_with_ratios(tmp_path: Path, planted_results: Plant) -> None:
    table = catalogue.table(evidence_of(planted_results(tmp_path, costs={C: {"isolated": False}})), "cost")
    printed = table.printed()
    assert list(printed["Parameters (M) ↓"]) == ["3.00", "4.00 (×1.33)", "5.00 (×1.67)", "6.00 (×2.00)"]
    assert list(printed["Peak memory (MiB) ↓"])[2] == "120.0 †"
    assert "Energy (J) ↓" not in printed


@pytest.mark.parametrize("name", ["ablation", "cost"])
def test_what_marks_mean_is_said_in_every_format_where_they_are(
    tmp_path: Path, planted_results: Plant, name: str
) -> None:
    crowded = evidence_of(planted_results(tmp_path / "crowded", costs={C: {"isolated": False}}))
    noisy = evidence_of(planted_results(tmp_path / "noisy", costs={C: {"latency_s": [0.02, 0.03, 0.05]}}))
    for form in ("markdown", "latex", "html"):
        text = catalogue.written(catalogue.table(crowded, name), form)
        assert "Other work may have shared the machine" in text
        assert "Noisy" not in text
        assert text.count("in brackets: ratio to the baseline") == 1
        assert "Noisy: the quartiles are over" in catalogue.written(catalogue.table(noisy, name), form)
    without = catalogue.table(crowded, name, ("variant", "parameters"))
    assert "Other work" not in catalogue.written(without, "markdown")


def test_a_study_of_speed_has_no_ablation_to_show(tmp_path: Path) -> None:
    folder = planted(tmp_path, {64: measured([1.0] * 20, [2.0] * 20)})
    table = catalogue.table(evidence_of(folder), "ablation")
    assert len(table.printed()) == 0
    assert catalogue.written(table).rstrip().endswith("No rows: the study plans neither quality nor cost trials.")
    report = write_report(folder).parent
    assert not list(report.glob("ablation.*"))


def test_the_classes_table_is_mean_and_spread_over_seeds(tmp_path: Path, planted_results: Plant) -> None:
    table = catalogue.table(evidence_of(planted_results(tmp_path)), "classes")
    assert list(table.printed().iloc[0]) == ["baseline", *["61.00 ± 1.00"] * 3, "61.00 ± 1.00", "3/3"]
    assert list(table.unrounded())[:4] == ["variant", "iou_road_mean", "iou_road_sd", "iou_road_n"]


def test_a_class_is_bold_after_holm_over_all_classes_and_their_mean_by_itself(
    tmp_path: Path, planted_results: Plant
) -> None:
    factors = {"neck": ["off", "big"]}
    clear = {"neck=off": [0.60, 0.61, 0.62], "neck=big": [0.650, 0.661, 0.671]}
    table = catalogue.table(evidence_of(planted_results(tmp_path / "clear", factors=factors, scores=clear)), "classes")
    for head in ("road", "pole", "sky", "mIoU (%) ↑"):
        assert bold_of(table.printed(), table.emphasis(), head) == ["neck=big"]
    # Differences of 1.0, 1.2 and 0.6 points: p = 0.034 for one class, 0.10 for each of three that are alike.
    close = {"neck=off": [0.60, 0.61, 0.62], "neck=big": [0.610, 0.622, 0.626]}
    evidence = evidence_of(planted_results(tmp_path / "close", factors=factors, scores=close))
    (p,) = set(evidence.class_effects["p"].round(6))
    assert 0.05 / 3 < p < 0.05
    bold = catalogue.table(evidence, "classes").emphasis()
    assert bold.columns[bold.any()].tolist() == ["mIoU (%) ↑"]


def test_the_smallest_count_is_bold_and_no_timing_ever_is(tmp_path: Path, planted_results: Plant) -> None:
    table = catalogue.table(evidence_of(planted_results(tmp_path)), "cost")
    bold = table.emphasis()
    assert bold_of(table.printed(), bold, "MACs (G) ↓") == ["baseline"]
    assert bold_of(table.printed(), bold, "Parameters (M) ↓") == ["baseline"]
    assert not bold[["Latency (ms) ↓", "Peak memory (MiB) ↓"]].to_numpy().any()


def test_a_smallest_count_that_is_shared_is_not_bold(tmp_path: Path, planted_results: Plant) -> None:
    same = {name: {"parameters": {"backbone": 7}} for name in (A, B, C, D)}
    table = catalogue.table(evidence_of(planted_results(tmp_path, costs=same)), "cost")
    assert not table.emphasis()["Parameters (M) ↓"].any()


def test_a_class_that_is_absent_in_a_seed_is_counted(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    record = read(folder / "records" / "q0s1.aaaa1111.json")
    confusion = [[4, 0, 0], [0, 6, 0], [0, 0, 0]]
    measured = {**record.measured.as_json(), "confusion": confusion, "split": "a part"}
    write(record.having(measured=measured), folder / "records")
    evidence = evidence_of(folder)
    row = catalogue.table(evidence, "classes").printed().iloc[0]
    assert row["sky"] == "60.50 ± 0.71 (2)"
    effects = evidence.class_effects.set_index(["variant", "class"])
    assert (effects.loc[(C, "sky"), "n"], effects.loc[(C, "sky"), "planned"]) == (2, 3)


def test_class_differences_are_paired_by_seed_and_corrected_over_the_whole_table(
    tmp_path: Path, planted_results: Plant
) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    effects = evidence.class_effects
    assert len(effects) == 3 * 3
    wanted = stats.paired([0.650, 0.671, 0.659], [0.600, 0.620, 0.610])
    row = effects[(effects["variant"] == C) & (effects["class"] == "pole")].iloc[0]
    assert (row["delta"], row["low"], row["high"]) == pytest.approx((wanted.delta, wanted.low, wanted.high), abs=1e-5)
    assert list(effects["p_holm"]) == pytest.approx(stats.holm(list(effects["p"])))
    assert row["p_holm"] == pytest.approx(9 * row["p"], rel=0.5)
    printed = catalogue.table(evidence, "class-effects").printed()
    assert printed["Class"].tolist() == ["road", "pole", "sky"] * 3
    assert printed["Δ IoU (points)"][3] == "+5.00"


def test_class_differences_without_the_baseline_have_no_rows(tmp_path: Path, planted_results: Plant) -> None:
    scores = {A: [None, "failed"], B: [0.6, 0.6], C: [0.6, 0.7], D: [0.6, 0.7]}
    table = catalogue.table(evidence_of(planted_results(tmp_path, scores=scores)), "class-effects")
    assert table.rows.empty
    assert table.absent == "no class has a seed in which both a variant and the baseline are done"


def test_csv_and_json_hold_the_numbers_unrounded_in_stored_units(tmp_path: Path, planted_results: Plant) -> None:
    table = catalogue.table(
        evidence_of(planted_results(tmp_path)), "ablation", ["variant", "miou", "latency_s", "delta"]
    )
    rows = list(csv.DictReader(io.StringIO(catalogue.written(table, "csv"))))
    assert rows[2]["variant"] == C
    assert float(rows[2]["miou_mean"]) == pytest.approx(0.66, abs=1e-6)
    assert (float(rows[2]["latency_s"]), float(rows[2]["latency_s_ratio"])) == (0.03, 1.5)
    assert float(rows[2]["miou_delta"]) == pytest.approx(0.05, abs=1e-6)
    again = json.loads(catalogue.written(table, "json"))
    assert again[2]["miou_mean"] == float(rows[2]["miou_mean"])
    assert again[0]["miou_delta"] is None


def test_two_columns_with_one_title_are_told_apart(tmp_path: Path, planted_results: Plant) -> None:
    factors = {"Seeds": ["off", "on"]}
    scores = {"Seeds=off": [0.6, 0.61], "Seeds=on": [0.7, 0.71]}
    table = catalogue.table(evidence_of(planted_results(tmp_path, factors=factors, scores=scores)), "ablation")
    assert table.printed()["Seeds"].tolist() == ["✗", "✓"]
    assert table.printed()["Seeds (2)"].tolist() == ["2/2", "2/2"]


def test_a_factor_with_the_name_of_a_column_does_not_hide_it(tmp_path: Path, planted_results: Plant) -> None:
    scores = {"n=off": [0.6, 0.61], "n=on": [0.7, None]}
    evidence = evidence_of(planted_results(tmp_path, factors={"n": ["off", "on"]}, scores=scores))
    table = catalogue.table(evidence, "ablation")
    assert table.chosen[:3] == ("factor n", "miou", "n")
    assert table.printed()["n"].tolist() == ["✗", "✓"]
    assert table.printed()["Seeds"].tolist() == ["2/2", "1/2"]
    assert list(catalogue.table(evidence, "ablation", ["miou"]).printed()) == ["mIoU (%) ↑", "Seeds"]


def test_speed_without_comparisons_is_empty_with_a_reason(tmp_path: Path, planted_results: Plant) -> None:
    assert (
        catalogue.table(evidence_of(planted_results(tmp_path)), "speed").absent
        == "the study plans no comparisons of speed"
    )


def test_the_files_of_a_report_are_every_table_with_rows_in_three_formats(
    tmp_path: Path, planted_results: Plant
) -> None:
    files = files_of(evidence_of(planted_results(tmp_path)))
    kinds = {name.partition(".")[2] for name in files}
    assert kinds == {"md", "tex", "csv"}
    assert {"tables/main.tex", "tables/class-effects.csv", "tables/outcomes.md", "methods.md", "methods.tex"} < set(
        files
    )
    assert "tables/speed.md" not in files


def test_a_table_of_many_rows_is_written_as_csv_alone(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MOST_PRINTED", 15)
    files = files_of(evidence_of(planted_results(tmp_path)))
    assert files["tables/outcomes.csv"].count("\n") == 1 + 16
    assert "tables/outcomes.md" not in files
    assert "tables/main.md" in files


def test_the_command_prints_the_table_and_nothing_else(
    tmp_path: Path, planted_results: Plant, bench: Callable[..., tuple[int, str, str]]
) -> None:
    folder = planted_results(tmp_path)
    code, out, err = bench("report", folder, "--table", "cost", "--columns", "variant, macs", "--format", "csv")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "variant,macs,macs_ratio",
        *(f'"{v}",{1e9 * (i + 1)},{i + 1.0}' for i, v in enumerate([A, B, C, D])),
    ]
    assert not (folder / "report").exists()
    code, out, _ = bench("report", folder, "--table", "main", "--format", "html", "--output", tmp_path / "main.html")
    assert (code, out) == (0, "")
    assert (tmp_path / "main.html").read_text().startswith("<table>\n<caption>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--table", "effcts"), "did you mean 'effects'"),
        (("--table", "main", "--columns", "variant,miuo"), "did you mean 'miou'"),
        (("--table", "main", "--methods"), "exclude each other"),
        (("--table", "main", "--watch"), "exclude each other"),
        (("--methods", "--columns", "variant"), "--columns is for --table"),
        (("--methods", "--format", "csv"), "written as markdown or latex"),
        (("--format", "csv"), "are for --table or --methods"),
        (("--output", "x"), "are for --table or --methods"),
    ],
)
def test_a_mistake_is_explained(
    tmp_path: Path,
    planted_results: Plant,
    bench: Callable[..., tuple[int, str, str]],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    code, out, err = bench("report", planted_results(tmp_path), *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_a_report_of_two_hardware_classes_is_written(tmp_path: Path, planted_results: Plant) -> None:
    folder = planted_results(tmp_path)
    record = read(folder / "records" / "c1.aaaa1111.json")
    write(record.having(environment={**record.environment.as_json(), "device": "Other GPU"}), folder / "records")
    page = write_report(folder).read_text(encoding="utf-8")
    assert "Measured on other hardware than the baseline, so left out" in page
    assert np.isnan(NOT_COMPARED["delta"])
