"""The number of calls that one report makes across modules, which shows how strongly its parts depend on each other.

A call is counted when a Python function of one module of ``bench`` is entered directly from a function of another.
Resuming a generator enters it again. Calls inside one module, calls of libraries, and calls that a library makes back
into ``bench`` (a callback of pandas or jinja2) are not counted. The report is made twice and the second time is
counted, so that imports do not count. The same code and records give the same number on every machine.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from bench.report.page.page import write_report
from benchmarks.side_by_side import close, say

RECORDS = Path(__file__).parents[1] / "results" / "positive_control"
"""A results folder with 40 records."""

CALLS_OF_BB4439A = 7977
"""The number that :func:`calls` counts with the code of commit bb4439a, whose records are the same.

It was counted in a worktree of that commit: ``calls(lambda: bench.report.page.write_report(folder))`` after one report.
"""

MOST_LISTED = 10
"""The number of pairs of modules that are printed."""


def report_calls() -> None:
    """Calls across modules of ``bench`` in one report of 40 records, and the pairs of modules with most calls.

    ``ours`` is the number of the present code, ``other`` that of commit bb4439a.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / RECORDS.name
        shutil.copytree(RECORDS, folder, ignore=shutil.ignore_patterns("report"))
        write_report(folder)
        pairs = calls(lambda: write_report(folder))
    for (caller, callee), count in pairs.most_common(MOST_LISTED):
        say(f"{count:6} {caller} -> {callee}")
    ours = pairs.total()
    modules = len({module for pair in pairs for module in pair})
    what = f"calls over {len(pairs)} pairs of {modules} modules in one report of 40 records; other: commit bb4439a"
    close("report_calls", str(ours), str(CALLS_OF_BB4439A), f"{CALLS_OF_BB4439A / ours:.2f}", what)


def calls(work: Callable[[], object], package: str = "bench") -> Counter[tuple[str, str]]:
    """The calls from one module of ``package`` into another while ``work`` runs, by (caller, callee)."""
    pairs: Counter[tuple[str, str]] = Counter()

    def see(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_back is not None:
            caller, callee = _module(frame.f_back), _module(frame)
            if caller != callee and all(f"{module}.".startswith(f"{package}.") for module in (caller, callee)):
                pairs[caller, callee] += 1

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return pairs


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
