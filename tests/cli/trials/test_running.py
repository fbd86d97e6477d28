"""The work of ``bench run`` around its trials, here without Ray."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

Bench = Callable[..., tuple[int, str, str]]


def test_a_disk_that_is_full_when_only_the_report_is_missing_is_told_as_during_the_trials(
    bench: Bench, tiny_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "report"))

    monkeypatch.setattr("bench.run.execute.execute", lambda *_, **__: None)
    monkeypatch.setattr("bench.report.page.page.write_report", fails)
    code, out, err = bench("run", tiny_study(), "--results", tmp_path)
    assert code == 2, out
    assert err == (
        f"bench: the results folder {tmp_path / 'tiny'} cannot be written to (No space left on device); make room or "
        "allow it, and run the same command again: trials that are done are kept\n"
    )
