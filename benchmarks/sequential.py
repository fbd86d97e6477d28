"""Simulated studies whose seeds are added until they are resolved: errors, coverage, seeds beside a fixed number."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.evidence.sequential import chain
from bench.evidence.sequential.boundaries import Rule, rule_resolving
from bench.evidence.sequential.looking import Following
from bench.evidence.stats import ALPHA, POWER, holm, power, seeds_needed
from benchmarks.side_by_side import close, say

STUDIES = 10_000
EFFECT = 1.0
FAMILIES: dict[int, Sequence[Sequence[float]]] = {
    1: ([0.0], [0.5], [1.0], [1.5]),
    3: ([0.0] * 3, [0.5] * 3, [1.0] * 3, [1.5] * 3, [1.0, 0.0, 0.0]),
    8: ([0.0] * 8, [0.5] * 8, [1.0] * 8, [1.5] * 8, [1.0, *[0.0] * 7]),
}
"""Number of comparisons -> true means over spreads of them all, as studies are simulated."""


@dataclass
class Tally:
    """The outcomes of simulated studies of one kind.

    Attributes:
        effects: the true mean over spread of each comparison.
        false: the studies with a null comparison resolved.
        resolved: the comparisons with an effect that were resolved.
        covered: the comparisons whose interval covers the truth.
        seeds: the seeds of all comparisons.
        longest: the seeds of the studies, the most of their comparisons.
        studies: the number of studies.
    """

    effects: Sequence[float]
    false: int = 0
    resolved: int = 0
    covered: list[int] = field(default_factory=list)
    seeds: int = 0
    longest: int = 0
    studies: int = 0

    def __post_init__(self) -> None:
        self.covered = [0] * len(self.effects)

    def add(self, following: Following) -> None:
        adjusted = holm([comparison.p for comparison in following.comparisons])
        is_resolved = [p < ALPHA for p in adjusted]
        self.false += any(found and not effect for found, effect in zip(is_resolved, self.effects, strict=True))
        self.resolved += sum(found for found, effect in zip(is_resolved, self.effects, strict=True) if effect)
        for number, effect in enumerate(self.effects):
            estimate = following.estimate(number)
            self.covered[number] += estimate.low <= effect <= estimate.high
        counts = [len(comparison.values) for comparison in following.comparisons]
        self.seeds, self.longest, self.studies = self.seeds + sum(counts), self.longest + max(counts), self.studies + 1

    def coverage(self, *, null: bool) -> float:
        counts = [count for count, effect in zip(self.covered, self.effects, strict=True) if (effect == 0) == null]
        return sum(counts) / len(counts) / self.studies if counts else math.nan

    @property
    def trials(self) -> float:
        """The mean trials of a variant: the baseline runs as long as any comparison is open."""
        return (self.seeds + self.longest) / self.studies / (len(self.effects) + 1)


def sequential() -> None:
    """Seeds until resolved: family-wise error, coverage and seeds of 10,000 simulated studies, beside fixed seeds."""
    seed = secrets.randbits(32)
    say(f"seed {seed}; effects are means over spreads of paired differences, comparisons share a baseline")
    rng = np.random.default_rng(seed)
    saved = {}
    for comparisons, configurations in FAMILIES.items():
        level = ALPHA / comparisons
        rule = rule_resolving(EFFECT, level)
        fixed = seeds_needed(EFFECT, 1.0, alpha=level)
        assert fixed is not None, "an effect of one spread needs few seeds"
        say(
            f"{comparisons} comparison(s): looks at {rule.looks[0]} to {rule.most} seeds; fixed: {fixed} seeds, power "
            f"{power(EFFECT, 1.0, fixed, alpha=level):.3f} at the strictest of Holm's steps"
        )
        for effects in configurations:
            tally = Tally(effects)
            for values in _studies(rng, effects, rule.most):
                tally.add(followed(values, rule))
            saved[comparisons, tuple(effects)] = 1 - tally.trials / fixed
            say(_told(tally, fixed))
    least = least_mean_seeds(EFFECT)
    say(
        f"no symmetric two-sided t-test at {ALPHA} with {POWER:.0%} power takes fewer than {least:.2f} seeds on average"
    )
    alone = saved[1, (EFFECT,)]
    what = "trials saved of one comparison and of one of eight, at an effect of one spread, 0.25 wanted, share"
    mixed = saved[8, (EFFECT, *[0.0] * 7)]
    close("sequential", f"{alone:.3f}", f"{mixed:.3f}", f"{alone / mixed:.3f}", what)


def followed(values: np.ndarray, rule: Rule) -> Following:
    """The comparisons of a simulated study at its end, from the values of each seed (row) and comparison."""
    differences = [dict(enumerate(column)) for column in values.T.tolist()]
    following = Following(rule, len(differences), ALPHA)
    for n in rule.looks:
        following.look(differences, range(n))
        if not following.open:
            break
    return following


def _studies(rng: np.random.Generator, effects: Sequence[float], most: int) -> Iterator[np.ndarray]:
    for _ in range(STUDIES):
        scores = rng.normal(0, math.sqrt(0.5), (most, len(effects) + 1))
        yield scores[:, 1:] - scores[:, :1] + np.asarray(effects)


def _told(tally: Tally, fixed: int) -> str:
    effects = ", ".join(f"{effect:g}" for effect in tally.effects)
    positive = sum(effect != 0 for effect in tally.effects)
    parts = [f"  effects {effects}:"]
    if 0 in tally.effects:
        parts.append(
            f"family-wise error {tally.false / tally.studies:.4f}, coverage of null {_share(tally, null=True)},"
        )
    if positive:
        shown = tally.resolved / positive / tally.studies
        parts.append(f"power {shown:.3f}, coverage of effects {_share(tally, null=False)},")
    seeds = tally.seeds / len(tally.effects) / tally.studies
    parts.append(
        f"seeds of a comparison {seeds:.2f}, of the study {tally.longest / tally.studies:.2f}, trials of a variant "
        f"{tally.trials:.2f}: {1 - tally.trials / fixed:.1%} fewer than {fixed}"
    )
    return " ".join(parts)


def _share(tally: Tally, *, null: bool) -> str:
    return f"{tally.coverage(null=null):.4f}"


def least_mean_seeds(effect: float, most: int = 24) -> float:
    """The least mean number of seeds at an effect of any symmetric two-sided sequential t-test with 80 % power.

    The error of such a test is :data:`ALPHA` and its stops for futility are binding. It is a bound by duality: for all
    prices of both errors, the seeds of the best test at these prices, less what its errors may cost. The best
    test is found backwards over the looks, at every number of seeds from two on (Barber and Jennison, 2002).
    """
    bounds = [_bound(effect, most, false, missed) for false in np.geomspace(20, 160, 13) for missed in range(8, 31)]
    return max(bounds)


def _bound(effect: float, most: int, false: float, missed: float) -> float:
    value = np.empty(0)
    for n in range(most, 1, -1):
        both = (chain.tilt(n, effect) + chain.tilt(n, -effect)) / 2
        end = np.minimum(missed * both, false) + n * both
        value = end if n == most else np.minimum(end, chain.step(n) @ value)
    return float(chain.first(2) @ value) - false * ALPHA - missed * (1 - POWER)
