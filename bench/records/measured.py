"""The measurements that trials of every stage share: whether a timing had the machine to itself, and why it had not.

The measurements of each stage are in :mod:`~bench.records.quality`, :mod:`~bench.records.cost` and
:mod:`~bench.records.speed`, each with its form and the columns that follow from it. Keys that no form names are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from bench.protocol.words import maybe_not_alone
from bench.records.forms import Amount, Form


class Isolation(Form):
    """The use of the machine during a timing.

    Attributes:
        reasons: the reasons why the timing did not have the machine to itself.
        unknown: what could not be found out about that; records of older versions lack it.
        notes: what is worth to know and is no reason against the timing, such as a GPU at its power cap.
        gpu_energy_j: the energy that the timing took, in joules.
    """

    reasons: list[str] = Field(default_factory=list)
    unknown: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    gpu_energy_j: Amount | None = None


NOTHING_KNOWN = Isolation()


class OutputDifference(Form):
    """The difference of a mode's logits from those of eager torch in float32, for the same image and weights.

    Attributes:
        max_abs: the largest difference of a logit.
        largest: the largest absolute logit of eager torch.
        changed: the share of pixels whose class is another one.
    """

    max_abs: Amount
    largest: Amount
    changed: Annotated[float, Field(ge=0, le=1)]


class Measured(Form):
    """The measurements of a trial of any stage; a trial that is not done may hold anything here.

    Attributes:
        isolated: whether a timing had the machine to itself; ``None`` where that is not known, or nothing was timed. A
            timing of which it is not known is compared like one that was alone, and marked.
        isolation: the reasons why it had not, or what is not known of it, and the energy.
    """

    isolated: bool | None = None
    isolation: Isolation = Field(default_factory=lambda: NOTHING_KNOWN)

    @model_validator(mode="after")
    def _alone_or_not(self) -> Self:
        if self.isolated and self.isolation.reasons:
            raise ValueError("isolated is true, although there are reasons why it was not")
        if self.isolated and self.isolation.unknown:
            raise ValueError("isolated is true, although it is not known")
        return self

    @property
    def maybe_not_alone(self) -> str:
        """The phrase that says what is not known of a timing's isolation; empty if the timing was alone, or was not."""
        if self.isolated is not None:
            return ""
        return "; ".join(self.isolation.unknown) or "the record does not say"


TOLD_SHARE = 0.01
"""The share of the MACs from which on it is told that they never reach the output."""

NOISY = 0.10
"""A timing whose quartiles lie further apart than this share of its median is kept, and marked."""


def doubts(measured: Measured, row: Mapping[str, Any]) -> list[str]:
    """The reasons why a timing was left out, is perhaps not alone or is noisy, and why counts or memory are missing."""
    spread = row.get("latency_iqr_s", 0.0) / row.get("latency_s", 1.0)
    noisy = [f"noisy: the latency's quartiles are {spread:.0%} of its median apart"] if spread > NOISY else []
    problems = {
        "MACs not counted": "macs_problem",
        "MACs": "macs_extrapolated",
        "MACs of two counters": "macs_difference",
        "training memory not measured": "training_problem",
        "peaks not measured": "peaks_problem",
    }
    missing = [f"{what}: {problem}" for what, name in problems.items() if (problem := getattr(measured, name, ""))]
    missing += _unused(getattr(measured, "macs_wasted", {}), row.get("macs", 0.0))
    unsure = [maybe_not_alone(measured.maybe_not_alone)] if "latency_s" in row and measured.maybe_not_alone else []
    return [*measured.isolation.reasons, *unsure, *noisy, *missing]


def _unused(wasted: Mapping[str, int], macs: float) -> list[str]:
    """The line about MACs that run and never reach the output, where they are many."""
    share = sum(wasted.values()) / macs if macs else 0.0
    return [f"{share:.1%} of the MACs never reach the output: {', '.join(wasted)}"] if share >= TOLD_SHARE else []
