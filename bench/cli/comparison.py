"""The work of ``bench compare``; its arguments are in :mod:`bench.cli.commands.results`."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.cli.console import PlainConsole
from bench.cli.documents.document import Give, keep_silent
from bench.cli.documents.results import CompareDocument
from bench.evidence.compare import comparison
from bench.evidence.compare.sides import side
from bench.parts import BenchError, nearest
from bench.protocol.columns import JUDGED
from bench.protocol.text import plain
from bench.protocol.words import NOTHING, first_few
from bench.records.files import write_text
from bench.report import comparison as side_by_side

FORMATS = {"markdown": side_by_side.markdown, "csv": side_by_side.csv, "json": side_by_side.as_json}
MOST_NAMED = 5
"""The number of unjudged quantities that an error message names at most."""
WIDTH = 200
"""The width, in characters, of terminal tables that are written to a file."""
GAP = 2
"""The number of spaces between columns."""


class ComparisonError(BenchError, ValueError):
    """An option of ``bench compare`` that is not allowed, or that cannot be answered from these results."""


def compare(
    a: str,
    b: str,
    quantities: Sequence[str],
    form: str,
    output: Path | None,
    fail_on: str | None,
    give: Give = keep_silent,
) -> bool:
    """Print or write a comparison, and return ``True`` if it contains the outcome that ``fail_on`` names.

    Args:
        a: the one side: a results folder, or the records of one commit or host in it.
        b: the other side; differences are B − A.
        quantities: the qualities to compare; mIoU if there are none.
        form: ``terminal`` or one of :data:`FORMATS`.
        output: the file to write, or ``None`` for the terminal.
        fail_on: ``worse`` or ``None``.
        give: the function that takes the document of the comparison.

    Raises:
        BenchError: if a side, a quantity or an option does not exist, or if ``fail_on`` cannot be decided.
    """
    if form != "terminal" and form not in FORMATS:
        known = ("terminal", *FORMATS)
        raise ComparisonError(f"--format {form!r}: expected one of {', '.join(known)}{nearest(form, known)}")
    if fail_on not in (None, "worse"):
        raise ComparisonError(f"--fail-on {fail_on!r}: expected 'worse'")
    compared = comparison.compare(side(a), side(b), quantities or (JUDGED,))
    if give is not keep_silent:
        give(CompareDocument(**json.loads(side_by_side.as_json(compared))))
    if output is None:
        _show(compared, form, PlainConsole())
    else:
        file = io.StringIO()
        _show(compared, form, PlainConsole(file=file, width=WIDTH))
        write_text(file.getvalue(), output)
    if fail_on == "worse" and not compared.worse and compared.unjudged:
        raise ComparisonError(
            f"--fail-on worse: {b} may be worse, and nothing can tell: {first_few(compared.unjudged, MOST_NAMED, '; ')}"
        )
    return fail_on == "worse" and bool(compared.worse)


def _show(compared: comparison.Comparison, form: str, console: Console) -> None:
    if form != "terminal":
        console.file.write(FORMATS[form](compared))
        return
    sides = {"A": compared.a, "B": compared.b, "Baseline": side_by_side.baseline(compared)}
    console.print(Text("\n".join(f"{name}: {plain(text)}" for name, text in sides.items() if text)), soft_wrap=True)
    for table in side_by_side.tables(compared).values():
        console.print()
        console.print(Text(table.caption, style="italic"))
        heads = [plain(head) for head in table.heads]
        cells = [[plain(text) for text in row] for row in table.cells]
        widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
        if sum(widths) + GAP * (len(widths) - 1) <= console.width:
            console.print(_table(heads, cells))
        else:
            _print_stacked(heads, cells, console)
    console.print()
    console.print(Text(plain(side_by_side.conclusion(compared))), soft_wrap=True)


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for head in heads:
        table.add_column(Text(head), no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _print_stacked(heads: Sequence[str], cells: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table for which the terminal is too narrow: each row under its first two cells, without unknown cells."""
    for row in cells:
        console.print(Text("  ".join(row[:2]), style="bold"))
        line, before = Text(), ""
        for head, cell in zip(heads[2:], row[2:], strict=True):
            if cell != NOTHING:
                alone = {head, before} & {"A", "B"}  # each side has a line of its own
                line.append("\n" * bool(alone and line) + f"{head} ", style="dim").append(f"{cell}  ")
                before = head
        console.print(Padding(line, (0, 0, 0, 2)))
