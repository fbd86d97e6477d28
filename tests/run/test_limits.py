"""Limits: the search finds the edge, running out of memory is a result, any other end is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.protocol.setting import Setting
from bench.run.environment import Machine
from bench.run.limits import Attempt, LimitError, Question, in_child, search
from bench.study.source import Source

CPU = Machine("cpu", 1)


def asked(path: Path, limit_bytes: int, variant: str = "baseline") -> Question:
    return Question(Source(str(path)), variant, Setting(height=512, width=512), "batch", CPU, limit_bytes)


@pytest.mark.parametrize("edge", [1, 2, 3, 7, 8, 63, 64])
def test_the_search_ends_at_the_edge(edge: int) -> None:
    attempts = search(lambda size: Attempt(size, size <= edge, None), largest=64)
    assert max(attempt.size for attempt in attempts if attempt.fits) == edge
    sizes = [attempt.size for attempt in attempts]
    assert len(set(sizes)) == len(sizes)
    assert len(sizes) <= 2 * edge.bit_length() + 1
    assert edge == 64 or edge + 1 in sizes, "the next one was tried"


def test_a_search_in_which_nothing_fits_is_one_attempt() -> None:
    assert search(lambda size: Attempt(size, False, None)) == [Attempt(1, False, None)]


def test_memory_that_is_not_enough_is_a_result_and_the_peak_of_what_fits_is_read(
    tiny_study: Callable[..., Path],
) -> None:
    path = tiny_study()
    fits, fails = in_child(asked(path, 2 * 2**30), 1), in_child(asked(path, 2 * 2**30), 1024)
    assert fits.fits
    assert fits.peak_bytes is not None
    assert 2**26 < fits.peak_bytes < 2 * 2**30
    assert (fails.fits, fails.peak_bytes) == (False, None)
    assert "memory" in fails.reason


def test_an_attempt_that_fails_otherwise_is_an_error_with_its_traceback(tiny_study: Callable[..., Path]) -> None:
    with pytest.raises(LimitError, match="no factor 'nek'"):
        in_child(asked(tiny_study(), 2**31, "nek=on"), 1)


def test_a_process_that_the_kernel_kills_did_not_fit(tiny_study: Callable[..., Path]) -> None:
    path = tiny_study()
    dying = "import multiprocessing, os, signal\nif multiprocessing.parent_process():\n    os.kill(os.getpid(), 9)\n"
    path.write_text(dying + path.read_text())
    assert in_child(asked(path, 2**31), 4) == Attempt(4, False, None, "the process was ended by SIGKILL")
