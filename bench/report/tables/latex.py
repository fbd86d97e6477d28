"""Tables as LaTeX that fit their page: long heads and texts on several lines, a wide table set smaller or on its side,
a long one on several pages. Text from a study stays text: what LaTeX acts on is escaped."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from bench.protocol.text import one_line
from bench.protocol.words import NOTHING
from bench.report.tables.table import Table

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", "✓": r"$\checkmark$", "✗": r"$\times$",
    "×": r"$\times$", "±": r"$\pm$", "−": r"$-$", "–": r"\textendash{}", "—": r"\textemdash{}",
    "Δ": r"$\Delta$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "λ": r"$\lambda$", "σ": r"$\sigma$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$",
    "÷": r"$\div$", "·": r"$\cdot$", "²": r"$^{2}$", "³": r"$^{3}$", "°": r"$^{\circ}$", "µ": r"$\mu$",
    "μ": r"$\mu$", "†": r"\dag{}", "‡": r"\ddag{}", "…": r"\dots{}", "“": "``", "”": "''", "‘": "`", "’": "'",
    "ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "æ": r"\ae{}", "Æ": r"\AE{}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u0304": "=", "\u0307": ".",
    "\u0306": "u", "\u030c": "v", "\u030b": "H", "\u030a": "r", "\u0327": "c",
}  # fmt: skip
"""Combining character -> LaTeX's accent."""
_PLAIN = re.compile(r"[A-Za-z0-9 .,;:=+()/]*")
"""Text that LaTeX leaves as it is: most cells of a long table."""
_LIGATURE = re.compile("-(?=-)")
"""The pattern of two hyphens, which LaTeX would set as a dash."""
LINE, NARROW_LINE = 50, 28
"""The most characters on a line of a cell; the second is for a table over several pages with many columns."""
FEW_COLUMNS = 3
SHORTEST_HEAD = 10
"""The most characters of a head that is never broken over lines."""
ONE_PAGE = 45
"""The number of lines beyond which a table breaks over pages."""
UPRIGHT = 95
"""The number of characters across a page; a wider table that breaks over pages lies on its side."""
LEGIBLE = 105
"""Characters across of a table on one page; a wider one lies on its side, for upright it would be set below 7 pt."""
CHARACTER_EM = 0.5
PREAMBLE = r"% needs \usepackage{amssymb,array,booktabs,graphicx,longtable,lscape,rotating,textcomp}"
SHRUNK = r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""A table wider than its line is set as wide as that; no other is changed."""
ROOM = r"\setlength{\abovetopsep}{4pt}"
"""The space between the caption and the table."""
SMALL = rf"\begingroup\scriptsize\setlength{{\tabcolsep}}{{3pt}}{ROOM}"


def latex(table: Table) -> str:
    """A booktabs table as wide as a line at most, the cells that stand out bold; ``\\ref{tab:…}`` calls it by its name.

    It is a ``longtable`` where it has more lines than a page.
    """
    cells, heads = table.cells, table.heads
    columns = [_Column(numeric, tuple(row[index] for row in cells)) for index, numeric in enumerate(table.numeric)]
    long = sum(max((_lines(text, LINE) for text in row), default=1) for row in cells) > ONE_PAGE
    line = NARROW_LINE if long and len(heads) > FEW_COLUMNS else LINE
    written = [_head(head, column, line) for head, column in zip(heads, columns, strict=True)]
    # A row that opens with [ would be read as an option of the rule or the line break before it.
    head = r"    {}" + " & ".join(written) + r" \\"
    rows = [rf"    {{}}{_row(*pair)} \\" for pair in zip(cells, table.strong, strict=True)]
    kinds = "".join(_kind(column, line) for column in columns)
    caption = rf"  \caption{{{latex_text(table.legend)}}}\label{{tab:{latex_text(table.name)}}}"
    top, middle, bottom = (rf"    \{rule}rule" for rule in ("top", "mid", "bottom"))
    if not long:
        inner = [rf"  \begin{{tabular}}{{{kinds}}}", top, head, middle, *rows, bottom, r"  \end{tabular}}"]
        kind = "sidewaystable" if _width(heads, columns, line) > LEGIBLE else "table"
        lines = [rf"\begin{{{kind}}}", rf"  \centering{ROOM}", caption, SHRUNK, *inner, rf"\end{{{kind}}}"]
        return "\n".join([PREAMBLE, *lines, ""])
    begin = rf"\begin{{longtable}}{{{kinds}}}"
    lines = [SMALL, begin, rf"{caption} \\", top, head, middle, r"    \endhead", *rows, bottom]
    lines += [r"\end{longtable}", r"\endgroup"]
    if _width(heads, columns, line) > UPRIGHT:
        lines = [r"\begin{landscape}", *lines, r"\end{landscape}"]
    return "\n".join([PREAMBLE, *lines, ""])


def _row(cells: Sequence[str], bold: Sequence[bool]) -> str:
    return " & ".join(
        rf"\textbf{{{latex_text(text)}}}" if strong else latex_text(text)
        for text, strong in zip(cells, bold, strict=True)
    )


class _Column(NamedTuple):
    """The cells of a column, and whether they tell of numbers."""

    numeric: bool
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(map(len, self.cells), default=0)

    @property
    def side(self) -> str:
        """The alignment of a column: numbers to the right, ticks in the middle."""
        known = [text for text in self.cells if not text.startswith(NOTHING)]
        if known and set(known) <= {"✓", "✗"}:
            return "c"
        return "r" if known and self.numeric else "l"


def _head(head: str, column: _Column, line: int) -> str:
    """A head on as many lines as keep it from being wider than what is below it; an arrow stays at its unit."""
    lines = _head_lines(head, column, line)
    if len(lines) == 1:
        return latex_text(lines[0])
    return rf"\begin{{tabular}}[b]{{@{{}}{column.side}@{{}}}}" + r"\\".join(map(_opened, lines)) + r"\end{tabular}"


def _opened(line: str) -> str:
    """A line that may open with [ or *."""
    return "{}" + latex_text(line)


def _head_lines(head: str, column: _Column, line: int) -> list[str]:
    width = max(SHORTEST_HEAD, min(line, column.width))
    bound = _in_one_line(head).replace(") ↑", ")\u00a0↑").replace(") ↓", ")\u00a0↓")
    return textwrap.wrap(bound, width, break_long_words=False, break_on_hyphens=False) or [""]


def _kind(column: _Column, line: int) -> str:
    """A column's letter, or its width where its text is on several lines."""
    if column.width > line:
        return rf">{{\raggedright\arraybackslash}}p{{{line * CHARACTER_EM:g}em}}"
    return column.side


def _lines(text: str, line: int) -> int:
    return -(-len(text) // line) or 1


def _width(heads: Sequence[str], columns: Sequence[_Column], line: int) -> int:
    """The width of the table in characters, with two between columns."""
    return sum(
        2 + max(*map(len, _head_lines(head, column, line)), min(line, column.width))
        for head, column in zip(heads, columns, strict=True)
    )


def latex_text(text: str) -> str:
    """Text as LaTeX shows it, in one line and in ASCII; what pdfLaTeX has no letter for is named ``[U+65E5]``."""
    if _PLAIN.fullmatch(text):
        return text
    written = "".join(map(_latex_character, _in_one_line(text)))
    return _LIGATURE.sub("-{}", written)


def _in_one_line(text: str) -> str:
    """Text without line breaks and tabs; most texts have none."""
    return text if text.isprintable() else one_line(text)


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii() and character.isprintable():
        return character
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"[U+{ord(character):04X}]"
