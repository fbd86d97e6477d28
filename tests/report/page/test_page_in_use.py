"""What a reader does with the page: follow links, filter, go through it by keyboard, print."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from bench.report.page.page import write_report
from tests.conftest import SCORES
from tests.report.planted_pictures import plant_pictures

Plant = Callable[..., Path]
FOCUSABLE = "a[href], button, input:not([type=radio]:not(:checked)), summary, [tabindex='0']"
REACHABLE = f"""[...document.querySelectorAll("{FOCUSABLE}")].filter((each) => each.checkVisibility()).length"""
FOCUS = f"""(() => {{
  const each = document.activeElement; // a divider's line is lit in its place
  const lit = each.closest(".rail") ? [each.nextElementSibling, "::after"] : [each];
  const style = getComputedStyle(...lit);
  const all = [...document.querySelectorAll("{FOCUSABLE}")].filter((one) => one.checkVisibility());
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 && style.opacity === "1";
  return [all.indexOf(each), seen, each.outerHTML.slice(0, 200)];
}})()"""
IN_VIEW = """(id) => {
  const box = document.getElementById(id).getBoundingClientRect();
  return box.top >= 0 && box.bottom <= innerHeight && box.height > 0;
}"""
AS_OPENED = """(() => {
  document.querySelectorAll("main details").forEach((each) => { each.open = false; });
  document.body.tabIndex = -1; // the next Tab goes to the first element
  document.body.focus();
  document.body.removeAttribute("tabindex");
  location.hash = "";
  scrollTo(0, 0);
})()"""
ROW = "outcomes-attention-on-quality-1"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, planted_results: Plant) -> Path:
    folder = planted_results(tmp_path_factory.mktemp("planted"))
    wrong = {name: [[wrong, 10, 20 - wrong]] * 3 for name, wrong in zip(SCORES, (10, 8, 4, 2), strict=True)}
    plant_pictures(folder, wrong, ["one", "two", "three"])
    return write_report(folder)


@pytest.fixture(scope="module")
def opened(report: Path, open_page: Callable[..., Page]) -> Page:
    return open_page(report)


@pytest.fixture
def page(opened: Page) -> Page:
    """The page as it is when it has just been opened; to open it for every test would take most of their time."""
    opened.emulate_media(media="screen", color_scheme="light")
    opened.set_viewport_size({"width": 1280, "height": 900})
    opened.evaluate(AS_OPENED)
    return opened


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_tab_goes_through_everything_in_order_and_one_sees_where_it_is(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_selector("#contents[open]" if width == 1280 else "#contents:not([open])", state="attached")
    page.evaluate("document.getElementById('gallery-1').open = true")
    count = page.evaluate(REACHABLE)
    assert count > 60
    dividers = 0
    for index in range(count):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS)[:2] == [index, True], page.evaluate(FOCUS)
        dividers += page.evaluate("document.activeElement.matches('.rail input')")
    assert dividers == page.locator("#gallery-1 .entry").count() == 4  # the last one has the records' other pixels


def test_a_link_opens_what_it_leads_to_and_marks_it(report: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{report.as_uri()}#{ROW}")
    assert page.evaluate(IN_VIEW, ROW)
    row = f"document.getElementById('{ROW}')"
    assert page.evaluate(f"{row}.matches(':target')")
    assert page.evaluate(f"getComputedStyle({row}.cells[0]).backgroundColor") == "rgb(228, 240, 250)"
    assert (page.text_content(f"#{ROW}") or "").startswith("attention=onquality1done")


def test_every_finding_leads_to_its_evidence(page: Page) -> None:
    links = page.query_selector_all(".findings .evidence")
    assert len(links) > 8
    for link in links:
        target = (link.get_attribute("href") or "")[1:]
        link.click()
        assert page.evaluate("(id) => document.getElementById(id).matches(':target')", target), target
    page.click(".findings li:has-text('attention=on:') >> text=effect")
    assert page.evaluate(IN_VIEW, "effects-full-attention-on")
    page.evaluate("document.querySelector('#outcomes-more').open = false")
    page.evaluate(f"location.hash = '{ROW}'")
    page.evaluate("document.querySelector('#outcomes-more').open = false")
    page.evaluate(f"location.hash = ''; location.hash = '{ROW}'")
    page.wait_for_selector("#outcomes-more[open]")


def test_every_address_is_there_once_and_every_link_to_one_leads_somewhere(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    html = re.sub(r"<(script|style)[ >].*?</\1>", "", text, flags=re.DOTALL)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert {"findings", "effects-section", "effects", "effects-full", "ablation-attention-on", ROW} <= set(ids)
    files = {name for name in re.findall(r'href="([^"#:]+)"', html) if name != "data:,"}
    assert files
    assert [name for name in files if not (report.parent / name).exists()] == []


def test_a_filter_keeps_rows_that_have_every_word_and_escape_clears_it(page: Page) -> None:
    page.evaluate("location.hash = 'outcomes'")
    field = page.get_by_label("Filter rows of: Every planned trial and what came of it.")
    count = page.locator("output[for=outcomes-filter]")
    assert count.inner_text() == "16 rows"
    field.fill("JPU cost")
    assert count.inner_text() == "2 of 16"
    shown = page.locator("#outcomes tbody tr:visible td:first-child").all_inner_texts()
    assert shown == ["upsampling=jpu", "attention=on + upsampling=jpu"]
    page.click("#outcomes th:first-child button")
    assert page.locator("#outcomes tbody tr:visible td:first-child").all_inner_texts() == sorted(shown)
    field.fill("no such row")
    assert count.inner_text() == "0 of 16"
    field.press("Escape")
    assert count.inner_text() == "16 rows"
    assert field.input_value() == ""
    field.fill("jpu")
    page.evaluate(f"location.hash = '{ROW}'")
    page.wait_for_selector(f"#{ROW}", state="visible")
    assert field.input_value() == "", "a link to a row that is filtered out clears the filter"


def test_only_a_table_with_many_rows_has_a_filter(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert 'id="ablation-filter"' not in html
    assert 'id="outcomes-filter"' in html


def test_on_paper_two_figures_stand_in_a_row_however_narrow_the_window_is(page: Page) -> None:
    columns = "getComputedStyle(document.querySelector('#cost-section .grid')).gridTemplateColumns.split(' ').length"
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate(columns) == 1
    page.emulate_media(media="print")
    assert page.evaluate(columns) == 2


def test_on_paper_everything_is_open_but_data_of_figures_and_then_as_before(page: Page) -> None:
    opened = "[...document.querySelectorAll('main details[open]')].map((each) => each.id)"
    before = page.evaluate(opened)
    page.evaluate(f"addEventListener('beforeprint', () => {{ document.title = {opened}.join(); }})")
    pdf = page.pdf(prefer_css_page_size=True)
    tables, pairs = "main-more,front-more,class-effects-more,images-more", "gallery-1,gallery-2,gallery-3"
    assert page.title() == f"{tables},{pairs},outcomes-more,definitions-more,methods"
    assert 8 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 32
    assert page.evaluate(opened) == before == []
    page.emulate_media(media="print")
    for hidden in ("nav", ".filter", ".anchor"):
        assert not page.locator(hidden).first.is_visible(), hidden
