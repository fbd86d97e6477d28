"""The page in both widths and both schemes: no error, no request, accessible, and text from outside stays text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from bench.evidence.evidence import evidence_of
from bench.report.figures.all import all_figures
from tests.report.hostile import BREAK, COMMENT, END, HEAD, IMAGE, NAMES, SCRIPT
from tests.report.marks import DRAWN

PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
AXE = "([where, rules]) => axe.run(where, {resultTypes: ['violations'], ...rules}).then(({violations}) => violations)"
OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules whose findings depend on the scheme."""
KINDS = {
    "speed-ups", "effects", "interaction", "miou-against-latency-s", "miou-against-macs", "miou-against-parameters",
    "miou-against-peak-bytes", "parameters-by-part", "macs-by-part", "activation-bytes-by-part", "growth-macs",
    "growth-saved-bytes", "growth-time-s", "class-iou", "class-differences", "boundary-f", "boundary-f-present",
    "confusion", "learning-curves", "outcome-grid",
}  # fmt: skip
"""Every figure that a page can have, those of which there may be several without their numbers."""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, as a package of the dev extra ships it."""
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def faults(page: Page, within: str = "html", **rules: list[str]) -> list[str]:
    """What axe-core, which the page must have, finds of any impact."""
    violations: list[dict[str, Any]] = page.evaluate(AXE, [within, rules])
    return [
        f"{violation['id']} ({violation['impact']}): {[node['html'] for node in violation['nodes'][:3]]}"
        for violation in violations
    ]


@pytest.mark.parametrize(
    ("width", "height", "schemes"), [(1280, 900, ("light", "dark")), (390, 844, ("dark", "light"))]
)
def test_at_both_widths_and_in_both_schemes_the_page_is_whole_and_accessible(
    hostile_report: Path, open_page: Callable[..., Page], axe: str, width: int, height: int, schemes: Sequence[str]
) -> None:
    page = open_page(hostile_report, width, schemes[0], height=height)
    page.evaluate(OPEN_ALL)
    page.evaluate(axe)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = page.query_selector_all("figure.drawing")
    drawn = [figure.name for figure in all_figures(evidence_of(hostile_report.parents[1])) if len(figure.table)]
    assert sorted(str(element.get_attribute("id")) for element in figures) == sorted(drawn)
    for figure in figures:
        name, rows = figure.get_attribute("id"), int(figure.get_attribute("data-rows") or 0)
        assert len(figure.query_selector_all("tbody tr")) == rows > 0, name
    counted = page.evaluate(DRAWN)
    assert {name: marks for name, (_, marks, rows) in counted.items() if marks != rows} == {}
    assert {re.sub(r"-\d+$", "", name) for name in counted} == KINDS
    assert page.locator(".gallery .entry").count() > 8
    assert faults(page) == []
    for overlay in ("errors", "boundaries", "image"):
        page.check(f"input[value={overlay}]")
        assert faults(page, ".gallery") == [], overlay
    page.emulate_media(color_scheme=schemes[1])
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == PAPER[schemes[1]]
    assert faults(page, runOnly=OF_COLOURS) == []
    assert page.wrong == []
    page.evaluate("document.querySelector('label[for=class-effects-filter]').remove()")
    assert faults(page, runOnly=["label"])[0].startswith("label (critical)"), "a fault that is there is found"


def test_text_from_outside_is_shown_and_nothing_in_it_runs_even_without_the_policy(
    hostile_report: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(hostile_report, policy=False)
    page.evaluate(OPEN_ALL)
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.wrong == []
    assert page.evaluate("document.querySelectorAll('img, b').length") == 0
    for place, texts in {
        "h1": [f"study {IMAGE}"], ".question": [f"Why {BREAK}?"], ".summary": [END, SCRIPT], ".notes": [COMMENT],
        ".findings": [IMAGE, COMMENT], "#ablation": [HEAD, IMAGE], "#classes": [SCRIPT, END, IMAGE, COMMENT],
        "#outcomes": [SCRIPT], "#traceback-1": [SCRIPT, END, IMAGE, COMMENT, BREAK],
        "#recipe": [SCRIPT, END, IMAGE, COMMENT], "#differences": ["</script>Head"], "#speed": [END, IMAGE],
        "#stale": [IMAGE.replace("/", "")], "#class-iou": [SCRIPT, END], "#growth-macs": [BREAK],
        "#activation-bytes-by-part": [END], ".gallery": [*NAMES, HEAD], "#images": [HEAD, COMMENT],
        "#published": [SCRIPT, IMAGE, BREAK, COMMENT], "#published-memory": [SCRIPT, IMAGE, BREAK, END],
        "#published-classes": [SCRIPT, BREAK], "#published-speed": [SCRIPT, IMAGE, BREAK],
        "#provenance": [SCRIPT], "#reproduce + pre": [END],
    }.items():  # fmt: skip
        shown = page.text_content(place) or ""
        assert [text for text in texts if text not in shown] == [], place
    named = page.locator(".rail input").evaluate_all("(all) => all.map((each) => each.ariaLabel).join()")
    assert [name for name in NAMES if name not in named] == []
    assert page.title() == f"study {IMAGE}"
