"""What ``bench compare`` does, apart from its arguments."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench import comparison
from bench.parts import BenchError, nearest
from bench.report import side_by_side
from bench.sides import side
from bench.store import write_text
from bench.terminal import plain

FORMATS = {"markdown": side_by_side.markdown, "csv": side_by_side.csv, "json": side_by_side.as_json}
MOST_NAMED = 5
"""Of what could not be judged."""
WIDTH = 200
"""Of a terminal's tables that go to a file or a pipe."""
_BREAK = re.compile(r",(?=[A-Za-z_])")
"""Where a long name of a variant may be broken: a space after it lets a terminal do so."""


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
    found = comparison.compare(side(a), side(b), quantities or comparison.JUDGED)
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
        table = Table(
            box=None, pad_edge=False, header_style="dim", title=side_by_side.TITLES[name], title_justify="left"
        )
        for head in rows.columns:
            table.add_column(Text(plain(str(head))), overflow="fold")
        for row in rows.itertuples(index=False, name=None):
            table.add_row(*(Text(_BREAK.sub(", ", plain(str(cell)))) for cell in row))
        console.print()
        console.print(table)
    console.print()
    console.print(Text(plain(side_by_side.conclusion(found))), soft_wrap=True)
