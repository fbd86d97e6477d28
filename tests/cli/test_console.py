"""The console prints text; a terminal acts on nothing but the console's own styles."""

from __future__ import annotations

import io

import pytest
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bench.cli.console import PlainConsole

HOSTILE = "a\x1b[2Jb\x9bc [red]:x:[bold]"


def table() -> Table:
    hostile = Table(box=None)
    hostile.add_column(HOSTILE)
    hostile.add_row(HOSTILE)
    return hostile


@pytest.mark.parametrize(
    "printed", [HOSTILE, Text(HOSTILE), Text(HOSTILE, style="red"), table(), Panel(Panel(HOSTILE))],
    ids=["a string", "a text", "a text in colour", "a table", "panels"],
)  # fmt: skip
@pytest.mark.parametrize("terminal", [True, False])
def test_escape_sequences_and_marks_in_what_is_printed_are_shown_and_not_acted_on(
    printed: RenderableType, terminal: bool
) -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=200, force_terminal=terminal, color_system="standard")
    console.print(printed)
    assert "a\\x1b[2Jb\\x9bc [red]:x:[bold]" in file.getvalue()
    assert "\x1b[2J" not in file.getvalue()
    assert "\x9b" not in file.getvalue()


def test_the_styles_of_the_console_itself_stay() -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=200, force_terminal=True, color_system="standard")
    console.print(Text("two\nlines", style="red"))
    assert file.getvalue() == "\x1b[31mtwo\x1b[0m\n\x1b[31mlines\x1b[0m\n"
