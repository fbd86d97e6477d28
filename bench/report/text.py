"""Text on a terminal: names and reasons that a study or a record holds stay text there."""

from __future__ import annotations

import unicodedata

_ACTING = {"Cc", "Cs", "Zl", "Zp"}
"""The categories of characters that a terminal acts on or cannot print: controls, halves of a character, line ends."""


_DIRECTIONS = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""The characters that change the direction of the text after them."""


def plain(text: str) -> str:
    """``text`` in one line, with an escape such as ``\\x1b`` for each character that a terminal would act on."""
    return "".join(_escaped(character) for character in " ".join(text.splitlines()))


def _escaped(character: str) -> str:
    if unicodedata.category(character) in _ACTING or character in _DIRECTIONS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def one_line(text: str) -> str:
    """The text without the characters that break or stretch a line."""
    return " ".join(text.splitlines()).replace("\t", " ").replace("\u00a0", " ")
