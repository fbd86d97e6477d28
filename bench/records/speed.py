"""The measurements of a speed trial, which times two networks in turns: their form in a record."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from bench.records.forms import Amount, Samples, Whole
from bench.records.measured import Measured, OutputDifference

ROUNDING = 1e-9
"""The largest difference of a logarithm that is computed twice."""
LogRatio = Annotated[float, Field(ge=-50, le=50)]
"""The logarithm of the ratio of two times, from -50 to 50."""


class MeasuredSpeed(Measured):
    """The times of two networks that were timed in turns.

    Attributes:
        latency_s: seconds a call of the variant, turn by turn.
        against_s: the same of the other side.
        log_ratios: the logarithm of other ÷ ours, one a block.
        calls: the number of calls in a turn.
        steady: whether the times had become steady in the warm-up.
        isolated: whether the timing was alone; ``None`` if that is not known.
        step_s: side -> part of a training step -> seconds; empty for a forward.
        prepared_s: side -> seconds of export, compilation and a first call; empty for a mode that prepares nothing.
        difference: side -> how the logits differ from those of eager torch in float32; empty for that itself, and for
            training steps.
    """

    latency_s: Samples
    against_s: Samples
    log_ratios: Annotated[list[LogRatio], Field(min_length=1)]
    calls: Whole
    steady: bool
    isolated: bool | None  # required, other than in a record of cost
    step_s: dict[str, dict[str, Samples]]
    prepared_s: dict[str, Amount] = Field(default_factory=dict)
    difference: dict[str, OutputDifference] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ratios_agree(self) -> Self:
        """Compare the ratio of every block with the two times of each side that it was computed from."""
        if not len(self.latency_s) == len(self.against_s) == 2 * len(self.log_ratios):
            raise ValueError(
                f"{len(self.latency_s)} times of one side, {len(self.against_s)} of the other and "
                f"{len(self.log_ratios)} ratios, where each ratio is of two times a side"
            )
        for block, ratio in enumerate(self.log_ratios):
            both = slice(2 * block, 2 * block + 2)
            computed = math.log(sum(self.against_s[both]) / sum(self.latency_s[both]))
            if not math.isclose(ratio, computed, abs_tol=ROUNDING):
                raise ValueError(f"log_ratios.{block} is {ratio:g}, and its times give {computed:g}")
        return self
