"""The reports of two committed results folders hold the numbers that commit bb4439a printed, digit for digit.

``tests/golden/reports`` holds, for each folder, what :func:`numbers_of` read from the report that commit bb4439a made.
Only numbers are kept, as they were written. Headings, captions, names of levels, keys of records, verdicts and every
other word are left out: these may be reworded, but no digit of a table and no number of a finding may change. The
columns of a table keep their order. New columns may stand between them, and new rows in the tables that list settings.

Commit bb4439a read records in the order of their file names, on which the last digit of some standard deviations
depended. Its report was made of records whose files had been renamed into the order of the plan.

The positive control was trained anew at commit 8d8a79f, when a network whose scores are not numbers had become an
outcome of its own. Losses and confusion matrices came out bit for bit as before; the wall time of the training, which
no run repeats, was taken out of ``tests/golden/reports``. The speeds of the JPU study were measured anew later, so the
records of that report are kept beside its numbers.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from html import unescape
from pathlib import Path

import pytest

from bench.report.page.page import write_report

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "reports"
FOLDERS = sorted(path.stem for path in GOLDEN.glob("*.json"))

NUMBER = r"[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
NUMERIC_CELL = re.compile(rf"[\[(]?{NUMBER}(?:(?:, | × |x){NUMBER})*[\])]?")
"""A cell that is a number, or a list of numbers."""

FINDINGS = "findings"
GROWING = ("tables/recipe.csv", "tables/protocol.csv", "tables/provenance.csv")
"""Tables with a row a setting: a later version may know more settings."""
MOVED = {
    "ablation.csv": "data/variants.csv",
    "data/differences.csv": "tables/differences.md",
    "data/published-speed.csv": "tables/published-speed.md",
}
"""File of the old report -> the file of today's that holds the same numbers; CSV files of tables are unrounded now."""
LARGEST_BYTES = 100_000
"""Size up to which a CSV file is compared: all but the points of every learning curve."""


def numbers_of(report: Path) -> dict[str, list[list[str]]]:
    """The numbers of a report folder: file -> columns of numbers, and ``findings`` -> the numbers of each finding.

    A cell that is not numeric becomes an empty string, so that a number keeps its row. A column without numbers is left
    out.
    """
    kept = {}
    for path in sorted([*report.glob("*.csv"), *report.glob("tables/*.csv"), *report.glob("data/*.csv")]):
        if path.stat().st_size <= LARGEST_BYTES:
            with path.open(encoding="utf-8", newline="") as file:
                _, *rows = csv.reader(file)
            if numeric := _numeric(rows):
                kept[path.relative_to(report).as_posix()] = numeric
    for name in MOVED.values():
        if name.endswith(".md") and (report / name).exists():
            _, _, *lines = [
                line for line in (report / name).read_text(encoding="utf-8").splitlines() if line[:1] == "|"
            ]
            cells = [line[1:-1].split(" | ") for line in lines]
            rows = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in cells]
            kept[name] = _numeric(rows)
    kept[FINDINGS] = _findings((report / "index.html").read_text(encoding="utf-8"))
    return kept


def _numeric(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    columns = [[cell if NUMERIC_CELL.fullmatch(cell) else "" for cell in column] for column in zip(*rows, strict=True)]
    return [column for column in columns if any(column)]


def _findings(page: str) -> list[list[str]]:
    section = re.search(r'<section id="findings".*?</section>', page, re.DOTALL)
    assert section is not None
    sentences = re.findall(r"<li.*?</li>", section[0], re.DOTALL)
    return [re.findall(NUMBER, unescape(re.sub(r"<[^>]*>", "", sentence))) for sentence in sentences]


def is_subsequence(short: Iterable[object], long: Iterable[object]) -> bool:
    """Whether ``long`` has the items of ``short`` in their order, perhaps with others between them."""
    rest = iter(long)
    return all(item in rest for item in short)


def lost(golden: Sequence[Sequence[str]], columns: Sequence[Sequence[str]], growing: bool = False) -> list[str]:
    """The golden columns, by their first numbers, that have no equal among the columns after the one matched last."""
    missing, start = [], 0
    for column in golden:
        for index in range(start, len(columns)):
            if is_subsequence(column, columns[index]) if growing else list(column) == list(columns[index]):
                start = index + 1
                break
        else:
            missing.append(", ".join(column[:8]))
    return missing


@pytest.fixture(scope="module", params=FOLDERS)
def numbers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, list[list[str]]], dict[str, list[list[str]]]]:
    """What the old code printed, and what today's prints."""
    folder = tmp_path_factory.mktemp("same-numbers") / request.param
    kept = GOLDEN / request.param
    records = kept if kept.is_dir() else ROOT / "results" / request.param
    shutil.copytree(records, folder, ignore=shutil.ignore_patterns("report"))
    golden = json.loads((GOLDEN / f"{request.param}.json").read_text(encoding="utf-8"))
    return golden, numbers_of(write_report(folder).parent)


def test_there_are_golden_numbers_of_both_folders() -> None:
    assert FOLDERS == ["jpu_speed-cpu", "positive_control"]


def test_no_digit_of_any_table_has_changed(
    numbers: tuple[dict[str, list[list[str]]], dict[str, list[list[str]]]],
) -> None:
    golden, today = numbers
    tables = [name for name in golden if name != FINDINGS]
    assert len(tables) >= 8
    changed = {name: lost(golden[name], today.get(MOVED.get(name, name), []), name in GROWING) for name in tables}
    assert {name: columns for name, columns in changed.items() if columns} == {}


def test_no_number_of_any_finding_has_changed(
    numbers: tuple[dict[str, list[list[str]]], dict[str, list[list[str]]]],
) -> None:
    golden, today = numbers
    assert sum(map(len, golden[FINDINGS])) > 10
    assert today[FINDINGS] == golden[FINDINGS]


def test_one_changed_digit_and_two_swapped_columns_are_found() -> None:
    golden = [["0.61", "0.82"], ["", "0.203"], ["", "0.210"]]
    assert lost(golden, [["0.61", "0.82"], ["8", "8"], ["", "0.203"], ["", "0.210"]]) == []
    assert lost(golden, [["0.61", "0.83"], ["", "0.203"], ["", "0.210"]]) == ["0.61, 0.82"]
    assert lost(golden, [["0.61", "0.82"], ["", "0.210"], ["", "0.203"]]) == [", 0.210"]
    assert lost([["800", "8"]], [["800", "1", "8"]], growing=True) == []
    assert lost([["800", "8"]], [["8", "800"]], growing=True) == ["800, 8"]
