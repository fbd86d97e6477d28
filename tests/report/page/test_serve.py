"""The report that is served while a run goes on: new records come in, mistakes are shown, nothing else is served."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page

from bench.parts import BenchError
from bench.records.files import RecordError
from bench.records.record import read, write
from bench.report.page import serve
from bench.report.page.page import asset

Plant = Callable[..., Path]
ONE, OTHER = "attention=off", "attention=on"
FACTOR = {"attention": ["off", "on"]}


def eventually(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def get(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    """Status and text of an answer; the path is sent as it is."""
    connection = http.client.HTTPConnection(serve.ADDRESS, port, timeout=20)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, text


def page_text(port: int) -> str:
    """The served page less its scripts."""
    return re.sub(r"<script>.*?</script>", "", get(port, "/")[1], flags=re.DOTALL)


@pytest.fixture
def site(tmp_path: Path, planted_results: Plant) -> Iterator[serve.Site]:
    """Serves a folder whose second variant has no record yet; its page is built when a test says so."""
    folder = planted_results(
        tmp_path / "planted", factors=FACTOR, scores={ONE: [0.6, 0.62], OTHER: [None, None]}, stages=["quality"]
    )
    with serve.Site(folder, 0) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def add(folder: Path, seed: int) -> None:
    """A record for the second variant, with the first one's measurements."""
    found = read(folder / "records" / f"q0s{seed}.aaaa1111.json")
    trial = {**found.trial, "variant": OTHER, "levels": {"attention": "on"}}
    write(replace(found, key=f"q1s{seed}", trial=trial), folder / "records")


def test_only_what_lies_in_the_report_is_served(site: serve.Site, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    site.build()
    (site.root / "link.txt").symlink_to(tmp_path / "secret.txt")
    port = site.server_port
    assert get(port, "/ablation.md") == (200, (site.root / "ablation.md").read_text())
    assert get(port, "/data/effects.csv")[0] == 200
    outside = (
        "/../study.json", "/..%2fstudy.json", "/%2e%2e/study.json", "/data/../../study.json", "//../../secret.txt",
        f"/{tmp_path}/secret.txt", f"//{tmp_path}/secret.txt", "/link.txt", "/..\\study.json", "/data",
        "/a%00b", "/none",
    )  # fmt: skip
    assert {path: get(port, path)[0] for path in outside} == dict.fromkeys(outside, 404)
    assert get(port, "/", "HEAD") == (200, "")
    assert get(port, "/", "POST")[0] == 501
    assert get(port, "/", host=f"localhost:{port}")[0] == 200
    assert get(port, "/", host="example.org")[0] == 403, "a site that had its name point here reads nothing"
    assert site.server_address[0] == "127.0.0.1"


def test_the_served_page_asks_for_its_version_and_the_one_on_disk_asks_for_nothing(site: serve.Site) -> None:
    site.build()
    status, version = get(site.server_port, "/version")
    served, disk = get(site.server_port, "/index.html")[1], (site.root / "index.html").read_text()
    assert status == 200
    assert f'<script data-version="{version}">' in served
    assert "connect-src 'self'; script-src 'sha256-" in served
    assert "connect-src" not in disk
    assert asset("live.js") in served
    assert asset("live.js") not in disk
    site.build()
    assert get(site.server_port, "/version")[1] == version, "the same records have the same version"


def test_an_open_page_shows_a_new_record_by_itself_and_keeps_the_readers_place(
    site: serve.Site, open_page: Callable[..., Page]
) -> None:
    site.build()
    page = open_page(site.url, local=("data:", site.url))
    assert "2 of 4 done" in page.inner_text(".summary")
    page.click("#definitions-more > summary")
    head = "#definitions th:nth-child(2)"
    page.click(f"{head} button")
    page.click(f"{head} button")
    page.evaluate("scrollTo(0, 500)")
    add(site.folder, 0)
    site.build()
    page.wait_for_selector("dd:text('3 of 4 done')")
    assert page.evaluate("document.getElementById('definitions-more').open")
    assert page.evaluate("scrollY") == 500
    assert page.get_attribute(head, "aria-sort") == "descending"
    assert page.evaluate(f"document.activeElement === document.querySelector('{head} button')")
    assert "Live" in page.inner_text(".live")
    assert page.wrong == []  # type: ignore[attr-defined]


def test_a_record_that_cannot_be_read_is_said_on_the_page_and_the_next_good_one_brings_the_report_back(
    site: serve.Site,
) -> None:
    path = site.folder / "records" / "q1s0.aaaa1111.json"
    path.write_text("<b>{")
    site.build()
    shown = page_text(site.server_port)
    assert "is not a record" in shown
    assert "planted: no report" in shown
    assert 'data-version="' in shown, "it looks for the next version as well"
    path.unlink()
    add(site.folder, 0)
    site.build()
    assert "3 of 4 done" in page_text(site.server_port)


def test_a_mistake_of_the_reports_own_is_said_and_the_server_goes_on(
    site: serve.Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(folder: Path) -> Path:
        raise ZeroDivisionError("division by zero")

    with monkeypatch.context() as patched:
        patched.setattr(serve, "write_report", broken)
        site.build()
    assert "The report failed with ZeroDivisionError: division by zero." in page_text(site.server_port)
    assert "Traceback" in capsys.readouterr().err
    site.build()
    assert "2 of 4 done" in page_text(site.server_port)


def test_the_state_of_a_folder_changes_with_the_plan_and_with_every_file_that_the_report_reads(tmp_path: Path) -> None:
    names = [
        "study.json", "records/a.json", "records/b.json", "attribution/a.json", "artifacts/a.npz", "pictures/a.npz",
    ]  # fmt: skip
    states = [serve.state(tmp_path)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
        states.append(serve.state(tmp_path))
    (tmp_path / "records" / "a.json").write_text("{ }")
    states.append(serve.state(tmp_path))
    (tmp_path / "attribution" / "a.json").unlink()
    states.append(serve.state(tmp_path))
    assert len(set(states)) == len(names) + 3
    for beside in ("records/.c.json.x.part", "notes.txt", "report/index.html"):
        (tmp_path / beside).parent.mkdir(exist_ok=True)
        (tmp_path / beside).write_text("{")
    assert serve.state(tmp_path) == states[-1], "what is being written, and what the report does not read"


def test_a_message_is_text() -> None:
    assert "&lt;script&gt;" in serve.message("<script>", "<script>")
    assert "<script>" not in serve.message("<script>", "<script>")


def test_a_folder_without_a_plan_and_a_port_that_is_taken_are_refused(site: serve.Site, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has no study.json; make one with: bench plan"):
        serve.watch(tmp_path / "nothing", port=0, say=print)
    with pytest.raises(BenchError, match=f"port {site.server_port} cannot be had .* choose another with --port"):
        serve.watch(site.folder, port=site.server_port, say=print)


def test_the_command_follows_a_folder_from_before_its_first_record_and_ends_well_with_ctrl_c(
    tmp_path: Path, planted_results: Plant
) -> None:
    folder = planted_results(
        tmp_path / "planted", factors=FACTOR, scores={ONE: [0.6, 0.62], OTHER: [None, None]}, stages=["quality"]
    )
    records, aside = folder / "records", tmp_path / "aside"
    records.rename(aside)
    command = [sys.executable, "-m", "bench.cli.app", "report", str(folder), "--watch"]
    # A shell that starts the tests in the background makes them, and so their children, ignore SIGINT.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=heeding,  # noqa: PLW1509 - it only sets a signal, which a fork of a thread may
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        port = int(url.rpartition(":")[2].strip("/"))
        assert url == f"http://127.0.0.1:{port}/"
        eventually(lambda: "Nothing has been measured yet." in page_text(port))
        version = get(port, "/version")[1]
        aside.rename(records)
        eventually(lambda: get(port, "/version")[1] != version)
        assert "2 of 4 done" in page_text(port)
        assert "61.00" in page_text(port), "the mean of what the two records have"
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert process.returncode == 0
    assert output == "Stopped.\n"
    assert json.loads((folder / "study.json").read_text())["name"] == "planted"
