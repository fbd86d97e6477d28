"""The rounds in which seeds are added until comparisons are resolved."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bench.records.forms import Form, Seed

Power = Annotated[float, Field(gt=0, le=10)]
Chance = Annotated[float, Field(gt=0, lt=1)]


class Rounds(Form):
    """When seeds stop being added; :mod:`bench.evidence.sequential` says what follows from it.

    Attributes:
        seeds: all seeds that may be taken, in this order.
        looks: the numbers of seeds at which every comparison is looked at; the last is the maximum.
        comparisons: the number of comparisons that Holm's correction runs over.
        alpha: the family-wise error of the study.
        spending: the form of the spending functions, level · (n / N) ** exponent of a level after n of N seeds.
        exponent: that of the function by which the error of the first kind is spent.
        futility_exponent: that of the function by which ``miss`` is spent.
        miss: the chance of missing the effect that the rounds are made for.
        effect: that effect: mean over spread of the paired differences.
    """

    seeds: Annotated[list[Seed], Field(min_length=2)]
    looks: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)]
    comparisons: Annotated[int, Field(ge=1)]
    alpha: Chance
    spending: Literal["power"]
    exponent: Power
    futility_exponent: Power
    miss: Chance
    effect: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is there twice")
        if any(later <= earlier for earlier, later in pairwise(self.looks)) or self.looks[-1] != len(self.seeds):
            raise ValueError("looks is not increasing up to the number of seeds")
        return self
