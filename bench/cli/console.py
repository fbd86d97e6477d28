"""The terminal that commands print to: it acts on no character of a name or a text that a study or a file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bench.protocol.text import harmless, plain


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


def console_for_people() -> PlainConsole:
    """The console for people to read: the terminal or, without one, lines that are long enough not to be broken."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=250)


def say(text: str, *, error: bool = False) -> None:
    """Print one line to standard output, or to standard error."""
    typer.echo(plain(text), err=error)
