"""Fractions of factorial designs: the effects of two-level factors that some of their combinations cannot tell apart.

Source: Box and Hunter, The 2^(k-p) Fractional Factorial Designs, 1961.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

Levels = Mapping[str, str]
"""Factor -> level."""


def is_fraction(cells: Sequence[Levels], baseline: Levels) -> bool:
    """True for some of the combinations of two-level factors in which every two factors vary independently."""
    signs = _signs(cells, baseline)
    if not 0 < len({tuple(levels.items()) for levels in cells}) < 2 ** len(signs):
        return False
    if any(len({levels[factor] for levels in cells}) > 2 for factor in baseline):
        return False
    pairs = itertools.combinations(signs.values(), 2)
    return all(sum(column) == 0 for column in signs.values()) and all(
        sum(a * b for a, b in zip(one, other, strict=True)) == 0 for one, other in pairs
    )


def _signs(cells: Sequence[Levels], baseline: Levels) -> dict[str, tuple[int, ...]]:
    """Factor -> 1 for each cell with the baseline's level, else -1."""
    return {factor: tuple(1 if levels[factor] == baseline[factor] else -1 for levels in cells) for factor in baseline}


def aliases(
    cells: Sequence[Levels], baseline: Levels
) -> dict[tuple[str, ...], tuple[tuple[int, tuple[str, ...]], ...]]:
    """The effects that these cells cannot tell from each other, of factors alone and of two together.

    Args:
        cells: the cells, of two-level factors.
        baseline: the baseline's levels.

    Returns:
        For each set of factors: the other sets whose effect always has the same sign (1) or the opposite one (-1) in
        these cells. A set that stands alone is left out.
    """
    signs = _signs(cells, baseline)
    sets = [chosen for size in (1, 2) for chosen in itertools.combinations(signs, size)]
    columns = {
        chosen: tuple(math.prod(row) for row in zip(*(signs[factor] for factor in chosen), strict=True))
        for chosen in sets
    }
    same: dict[tuple[int, ...], list[tuple[str, ...]]] = {}
    for chosen, column in columns.items():
        same.setdefault(max(column, tuple(-sign for sign in column)), []).append(chosen)
    return {
        chosen: tuple((1 if columns[other] == columns[chosen] else -1, other) for other in together if other != chosen)
        for together in same.values()
        for chosen in together
        if len(together) > 1
    }


def aliases_in_words(cells: Sequence[Levels], baseline: Levels) -> list[str]:
    """The effects that a fraction cannot tell from each other, a line each; empty for cells that are no fraction."""
    if not is_fraction(cells, baseline):
        return []
    together = aliases(cells, baseline)
    groups = {frozenset((chosen, *(other for _, other in others))): None for chosen, others in together.items()}
    return [" = ".join(" × ".join(chosen) for chosen in sorted(group, key=_by_size)) for group in groups]


def _by_size(chosen: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return len(chosen), chosen
