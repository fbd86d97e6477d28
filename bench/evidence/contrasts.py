"""The comparisons that a plan allows: variants with the baseline, steps with those before, and effects of factors.

Each is a weighted sum of variants' scores, taken seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, pairwise, product
from math import prod
from typing import Literal, TypeVar

from bench.records.plan.data import Evaluation
from bench.records.results import Results
from bench.study import fractions

ContrastKind = Literal["variant", "between levels", "step", "simple effect", "main effect", "interaction"]
ASKED: tuple[ContrastKind, ...] = ("between levels", "step", "main effect")
"""The kinds of contrast that say what a factor does; a reader sees them first, resolved or not."""
MOST_TOGETHER = 3
"""The most factors of one interaction; nobody can say in words what one of more means."""
ROUNDING = 1e-9
"""The largest sum of weights that counts as 0."""

Combination = tuple[tuple[str, str], ...]
"""A level of every factor, in order of their names."""
Levels = Mapping[str, Mapping[str, str]]
"""Variant -> factor -> its level."""
VariantsByLevels = Mapping[Combination, str]
"""Combination of levels -> the variant that is trained with it."""


@dataclass(frozen=True)
class Contrast:
    """A comparison of variants, whose difference is to be estimated.

    Attributes:
        label: the change that it is the effect of.
        kind: a variant against the baseline; a level against another than the baseline's; a step of a cumulative study
            against the one before; a factor's effect at one setting of the others, or on average over them; what
            factors do together beyond what they do in smaller numbers.
        variant: the variant that is compared; empty for a factor's effect.
        weights: variant -> the weight of its score in the difference; the weights add up to 0.
        factors: the factors in which the two sides differ.
        pairs: the variants that it sets against each other, one on each side; of an interaction those that differ in
            one of its factors alone. Empty in a fraction of a factorial design, where no two variants differ so.
        incomparable: the reason why the scores of these variants give no difference; empty if they give one.
    """

    label: str
    kind: ContrastKind
    variant: str
    weights: Mapping[str, float]
    factors: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    incomparable: str = ""


def contrasts(results: Results, names: Mapping[str, str], levels: Levels) -> list[Contrast]:
    """All contrasts: of variants, of levels, of steps, simple and main effects, interactions of two or three factors.

    Each difference is there once, as the first of these that it is.

    Scores of other classes or images are never subtracted from each other: such a contrast is there, and says why it is
    :attr:`~Contrast.incomparable`.

    Args:
        names: variant -> its short name.
        levels: variant -> factor -> its level.
    """
    grid, base = _grid(results, levels), results.plan.baseline_levels
    all_contrasts = [
        *_variants(results, names, levels),
        *_between_levels(results, grid, levels),
        *_steps(results, names, levels),
        *_simple_effects(results, grid, levels),
        *_main_effects(results, grid, levels),
        *_interactions(results, grid, base),
        *_fractional_effects(results, grid, levels),
    ]
    first: dict[frozenset[tuple[str, float]], Contrast] = {}
    for contrast in all_contrasts:
        first.setdefault(frozenset(contrast.weights.items()), contrast)
    return [replace(contrast, incomparable=_incomparable(results, contrast.weights)) for contrast in first.values()]


def _incomparable(results: Results, weights: Mapping[str, float]) -> str:
    """The reason why a weighted sum of scores is no difference; empty if the weights of each evaluation add up to 0.

    An average over data sets of differences that each lie within one of them is a difference.
    """
    sums: dict[Evaluation, float] = {}
    for variant, weight in weights.items():
        evaluation = results.plan.evaluation_of(variant)
        sums[evaluation] = sums.get(evaluation, 0.0) + weight
    unbalanced = [evaluation for evaluation, total in sums.items() if abs(total) > ROUNDING]
    return unbalanced[0].differs_from(unbalanced[-1]) if unbalanced else ""


def _variants(results: Results, names: Mapping[str, str], levels: Levels) -> Iterator[Contrast]:
    base = results.baseline
    planned = results.planned("quality")
    for variant in planned:
        if variant != base and base in planned:
            factors = tuple(name for name, level in levels[variant].items() if level != levels[base].get(name))
            weights = {variant: 1.0, base: -1.0}
            yield Contrast(names[variant], "variant", variant, weights, factors, ((variant, base),))


def _between_levels(results: Results, grid: VariantsByLevels, levels: Levels) -> Iterator[Contrast]:
    """The contrasts of a level with the level that the study names for it: a control, or the step before."""
    for factor, others in results.plan.against.items():
        for level, other in others.items():
            if pairs := list(_corners(grid, {factor: level}, {factor: other})):
                label = f"{factor}={level} against {other}{_where(results, levels, factor, pairs)}"
                yield Contrast(label, "between levels", "", _weights(pairs, 1), (factor,), _sides(pairs))


def _steps(results: Results, names: Mapping[str, str], levels: Levels) -> Iterator[Contrast]:
    """The contrasts of each step of a cumulative study with the one before, whatever it changes."""
    if results.plan.design != "cumulative":
        return
    trials = (trial for trial in results.plan.trials if trial.stage == "quality")
    steps = dict.fromkeys(trial.variant for trial in trials if not trial.excluded and not trial.kept)
    for before, variant in pairwise(steps):
        changed = {factor: level for factor, level in levels[variant].items() if level != levels[before][factor]}
        label = f"{' + '.join(f'{factor}={level}' for factor, level in changed.items())} after {names[before]}"
        yield Contrast(label, "step", "", {variant: 1.0, before: -1.0}, tuple(changed), ((variant, before),))


def _simple_effects(results: Results, grid: VariantsByLevels, levels: Levels) -> Iterator[Contrast]:
    """The contrasts of the focused factor's levels with the baseline's, at every setting of the other factors."""
    focus, base = results.plan.focus, results.plan.baseline_levels
    if focus is None:
        return
    for level in results.factors[focus]:
        if level == base[focus]:
            continue
        for variant, other in _corners(grid, {focus: level}, base):
            label = f"{focus}={level} at {_place(results, focus, levels[variant])}"
            weights = {variant: 1.0, other: -1.0}
            yield Contrast(label, "simple effect", "", weights, (focus,), ((variant, other),))


def _main_effects(results: Results, grid: VariantsByLevels, levels: Levels) -> Iterator[Contrast]:
    """The contrasts of a level with the baseline's level of its factor, averaged over the settings that have both.

    With one such setting only, the contrast is a simple effect.
    """
    base = results.plan.baseline_levels
    for factor, levels_of_factor in results.factors.items():
        for level in levels_of_factor:
            pairs = list(_corners(grid, {factor: level}, base)) if level != base[factor] else []
            if pairs:
                label = f"{factor}={level}{_where(results, levels, factor, pairs)}"
                kind: ContrastKind = "main effect" if len(pairs) > 1 else "simple effect"
                yield Contrast(label, kind, "", _weights(pairs, 1), (factor,), _sides(pairs))


def _sides(corners: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((variant, other) for variant, other in corners)


def _where(results: Results, levels: Levels, factor: str, pairs: Sequence[Sequence[str]]) -> str:
    """The settings of the other factors that a label names: ``, on average over 2 of 3 settings``.

    Of a single setting it is the levels, or nothing if they are the baseline's.
    """
    if len(pairs) > 1:
        return ", on average" + _of_all(results, (factor,), len(pairs))
    place = _place(results, factor, levels[pairs[0][0]])
    return "" if place == _place(results, factor, results.plan.baseline_levels) else f" at {place}"


def _place(results: Results, factor: str, levels: Mapping[str, str]) -> str:
    """The levels of the other factors, as text."""
    return ", ".join(f"{name}={levels[name]}" for name in results.factors if name != factor)


def _of_all(results: Results, factors: Sequence[str], settings: int) -> str:
    """The number of settings of the other factors, `` over 2 of 3 settings``; empty for all of them."""
    all_settings = prod(len(levels) for name, levels in results.factors.items() if name not in factors)
    return f" over {settings} of {all_settings} settings" if settings < all_settings else ""


def _interactions(results: Results, grid: VariantsByLevels, base: Mapping[str, str]) -> Iterator[Contrast]:
    """The contrasts of what levels do together beyond what smaller sets of them do: for two, (ab − b) − (a − neither).

    They are averaged over the settings of the other factors that have all these levels and the baseline's.
    """
    sets = (combinations(results.factors, count) for count in range(2, MOST_TOGETHER + 1))
    for factors in chain.from_iterable(sets):
        for levels in product(*(results.factors[factor] for factor in factors)):
            chosen = dict(zip(factors, levels, strict=True))
            if any(level == base.get(factor) for factor, level in chosen.items()):
                continue
            if corners := list(_corners(grid, chosen, base)):
                label = " × ".join(f"{factor}={level}" for factor, level in chosen.items())
                label += "," * bool(over := _of_all(results, factors, len(corners))) + over
                weights, pairs = _weights(corners, len(factors)), _edges(corners, len(factors))
                yield Contrast(label, "interaction", "", weights, factors, pairs)


def _fractional_effects(results: Results, grid: VariantsByLevels, levels: Levels) -> Iterator[Contrast]:
    """The main effects and interactions of two factors in a fraction of a factorial design of two-level factors.

    An effect is the mean over the half of the variants with one sign less that over the other half, and its label names
    the effects that the same difference stands for.
    """
    base, variants = results.plan.baseline_levels, list(grid.values())
    others = {
        factor: level for variant in variants for factor, level in levels[variant].items() if level != base[factor]
    }
    for aliases in fractions.effects([levels[variant] for variant in variants], base):
        factors, *rest = aliases
        label = _effect(factors, others) + ", on average" * (len(factors) == 1)
        for other in rest:
            label += f", not told from {'the opposite of ' * (aliases[other] < 0)}{_effect(other, others)}"
        share = 2 ** len(factors) / len(variants)
        weights = {
            variant: share * prod(-1 if levels[variant][factor] == base[factor] else 1 for factor in factors)
            for variant in variants
        }
        kind: ContrastKind = "main effect" if len(factors) == 1 else "interaction"
        yield Contrast(label, kind, "", weights, factors, ())


def _effect(factors: Sequence[str], levels: Mapping[str, str]) -> str:
    return " × ".join(f"{factor}={levels[factor]}" for factor in factors)


def squares(results: Results, levels: Levels, first: str, second: str) -> dict[tuple[str, str], list[str]]:
    """For each pair of levels of two factors: its variants, one for each setting of the other factors.

    Only the settings for which every pair of levels is planned count; without such a setting the result is empty. It is
    empty too where the variants are not all evaluated on the same classes and images.
    """
    settings: dict[tuple[str, ...], dict[tuple[str, str], str]] = {}
    for variant in results.planned("quality"):
        variant_levels = levels[variant]
        others = tuple(variant_levels[factor] for factor in results.factors if factor not in (first, second))
        settings.setdefault(others, {})[variant_levels[first], variant_levels[second]] = variant
    pairs = list(product(results.factors[first], results.factors[second]))
    complete = [variants for variants in settings.values() if set(variants) == set(pairs)]
    if len({results.plan.evaluation_of(variant) for variants in complete for variant in variants.values()}) > 1:
        return {}
    return {pair: [variants[pair] for variants in complete] for pair in pairs} if complete else {}


def _corners(grid: VariantsByLevels, levels: Mapping[str, str], base: Mapping[str, str]) -> Iterator[list[str]]:
    """For each setting of the other factors: the variant at these levels, then those with subsets of them reset.

    They are reset to the baseline, in the order of :func:`_signs`. A setting that lacks a variant is left out.
    """
    choices = _subsets(levels)
    for setting in grid:
        if all(dict(setting).get(factor) == level for factor, level in levels.items()):
            corners = [grid.get(_changed(setting, {factor: base[factor] for factor in choice})) for choice in choices]
            if None not in corners:
                yield [str(corner) for corner in corners]


def _signs(count: int) -> list[int]:
    """The sign of each corner: plus if an even number of the ``count`` levels is reset to the baseline."""
    return [(-1) ** len(choice) for choice in _subsets(range(count))]


def _edges(corners: Sequence[Sequence[str]], count: int) -> tuple[tuple[str, str], ...]:
    """All pairs of corners of which the second has one more of the ``count`` levels reset to the baseline."""
    steps = [
        (one, other)
        for (one, fewer), (other, more) in product(enumerate(_subsets(range(count))), repeat=2)
        if len(more) == len(fewer) + 1 and set(fewer) < set(more)
    ]
    return tuple(
        dict.fromkeys(
            (corner_variants[one], corner_variants[other]) for corner_variants in corners for one, other in steps
        )
    )


T = TypeVar("T")


def _subsets(of: Iterable[T]) -> list[tuple[T, ...]]:
    """All subsets, smaller ones first."""
    items = list(of)
    return list(chain.from_iterable(combinations(items, size) for size in range(len(items) + 1)))


def _weights(corners: Sequence[Sequence[str]], count: int) -> dict[str, float]:
    weights: dict[str, float] = {}
    for corner_variants in corners:
        for variant, sign in zip(corner_variants, _signs(count), strict=True):
            weights[variant] = weights.get(variant, 0.0) + sign / len(corners)
    return weights


def _grid(results: Results, levels: Levels) -> dict[Combination, str]:
    """The variants that are trained, by their levels."""
    planned = results.planned("quality")
    return {tuple(sorted(levels[variant].items())): variant for variant in planned}


def _changed(setting: Combination, change: Mapping[str, str]) -> Combination:
    return tuple(sorted({**dict(setting), **change}.items()))
