"""Printed tables as Markdown and LaTeX. Text from a study stays text: what either language would act on is escaped."""

from __future__ import annotations

import re

import pandas as pd
from tabulate import tabulate

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~])")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "✓": r"$\checkmark$", "✗": r"$\times$", "×": r"$\times$", "±": r"$\pm$", "−": r"$-$",
    "Δ": r"$\Delta$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≥": r"$\geq$", "†": r"\dag{}", "—": "---",
    "\n": " ",
}  # fmt: skip


def markdown(table: pd.DataFrame, bold: pd.DataFrame) -> str:
    """A GitHub table; cells true in ``bold`` are bold."""
    rows = [
        [f"**{_markdown(text)}**" if strong else _markdown(text) for text, strong in zip(*pair, strict=True)]
        for pair in zip(_texts(table), bold.to_numpy().tolist(), strict=True)
    ]
    heads = [_markdown(str(head)) for head in table.columns]
    return str(tabulate(rows, heads, tablefmt="github", disable_numparse=True)) + "\n"


def latex(table: pd.DataFrame, bold: pd.DataFrame, caption: str) -> str:
    """A booktabs table; cells true in ``bold`` are bold."""
    body = [
        " & ".join(
            rf"\textbf{{{_latex(text)}}}" if strong else _latex(text) for text, strong in zip(*pair, strict=True)
        )
        for pair in zip(_texts(table), bold.to_numpy().tolist(), strict=True)
    ]
    heads = " & ".join(_latex(str(head)) for head in table.columns)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,amssymb} and, before 2018, \usepackage[utf8]{inputenc}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_latex(caption)}}}",
            rf"  \begin{{tabular}}{{{'l' * len(table.columns)}}}",
            r"    \toprule",
            rf"    {heads} \\",
            r"    \midrule",
            # A row that opens with [ would be read as an option of the line break before it.
            *(rf"    {{}}{row} \\" for row in body),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _texts(table: pd.DataFrame) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in table.to_numpy().tolist()]


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text).replace("\n", " ")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
