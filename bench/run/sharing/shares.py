"""The share of a study's plan that one of several runs takes, such as the jobs of a SLURM array."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeVar

from bench.protocol.setting import Stage
from bench.study.factors import StudyError


class OfStage(Protocol):
    """A trial: what it measures is all that matters here."""

    @property
    def stage(self) -> Stage: ...


AnyTrial = TypeVar("AnyTrial", bound=OfStage)


@dataclass(frozen=True)
class Share:
    """One of several shares.

    Attributes:
        number: the share, from 1 on.
        of: the number of shares.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def of_plan(self, planned: Sequence[AnyTrial]) -> list[AnyTrial]:
        """The trials of a plan that belong to this share, whatever was done of them.

        The trials of each stage are dealt out in their order, in rounds. Each round begins one share later: else a
        share would have one variant with every seed where there are as many variants as shares. No two shares differ by
        more than one trial, neither in all nor in the trials of a stage.

        Args:
            planned: all trials of the plan, those of one stage together.
        """
        return [trial for trial, number in self._dealt(planned) if number == self.number - 1]

    def _dealt(self, planned: Sequence[AnyTrial]) -> Iterator[tuple[AnyTrial, int]]:
        """Each trial with the number of its share, from 0 on."""
        next_extra = 0  # the share that the trials of an incomplete round begin with
        for _, trials in groupby(planned, key=lambda trial: trial.stage):
            of_stage = list(trials)
            rounds, rest = divmod(len(of_stage), self.of)
            for index, trial in enumerate(of_stage):
                yield trial, (next_extra - rounds + index + index // self.of) % self.of
            next_extra += rest


def parse_share(text: str) -> Share:
    """The share in the value of an option ``--shard``, such as ``3/16``.

    Raises:
        StudyError: if the text has another form.
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise StudyError(f"--shard {text!r}: expected NUMBER/COUNT with NUMBER from 1 to COUNT, such as 3/16")
    return Share(int(found[1]), int(found[2]))
