"""The measurements of a speed trial, which times two networks in turns: their form in a record."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bench.records.forms import Samples, Whole
from bench.records.measured import Measured

LogRatio = Annotated[float, Field(ge=-50, le=50)]
"""The logarithm of the ratio of two times, from -50 to 50."""


class MeasuredSpeed(Measured):
    """The times of two networks that were timed in turns."""

    latency_s: Samples
    against_s: Samples
    log_ratios: Annotated[list[LogRatio], Field(min_length=1)]
    calls: Whole
    steady: bool
    isolated: bool
    step_s: dict[str, dict[str, Samples]]
