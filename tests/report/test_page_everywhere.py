"""The page in both widths and both schemes: no error, no request, accessible, and text from outside stays text."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from bench.records import load
from bench.report.drawn import all_figures
from tests.report.marks import DRAWN

WIDTHS = [(1280, 900), (390, 844)]
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
AXE = "(rules) => axe.run(document, {resultTypes: ['violations'], ...rules}).then((found) => found.violations)"


@pytest.fixture(scope="module")
def axe(skip_or_fail: Callable[[str], None]) -> str:
    """The source of axe-core."""
    path = Path(os.environ.get("BENCH_AXE", ""))
    if not path.is_file():
        skip_or_fail("there is no axe-core: name its axe.min.js (npm pack axe-core) in BENCH_AXE")
    return path.read_text(encoding="utf-8")


def faults(page: Page, **rules: list[str]) -> list[str]:
    """What axe-core, which the page must have, finds of any impact."""
    found: list[dict[str, Any]] = page.evaluate(AXE, rules)
    return [f"{each['id']} ({each['impact']}): {[node['html'] for node in each['nodes'][:3]]}" for each in found]


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_at_both_widths_and_in_both_schemes_the_page_is_whole_and_accessible(
    hostile_report: Path, open_page: Callable[..., Page], axe: str, width: int, height: int
) -> None:
    page = open_page(hostile_report, width, "light", height=height)
    page.evaluate(OPEN_ALL)
    page.evaluate(axe)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = page.query_selector_all("figure.drawing")
    drawn = [each.name for each in all_figures(load(hostile_report.parents[1])) if len(each.table)]
    assert sorted(str(each.get_attribute("id")) for each in figures) == sorted(drawn)
    for figure in figures:
        name, rows = figure.get_attribute("id"), int(figure.get_attribute("data-rows") or 0)
        assert len(figure.query_selector_all("tbody tr")) == rows > 0, name
    counted = page.evaluate(DRAWN)
    assert {name: marks for name, (_, marks, rows) in counted.items() if marks != rows} == {}
    assert faults(page) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert faults(page, runOnly=["color-contrast"]) == []
    assert page.wrong == []  # type: ignore[attr-defined]
    page.evaluate("document.querySelector('label[for=class-effects-filter]').remove()")
    assert faults(page, runOnly=["label"])[0].startswith("label (critical)"), "a fault that is there is found"


def test_text_from_a_study_is_shown_and_nothing_in_it_runs_even_without_the_policy(
    hostile_report: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(hostile_report, policy=False)
    page.evaluate(OPEN_ALL)
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.wrong == []  # type: ignore[attr-defined]
    assert page.evaluate("document.querySelectorAll('img, b').length") == 0
    comment, end = "<!-- \"both\" 'quotes' & <b>bold</b>", "</script><script>window.hacked = 1</script>"
    script, image = "<script>window.hacked = 1</script>", "<img src=x onerror='window.hacked = 1'>"
    for place, texts in {
        "h1": [f"study {script}"], ".question": [f"Why {image}?"], ".summary": [end, script], ".notes": [comment],
        ".findings": [image, comment], "#ablation": [image], "#classes": [script, end, image, comment],
        "#outcomes": [script], "#traceback-1": [script, end, image, comment], "#recipe": [script, end, image, comment],
        "#differences": ["</script>Head"], "#speed": [end, image], "#stale": [image.replace("/", "")],
        "#class-iou": [script, end],
    }.items():  # fmt: skip
        shown = page.text_content(place) or ""
        assert [text for text in texts if text not in shown] == [], place
    assert end in (page.text_content("#provenance-section pre") or "")
    assert page.title() == f"study {script}"
