"""A browser for tests that open a report, the report with hostile text everywhere, planted comparisons of speed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bench.protocol.setting import Setting
from bench.report.page.page import write_report
from bench.study.published import rows
from tests import planted_speed
from tests.planted_speed import measured_ratios
from tests.report import hostile

SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LOCAL = ("file:", "data:", "blob:", "about:")


@pytest.fixture(scope="module")
def browser(skip_or_fail: Callable[[str], None]) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = os.environ.get("BENCH_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not executable:
        skip_or_fail("there is no Chromium: install one or name it in BENCH_CHROMIUM")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=SWITCHES)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts = []

    def show(
        path: Path | str, width: int = 1280, scheme: str = "light", *, height: int = 900, policy: bool = True,
        local: Sequence[str] = LOCAL,
    ) -> Page:  # fmt: skip
        """A drawn page; what goes wrong in it is collected on ``page.wrong``.

        Args:
            path: a file, or an address.
            policy: whether the page's content security policy holds.
            local: how the addresses that it may ask for begin.
        """
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=not policy
        )  # fmt: skip
        contexts.append(context)
        page, wrong = context.new_page(), list[str]()
        page.on("console", lambda message: wrong.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda asked: None if asked.url.startswith(local) else wrong.append(f"request: {asked.url}"))
        page.goto(path.as_uri() if isinstance(path, Path) else path)
        page.wait_for_selector("html[data-drawn=yes]", state="attached")
        page.wrong = wrong
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def plant_speed() -> Callable[..., None]:
    """Adds comparisons of speed with square inputs to a planted folder."""

    def add(folder: Path, variant: str, against: str, sides: dict[int, bool], reason: str = "neighbour") -> None:
        """``sides`` maps the length of an input's side in pixels to whether its timing was alone."""
        comparisons = {
            Setting(height=side, width=side, least_s=1.0): measured_ratios([2.0] * 6, 0.01, "" if isolated else reason)
            for side, isolated in sides.items()
        }
        planted_speed.plant_speed(folder, comparisons, variant=variant, against=against)

    return add


@pytest.fixture(scope="session")
def hostile_report(
    tmp_path_factory: pytest.TempPathFactory, planted_results: Callable[..., Path], plant_speed: Callable[..., None]
) -> Path:
    """The page of :func:`tests.report.hostile.plant`."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_read", hostile.published(rows._read))
        hostile.plant(folder, planted_results, plant_speed)
        return write_report(folder)
