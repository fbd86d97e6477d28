"""Formats: what each language would act on is text, and every LaTeX table compiles."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from bench.evidence.evidence import Evidence, evidence_of
from bench.protocol.columns import column
from bench.report.page import methods
from bench.report.page.page import files
from bench.report.tables import catalogue, fields, formats, latex
from bench.report.tables.table import Table, of_figure

Plant = Callable[..., Path]
HOSTILE = "[x] \\input{/etc/passwd} & 50 % $^_# ~{}|<>\"'`\n\n\t\x07\x00 é Ł 日本 — “-- ---” \\end{tabular} %"
NAME = "[x] & 50 % $^_# ~{}|<script>\"'` é Ł 日本 — “-- ---” end{tabular} %"
"""The name of a study has no separators of paths and no characters that act."""
SCRIPT = "</td><script>alert('1')</script> | **b** ]] $x$ &lt;"
PACKAGES = "amssymb,array,booktabs,graphicx,longtable,lscape,rotating,textcomp"
PREAMBLE = rf"\documentclass{{article}}\usepackage{{{PACKAGES}}}\begin{{document}}"


def files_of(evidence: Evidence) -> dict[str, str]:
    return files(catalogue.all_tables(evidence).values(), methods.methods(evidence))


@pytest.fixture
def hostile(tmp_path: Path, planted_results: Plant) -> Path:
    """A study whose names, levels, classes and reasons are all hostile."""
    factors = {HOSTILE: [SCRIPT, HOSTILE], "n": ["off", "on"]}
    names = [f"{HOSTILE}={level}, n={other}" for level in factors[HOSTILE] for other in factors["n"]]
    scores = {name: [0.6 + 0.05 * index, 0.61 + 0.05 * index, 0.63 + 0.05 * index] for index, name in enumerate(names)}
    return planted_results(
        tmp_path / "study", factors=factors, scores=scores, classes=(HOSTILE, SCRIPT, "[sky"), boundary_px=(3,),
        plan={"question": f"✓ {HOSTILE}?", "name": NAME, "command": HOSTILE}, costs={names[1]: "failed"},
        environment={"device": HOSTILE},
    )  # fmt: skip


def compiled(folder: Path, sources: dict[str, str]) -> str:
    """The log of one document of all tables, each of which begins with ``TABLE name``."""
    body = "\n".join(rf"\clearpage\typeout{{TABLE {name}}}" + f"\n{text}" for name, text in sources.items())
    (folder / "all.tex").write_text(f"{PREAMBLE}\n{body}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "all.log").read_text(errors="replace")


def test_every_latex_table_of_a_hostile_study_compiles(
    tmp_path: Path, hostile: Path, skip_or_fail: Callable[[str], None]
) -> None:
    if not shutil.which("pdflatex"):
        skip_or_fail("there is no pdflatex: install texlive-latex-base and texlive-latex-recommended")
    files = files_of(evidence_of(hostile))
    sources = {name: text for name, text in files.items() if name.endswith(".tex")}
    assert len(sources) == 14
    log = compiled(tmp_path, sources)
    assert "passwd" not in re.sub(r"[^\n]*(Overfull|Underfull|T1|OT1)[^\n]*", "", log)
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


def test_no_latex_table_of_a_large_study_runs_off_its_page(
    tmp_path: Path, planted_results: Plant, skip_or_fail: Callable[[str], None]
) -> None:
    if not shutil.which("pdflatex"):
        skip_or_fail("there is no pdflatex: install texlive-latex-base and texlive-latex-recommended")
    factors = {"upsampling": ["dilated-8", "joint-pyramid"], "head": ["fcn", "psp", "encnet"], "gate": ["off", "on"]}
    names = [f"upsampling={a}, head={b}, gate={c}" for a, b, c in itertools.product(*factors.values())]
    scores: dict[str, list[float | str]] = {name: [0.6 + 0.01 * n, 0.61] for n, name in enumerate(names)}
    scores[names[1]] = [0.6, "out_of_memory"]
    evidence = evidence_of(
        planted_results(tmp_path / "study", factors=factors, scores=scores, classes=[f"class {n}" for n in range(11)],
                        boundary_px=(3, 5, 9, 12), costs={names[2]: "out_of_memory"})
    )  # fmt: skip
    sources = {name: text for name, text in files_of(evidence).items() if name.endswith(".tex") and "/" in name}
    assert any("longtable}{" in text for text in sources.values())
    for _ in range(3):  # a long table finds the width of its columns from run to run
        log = compiled(tmp_path, sources)
    # Less than a character: a word of a narrow column.
    too_wide = [float(width) for width in re.findall(r"Overfull \\hbox \((\d+\.\d+)pt", log)]
    assert max(too_wide, default=0) < 5, re.findall(r"^(?:TABLE|Overfull).*", log, re.MULTILINE)
    assert "Overfull \\vbox" not in log


def test_a_long_head_has_several_lines_and_its_arrow_stays_with_the_unit() -> None:
    table = of_figure("quality", pd.DataFrame({"Boundary F, 3 px (%) ↑": [90.1], "mIoU (%) ↑": [60.0]}), "Quality.")
    text = latex.latex(table)
    stacked = r"\begin{tabular}[b]{@{}r@{}}{}Boundary\\{}F, 3 px\\{}(\%) $\uparrow$\end{tabular}"
    assert rf"    {{}}{stacked} & mIoU (\%) $\uparrow$ \\" in text.splitlines()
    assert r"\label{tab:quality}" in text
    assert r"\resizebox" in text


def test_markdown_text_has_nothing_that_a_terminal_acts_on() -> None:
    assert formats.markdown_text("a\nb\tc \x1b[31m\u202e é 😀") == "a b c \\\\x1b\\[31m\\\\u202e é 😀"


def test_latex_text_is_ascii_without_a_command_of_its_own() -> None:
    assert latex.latex_text("a_b{c}\\d") == r"a\_b\{c\}\textbackslash{}d"
    assert latex.latex_text("é Å ß 日 \x07") == r"\'{e} \r{A} \ss{} [U+65E5] [U+0007]"
    assert latex.latex_text("one\n\ntwo\tthree") == "one  two three"
    assert latex.latex_text("--x---") == "-{}-x-{}-{}-"
    assert latex.latex_text(HOSTILE).isascii()


def test_a_long_latex_table_breaks_over_pages_and_long_text_over_lines() -> None:
    rows = pd.DataFrame({"Name": [f"row {n}" for n in range(46)], "Value": [1.5] * 46, "Text": ["word " * 20] * 46})
    lines = latex.latex(of_figure("many", rows, "Many rows.")).splitlines()
    assert lines[2] == r"\begin{longtable}{lr>{\raggedright\arraybackslash}p{25em}}"
    assert sum(line.startswith("    {}row") for line in lines) == 46
    short = latex.latex(of_figure("few", rows[:22], "Few rows.")).splitlines()
    assert short[1] == r"\begin{table}"


def test_ticks_stand_in_the_middle_and_numbers_to_the_right() -> None:
    rows = pd.DataFrame({"a": ["✓", "✗"], "low": [0.1, float("nan")], "high": [0.2, float("nan")], "d": ["x 1", "2"]})
    columns = {
        "a": fields.text("a", "a"), "b": fields.interval("b", "low", "high", column("miou")),
        "c": fields.ratio("c", "low"), "d": fields.text("d", "d"),
    }  # fmt: skip
    assert r"\begin{tabular}{crrl}" in latex.latex(Table("t", rows, columns, tuple(columns), "Ticks and numbers."))


def test_markdown_of_a_hostile_study_has_as_many_cells_a_row_as_heads(hostile: Path) -> None:
    for name, text in files_of(evidence_of(hostile)).items():
        if name.endswith(".md") and name.startswith("tables/"):
            rows = [line for line in text.splitlines() if line.startswith("|")]
            counts = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
            assert len(counts) == 1, name
            assert "<script>" not in text.replace(r"\<", "")


class Texts(HTMLParser):
    """Elements and texts of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_html_is_one_table_in_which_hostile_text_is_text(hostile: Path) -> None:
    table = catalogue.table(evidence_of(hostile), "ablation")
    read = Texts(catalogue.written(table, "html"))
    assert set(read.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong"}
    assert read.tags.count("tr") == 1 + 4
    assert any(SCRIPT in text for text in read.texts)
    assert read.tags.count("strong") == int(table.emphasis().to_numpy().sum()) > 0


def test_a_drawn_number_that_rounds_to_zero_has_no_sign() -> None:
    table = of_figure("drawn", pd.DataFrame({"Δ mIoU (points)": [-0.004, -0.006, 0.004]}), "What a figure draws.")
    assert table.cells == [["0.00"], ["−0.01"], ["0.00"]]


def test_methods_are_escaped_in_both_languages(hostile: Path) -> None:
    text = methods.methods(evidence_of(hostile))
    assert "<script>" in text
    assert "<script>" not in methods.as_markdown(text)
    assert methods.as_latex(text).isascii()
    assert r"\input" not in methods.as_latex(text)


def test_a_table_too_wide_to_read_upright_lies_on_its_side(tmp_path: Path, planted_results: Plant) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    wide, narrow = catalogue.table(evidence, "cost"), catalogue.table(evidence, "cost", ("variant", "macs"))
    assert r"\begin{sidewaystable}" in catalogue.written(wide, "latex")
    assert r"\begin{table}" in catalogue.written(narrow, "latex")
