"""Fifty damaged inputs of a kind: none ends in an exception, a hang, many lines or another number without a word."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.parts import BenchError
from tests import fuzz

MUTATIONS = 50
"""The number of mutations of each kind of input."""


@pytest.mark.parametrize("target", ["records", "plans", "artifacts", "data", "checkpoints", "studies"])
def test_damaged_inputs_change_nothing_or_are_refused_in_one_line_that_names_the_file(target: str) -> None:
    counts, faults = fuzz.fuzz(target, range(MUTATIONS), seed=0)
    assert not faults, fuzz.listed(faults)
    assert counts["right"] + counts["refused"] == MUTATIONS


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (BenchError("something is wrong; mend it"), "no file is named: something is wrong; mend it"),
        (BenchError("original.pth is\nof another kind"), "2 lines: of another kind"),
        ({}, "another number without a word"),
    ],
)
def test_the_fuzz_test_finds_each_kind_of_fault(answer: object, told: str) -> None:
    def observe(folder: Path) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    counts, faults = fuzz.fuzz("checkpoints", range(3), 0, observe)
    assert counts["fault"] == len(faults) == 3
    assert all(fault.what.startswith(told) for fault in faults)


def test_the_fuzz_test_ends_a_hang_and_a_file_without_an_end() -> None:
    with pytest.raises(fuzz.HangError), fuzz.within(0.1, 2**30):
        time.sleep(10)
    with pytest.raises(MemoryError), fuzz.within(20, 2**26), Path("/dev/zero").open("rb") as file:
        file.read()


def test_a_number_and_a_seed_always_give_the_same_mutation() -> None:
    def observe(folder: Path) -> object:
        return (folder / "original.pth").exists()

    first, again = (fuzz.fuzz("checkpoints", range(5), 3, observe)[1] for _ in range(2))
    assert [fault.mutation for fault in first] == [fault.mutation for fault in again]
    assert len({fault.mutation for fault in first}) > 1
