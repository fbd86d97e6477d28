"""Text on a terminal stays text."""

from __future__ import annotations

import pytest

from bench.protocol.text import harmless, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mIoU ≥ 60 % – 語 😀👩‍💻", "mIoU ≥ 60 % – 語 😀👩‍💻"),
        ("two\nlines\r\nand\u2028more", "two lines and more"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\tb", "a\\tb"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("half \ud800", "half \\ud800"),
        (":x: [bold]", ":x: [bold]"),
    ],
)
def test_what_a_terminal_acts_on_is_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mIoU ≥ 60 % – 語 😀👩‍💻\n\tnext", "mIoU ≥ 60 % – 語 😀👩‍💻\n\tnext"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("\x9b31m\x85\x7f\x00\r", "\\x9b31m\\x85\\x7f\\x00\\r"),
        ("\u202ea\u2066\u2028\u2029\udcff", "\\u202ea\\u2066\\u2028\\u2029\\udcff"),
    ],
)
def test_lines_stay_lines_and_what_is_acted_on_is_an_escape(text: str, shown: str) -> None:
    assert harmless(text) == shown
    assert harmless(shown) == shown
