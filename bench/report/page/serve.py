"""``bench report --watch``: a plain server of a folder's report, which is built anew while a run adds records."""

from __future__ import annotations

import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from bench.parts import BenchError
from bench.records.files import RecordError
from bench.report.page.page import asset, script_hash, write_report

ADDRESS, REST_S = "127.0.0.1", 2.0  # seconds between two builds at least
LONGEST_WAIT_S = 20.0
"""The longest time that the server waits for the rest of a request."""
READ_BYTES, MOST_LEFT_BYTES = 2**16, 2**24
"""The bytes that are read at a time, and the most that are read, of a request that was refused before it was read."""
READ = ("study.json", *(f"{name}/[!.]*" for name in ("records", "attribution", "artifacts", "pictures")))
"""The files that the report reads; one whose name begins with a dot is still being written."""


class Handler(SimpleHTTPRequestHandler):
    """Serves the report's folder; the page gets a script that loads it anew when its file has changed."""

    timeout = LONGEST_WAIT_S
    was_refused = False

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        page = Path(self.directory) / "index.html"
        if self.headers.get("Host", "").partition(":")[0] not in (ADDRESS, "localhost"):
            self.send_error(403)  # another name that somebody made to lead to this machine
            return None
        try:
            path = Path(self.translate_path(self.path))
            if path.exists() and not path.is_file() and not path.is_dir():
                self.send_error(404)  # such as a pipe, which would be waited for
                return None
            return self._send_page(page) if self.path in ("/", "/index.html") else super().send_head()
        except (ValueError, OSError):  # a path that no file can have, or a file that was moved away meanwhile
            self.send_error(404)
            return None

    def _send_page(self, page: Path) -> io.BytesIO:
        script, changed_s, html = asset("live.js"), page.stat().st_mtime, page.read_text(encoding="utf-8")
        allowed = html.replace("script-src ", f"connect-src 'self'; script-src {script_hash(script)} ", 1)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Last-Modified", self.date_time_string(int(changed_s)))
        self.end_headers()
        return io.BytesIO(f"<script>{script}</script>\n</body>".join(allowed.rsplit("</body>", 1)).encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request, with a status line even where the request itself was too damaged to have a version."""
        self.was_refused = True
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"
        super().send_error(code, message, explain)

    def finish(self) -> None:
        """End the connection; what is left of a refused request is read first, or its sender would miss the answer."""
        super().finish()
        if self.was_refused:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(REST_S)
            left = MOST_LEFT_BYTES
            while left > 0 and (content := self.connection.recv(READ_BYTES)):
                left -= len(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing, because an open page sends a request every second."""


class Server(ThreadingHTTPServer):
    """A server that says nothing of connections which ended early."""

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Print the traceback of an error, but nothing for a browser that closed its end of the connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def watch(folder: Path, *, port: int, say: Callable[[str], None]) -> None:
    """Serve a folder's report on ``port`` of this machine until Ctrl-C, built anew when a file that it reads changes.

    Raises:
        RecordError: for a folder without a plan.
        BenchError: for a port that cannot be had.
    """
    if not (folder / "study.json").exists():
        raise RecordError(f"{folder} has no study.json; make one with: bench run STUDY")
    try:
        server = Server((ADDRESS, port), partial(Handler, directory=str(folder / "report")))
    except OSError as error:
        raise BenchError(f"port {port} cannot be had ({error}); choose another with --port, or 0 for any") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(f"http://{ADDRESS}:{server.server_port}/")
    built: dict[Path, int] = {}
    try:
        while True:
            start = time.monotonic()
            try:
                times = {path: path.stat().st_mtime_ns for name in READ for path in folder.glob(name)}
                if times != built:
                    built = times
                    write_report(folder)
            except (BenchError, OSError) as error:  # such as a file that was moved away while it was read
                say(f"No new report: {error}")
            time.sleep(max(REST_S, time.monotonic() - start))  # a run shares the processor's cores with this server
    except KeyboardInterrupt:
        server.shutdown()
