"""The comparisons of a study look by look: which are resolved, which are given up as futile, which need more seeds.

A comparison's p-value after several looks is the least level at which its rule would have resolved it by then, so it
holds whenever seeds stop being added, and for whatever reason: Holm's correction over such p-values is as valid as
over those of single looks (Maurer and Bretz, 2013). That a comparison ends is final: the values of later seeds, which
its variants may have for the sake of other comparisons, are not used for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.evidence.sequential.boundaries import Rule, boundaries
from bench.evidence.sequential.intervals import law
from bench.evidence.stats import NAN, NO_SPREAD, Effect, effect, holm

Stand = Literal["open", "resolved", "futile", "at the maximum", "no spread", "without values"]
"""``open`` needs more seeds. ``without values`` has fewer than half of the values that are due, as trials failed."""


@dataclass
class Followed:
    """A comparison after the looks so far.

    Attributes:
        values: its values in order of their seeds, those that count.
        stand: whether it needs more seeds, and why not.
        p: its p-value, which accounts for the looks; NaN before the first look and without a spread.
        looks: the number of looks at it.
    """

    values: list[float] = field(default_factory=list)
    stand: Stand = "open"
    p: float = NAN
    looks: int = 0


class Following:
    """The comparisons of a study, as looks at them are taken.

    Args:
        rule: the rule that says when they end.
        count: the number of comparisons.
        alpha: the family-wise error.
    """

    def __init__(self, rule: Rule, count: int, alpha: float) -> None:
        self.rule = rule
        self.comparisons = [Followed() for _ in range(count)]
        self._alpha = alpha
        self._boundaries = boundaries(rule)

    @property
    def open(self) -> list[int]:
        """The numbers of the comparisons that need more seeds."""
        return [number for number, comparison in enumerate(self.comparisons) if comparison.stand == "open"]

    def look(self, differences: Sequence[Mapping[int, float]], due: Sequence[int]) -> None:
        """Look at all open comparisons after some seeds.

        One that lacks values, as trials failed, is looked at as soon as it has as many as a look is made for.

        Args:
            differences: for each comparison: seed -> value.
            due: the seeds up to this look, all of whose trials have ended.
        """
        before = {number: len(self.comparisons[number].values) for number in self.open}
        for number in before:
            comparison = self.comparisons[number]
            comparison.values = [differences[number][seed] for seed in due if seed in differences[number]]
            if len(comparison.values) > before[number]:
                self._judge(comparison)
        adjusted = holm([comparison.p for comparison in self.comparisons])
        for number in before:
            self.comparisons[number].stand = self._stand(self.comparisons[number], adjusted[number], len(due))

    def estimate(self, number: int) -> Effect:
        """The mean of a comparison with its 95 % interval and p-value, which account for the looks.

        The interval of a comparison that is still open holds at all looks together (Jennison and Turnbull, 1989), and
        is wider than that which it will have at its end. That of the only comparison of a study has 0 in it unless the
        p-value is below the level; of several, p-values are corrected besides, and intervals are not.
        """
        comparison = self.comparisons[number]
        plain = effect(comparison.values, alpha=self._alpha)
        if not plain.sd > 0:
            return plain
        low = high = NAN
        if comparison.looks and comparison.stand == "open":
            bound = self._boundaries.bound(_look_at(self.rule, plain.n), self._alpha)
            margin = bound * plain.sd / math.sqrt(plain.n)
            low, high = plain.delta - margin, plain.delta + margin
        elif comparison.looks:
            low, high = law(self.rule).interval(plain.delta, plain.sd, plain.n, self._alpha)
            if len(self.comparisons) == 1 and not comparison.p < self._alpha:
                low, high = min(low, 0.0), max(high, 0.0)
        return Effect(plain.delta, low, high, plain.sd, plain.n, comparison.p)

    def equivalence(self, number: int, margin: float) -> float:
        """p-value of "the true mean is ``margin`` or more, either way", of a comparison that has ended; else NaN."""
        comparison, plain = self.comparisons[number], effect(self.comparisons[number].values)
        if comparison.stand == "open" or not comparison.looks or not plain.sd > 0:
            return NAN
        return law(self.rule).equivalence(plain.delta, plain.sd, plain.n, margin)

    def _judge(self, comparison: Followed) -> None:
        n, t = len(comparison.values), _t(comparison.values)
        if n not in self.rule.looks or math.isnan(t):
            return
        level = self._boundaries.level_of(_look_at(self.rule, n), t)
        comparison.p = level if math.isnan(comparison.p) else min(comparison.p, level)
        comparison.looks += 1

    def _stand(self, comparison: Followed, adjusted: float, due: int) -> Stand:
        n, t = len(comparison.values), _t(comparison.values)
        if 2 * n < due or n < 2:
            return "without values"
        if math.isnan(t):
            return "no spread"
        if adjusted < self._alpha:
            return "resolved"
        if due >= self.rule.most:
            return "at the maximum"
        if n in self.rule.looks and abs(t) <= self._boundaries.futile[_look_at(self.rule, n)]:
            return "futile"
        return "open"


def _look_at(rule: Rule, n: int) -> int:
    """The number of the last look that n values are enough for."""
    return max(number for number, wanted in enumerate(rule.looks) if wanted <= n)


def _t(values: Sequence[float]) -> float:
    """Student's t of values against mean 0; NaN where they have no spread."""
    n = len(values)
    if n < 2:
        return NAN
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return NAN if sd <= NO_SPREAD * max(map(abs, values)) else mean / sd * math.sqrt(n)
