"""Designs: the combinations of levels that a study runs.

A study names one by a word, or as an object where it takes details:

| design | cells |
| --- | --- |
| ``"factorial"`` | every combination of levels |
| ``"one_at_a_time"``, ``"add_one_in"`` | the baseline, and each cell that differs from it in one factor |
| ``"leave_one_out"``, :class:`LeaveOneOut` | the baseline, the full model, and the full model without each component |
| ``"cumulative"``, :class:`Cumulative` | the baseline, and one step after the other: +A, +A+B, +A+B+C |
| :class:`Listed` | the cells that it lists |
| :class:`Fractional` | a part of the factorial design of two-level factors, in which main effects stay apart |
| ``"explored"``, :class:`Explored` | the baseline, and the cells that ``bench explore`` chose out of all combinations |
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Literal, get_args

from bench.parts import nearest, shortened
from bench.study.factors import Factor, StudyError, have
from bench.study.fractions import MOST_BASIC, Fraction, Levels, fraction

DesignWord = Literal["factorial", "one_at_a_time", "add_one_in", "leave_one_out", "cumulative", "explored"]


@dataclass(frozen=True)
class LeaveOneOut:
    """The baseline, the full model, and the full model with one factor after the other back at the baseline's level.

    Attributes:
        full: the levels of the full model; a factor that is left out stays at the baseline. ``None`` takes the other
            level of each factor, which must have two.
    """

    full: Levels | None = None


@dataclass(frozen=True)
class Cumulative:
    """The baseline, and one step after the other, each on top of all steps before: +A, +A+B, +A+B+C.

    Attributes:
        steps: the levels that each step sets. ``None`` sets the other level of one factor after the other, in the
            study's order; each must have two levels.
    """

    steps: tuple[Levels, ...] | None = None


@dataclass(frozen=True)
class Listed:
    """The baseline and the cells of a list. A factor that a cell leaves out is at the baseline's level."""

    cells: tuple[Levels, ...]


@dataclass(frozen=True)
class Explored(Listed):
    """The baseline and the cells that a search chose; a study that is not searched yet has none.

    The combinations of its factors are never listed, so there may be any number of them.
    """

    cells: tuple[Levels, ...] = ()


@dataclass(frozen=True)
class Fractional:
    """A regular fraction of the factorial design of two-level factors, with few cells: :func:`.fractions.fraction`.

    With resolution 3, main effects cannot be told from interactions of two factors; with 4, they can, but these
    interactions cannot be told from each other; with 5, these can be told apart too. With fewer factors than the
    resolution, all combinations are run.

    Attributes:
        resolution: the least resolution, 3 or more. If a higher one takes no more cells, it is taken.
    """

    resolution: int = 4


Design = DesignWord | LeaveOneOut | Cumulative | Listed | Fractional


def check_design(design: object) -> None:
    """Refuse what is no design.

    Raises:
        StudyError: for another word or kind of object, or details of another form.
    """
    words = get_args(DesignWord)
    if isinstance(design, str):
        if design not in words:
            raise StudyError(f"design={design!r}: the words are {', '.join(words)}{nearest(design, words)}")
    elif isinstance(design, Fractional):
        if type(design.resolution) is not int or design.resolution < 3:
            raise StudyError(f"{design}: a resolution is a whole number from 3 on")
    elif isinstance(design, LeaveOneOut):
        _check_mappings(design, () if design.full is None else (design.full,))
        _refuse_empty(design, design.full)
    elif isinstance(design, Cumulative):
        _check_mappings(design, () if design.steps is None else design.steps)
        _refuse_empty(design, design.steps)
    elif isinstance(design, Listed):
        _check_mappings(design, design.cells)
        _refuse_empty(design, None if isinstance(design, Explored) else design.cells)
    else:
        raise StudyError(
            f"design={shortened(design)}: expected one of {', '.join(map(repr, words))}, or a LeaveOneOut, Cumulative, "
            "Listed or Fractional"
        )


def _check_mappings(design: Design, listed: object) -> None:
    if not isinstance(listed, tuple) or not all(isinstance(levels, Mapping) for levels in listed):
        raise StudyError(f"{shortened(design)}: expected levels by factor, such as {{'attention': 'on'}}, in a tuple")


def _refuse_empty(design: Design, details: Sized | None) -> None:
    """Refuse details that are given and name nothing, so that the baseline would be all there is."""
    if details is not None and not len(details):
        raise StudyError(f"{design}: it names no cell beside the baseline; a comparison needs at least two")


def named_levels(design: Design) -> Iterator[Levels]:
    """The levels that the details of a design name."""
    if isinstance(design, LeaveOneOut) and design.full is not None:
        yield design.full
    elif isinstance(design, Cumulative) and design.steps is not None:
        yield from design.steps
    elif isinstance(design, Listed):
        yield from design.cells


def word_of(design: Design, factors: Sequence[Factor]) -> str:
    """The design in words, for plans and reports."""
    if isinstance(design, str):
        return design
    if isinstance(design, Fractional):
        resolution = _fraction(design, factors).resolution
        return f"resolution_{resolution}_fractional_factorial" if resolution else "factorial"
    words = {LeaveOneOut: "leave_one_out", Cumulative: "cumulative", Listed: "listed", Explored: "explored"}
    return words[type(design)]


def count_of(design: Design, factors: Sequence[Factor]) -> int:
    """The number of combinations, or one above it: counted without composing them.

    Raises:
        StudyError: for a fraction with more cells than any study may have.
    """
    if isinstance(design, Fractional):
        return _fraction(design, factors).count
    if design == "factorial":
        return math.prod(len(factor.levels) for factor in factors)
    if isinstance(design, Listed):
        return 1 + len(design.cells)
    if design == "explored":
        return 1
    return 2 + sum(len(factor.levels) - 1 for factor in factors)


def combinations_of(design: Design, factors: Sequence[Factor], baseline: Levels) -> Iterator[dict[str, str]]:
    """The combinations of levels, each a level for every factor, in the study's order of factors; none occurs twice.

    Raises:
        StudyError: for a design that these factors do not have.
    """
    base = {factor.name: baseline[factor.name] for factor in factors}
    seen: set[tuple[str, ...]] = set()
    for levels in _combinations(design, factors, base):
        if (key := tuple(levels.values())) not in seen:
            seen.add(key)
            yield levels


def where_factors_exist(factors: Sequence[Factor], levels: Levels, baseline: Levels) -> dict[str, str]:
    """The same levels, but with nested factors at the baseline's level wherever they do not exist."""
    found = dict(levels)
    for factor in factors:
        if not have(found, factor.within):
            found[factor.name] = baseline[factor.name]
    return found


def _combinations(design: Design, factors: Sequence[Factor], base: dict[str, str]) -> Iterator[dict[str, str]]:
    if design == "factorial":
        for levels in itertools.product(*(factor.levels for factor in factors)):
            yield dict(zip(base, levels, strict=True))
    elif isinstance(design, Fractional):
        nested = [factor.name for factor in factors if factor.within]
        if nested and _fraction(design, factors).resolution:
            raise StudyError(
                f"design: {', '.join(nested)} does not exist in every cell, and a fraction without these cells is not "
                "balanced; take another design than Fractional, or put both factors into one with three levels"
            )
        others = _others(factors, base, "Fractional takes two-level factors alone")
        for row in _fraction(design, factors).rows():
            yield {name: others[name] if away else base[name] for name, away in zip(base, row, strict=True)}
    elif isinstance(design, Listed):
        yield base
        yield from ({**base, **levels} for levels in design.cells)
    elif design == "explored":
        yield base
    elif design == "leave_one_out" or isinstance(design, LeaveOneOut):
        full = design.full if isinstance(design, LeaveOneOut) else None
        if full is None:
            full = _others(factors, base, "say which of them with design=LeaveOneOut(full={…})")
        yield base
        yield {**base, **full}
        for name in base:
            yield where_factors_exist(factors, {**base, **full, name: base[name]}, base)
    elif design == "cumulative" or isinstance(design, Cumulative):
        steps = design.steps if isinstance(design, Cumulative) else None
        if steps is None:
            others = _others(factors, base, "say which of them with design=Cumulative(steps=({…}, {…}))")
            steps = tuple({name: level} for name, level in others.items())
        reached = base
        yield reached
        for step in steps:
            reached = {**reached, **step}
            yield reached
    else:
        yield base
        for factor in factors:
            yield from ({**base, factor.name: level} for level in factor.levels if level != base[factor.name])


def _others(factors: Sequence[Factor], base: Levels, remedy: str) -> dict[str, str]:
    """The level of each factor that is not the baseline's.

    Raises:
        StudyError: if a factor has more than two.
    """
    if many := [factor.name for factor in factors if len(factor.levels) > 2]:
        raise StudyError(f"design: {', '.join(many)} has more than two levels; {remedy}")
    return {factor.name: next(level for level in factor.levels if level != base[factor.name]) for factor in factors}


def _fraction(design: Fractional, factors: Sequence[Factor]) -> Fraction:
    """The fraction that a design is.

    Raises:
        StudyError: for a fraction with more cells than any study may have.
    """
    if chosen := fraction(len(factors), design.resolution):
        return chosen
    raise StudyError(
        f"{design}: a fraction for {len(factors)} factors of that resolution has more than {2**MOST_BASIC:,} cells; "
        "choose a lower resolution, or fix some factors"
    )
