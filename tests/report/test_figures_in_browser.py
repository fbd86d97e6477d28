"""Figures as plotly draws them in Chromium: as many marks as rows, of every kind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import plotly.io
from playwright.sync_api import sync_playwright

from bench.records import load
from bench.report.drawn import all_figures

Plant = Callable[..., Path]
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
COUNT = """(element) => ({
  point: element.querySelectorAll(".scatterlayer path.point").length,
  line: element.querySelectorAll(".scatterlayer path.js-line").length,
  bar: element.querySelectorAll(".barlayer .point path").length,
  cell: element.calcdata.flat().flatMap((each) => (each.z ?? []).flat()).filter(Number.isFinite).length,
})"""
"""What plotly drew of each kind; a heat map is one image, and its cells are counted in what plotly drew it from."""


def test_every_figure_draws_a_mark_for_each_row_at_the_width_of_a_phone(
    tmp_path: Path, planted_results: Plant, skip_or_fail: Callable[[str], None]
) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = os.environ.get("BENCH_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not browser:
        skip_or_fail("there is no Chromium: install one or name it in BENCH_CHROMIUM")
    figures = all_figures(load(planted_results(tmp_path, boundary_px=(3, 9))))
    html = "".join(
        plotly.io.to_html(each.figure, full_html=False, include_plotlyjs=index == 0, div_id=each.name)
        for index, each in enumerate(figures)
    )
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{html}", encoding="utf-8")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=SWITCHES)
        page, wrong = opened.new_page(viewport={"width": 390, "height": 900}), list[str]()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        drawn = {each.name: page.eval_on_selector(f"#{each.name}", COUNT) for each in figures}
        opened.close()
    assert wrong == []
    kinds = {each.name: each.figure.layout.meta["mark"] for each in figures}
    assert set(kinds.values()) == {"point", "line", "bar", "cell"}
    assert {name: drawn[name][kinds[name]] for name in kinds} == {each.name: len(each.table) for each in figures}
