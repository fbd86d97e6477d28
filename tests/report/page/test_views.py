"""Tables as the page shows them: addresses, what is sorted by, and which rows of a long table are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.evidence.evidence import evidence_of
from bench.protocol.columns import column
from bench.records.record import read, write
from bench.report.page import page, summary, views
from bench.report.page.findings import MOST_FINDINGS, Finding, Sentence, findings, fold
from bench.report.page.page import write_report
from bench.report.page.views import addresses, view
from bench.report.tables import effects, fields
from bench.report.tables.table import Table, of_text

Plant = Callable[..., Path]


def test_an_address_is_plain_text_of_its_name_and_no_two_are_alike() -> None:
    names = ["attention=on + gate=off", "Café & <b>", "", "日本", "a", "A", "a-2", "a"]
    assert addresses("t", names) == [
        "t-attention-on-gate-off", "t-cafe-b", "t-row", "t-row-2", "t-a", "t-a-2", "t-a-2-2", "t-a-3",
    ]  # fmt: skip
    (long,) = addresses("t", ["x" * 500])
    assert long == "t-" + "x" * views.LONGEST_ADDRESS


def test_a_row_is_named_by_as_many_cells_as_tell_it_from_the_others() -> None:
    table = of_text(
        "t", pd.DataFrame({"A": ["x", "x", "y"], "B": ["1", "2", "1"], "C": ["p", "q", "r"]}), "Three rows."
    )
    assert [row.address for row in view("t", table, "t.csv").rows] == ["t-x-1", "t-x-2", "t-y-1"]
    assert [row.address for row in view("t", table, "t.csv", ["k", "l", "m"]).rows] == ["t-k", "t-l", "t-m"]


def test_a_cell_sorts_by_the_number_that_it_is_written_from_and_what_is_missing_by_nothing() -> None:
    nan = float("nan")
    rows = pd.DataFrame({"delta": [0.035, -0.02, nan], "low": [0.01, -0.03, nan], "number": [1.0, nan, 1 / 3]})
    rows["word"] = ["3 seeds", "b", "c"]
    columns = {
        "interval": fields.interval("interval", "low", "delta", column("miou")),
        "number": fields.number("number", "number"), "word": fields.text("word", "word"),
    }  # fmt: skip
    shown = view("t", Table("t", rows, columns, tuple(columns), "Numbers.", "And words."), "t.csv")
    assert [numeric for _, numeric in shown.heads] == [True, True, False]
    assert [[cell.text for cell in row.cells] for row in shown.rows] == [
        ["[+1.00, +3.50]", "1.00", "3 seeds"], ["[−3.00, −2.00]", "—", "b"], ["—", "0.33", "c"],
    ]  # fmt: skip
    assert [[cell.key for cell in row.cells] for row in shown.rows] == [
        ["0.01", "1", None], ["-0.03", "", None], ["", "0.333333333", None],
    ]  # fmt: skip
    assert (shown.caption, shown.notes) == ("Numbers.", "And words.")


def test_of_a_long_table_the_first_rows_are_shown_and_every_failure_before_them() -> None:
    count = views.MOST_ROWS + 100

    def table(outcomes: list[str]) -> Table:
        columns = {"n": fields.count("n", "n"), "outcome": fields.text("Outcome", "outcome", tone="outcome")}
        rows = pd.DataFrame({"n": range(count), "outcome": outcomes})
        return Table("t", rows, columns, tuple(columns), "Many trials.")

    outcomes = ["done"] * count
    outcomes[300], outcomes[-2], outcomes[-1] = "missing", "failed", "out of memory"
    plain = view("t", table(outcomes).with_columns(["n"]), "t.csv")
    assert (len(plain.rows), plain.total, plain.rows[0].cells[0].text) == (views.MOST_ROWS, count, "0")
    shown = view("t", table(outcomes), "t.csv")
    assert [row.cells[1].text for row in shown.rows[:4]] == ["failed", "out of memory", "missing", "done"]
    assert len(shown.rows) == views.MOST_ROWS
    all_failed = view("t", table(["diverged"] * count), "t.csv")
    assert len(all_failed.rows) == count, "no failure is dropped"


def test_the_page_says_which_file_has_the_rows_that_it_leaves_out(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST_ROWS", 5)
    text = write_report(planted_results(tmp_path)).read_text()
    assert '5 of 16 rows, failures first where there are any; <a href="tables/outcomes.csv">' in text
    assert len((tmp_path / "report" / "tables" / "outcomes.csv").read_text().splitlines()) == 17
    assert '7 rows, failures first where there are any; <a href="data/effects-full.csv">' not in text


def test_findings_lead_to_rows_that_the_page_has(tmp_path: Path, planted_results: Plant) -> None:
    scores = {"a=x": [0.6, 0.62, 0.61], "a=x!": [0.65, 0.67, "failed"], "a=X?": [0.64, 0.66, 0.65]}
    evidence = evidence_of(planted_results(tmp_path, factors={"a": ["x", "x!", "X?"]}, scores=scores))
    all_findings = findings(evidence)
    assert [finding.href for finding in all_findings] == [
        "#effects-full-a-x", "#effects-full-a-x-2", "#ablation", "#effects-full", "#outcomes",
    ]  # fmt: skip
    assert [sentence.href for sentence in all_findings[1].sentences] == ["#effects-full-a-x-2", "#ablation-a-x-2"]
    table = effects.effects_table(evidence)
    rows = view("effects-full", table, "effects.csv", table.printed()["Effect of"]).rows
    assert [row.address for row in rows] == ["effects-full-a-x", "effects-full-a-x-2"]


def test_tracebacks_that_are_alike_are_shown_once(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path, factors={"a": ["x"]}, scores={"a=x": ["failed"] * 25}))
    (shared,) = summary.tracebacks(evidence.results)
    assert len(shared.files) == 25
    assert shared.title == "Traceback of q0s0.aaaa1111.json and 24 more records"
    assert shared.named.endswith(" and 5 more")
    path = tmp_path / "records" / "q0s7.aaaa1111.json"
    other = read(path)
    write(other.having(outcome={**other.outcome.as_json(), "traceback": "another"}), tmp_path / "records")
    assert [traceback.title for traceback in summary.tracebacks(evidence_of(tmp_path).results)] == [
        "Traceback of q0s0.aaaa1111.json and 23 more records", "Traceback of q0s7.aaaa1111.json",
    ]  # fmt: skip
    assert summary.tracebacks(evidence_of(tmp_path).results)[1].named == ""


def test_a_figure_in_a_section_that_the_page_has_not_is_refused(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    made = page.content(tmp_path, evidence)
    with pytest.raises(ValueError, match="effects in 'nowhere'"):
        page.render(evidence, replace(made, figures=[replace(made.figures[0], section="nowhere")]))
    monkeypatch.setattr(page, "all_figures", lambda results: [replace(made.figures[0], name="outcomes")])
    with pytest.raises(ValueError, match="both a figure and a table are called outcomes"):
        page.content(tmp_path, evidence)


def test_of_many_findings_effects_on_average_are_read_first_and_the_rest_is_folded_away() -> None:
    def finding(verdict: str, kind: str, text: str) -> Finding:
        return Finding([Sentence(text, "#x", "effect")], verdict, kind)

    as_many_as_fit = [finding("not resolved", "variant", "a")] * MOST_FINDINGS
    assert fold(as_many_as_fit) == (as_many_as_fit, {})
    variants = [finding("better", "variant", f"v{index}") for index in range(MOST_FINDINGS)]
    unresolved, average = finding("not resolved", "variant", "u"), finding("worse", "main effect", "m")
    last = finding("", "", "holes")
    first, folded = fold([*variants, unresolved, average, last])
    assert first == [*variants[:-1], average, last]
    assert folded == {"more differences were resolved": variants[-1:], "differences were not resolved": [unresolved]}
    nothing = finding("not resolved", "between levels", "no more than its control")
    first, folded = fold([*variants, unresolved, nothing])
    assert first == [*variants[:-1], nothing]  # what a factor does not do is no footnote
    assert folded["differences were not resolved"] == [unresolved]
    silent = [finding("not resolved", "main effect", f"s{index}") for index in range(MOST_FINDINGS)]
    first, folded = fold([*silent, *variants[:2], average])
    assert first == [*silent[:6], *variants[:2], average]  # nor may it hide what was found
    assert folded == {"differences were not resolved": silent[6:]}
