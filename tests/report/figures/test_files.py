"""Figures as files: drawn where kaleido and a browser are, and a clear message where they are not."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.cli import app
from bench.evidence.evidence import evidence_of
from bench.report.figures import files
from bench.report.figures.accuracy import accuracy_against
from bench.report.figures.classes import class_iou
from bench.report.figures.files import ExportError, for_paper, write_figures

Plant = Callable[..., Path]
BROWSERS = ("chrome", "google-chrome", "google-chrome-stable", "chromium", "chromium-browser")


def test_a_figure_becomes_an_svg_with_its_title_and_legend(
    tmp_path: Path, planted_results: Plant, skip_or_fail: Callable[[str], None]
) -> None:
    if importlib.util.find_spec("kaleido") is None:
        skip_or_fail("there is no kaleido: pip install 'segbench[static]'")
    if not any(map(shutil.which, BROWSERS)):
        skip_or_fail("there is no Chrome or Chromium")
    evidence = evidence_of(planted_results(tmp_path))
    (path,) = write_figures([accuracy_against(evidence, "macs")], tmp_path / "figures", "svg")
    assert path == tmp_path / "figures" / "miou-against-macs.svg"
    drawing = ElementTree.parse(path)
    texts = {"".join(element.itertext()) for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"mIoU against MACs", "mIoU (%) ↑", "baseline", "attention=on + upsampling=jpu"} <= texts
    points = [
        element for element in drawing.iter("{http://www.w3.org/2000/svg}path") if element.get("class") == "point"
    ]
    assert len(points) == 4 * (3 + 1)


def test_a_figure_for_paper_has_a_legend_and_no_more_marks(tmp_path: Path, planted_results: Plant) -> None:
    figure = class_iou(evidence_of(planted_results(tmp_path)))
    made = for_paper(figure)
    assert [trace.name for trace in made.data if trace.showlegend] == [look.name for look in figure.key]
    assert sum(value is not None for trace in made.data for value in trace.x) == len(figure.table)
    assert made.layout.height > figure.figure.layout.height
    assert made.layout.paper_bgcolor == "white"
    assert figure.figure.layout.paper_bgcolor == "rgba(0,0,0,0)", "the page's own is as it was"


def test_a_long_legend_on_paper_has_room_for_every_entry(tmp_path: Path, planted_results: Plant) -> None:
    levels = [f"a level with a long name, number {index} of thirty" for index in range(30)]
    scores = {f"neck={level}": [0.5 + 0.01 * index] for index, level in enumerate(levels)}
    figure = accuracy_against(evidence_of(planted_results(tmp_path, factors={"neck": levels}, scores=scores)), "macs")
    made = for_paper(figure)
    assert len(figure.key) == 30
    assert made.layout.legend.maxheight >= 30 * files.LEGEND_ROW_PX / 2, "two entries a line at most"
    assert made.layout.margin.t > made.layout.legend.maxheight, "above the plot"


def test_without_kaleido_the_message_says_how_to_get_it(
    tmp_path: Path, planted_results: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = evidence_of(planted_results(tmp_path))
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"kaleido is not installed: .*pip install 'segbench\[static\]'"):
        write_figures([class_iou(evidence)], tmp_path / "figures", "pdf")


def test_without_a_browser_the_command_says_what_is_needed_and_the_page_is_there(
    tmp_path: Path,
    planted_results: Plant,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    skip_or_fail: Callable[[str], None],
) -> None:
    if importlib.util.find_spec("kaleido") is None:
        skip_or_fail("there is no kaleido: pip install 'segbench[static]'")
    folder = planted_results(tmp_path / "results")
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no-browser"))
    monkeypatch.setattr(sys, "argv", ["bench", "report", str(folder), "--figures", "svg"])
    with pytest.raises(SystemExit) as leaving:
        app.main()
    assert leaving.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    for words in ("no browser could be started", "Chrome or Chromium", "BROWSER_PATH", "the page needs neither"):
        assert words in message
    assert (folder / "report" / "index.html").exists()


def test_an_unknown_format_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--figures 'gif': expected one of svg, pdf, png"):
        write_figures([], tmp_path, "gif")
