"""What ``bench compare`` does, apart from its arguments."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.evidence.compare import comparison
from bench.evidence.compare.sides import side
from bench.parts import BenchError, nearest
from bench.protocol.columns import JUDGED
from bench.protocol.words import NOTHING
from bench.records.files import write_text
from bench.report import comparison as side_by_side
from bench.report.text import plain

FORMATS = {"markdown": side_by_side.markdown, "csv": side_by_side.csv, "json": side_by_side.as_json}
MOST_NAMED = 5
"""Of what could not be judged."""
WIDTH = 200
"""Of a terminal's tables that go to a file or a pipe."""
GAP = 2
"""Between columns."""


class ComparisonError(BenchError, ValueError):
    """An option of ``bench compare`` that means nothing."""


def compare(a: str, b: str, quantities: Sequence[str], form: str, output: Path | None, fail_on: str | None) -> bool:
    """Print or write a comparison; whether it has what ``fail_on`` names.

    Raises:
        BenchError: for sides, quantities or options that are not there.
    """
    if form != "terminal" and form not in FORMATS:
        known = ("terminal", *FORMATS)
        raise ComparisonError(f"--format {form!r}: expected one of {', '.join(known)}{nearest(form, known)}")
    if fail_on not in (None, "worse"):
        raise ComparisonError(f"--fail-on {fail_on!r}: expected 'worse'")
    found = comparison.compare(side(a), side(b), quantities or (JUDGED,))
    if output is None:
        _show(found, form, Console())
    else:
        file = io.StringIO()
        _show(found, form, Console(file=file, width=WIDTH))
        write_text(file.getvalue(), output)
    if fail_on == "worse" and not found.worse and found.unjudged:
        raise ComparisonError(f"--fail-on worse: {b} may be worse, and nothing can tell: {_some(found.unjudged)}")
    return fail_on == "worse" and bool(found.worse)


def _some(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return "; ".join(texts[:MOST_NAMED]) + more


def _show(found: comparison.Comparison, form: str, console: Console) -> None:
    if form != "terminal":
        console.file.write(FORMATS[form](found))
        return
    sides = {"A": found.a, "B": found.b, "Baseline": side_by_side.baseline(found)}
    console.print(Text("\n".join(f"{name}: {plain(each)}" for name, each in sides.items() if each)), soft_wrap=True)
    for name, rows in side_by_side.printed(found).items():
        console.print()
        console.print(Text(side_by_side.TITLES[name], style="italic"))
        heads = [plain(str(head)) for head in rows.columns]
        cells = [[plain(str(cell)) for cell in row] for row in rows.itertuples(index=False, name=None)]
        widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
        if sum(widths) + GAP * (len(widths) - 1) <= console.width:
            console.print(_table(heads, cells))
        else:
            _print_stacked(heads, cells, console)
    console.print()
    console.print(Text(plain(side_by_side.conclusion(found))), soft_wrap=True)


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for head in heads:
        table.add_column(Text(head), no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _print_stacked(heads: Sequence[str], cells: Sequence[Sequence[str]], console: Console) -> None:
    """Of a table that a terminal is too narrow for: a row below its first two cells, what is not known left out."""
    for row in cells:
        console.print(Text("  ".join(row[:2]), style="bold"))
        line, before = Text(), ""
        for head, cell in zip(heads[2:], row[2:], strict=True):
            if cell != NOTHING:
                alone = {head, before} & {"A", "B"}  # each side has a line of its own
                line.append("\n" * bool(alone and line) + f"{head} ", style="dim").append(f"{cell}  ")
                before = head
        console.print(Padding(line, (0, 0, 0, 2)))
