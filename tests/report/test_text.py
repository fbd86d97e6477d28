"""Text on a terminal stays text."""

from __future__ import annotations

import pytest

from bench.report.text import plain


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
