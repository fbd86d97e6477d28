"""Fractions of factorial designs: some combinations of two-level factors, and the effects that these cannot tell apart.

In a fraction every two factors vary independently, but some effects always change together: they are aliases of each
other. The sign of a factor is −1 at the baseline's level and 1 at its other level, that of factors together is the
product of theirs, and an effect is estimated from the difference between the cells of both signs.

Source: Box and Hunter, The 2^(k-p) Fractional Factorial Designs, 1961.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.protocol.words import plural

Levels = Mapping[str, str]
"""Factor -> level."""
Factors = tuple[str, ...]
"""The factors whose effect together is meant, or a single one."""

MOST_BASIC = 14
"""The most basic factors of a fraction: 2 to this power is more cells than a study may have."""


@dataclass(frozen=True)
class Fraction:
    """A regular fraction, in which each factor is a product of basic ones that take all of their combinations.

    Attributes:
        basic: the number of basic factors, so that there are 2 to this power cells.
        columns: for each factor, its basic ones as a set of bits.
        resolution: the least number of factors whose product is constant: no effect of some factors is an alias of one
            of fewer than the resolution less their number. ``None`` for all combinations, which have no aliases.
    """

    basic: int
    columns: tuple[int, ...]
    resolution: int | None

    @property
    def count(self) -> int:
        """The number of cells."""
        return 1 << self.basic

    def rows(self) -> Iterator[tuple[bool, ...]]:
        """For each cell, whether each factor is away from the baseline; the first cell is the baseline."""
        for cell in range(self.count):
            yield tuple((cell & column).bit_count() % 2 == 1 for column in self.columns)


def fraction(factors: int, resolution: int) -> Fraction | None:
    """The smallest fraction of a number of factors with at least a resolution; of its size, one of the highest.

    With fewer factors than the resolution, it has all combinations. The result is ``None`` if there are more than
    :data:`MOST_BASIC` basic factors. The fractions of up to eight factors are the smallest that are published, and have
    the resolution of these.
    """
    if factors < resolution:
        return Fraction(factors, tuple(2**index for index in range(factors)), None)
    for basic in range(1, min(factors, MOST_BASIC + 1)):
        fitting = (
            Fraction(basic, tuple(columns), reached)
            for reached in range(factors, resolution - 1, -1)
            if (columns := _columns(factors, reached, basic))
        )
        if smallest := next(fitting, None):
            return smallest
    return None


def _columns(count: int, resolution: int, basic: int) -> list[int]:
    """The first products of so many basic factors, as sets of bits, that reach a resolution; empty if they do not.

    A resolution of R is reached if no column is the product of up to R - 2 others. Choosing the columns in ascending
    order gives few of them away. Source: Conway and Sloane, Lexicographic Codes, 1986.
    """
    columns: list[int] = []
    products = [{0}, *(set[int]() for _ in range(resolution - 2))]  # of 0, 1, … R - 2 columns
    while len(columns) < count:
        column = next((column for column in range(1, 2**basic) if not any(column in some for some in products)), None)
        if column is None:
            return []
        columns.append(column)
        for fewer, more in reversed(list(itertools.pairwise(products))):
            more |= {product ^ column for product in fewer}
    return columns


def is_fraction(cells: Sequence[Levels], baseline: Levels) -> bool:
    """True for cells that are a regular fraction of a factorial design of two-level factors, and not all of it.

    Every two factors vary independently then, and two effects, each of one factor or of two together, are either
    estimated apart or aliases. In other balanced designs, such as that of Plackett and Burman, they mix in part.
    """
    if any(len({levels[factor] for levels in cells}) > 2 for factor in baseline):
        return False
    if not 0 < len({tuple(levels.items()) for levels in cells}) < 2 ** len(baseline):
        return False
    single = _signs(cells, baseline, 1)
    if any(map(sum, single.values())) or any(_overlap(*pair) for pair in itertools.combinations(single.values(), 2)):
        return False
    both = {**single, **_signs(cells, baseline, 2)}
    return all(_overlap(*pair) in (0, len(cells)) for pair in itertools.combinations(both.values(), 2))


def _signs(cells: Sequence[Levels], baseline: Levels, together: int) -> dict[Factors, tuple[int, ...]]:
    """The sign in each cell of each factor, or of each two or more together."""
    return {
        factors: tuple(
            math.prod(-1 if levels[factor] == baseline[factor] else 1 for factor in factors) for levels in cells
        )
        for factors in itertools.combinations(baseline, together)
    }


def _overlap(one: Sequence[int], other: Sequence[int]) -> int:
    """0 for effects that are estimated apart, the number of cells for aliases."""
    return abs(sum(a * b for a, b in zip(one, other, strict=True)))


def effects(cells: Sequence[Levels], baseline: Levels) -> list[dict[Factors, int]]:
    """The effects of one factor and of two together that a fraction estimates, each with its aliases.

    Args:
        cells: the cells.
        baseline: the baseline's levels.

    Returns:
        For each effect: its factors -> 1, then those of its aliases -> 1 or, if they always have the opposite sign, -1.
        Empty for cells that are no fraction.
    """
    if not is_fraction(cells, baseline):
        return []
    groups: dict[tuple[int, ...], dict[Factors, int]] = {}
    for factors, column in (*_signs(cells, baseline, 1).items(), *_signs(cells, baseline, 2).items()):
        opposite = tuple(-sign for sign in column)
        if opposite in groups:
            groups[opposite][factors] = -1
        else:
            groups.setdefault(column, {})[factors] = 1
    return list(groups.values())


def aliases_in_words(cells: Sequence[Levels], baseline: Levels) -> list[str]:
    """The effects that a fraction cannot tell from each other, such as ``a = −b × c``; empty for other cells."""
    return [
        " = ".join("−" * (sign < 0) + " × ".join(factors) for factors, sign in group.items())
        for group in effects(cells, baseline)
        if len(group) > 1
    ]


def broken_in_words(cells: Sequence[Levels], excluded: Sequence[Levels], baseline: Levels) -> str:
    """A sentence about cells that are a fraction together with the excluded ones alone; empty for others."""
    if not excluded or is_fraction(cells, baseline) or not is_fraction([*cells, *excluded], baseline):
        return ""
    return (
        f"Without {plural(len(excluded), 'excluded cell')} the fraction is not balanced: an effect of a factor is "
        "estimated only from cells that differ in this factor alone."
    )
