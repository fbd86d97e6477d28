"""The report that is served while a run goes on: its page follows the records, and no other site can read it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page

from bench.parts import BenchError
from bench.records.files import RecordError
from bench.records.record import read, write
from bench.report.page import serve

Plant = Callable[..., Path]
ONE, OTHER = "attention=off", "attention=on"


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
def folder(tmp_path: Path, planted_results: Plant) -> Path:
    """A results folder whose second variant has no record yet."""
    return planted_results(
        tmp_path / "planted", factors={"attention": ["off", "on"]}, scores={ONE: [0.6, 0.62], OTHER: [None, None]},
        stages=["quality"],
    )  # fmt: skip


@pytest.fixture
def command(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``bench report --watch`` of the folder and the port that it serves."""
    # A shell that starts the tests in the background makes them, and so their children, ignore SIGINT.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.cli.app", "report", str(folder), "--watch"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=heeding,  # noqa: PLW1509 - it only sets a signal, which a fork of a thread may
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        yield process, int(url.rpartition(":")[2].strip("/"))
        process.kill()


def add(folder: Path, seed: int) -> None:
    """A record for the second variant, with the first one's measurements."""
    record = read(folder / "records" / f"q0s{seed}.aaaa1111.json")
    trial = {**record.trial.as_json(), "variant": OTHER, "levels": {"attention": "on"}}
    write(record.having(key=f"q1s{seed}", trial=trial), folder / "records")


def test_an_open_page_follows_the_records_and_keeps_its_scroll_position_until_the_command_is_stopped(
    folder: Path, command: tuple[subprocess.Popen[str], int], open_page: Callable[..., Page]
) -> None:
    process, port = command
    assert process.stdout is not None
    eventually(lambda: "2 of 4 done" in page_text(port))
    url = f"http://127.0.0.1:{port}/"
    page = open_page(url, local=("data:", url))
    page.evaluate("scrollTo(0, 500)")
    page.wait_for_function("scrollY === 500")
    path = folder / "records" / "q1s1.aaaa1111.json"
    path.write_text("<b>{")
    assert "is not a record" in process.stdout.readline(), "and the page stays as it is"
    assert "2 of 4 done" in page.inner_text(".summary")
    path.unlink()
    add(folder, 0)
    page.wait_for_selector("dd:text('3 of 4 done')")
    page.wait_for_function("scrollY === 500")
    assert page.wrong == []
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert "connect-src" not in (folder / "report" / "index.html").read_text(), "the page on disk asks for nothing"


def test_files_of_the_report_are_served_to_this_machine_alone(
    folder: Path, command: tuple[subprocess.Popen[str], int]
) -> None:
    port = command[1]
    eventually(lambda: "2 of 4 done" in page_text(port))
    assert get(port, "/methods.md") == (200, (folder / "report" / "methods.md").read_text())
    outside = ("/../study.json", "/..%2fstudy.json", "/%2e%2e/study.json", "/data/../../study.json", "/none")
    assert {path: get(port, path)[0] for path in outside} == dict.fromkeys(outside, 404)
    assert get(port, "/", "HEAD") == (200, "")
    assert get(port, "/", host=f"localhost:{port}")[0] == 200
    for path in ("/", "/methods.md"):
        assert get(port, path, host="example.org")[0] == 403, "a site that had its name point here reads nothing"


def test_a_folder_without_a_plan_and_a_port_that_is_taken_are_refused(
    folder: Path, command: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match="has no study.json; make one with: bench run"):
        serve.watch(tmp_path / "nothing", port=0, say=print)
    with pytest.raises(BenchError, match=f"port {command[1]} cannot be had .* choose another with --port"):
        serve.watch(folder, port=command[1], say=print)


def answered(port: int, request: bytes) -> str:
    """The status line of the answer to the bytes of a request, which are sent as they are."""
    with socket.create_connection((serve.ADDRESS, port), timeout=20) as connection:
        connection.sendall(request)
        content = b""
        while part := connection.recv(2**16):
            content += part
    return content.partition(b"\r\n")[0].decode("latin-1")


def test_odd_requests_have_a_status_and_leave_no_traceback(
    folder: Path, command: tuple[subprocess.Popen[str], int]
) -> None:
    process, port = command
    eventually(lambda: "2 of 4 done" in page_text(port))
    os.mkfifo(folder / "report" / "pipe")
    host = f"HTTP/1.1\r\nHost: localhost:{port}\r\n".encode()
    statuses = {
        b"GET /" + b"a" * 5_000: 404,
        b"GET /" + b"a/" * 30_000: 404,
        b"GET /" + b"a" * 300_000: 414,
        b"GET /%00": 404,
        b"GET /%ED%A0%80": 404,
        b"GET /pipe": 404,
        b"BREW /": 501,
        b"get /": 501,
        b"POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000: 501,
        b"\x00\x01\x02": 400,
        b"GET / HTTP/9.9": 505,
        b"GET /methods.md HTTP/1.1\r\nRange: bytes=90-10": 403,
    }
    for request, status in statuses.items():
        ending = b"\r\n\r\n" if b"HTTP" in request else b" " + host + b"\r\n"
        assert answered(port, request + ending).startswith(f"HTTP/1.0 {status} "), request[:60]
    for unfinished in (b"", b"GET /meth", b"GET / HTTP/1.1\r\nHost: local", b"GET / " + host + b"\r\n"):
        connection = socket.create_connection((serve.ADDRESS, port))
        connection.sendall(unfinished)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
        connection.close()
    assert get(port, "/methods.md")[0] == 200
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert process.stdout is not None
    assert process.stdout.read() == "", "standard error is in it too"
