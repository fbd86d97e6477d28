"""``bench report --watch``: a plain server of a folder's report, which is built anew while a run adds records."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from bench.parts import BenchError
from bench.records.files import RecordError
from bench.report.page.page import asset, script_hash, write_report

ADDRESS, REST_S = "127.0.0.1", 2.0  # seconds between two builds at least
READ = ("study.json", *(f"{name}/[!.]*" for name in ("records", "attribution", "artifacts", "pictures")))
"""The files that the report reads; one whose name begins with a dot is still being written."""


class Handler(SimpleHTTPRequestHandler):
    """Serves the report's folder; the page gets a script that loads it anew when its file has changed."""

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        page = Path(self.directory) / "index.html"
        if self.headers.get("Host", "").partition(":")[0] not in (ADDRESS, "localhost"):
            self.send_error(403)  # the name of a site that was made to point here
        elif self.path not in ("/", "/index.html") or not page.exists():
            return super().send_head()
        else:
            script, changed_s, html = asset("live.js"), page.stat().st_mtime, page.read_text(encoding="utf-8")
            allowed = html.replace("script-src ", f"connect-src 'self'; script-src {script_hash(script)} ", 1)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Last-Modified", self.date_time_string(int(changed_s)))
            self.end_headers()
            return io.BytesIO(f"<script>{script}</script>\n</body>".join(allowed.rsplit("</body>", 1)).encode())
        return None

    def log_message(self, format: str, *arguments: object) -> None:
        """Prints nothing: an open page asks every second."""


def watch(folder: Path, *, port: int, say: Callable[[str], None]) -> None:
    """Serve a folder's report on ``port`` of this machine until Ctrl-C, built anew when a file that it reads changes.

    Raises RecordError for a folder without a plan, BenchError for a port that cannot be had.
    """
    if not (folder / "study.json").exists():
        raise RecordError(f"{folder} has no study.json; make one with: bench run STUDY")
    try:
        server = ThreadingHTTPServer((ADDRESS, port), partial(Handler, directory=str(folder / "report")))
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
            time.sleep(max(REST_S, time.monotonic() - start))  # a run shares the cores
    except KeyboardInterrupt:
        server.shutdown()
