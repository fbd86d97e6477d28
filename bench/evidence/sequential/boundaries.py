"""The boundaries of a sequential t-test: the t that stops it for an effect at each look, and for futility.

The error of the first kind is spent over the looks by a power of the seeds so far (Lan and DeMets, 1983; Kim and
DeMets, 1987): after n of N seeds, level · (n / N)^1.75 of it. The chance of missing the effect that the rule is made
for is spent in the same way, in proportion to the seeds: a comparison whose t is so small stops. The boundaries for
an effect do not count on that: a comparison that went on nevertheless would keep its level (non-binding futility).
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from bench.evidence.sequential import chain
from bench.evidence.sequential.chain import Array
from bench.evidence.stats import POWER

LEVELS: Array = np.concatenate([np.logspace(-9, -1, 65), np.linspace(0.125, 1, 36)])
"""The levels at which boundaries are computed; between them they are interpolated."""
_LOG_LEVELS: Array = np.log(LEVELS)
MISS = round(1 - POWER, 12)
"""The chance of missing the effect that a rule is made for."""
FIRST_LOOK = 4
"""The seeds of the first round: with fewer, a spread is hardly known."""
MOST_SEEDS = 200
"""The most seeds of a rule."""
_MIDDLE = chain.CELLS // 2


@dataclass(frozen=True)
class Rule:
    """When seeds stop being added to a comparison; fixed before the first look.

    Attributes:
        looks: the numbers of seeds at which is looked, increasing; the last is the maximum.
        level: the level for which the boundaries of futility are computed: the strictest of Holm's steps.
        effect: the effect that the rule is made for: mean over spread of the paired differences.
        exponent: the share of a level that is spent after n of N seeds is n / N to this power.
        futility_exponent: the same for the chance of missing the effect.
        miss: that chance.
    """

    looks: tuple[int, ...]
    level: float
    effect: float = 1.0
    exponent: float = 1.75
    futility_exponent: float = 1.0
    miss: float = MISS

    @property
    def most(self) -> int:
        """The maximum number of seeds."""
        return self.looks[-1]


@dataclass(frozen=True)
class Boundaries:
    """The boundaries of a rule, and the chances of ending at each look if the mean is 0.

    Attributes:
        rule: the rule.
        futile: look -> the |t| up to which a comparison stops for futility; 0 for no such |t|.
        by_level: look, level of :data:`LEVELS` -> the |t| from which on a comparison is resolved at this level.
        resolved: look, cell -> the chance of being resolved there, at the rule's level.
        ended: look, cell -> the chance of ending there without being resolved.
    """

    rule: Rule
    futile: Array
    by_level: Array
    resolved: Array
    ended: Array

    def level_of(self, look: int, t: float) -> float:
        """The least level at which this t at this look resolves a comparison; 1 for none."""
        bounds = self.by_level[look]
        if abs(t) < bounds[-1]:
            return 1.0
        return math.exp(np.interp(-math.log(abs(t)), -self._logs[look], _LOG_LEVELS)) if t else 1.0

    def bound(self, look: int, level: float) -> float:
        """The |t| from which on a comparison is resolved at a level at this look."""
        return math.exp(np.interp(math.log(level), _LOG_LEVELS, self._logs[look]))

    @functools.cached_property
    def _logs(self) -> Array:
        return np.asarray(np.log(np.maximum(self.by_level, 1e-12)))

    def power(self, effect: float) -> float:
        """The chance of being resolved at the rule's level if the true mean is so many spreads."""
        looks = zip(self.rule.looks, self.resolved, strict=True)
        return sum(float(masses @ chain.tilt(n, effect)) for n, masses in looks)

    def mean_seeds(self, effect: float) -> float:
        """The mean number of seeds of one comparison alone if the true mean is so many spreads."""
        looks = zip(self.rule.looks, self.resolved + self.ended, strict=True)
        return sum(n * float(masses @ chain.tilt(n, effect)) for n, masses in looks)


@functools.lru_cache(maxsize=32)
def boundaries(rule: Rule) -> Boundaries:
    """Compute the boundaries of a rule."""
    levels = np.append(LEVELS, rule.level)
    masses = np.tile(chain.first(rule.looks[0]), (len(levels), 1))
    going_on = masses[-1].copy()
    spent, missed = np.zeros(len(levels)), 0.0
    by_level, futile, resolved, ended = [], [], [], []
    for n, later in itertools.zip_longest(rule.looks, rule.looks[1:]):
        share = n / rule.most
        outside, bounds = _outside(masses, levels * share**rule.exponent - spent)
        spent = levels * share**rule.exponent
        masses = masses * (1 - outside)
        by_level.append(chain.t_of(bounds, n))
        resolved.append(going_on * outside[-1])
        going_on = going_on * (1 - outside[-1])
        inside, bound = np.ones(chain.CELLS), 0.0
        if later is not None:
            wanted = rule.miss * share**rule.futility_exponent - missed
            inside, bound = _inside(going_on * chain.tilt(n, rule.effect), wanted)
        ended.append(going_on * inside)
        missed += float(ended[-1] @ chain.tilt(n, rule.effect))
        futile.append(float(chain.t_of(np.asarray(min(bound, bounds[-1])), n)))
        going_on = going_on * (1 - inside)
        if later is not None:
            masses, going_on = chain.after(masses, n, later), chain.after(going_on, n, later)
    # Boundaries of a higher level lie within those of a lower one; rounding must not say otherwise.
    nested = np.minimum.accumulate(np.array(by_level)[:, :-1], axis=1)
    return Boundaries(rule, np.array(futile), nested, np.array(resolved), np.array(ended))


def _outside(masses: Array, wanted: Array) -> tuple[Array, Array]:
    """The outermost cells, of both signs, that hold the wanted chances: each cell's share, and the angle of the edge.

    Args:
        masses: row, cell -> chance, the same for both signs.
        wanted: row -> chance.
    """
    tail = 2 * np.cumsum(masses[:, :_MIDDLE:-1], axis=1)  # cell 0 of the tail is the outermost
    edges = np.pi / 2 - (np.arange(_MIDDLE) + 0.5) * (chain.ANGLES[1] - chain.ANGLES[0])
    share, bounds = np.zeros_like(masses), np.empty(len(masses))
    for row, (sums, chance) in enumerate(zip(tail, wanted, strict=True)):
        whole = int(np.searchsorted(sums, chance, side="right"))
        if whole >= _MIDDLE:
            share[row], bounds[row] = 1.0, 0.0
            continue
        before = sums[whole - 1] if whole else 0.0
        part = max(0.0, float((chance - before) / (sums[whole] - before)))
        right = share[row, :_MIDDLE:-1]
        right[:whole], right[whole] = 1.0, part
        share[row, :_MIDDLE] = right
        bounds[row] = _edge(sums, edges, whole, chance)
    return share, bounds


def _edge(sums: Array, edges: Array, whole: int, chance: float) -> float:
    """The angle beyond which a chance lies. Near 90° it is a power of the distance, so logarithms are interpolated."""
    low, high = (whole - 1, whole) if whole else (0, 1)
    logs = np.log(np.maximum(sums[[low, high]], 1e-300))
    distances = np.log(np.pi / 2 - edges[[low, high]])
    slope = (distances[1] - distances[0]) / max(logs[1] - logs[0], 1e-12)
    return float(np.pi / 2 - np.exp(distances[0] + slope * (np.log(max(chance, 1e-300)) - logs[0])))


def _inside(masses: Array, wanted: float) -> tuple[Array, float]:
    """The cells around angle 0 that hold the wanted chance: the share of each cell, and the angle of their edge."""
    both = masses[_MIDDLE:].copy()
    both[1:] += masses[_MIDDLE - 1 :: -1]
    sums = np.cumsum(both)
    if not wanted > 0:
        return np.zeros(chain.CELLS), 0.0
    whole = int(np.searchsorted(sums, wanted, side="right"))
    right = np.zeros(_MIDDLE + 1)
    right[:whole] = 1.0
    edge = float(whole)
    if whole <= _MIDDLE:
        before = sums[whole - 1] if whole else 0.0
        right[whole] = (wanted - before) / (sums[whole] - before)
        edge += right[whole]
    return np.concatenate([right[:0:-1], right]), max(0.0, edge - 0.5) * float(chain.ANGLES[1] - chain.ANGLES[0])


def looks_up_to(most: int) -> tuple[int, ...]:
    """A look at :data:`FIRST_LOOK` seeds, and at every seed from there on."""
    return tuple(range(min(FIRST_LOOK, most), most + 1))


def rule_up_to(most: int, level: float) -> Rule:
    """The rule with this maximum of seeds, made for the effect that it resolves with 80 % power."""
    rule = Rule(looks_up_to(most), level)

    def lacking(effect: float) -> float:
        return boundaries(replace(rule, effect=effect)).power(effect) - POWER

    high = 1.0
    while lacking(high) < 0:
        high *= 2
    return replace(rule, effect=round(float(optimize.brentq(lacking, high / 64, high, xtol=1e-4)), 4))


def rule_resolving(effect: float, level: float) -> Rule:
    """The rule with the smallest maximum that resolves an effect with 80 % power."""
    for most in range(FIRST_LOOK + 1, MOST_SEEDS):
        rule = Rule(looks_up_to(most), level, effect)
        if boundaries(rule).power(effect) >= POWER:
            return rule
    raise ValueError(f"an effect of {effect!r} spreads needs more than {MOST_SEEDS} seeds")
