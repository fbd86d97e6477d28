"""A browser for tests that open a report, a report with hostile text everywhere, planted comparisons of speed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bench.report.page import write_report
from bench.store import read_all, write

SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LOCAL = ("file:", "data:", "blob:", "about:")
RUNS = "window.hacked = 1"
SCRIPT, END = f"<script>{RUNS}</script>", f"</script><script>{RUNS}</script>"
IMAGE, COMMENT = f"<img src=x onerror='{RUNS}'>", "<!-- \"both\" 'quotes' & <b>bold</b>"


@pytest.fixture(scope="module")
def browser(skip_or_fail: Callable[[str], None]) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("BENCH_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        skip_or_fail("there is no Chromium: install one or name it in BENCH_CHROMIUM")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=SWITCHES)
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
            viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=not policy  # type: ignore[arg-type]
        )  # fmt: skip
        contexts.append(context)
        page, wrong = context.new_page(), list[str]()
        page.on("console", lambda message: wrong.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda asked: None if asked.url.startswith(local) else wrong.append(f"request: {asked.url}"))
        page.goto(path.as_uri() if isinstance(path, Path) else path)
        page.wait_for_selector("html[data-drawn=yes]", state="attached")
        page.wrong = wrong  # type: ignore[attr-defined]
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def plant_speed() -> Callable[..., None]:
    """Adds comparisons of speed with square inputs to a planted folder."""

    def add(folder: Path, variant: str, against: str, sides: dict[int, bool], reason: str = "neighbour") -> None:
        """``sides`` maps the length of an input's side in pixels to whether its timing was alone."""
        plan = json.loads((folder / "study.json").read_text())
        levels = next(cell["levels"] for cell in plan["cells"] if cell["variant"] == variant)
        template = read_all(folder / "records")[0]
        for side, isolated in sides.items():
            setting = {"height": side, "width": side, "batch": 1, "precision": "float32", "mode": "eager"}
            setting |= {"phase": "inference", "least_s": 1.0}
            cell = {"key": f"s{side}", "stage": "speed", "variant": variant, "against": against, "seed": None}
            plan["cells"].append({**cell, "excluded": None, "levels": levels, "setting": setting})
            measured = {
                "latency_s": [0.01] * 12, "against_s": [0.02] * 12, "log_ratios": [0.69, 0.7] * 3, "steady": True,
                "isolated": isolated, "isolation": {"reasons": [] if isolated else [reason]}, "step_s": {}, "calls": 1,
            }  # fmt: skip
            trial = {"variant": variant, "levels": levels, "stage": "speed", "seed": None, "setting": setting}
            write(replace(template, key=f"s{side}", trial=trial, measured=measured), folder / "records")
        plan["stages"] = ["quality", "cost", "speed"]
        (folder / "study.json").write_text(json.dumps(plan))

    return add


@pytest.fixture(scope="session")
def hostile_report(
    tmp_path_factory: pytest.TempPathFactory, planted_results: Callable[..., Path], plant_speed: Callable[..., None]
) -> Path:
    """The page of a study with everything in it: every kind of finding, note, table and figure, and text that would run
    if it were not escaped wherever text comes from outside."""
    neck, head = f"neck{SCRIPT}", f"head{IMAGE}"
    off, on = [f"{neck}={END}, {head}={level}" for level in ("off", COMMENT)]
    wide, both = [f"{neck}={IMAGE}, {head}={level}" for level in ("off", COMMENT)]
    one, other = (_facts(level, kernel) for level, kernel in (("off", 3), (COMMENT, 1)))
    folder = planted_results(
        tmp_path_factory.mktemp("hostile"),
        factors={neck: [END, IMAGE], head: ["off", COMMENT]},
        scores={
            off: [0.60, 0.62, 0.61], on: [0.65, 0.671, 0.659], wide: [0.605, 0.612, "failed"], both: [0.64, None, 0.66],
        },
        costs={both: "out_of_memory"},
        classes=[SCRIPT, END, IMAGE, COMMENT, "road", "pole", "sky"],
        boundary_px=(3,),
        plan={
            "name": f"study {SCRIPT}", "question": f"Why {IMAGE}?", "command": f"bench run {END}", "size": COMMENT,
            "recipe": {SCRIPT: END, "optimiser": {IMAGE: COMMENT}, "crop_px": [64, 64]}, "margin": 0.005,
            "audit": {"about": {head: ["neck"]}, "touched": {head: ["head"]}, "input_px": [64, 64],
                      "variants": {off: one, on: other}},
        },
    )  # fmt: skip
    for record in read_all(folder / "records"):
        outcome = dict(record.outcome)
        if record.status == "failed":
            outcome |= {"reason": SCRIPT, "traceback": f"Traceback\n{SCRIPT}\n{END}\n{IMAGE}\n{COMMENT}"}
        write(
            replace(record, outcome=outcome, environment={**record.environment, "device": SCRIPT}), folder / "records"
        )
    write(replace(read_all(folder / "records")[0], key=f"stale{IMAGE.replace('/', '')}"), folder / "records")
    plant_speed(folder, wide, f"{neck}={END}", {256: True, 512: True, 1024: False}, IMAGE)
    return write_report(folder)


def _facts(level: str, kernel: int) -> dict[str, Any]:
    """A network of one slot as an audit keeps it."""
    head = {
        "class": f"heads.{SCRIPT}Head",
        "choices": {"kernel": kernel},
        "parameters": 9,
        "trainable": 9,
        "macs": kernel,
    }
    unset: dict[str, Any] = {"losses": [], "recipe": {}, "learning_rates": {}, "conventions": {}}
    return {"levels": {f"head{IMAGE}": level}, "slots": {"head": head}, **unset}
