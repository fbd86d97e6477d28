"""The console prints text; a terminal acts on nothing but the console's own styles."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

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


def test_a_closed_terminal_fails_nothing_that_prints_to_it() -> None:
    ours, theirs = pty.openpty()
    code = """
import sys
from bench.cli.console import console_for_people, outlive_terminal, say
outlive_terminal()
print("ready", flush=True)
sys.stdin.readline()
print("printed"); say("said"); console_for_people().print("shown"); sys.stdout.flush()
sys.exit(7)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        assert os.read(ours, 100) == b"ready\r\n"
        os.close(ours)
        process.communicate(b"\n", timeout=60)
    assert process.returncode == 7


def test_a_reader_that_has_left_stops_a_command_as_the_signal_of_a_broken_pipe_does() -> None:
    read, write = os.pipe()
    os.close(read)
    code = "from bench.cli.console import console_for_people; console_for_people().print('shown'); print('went on')"
    process = subprocess.run(
        [sys.executable, "-c", code], check=False, stdout=write, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write)
    assert (process.returncode, process.stderr) == (141, b"")
