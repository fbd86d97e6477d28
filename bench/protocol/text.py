"""Text from a study, a record or an exception stays text: no terminal, page or editor acts on a character of it."""

from __future__ import annotations

import re

_ACTING = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but for the tab and the line feed: they begin escape sequences
    "\u2028\u2029"  # ends of lines and paragraphs
    "\u202a-\u202e\u2066-\u2069"  # they change the direction of the text after them
    "\ud800-\udfff"  # halves of a character, which no file can hold
)
_ACTING_IN_LINES = re.compile(f"[{_ACTING}]")
_ACTING_IN_A_LINE = re.compile(f"[\t{_ACTING}]")


def harmless(text: str) -> str:
    """``text`` with an escape such as ``\\x1b`` for each character that is acted on; its lines and tabs stay."""
    return text if text.isprintable() else _ACTING_IN_LINES.sub(_escape, text)


def plain(text: str) -> str:
    """``text`` in one line, with an escape such as ``\\x1b`` for each character that is acted on, tabs included."""
    return text if text.isprintable() else _ACTING_IN_A_LINE.sub(_escape, " ".join(text.splitlines()))


def one_line(text: str) -> str:
    """The text without the characters that break or stretch a line."""
    return " ".join(text.splitlines()).replace("\t", " ").replace("\u00a0", " ")


def _escape(acting: re.Match[str]) -> str:
    return acting[0].encode("unicode_escape").decode("ascii")
