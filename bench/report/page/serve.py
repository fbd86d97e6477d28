"""``bench report --watch``: a folder's report on localhost, built anew while a run adds records."""

from __future__ import annotations

import hashlib
import mimetypes
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from markupsafe import Markup

from bench.parts import BenchError
from bench.records.files import RecordError
from bench.report.page.page import asset, script_hash, write_report

ADDRESS = "127.0.0.1"
POLL_S = 1.0
REST_S = 3.0
"""Between two builds at least, and as long as the last one took: a run shares the cores."""
READ = ("records", "attribution", "artifacts", "pictures")
"""Folders of the results that the report reads; a file whose name begins with a dot is still being written."""
MESSAGE = Markup(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; script-src ; style-src 'unsafe-inline'; img-src data:\">"
    '<link rel="icon" href="data:,"><title>{title}</title><style>{style}</style></head>'
    '<body><div class="page"><header><h1>{title}</h1><p class="question">{text}</p></header></div></body></html>'
)

State = frozenset[tuple[str, int, int]]


def watch(
    folder: Path, *, port: int, say: Callable[[str], None], poll_s: float = POLL_S, rest_s: float = REST_S
) -> None:
    """Serve a folder's report until Ctrl-C, and build it anew whenever its plan or its files change.

    Args:
        port: on this machine alone; 0 for any that is free.
        say: is given the address of the page.

    Raises:
        RecordError: for a folder without a plan.
        BenchError: for a port that cannot be had.
    """
    if not (folder / "study.json").exists():
        raise RecordError(f"{folder} has no study.json; make one with: bench plan STUDY")
    try:
        site = Site(folder, port)
    except OSError as error:
        raise BenchError(f"port {port} cannot be had ({error}); choose another with --port, or 0 for any") from error
    with site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        try:
            say(site.url)
            _follow(site, poll_s, rest_s)
        except KeyboardInterrupt:
            say("Stopped.")
        finally:
            site.shutdown()


class Site(ThreadingHTTPServer):
    """Serves the newest page of a results folder, its version, and the files beside it."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__((ADDRESS, port), Handler)
        self.root = (folder / "report").resolve()
        self.folder = folder
        self.show(message(folder.name, "The report is being built."))

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"

    def build(self) -> None:
        """Write the report and show it, or what is wrong with the records."""
        try:
            self.show(write_report(self.folder).read_text(encoding="utf-8"))
        except (BenchError, OSError) as error:  # such as a file that was moved away while it was read
            self.show(message(f"{self.folder.name}: no report", str(error)))
        except Exception as error:  # noqa: BLE001 - a mistake of the report's own is said, and the run followed on
            traceback.print_exc()
            said = f"The report failed with {type(error).__name__}: {error}. The terminal has the traceback."
            self.show(message(f"{self.folder.name}: no report", said))

    def show(self, html: str) -> None:
        self.page = live(html)

    def file(self, path: str) -> Path | None:
        """The file of the report that a request's path names; ``None`` for whatever is not inside it."""
        if "\0" in path:
            return None
        found = (self.root / path.lstrip("/")).resolve()
        return found if found.is_relative_to(self.root) and found.is_file() else None

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a reader may leave at any time
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: Site

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        html, version = self.server.page
        if self.headers.get("Host") not in self._names():
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"not the address of this server\n")
        elif path in ("/", "/index.html"):
            self._answer(HTTPStatus.OK, "text/html", html.encode())
        elif path == "/version":
            self._answer(HTTPStatus.OK, "text/plain", version.encode())
        elif (file := self.server.file(path)) is not None:
            self._answer(HTTPStatus.OK, mimetypes.guess_type(file.name)[0] or "text/plain", file.read_bytes())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"no such file in this report\n")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: a page asks once a second."""

    def _names(self) -> tuple[str, ...]:
        """What this server is called; another name in a request is that of a site which was made to point here."""
        return tuple(f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost"))

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def live(html: str) -> tuple[str, str]:
    """A page that loads itself anew when there is another one, and its version; the page on disk stays as it is."""
    version, script = hashlib.sha256(html.encode()).hexdigest()[:16], asset("live.js")
    allowed = html.replace("script-src ", f"connect-src 'self'; script-src {script_hash(script)} ", 1)
    before, end, after = allowed.rpartition("</body>")
    return f'{before}<script data-version="{version}">{script}</script>\n{end}{after}', version


def message(title: str, text: str) -> str:
    """A page that only says something."""
    return MESSAGE.format(title=title, text=text, style=asset("page.css"))


def state(folder: Path) -> State:
    """Name, time of change and size of the plan and of all that lies in the folders which the report reads."""
    paths = [folder / "study.json", *(path for name in READ for path in (folder / name).glob("[!.]*"))]
    found = set()
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:  # gone since it was listed
            continue
        found.add((f"{path.parent.name}/{path.name}", status.st_mtime_ns, status.st_size))
    return frozenset(found)


def _follow(site: Site, poll_s: float, rest_s: float) -> None:
    seen: State | None = None
    while True:
        now = state(site.folder)
        if now == seen:
            time.sleep(poll_s)
            continue
        start = time.monotonic()
        site.build()
        seen = now
        time.sleep(max(rest_s, time.monotonic() - start))
