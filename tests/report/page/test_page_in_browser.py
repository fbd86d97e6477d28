"""The page as a reader has it: opened from disk in Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from bench.report.page.page import write_report
from tests.report.marks import DRAWN

Plant = Callable[..., Path]
HOSTILE = "<script>document.title = 'run'</script>"


def test_the_page_draws_a_mark_for_every_row_without_an_error_or_a_request(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    page = open_page(write_report(planted_results(tmp_path, boundary_px=(3, 9))))
    drawn = page.evaluate(DRAWN)
    assert len(drawn) == 18
    assert "Colours repeat" not in page.inner_text("main")
    assert {kind for kind, _, _ in drawn.values()} == {"point", "line", "bar", "cell"}
    assert {name: marks for name, (_, marks, rows) in drawn.items() if marks != rows or rows == 0} == {}
    assert page.wrong == []


def test_more_variants_and_classes_than_fit_are_all_drawn(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    factors = {"a": list("012"), "b": list("0123")}
    scores = {f"a={a}, b={b}": [0.5 + 0.01 * int(a), None, 0.52 + 0.02 * int(b)] for a in "012" for b in "0123"}
    classes = [f"class {index}" for index in range(40)]
    page = open_page(write_report(planted_results(tmp_path, factors=factors, scores=scores, classes=classes)), 390)
    drawn = page.evaluate(DRAWN)
    assert {name: marks for name, (_, marks, rows) in drawn.items() if marks != rows} == {}
    assert drawn["confusion-1"] == ["cell", 40 * 40, 40 * 40]
    assert len(page.query_selector_all("#class-iou .ytick text")) == 40, "no class loses its name"
    assert page.locator("#class-iou .key + p").inner_text() == "Colours repeat: symbols tell those of one colour apart."
    assert page.locator("#learning-curves .key + p").inner_text().startswith("Colours repeat: dashes tell")
    size = "(({ width, height }) => [width, height])(document.querySelector('#effects .plot').getBoundingClientRect())"
    before = page.evaluate(size)
    assert before[1] > 600
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(size)[1] == pytest.approx(480), "higher than a page, and whole on one"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(size) == before
    assert page.wrong == []


def column(page: Page, index: int) -> list[str]:
    return [cell.inner_text() for cell in page.query_selector_all(f"#ablation tbody td:nth-child({index})")]


def test_a_table_sorts_by_mouse_and_by_keyboard(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    page = open_page(write_report(planted_results(tmp_path)))
    planned = column(page, 3)
    heads = page.query_selector_all("#ablation th")
    button = heads[2].query_selector("button")
    assert button is not None
    button.click()
    assert heads[2].get_attribute("aria-sort") == "ascending"
    assert column(page, 3) == sorted(planned)
    button.press("Enter")
    assert heads[2].get_attribute("aria-sort") == "descending"
    assert column(page, 3) == sorted(planned, reverse=True)
    button.press("Space")
    assert heads[2].get_attribute("aria-sort") == "none"
    assert column(page, 3) == planned, "the third press gives the study's order back"


def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    costs = {
        "attention=off, upsampling=jpu": {"latency_s": [0.1]},
        "attention=on, upsampling=dilated": {"latency_s": [0.0095]},
        "attention=on, upsampling=jpu": "out_of_memory",
    }
    page = open_page(write_report(planted_results(tmp_path, costs=costs)))
    button = page.query_selector("#ablation th:nth-child(9) button")
    assert button is not None
    button.click()
    assert [text.split()[0] for text in column(page, 9)] == ["9.5", "20.0", "100.0", "—"]
    button.click()
    assert [text.split()[0] for text in column(page, 9)] == ["100.0", "20.0", "9.5", "—"]
    assert len(page.query_selector_all("#ablation th[aria-sort=descending]")) == 1


@pytest.mark.parametrize("width", [360, 390, 768])
def test_the_page_never_scrolls_sideways(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page], width: int
) -> None:
    page = open_page(write_report(planted_results(tmp_path, plan={"question": "Why?" * 60})), width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.evaluate("document.querySelector('#effects .plot svg').getBoundingClientRect().width")
    assert 200 < box <= width


def test_the_titles_of_axes_stay_in_their_figures_on_a_phone(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    factor = "way of upsampling between the encoder and the decoder of this network"
    factors = {factor: ["off", "on"], "gate": ["off", "on"]}
    names = [f"{factor}={a}, gate={b}" for a in ("off", "on") for b in ("off", "on")]
    scores = {name: [0.6 + place / 100, 0.61 + place / 90] for place, name in enumerate(names)}
    page = open_page(write_report(planted_results(tmp_path, factors=factors, scores=scores)), 390)
    out = """[...document.querySelectorAll(".plot .xtitle")].filter((title) => {
        const text = title.getBoundingClientRect(), plot = title.closest(".plot").getBoundingClientRect();
        return text.left < plot.left || text.right > plot.right;
    }).map((title) => title.textContent)"""
    assert page.evaluate(out) == []
    title = page.locator(".plot .xtitle", has_text="decoder").first
    assert title.locator("tspan").count() > 1, "on several lines"
    assert page.wrong == []


def test_a_class_with_two_dollars_is_no_formula(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    page = open_page(write_report(planted_results(tmp_path, classes=["$x_1$", "sky"])))
    assert "$x_1$" in {tick.text_content() for tick in page.query_selector_all("#class-iou .ytick text")}
    assert page.wrong == []


def test_figures_take_the_colours_of_the_page_in_light_and_dark(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    path = write_report(planted_results(tmp_path))
    text = "getComputedStyle(document.querySelector('#effects .xtick text')).fill"
    assert open_page(path).evaluate(text) == "rgb(27, 31, 36)"
    dark = open_page(path, scheme="dark")
    assert dark.evaluate(text) == "rgb(231, 233, 236)"
    dark.emulate_media(color_scheme="light")
    for _ in range(50):  # the page's policy forbids the evaluation of text that waiting in the page would take
        if dark.evaluate(text) == "rgb(27, 31, 36)":
            return
        dark.wait_for_timeout(100)
    pytest.fail(f"the figures kept the dark page's colours: {dark.evaluate(text)}")


def test_text_from_a_study_is_read_not_run(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    factors = {"neck": ["off", HOSTILE]}
    scores = {"neck=off": [0.6, "failed"], f"neck={HOSTILE}": [0.7, 0.72]}
    folder = planted_results(
        tmp_path, factors=factors, scores=scores, classes=[HOSTILE, "<b>sky</b>"], plan={"question": HOSTILE}
    )
    page = open_page(write_report(folder))
    assert page.title() == "planted"
    assert page.inner_text(".question") == HOSTILE
    ticks = {tick.text_content() for tick in page.query_selector_all("#class-iou .ytick text")}
    assert {tick.replace(" ", "") for tick in ticks} == {HOSTILE.replace(" ", ""), "<b>sky</b>"}, "on several lines"
    assert page.wrong == []


def test_a_page_without_records_opens_without_an_error(
    tmp_path: Path, planted_results: Plant, open_page: Callable[..., Page]
) -> None:
    nothing = {"attention=off": [None], "attention=on": [None]}
    folder = planted_results(
        tmp_path, factors={"attention": ["off", "on"]}, scores=nothing, costs=dict.fromkeys(nothing)
    )
    page = open_page(write_report(folder))
    assert "Nothing has been measured yet." in page.inner_text("body")
    assert page.wrong == []
