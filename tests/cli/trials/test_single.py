"""What ``bench trial`` prints of a trial that is not done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from bench.run import trial


@pytest.mark.parametrize(
    ("error", "reason", "is_traced"),
    [
        (RuntimeError("planted"), "RuntimeError: planted", True),
        (torch.OutOfMemoryError("CUDA out of memory"), "GPU memory, at batch 4", False),
    ],
)
def test_a_failure_shows_its_traceback_and_memory_that_ran_out_its_reason_alone(
    bench: Callable[..., tuple[int, str, str]],
    tiny_study: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: RuntimeError,
    reason: str,
    is_traced: bool,
) -> None:
    def stage(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(trial, "STAGE_FUNCTIONS", {"quality": stage})
    code, out, _ = bench("trial", tiny_study(), "baseline", "--results", tmp_path / "results")
    assert code == 1
    assert reason in out
    assert ("Traceback (most recent call last)" in out) is is_traced
