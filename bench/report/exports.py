"""Tables as Markdown, LaTeX, HTML, CSV and JSON. Text from a study stays text: what a language acts on is escaped."""

from __future__ import annotations

import html as html_text
import json
import re
import unicodedata
from collections.abc import Callable, Mapping

import pandas as pd
from tabulate import tabulate

from bench.report.printed import Table
from bench.report.words import NOTHING
from bench.terminal import plain

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&$])")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", "✓": r"$\checkmark$", "✗": r"$\times$",
    "×": r"$\times$", "±": r"$\pm$", "−": r"$-$", "–": r"\textendash{}", "—": r"\textemdash{}",
    "Δ": r"$\Delta$", "α": r"$\alpha$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "≥": r"$\geq$", "≤": r"$\leq$",
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
"""What LaTeX acts on in no way: most cells of a long table."""
_LIGATURE = re.compile("-(?=-)")
"""Two hyphens would be set as a dash."""
_NUMBER = re.compile(r"[\[≥< ×+−-]*\d")
LONG = 60
"""Characters beyond which a column of a LaTeX table breaks its lines."""
ONE_PAGE = 45
"""Rows beyond which a LaTeX table breaks over pages."""
PREAMBLE = r"% needs \usepackage{booktabs,amssymb,textcomp,longtable}"


def markdown(table: pd.DataFrame, bold: pd.DataFrame) -> str:
    """A GitHub table; cells true in ``bold`` are bold."""
    rows = [
        [f"**{markdown_text(text)}**" if strong else markdown_text(text) for text, strong in zip(*pair, strict=True)]
        for pair in zip(_texts(table), bold.to_numpy().tolist(), strict=True)
    ]
    heads = [markdown_text(str(head)) for head in table.columns]
    return str(tabulate(rows, heads, tablefmt="github", disable_numparse=True)) + "\n"


def latex(table: pd.DataFrame, bold: pd.DataFrame, caption: str) -> str:
    """A booktabs table; cells true in ``bold`` are bold. A ``longtable`` where it has more rows than a page."""
    texts = _texts(table)
    body = [
        " & ".join(
            rf"\textbf{{{latex_text(text)}}}" if strong else latex_text(text)
            for text, strong in zip(*pair, strict=True)
        )
        for pair in zip(texts, bold.to_numpy().tolist(), strict=True)
    ]
    # A row that opens with [ would be read as an option of the rule or the line break before it.
    heads = r"    {}" + " & ".join(latex_text(str(head)) for head in table.columns) + r" \\"
    rows = [rf"    {{}}{row} \\" for row in body]
    kinds = "".join(_alignment(column) for column in zip(*texts, strict=True)) or "l" * len(table.columns)
    said = rf"  \caption{{{latex_text(caption)}}}"
    top, middle, bottom = (rf"    \{rule}rule" for rule in ("top", "mid", "bottom"))
    if len(rows) > ONE_PAGE:
        head = [top, heads, middle, r"    \endhead"]
        lines = [rf"\begin{{longtable}}{{{kinds}}}", rf"{said} \\", *head, *rows, bottom, r"\end{longtable}"]
    else:
        inner = [rf"  \begin{{tabular}}{{{kinds}}}", top, heads, middle, *rows, bottom, r"  \end{tabular}"]
        lines = [r"\begin{table}", r"  \centering", said, *inner, r"\end{table}"]
    return "\n".join([PREAMBLE, *lines, ""])


def html(table: pd.DataFrame, bold: pd.DataFrame, caption: str) -> str:
    """A bare ``<table>``; cells true in ``bold`` are ``<strong>``."""
    heads = "".join(f'<th scope="col">{html_text.escape(str(head))}</th>' for head in table.columns)
    rows = [
        "".join(
            f"<td><strong>{html_text.escape(text)}</strong></td>" if strong else f"<td>{html_text.escape(text)}</td>"
            for text, strong in zip(*pair, strict=True)
        )
        for pair in zip(_texts(table), bold.to_numpy().tolist(), strict=True)
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    said = f"<caption>{html_text.escape(caption)}</caption>"
    return f"<table>\n{said}\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def _as_markdown(table: Table) -> str:
    said = markdown_text(" ".join(each for each in (table.caption, _absent(table)) if each))
    return f"{markdown(table.printed(), table.emphasis())}\n{said}\n"


def _as_latex(table: Table) -> str:
    return latex(table.printed(), table.emphasis(), " ".join([table.caption, _absent(table)]).strip())


def _as_html(table: Table) -> str:
    return html(table.printed(), table.emphasis(), " ".join([table.caption, _absent(table)]).strip())


def _as_csv(table: Table) -> str:
    return table.unrounded().to_csv(index=False)


def _as_json(table: Table) -> str:
    rows = table.unrounded().astype(object)
    return json.dumps(rows.where(rows.notna(), None).to_dict("records"), ensure_ascii=False, indent=1) + "\n"


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "markdown": _as_markdown, "latex": _as_latex, "csv": _as_csv, "html": _as_html, "json": _as_json,
}  # fmt: skip
"""Name of a format -> how a table is written in it: printed with its caption, or as unrounded numbers (csv, json)."""


def markdown_text(text: str) -> str:
    """Text as Markdown shows it, in one line; it is read on terminals too."""
    return _MARKDOWN.sub(r"\\\1", plain(_one_line(text)))


def latex_text(text: str) -> str:
    """Text as LaTeX shows it, in one line and in ASCII; what pdfLaTeX has no letter for is named ``[U+65E5]``."""
    if _PLAIN.fullmatch(text):
        return text
    written = "".join(map(_latex_character, _one_line(text)))
    return _LIGATURE.sub("-{}", written)


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii() and character.isprintable():
        return character
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"[U+{ord(character):04X}]"


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("\t", " ").replace("\u00a0", " ")


def _texts(table: pd.DataFrame) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in table.to_numpy().tolist()]


def _alignment(cells: tuple[str, ...]) -> str:
    """A column's letter: numbers to the right, ticks in the middle, long text in lines of its own."""
    known = [text for text in cells if text != NOTHING]
    if max(map(len, cells), default=0) > LONG:
        return r"p{0.45\linewidth}"
    if known and set(known) <= {"✓", "✗"}:
        return "c"
    return "r" if known and all(_NUMBER.match(text) for text in known) else "l"


def _absent(table: Table) -> str:
    return f"No rows: {table.absent}." if table.absent else ""
