"""``bench compare``: its tables in every format, its exit status, and what it refuses."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench.report.comparison import TITLES

Plant = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]
FACTORS = {"attention": ["off", "on"]}
OFF, ON = "attention=off", "attention=on"
BEFORE = {OFF: [0.600, 0.620, 0.610], ON: [0.650, 0.671, 0.659]}
AFTER = {OFF: [0.600, 0.620, 0.610], ON: [0.630, 0.6509, 0.6391]}
HOSTILE = "<script>alert(1)</script> | [bold]x[/bold]"


@pytest.fixture
def folders(tmp_path: Path, planted_results: Plant) -> tuple[Path, Path]:
    return (
        planted_results(tmp_path / "a", factors=FACTORS, scores=BEFORE, plan={"question": "Before?"}),
        planted_results(tmp_path / "b", factors=FACTORS, scores=AFTER, plan={"question": HOSTILE}),
    )


def test_a_terminal_shows_what_changed_and_what_is_resolved(bench: Command, folders: tuple[Path, Path]) -> None:
    code, out, _ = bench("compare", *folders)
    assert code == 0
    assert HOSTILE in out  # markup in a study's text is text
    assert "2 comparisons of quality: 0 better, 1 worse, 1 not resolved (after Holm)." in out
    assert "−2.00 points" in out
    assert "separate runs" in out


def test_a_narrow_terminal_breaks_no_word_and_no_number(bench: Command, folders: tuple[Path, Path]) -> None:
    wide, narrow = (bench("compare", *folders, columns=columns)[1] for columns in (300, 80))
    of_tables = narrow.split("2 comparisons of quality")[0].split("Baseline")[1]
    assert max(map(len, of_tables.splitlines())) <= 80
    assert {"A", "66.00", "(n=3)", "64.00", "−2.00", "points", "2,000,000,000", "interleaved"} <= set(narrow.split())
    assert set(wide.split()) - set(narrow.split()) == {"Variant", "Quantity", "—"}


def test_markdown_has_a_table_a_part_and_escapes_text(bench: Command, folders: tuple[Path, Path]) -> None:
    out = bench("compare", *folders, "--format", "markdown")[1]
    assert [line for line in out.splitlines() if line.startswith("##")] == [
        "## What changed", "## Quality, B − A", "## Cost, B over A",
    ]  # fmt: skip
    assert "<script>" not in out
    [row] = [line for line in out.splitlines() if "paired, n=3" in line and "worse" in line]
    assert [cell.strip() for cell in row.split("|")][1:5] == [ON, "mIoU (%) ↑", "66.00 (n=3)", "64.00 (n=3)"]


def test_csv_and_json_hold_the_same_numbers_unrounded(
    bench: Command, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    code, out, _ = bench("compare", *folders, "--format", "csv", "--output", tmp_path / "deep" / "x.csv")
    assert (code, out) == (0, "")
    table = pd.read_csv(tmp_path / "deep" / "x.csv")
    document = json.loads(bench("compare", *folders, "--format", "json")[1])
    assert {part: len(document[part]) for part in TITLES} == {
        **dict.fromkeys(TITLES, 0), **table["part"].value_counts().to_dict(),
    }  # fmt: skip
    [row] = [row_of_json for row_of_json in document["quality"] if row_of_json["variant"] == ON]
    assert row["delta"] == pytest.approx(-0.02, abs=1e-5)
    assert float(table[(table["part"] == "quality") & (table["variant"] == ON)]["delta"].iloc[0]) == row["delta"]
    assert document["worse"] == [f"{ON}: mIoU"]
    assert next(row_of_json for row_of_json in document["cost"] if row_of_json["quantity"] == "macs")["low"] is None


def test_a_worsening_fails_only_where_that_is_asked_for(bench: Command, folders: tuple[Path, Path]) -> None:
    before, after = folders
    assert bench("compare", before, after, "--fail-on", "worse", "--format", "json")[0] == 1
    assert bench("compare", after, before, "--fail-on", "worse", "--format", "json")[0] == 0
    assert bench("compare", before, after, "--format", "json")[0] == 0


def test_a_gate_that_has_nothing_to_judge_does_not_pass(
    bench: Command, folders: tuple[Path, Path], tmp_path: Path, planted_results: Plant
) -> None:
    """A renamed variant, or a run that failed, must not look like "nothing is worse"."""
    renamed = {"attention=none": BEFORE[OFF], "attention=pam": BEFORE[ON]}
    other = planted_results(tmp_path / "c", factors={"attention": ["none", "pam"]}, scores=renamed)
    code, out, err = bench("compare", folders[0], other, "--fail-on", "worse")
    assert code == 2
    assert "no result is on both sides" in err
    assert "Not compared are variants with results on one side: 2 in A only, 2 in B only." in out
    assert bench("compare", folders[0], other)[0] == 0


def test_variants_have_short_names_where_both_sides_have_one_baseline(
    bench: Command, tmp_path: Path, planted_results: Plant
) -> None:
    factors = {"attention": ["off", "on"], "upsampling": ["dilated", "jpu"]}
    one, other = (planted_results(tmp_path / name, factors=factors) for name in "ab")
    out = bench("compare", one, other, "--format", "markdown")[1]
    assert "Baseline: `attention=off, upsampling=dilated`" in out
    cells = [line.split("|")[1].strip() for line in out.splitlines() if "paired, n=3" in line]
    assert cells == ["baseline", "upsampling=jpu", "attention=on", "attention=on + upsampling=jpu"]
    plan = json.loads((other / "study.json").read_text())
    base = {"baseline": "attention=on, upsampling=jpu", "baseline_levels": {"attention": "on", "upsampling": "jpu"}}
    (other / "study.json").write_text(json.dumps(plan | base))
    out = bench("compare", one, other, "--format", "markdown")[1]
    assert "Baseline:" not in out
    assert "| attention=on, upsampling=jpu " in out


def test_other_qualities_can_be_compared(bench: Command, folders: tuple[Path, Path]) -> None:
    out = bench("compare", *folders, "--format", "csv", "--column", "pixel_accuracy", "--column", "miou")[1]
    table = pd.read_csv(io.StringIO(out))
    quality = table[table["part"] == "quality"]
    assert list(quality["quantity"]) == ["pixel_accuracy", "miou"] * 2
    assert quality[quality["variant"] == ON]["p_holm"].astype(float).max() < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "markdwon"), "did you mean 'markdown'"),
        (("--fail-on", "anything"), "expected 'worse'"),
        (("--column", "mioo"), "did you mean 'miou'"),
        (("--column", "latency_s"), "cannot be judged over seeds"),
    ],
)
def test_an_option_that_means_nothing_is_one_line_and_exit_status_2(
    bench: Command, folders: tuple[Path, Path], options: tuple[str, ...], message: str
) -> None:
    code, out, err = bench("compare", *folders, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
