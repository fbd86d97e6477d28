"""The gallery as a reader has it: its template, style and script in a page with the report's policy, in Chromium."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from playwright.sync_api import Browser, Page

from bench.report.gallery.entries import Entry, Layer, Panel
from bench.report.gallery.gallery import ComparedPair, Gallery

HOSTILE = "</style><script>document.title = 'run'</script><b onclick=\"'x'\">"
KINDS = ("classes", "errors", "truth", "boundaries")
PAGE = """{% from "gallery.html.jinja" import gallery %}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>gallery</title><style>{{ asset("page.css") }}{{ asset("gallery.css") }}</style></head>
<body><main><section>{{ gallery(view) }}</section></main><script>{{ asset("gallery.js") }}</script></body></html>"""
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="


def panel(title: str) -> Panel:
    over = tuple(Layer("picture-0", kind, "" if kind == "truth" else f"{kind} of {title}") for kind in KINDS)
    return Panel(title, "71.00 %", (Layer("picture-0", "input"), *over))


def view(name: str = "frame") -> Gallery:
    label = (
        Layer("picture-0", "input", "Image"),
        Layer("picture-0", "label", "Label"),
        Layer("picture-0", "truth", "B"),
    )
    entry = Entry(
        name, "better", 0, 0.71, 0.6, 0.11, 0.11, "+11.00 points", 1, 72, 96, Panel("label", "", label),
        panel("baseline"), panel(name),
    )  # fmt: skip
    colours = [(name, "#E69F00"), ("void, not scored", "#404040")]
    pairs = [ComparedPair(name, "baseline", "Over the whole split.", "2 images of 9.", [entry, entry])] * 2
    return Gallery(pairs, {"picture-0": PIXEL}, colours, [("alone", "#D55E00")], colours, "Note.", pd.DataFrame())


def asset(name: str) -> Markup:
    return Markup((resources.files("bench.report.page") / "assets" / name).read_text(encoding="utf-8"))


def page_of(gallery: Gallery) -> str:
    environment = Environment(
        loader=PackageLoader("bench.report.page", "assets"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.from_string(PAGE).render(view=gallery, asset=asset)


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Callable[..., Page]:
    def open_page(gallery: Gallery, width: int = 1280, *, script: bool = True) -> Page:
        """What goes wrong in the page is collected on ``page.wrong``."""
        path = tmp_path / "index.html"
        path.write_text(page_of(gallery), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=script)
        page, wrong = context.new_page(), list[str]()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri())
        page.wrong = wrong
        return page

    return open_page


def clip(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.querySelector('.right .frame')).clipPath"))


def seen(page: Page) -> set[str]:
    """The kinds of layers that are shown in the first panel of a prediction."""
    script = "(all) => all.filter((each) => getComputedStyle(each).display != 'none').map((each) => each.classList[1])"
    return set(page.eval_on_selector_all(".entry:first-child .left .layer", script))


def test_a_divider_follows_keyboard_and_mouse_and_says_what_is_on_its_sides(show: Callable[..., Page]) -> None:
    page = show(view())
    divider = page.locator(".rail input").first
    assert divider.get_attribute("aria-label") == "Divider on frame: left of it baseline, right of it frame"
    assert divider.get_attribute("aria-valuetext") == "50 % baseline, 50 % frame"
    assert clip(page) == "inset(0px 0px 0px 50%)"
    for _ in range(3):
        divider.press("ArrowRight")
    assert divider.get_attribute("aria-valuetext") == "53 % baseline, 47 % frame"
    assert clip(page) == "inset(0px 0px 0px 53%)"
    divider.press("Home")
    assert clip(page) == "inset(0px 0px 0px 0%)"
    box = divider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    assert divider.input_value() == "80"
    left, right = (page.locator(f".{side} .frame").first.bounding_box() for side in ("left", "right"))
    assert left == right, "both predictions lie in one place"
    assert page.wrong == []


def test_what_lies_over_the_image_is_chosen_for_the_whole_gallery(show: Callable[..., Page]) -> None:
    page = show(view())
    assert seen(page) == {"input", "classes"}
    for mode, wanted in (("errors", {"errors"}), ("boundaries", {"truth", "boundaries"}), ("image", set())):
        page.check(f"input[value={mode}]")
        assert seen(page) == {"input", *wanted}
    page.check("input[value=classes]")
    page.locator(".opacity input").press("Home")
    over = "getComputedStyle(document.querySelector('.left .classes')).opacity"
    assert page.evaluate(over) == "0"
    assert page.get_by_role("img", name="classes of baseline").count() == 2
    assert page.get_by_role("img", name="errors of baseline").count() == 0


def test_without_a_script_the_sides_stand_beside_each_other(show: Callable[..., Page]) -> None:
    page = show(view(), script=False)
    left, right = (page.locator(f".{side} .frame").first.bounding_box() for side in ("left", "right"))
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    assert left["y"] == right["y"]
    assert not page.locator(".rail").first.is_visible()
    assert not page.locator(".opacity").is_visible()
    page.check("input[value=errors]")
    assert page.get_by_role("img", name="errors of baseline").count() == 2


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_names_are_read_not_run_and_nothing_scrolls_sideways(show: Callable[..., Page], width: int) -> None:
    page = show(view(HOSTILE + "x" * 80), width)
    assert page.title() == "gallery"
    assert page.locator("h4").first.inner_text().startswith(HOSTILE)
    assert page.locator(".key li").first.inner_text().strip().startswith(HOSTILE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.wrong == []
