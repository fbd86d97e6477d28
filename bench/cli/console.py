"""The terminal that commands print to: it acts on no character of a name or a text that a study or a file holds."""

from __future__ import annotations

import errno
import os
import signal
import sys
from codecs import lookup
from collections.abc import Iterator
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bench.protocol.text import harmless, plain
from bench.run.processes.stopping import Stopped

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class PlainConsole(Console):
    """A console whose terminal acts on nothing but the console's own styles, whatever the text that it prints holds.

    Nor does the console itself: square brackets, names of emoji between colons and numbers stay as they are.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text, with escapes before its width is measured for a table."""
        return super().render_str(harmless(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)

    def on_broken_pipe(self) -> NoReturn:
        """Stop in order, as for a signal: whoever read the output, such as ``head`` or a lost connection, has left.

        Raises:
            Stopped: always.
        """
        self.quiet = True
        _send_nowhere(sys.stdout.fileno())
        stop = Stopped(signal.SIGPIPE)
        stop.told = True  # nobody is there
        raise stop


class _Terminal(FileIO):
    """A terminal that may be closed while a program writes to it: what is written afterwards goes nowhere."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            _send_nowhere(self.fileno())
            return len(memoryview(data))


def _send_nowhere(stream: int) -> None:
    """Let whatever is written to a file descriptor from now on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream)
    os.close(nowhere)


def outlive_terminal() -> None:
    """Let a closed terminal fail no command that prints to it: a run that ignores the hang-up goes on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper) and stream.isatty():
            raw = BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
            lasting = TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=True, write_through=True)
            setattr(sys, name, lasting)


def understand_names() -> None:
    """Start this program anew if its locale has ASCII alone, so that names and texts of files are read as UTF-8.

    Python does so itself, unless ``PYTHONUTF8=0`` or the like keeps it from that. What is printed stays in ASCII.
    """
    asked = len(sys.argv) - 1
    is_program = sys.orig_argv[len(sys.orig_argv) - asked :] == sys.argv[1:]
    if lookup(sys.getfilesystemencoding()).name == "ascii" and is_program and os.environ.get("PYTHONUTF8") != "1":
        changes = {"PYTHONUTF8": "1", "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING", "ascii")}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | changes)


def console_for_people() -> PlainConsole:
    """The console for people to read: the terminal or, without one, lines that are long enough not to be broken."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=250)


def say(text: str, *, error: bool = False) -> None:
    """Print one line to standard output, or to standard error."""
    typer.echo(plain(text), err=error)
