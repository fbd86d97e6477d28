"""The rounds of a study: how they are fixed, which are over, and which seeds every variant takes next."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bench.evidence.contrasts import Contrast
from bench.evidence.sequential.boundaries import FIRST_LOOK, MOST_SEEDS, Rule, rule_resolving, rule_up_to
from bench.evidence.sequential.looking import Following
from bench.evidence.stats import ALPHA
from bench.records.plan.rounds import Rounds

EFFECT = 1.0
"""The effect that rounds are made for unless their maximum is given: one spread of the paired differences."""


@dataclass(frozen=True)
class Progress:
    """How far the rounds of a study have come.

    Attributes:
        following: the comparisons, in the order of the contrasts.
        over: the number of rounds that are over, and after which was looked.
        seeds: variant -> the number of seeds, from the first on, that it takes up to the round that is due.
        ended: true if no round is due.
    """

    following: Following
    over: int
    seeds: Mapping[str, int]
    ended: bool


def fix_rounds(own_seeds: Sequence[int], comparisons: int, most: int | None = None) -> Rounds:
    """The rounds of a study that has not begun.

    Args:
        own_seeds: the seeds of the study, which come first; then follow the least whole numbers not among them.
        comparisons: the number of comparisons of the study.
        most: the maximum number of seeds; ``None`` for as many as resolve :data:`EFFECT` with 80 % power.

    Raises:
        ValueError: for a maximum that leaves no second look, or of more than :data:`MOST_SEEDS`.
    """
    if most is not None and not FIRST_LOOK < most <= MOST_SEEDS:
        raise ValueError(f"expected {FIRST_LOOK + 1} to {MOST_SEEDS} seeds at most, got {most}")
    level = ALPHA / max(1, comparisons)
    rule = rule_resolving(EFFECT, level) if most is None else rule_up_to(most, level)
    others = (seed for seed in itertools.count() if seed not in own_seeds)
    seeds = itertools.islice(itertools.chain(own_seeds, others), rule.most)
    return Rounds(
        seeds=list(seeds),
        looks=list(rule.looks),
        comparisons=max(1, comparisons),
        alpha=ALPHA,
        spending="power",
        exponent=rule.exponent,
        futility_exponent=rule.futility_exponent,
        miss=rule.miss,
        effect=rule.effect,
    )


def rule_of(rounds: Rounds) -> Rule:
    """The rule of each comparison."""
    return Rule(
        looks=tuple(rounds.looks),
        level=rounds.alpha / rounds.comparisons,
        effect=rounds.effect,
        exponent=rounds.exponent,
        futility_exponent=rounds.futility_exponent,
        miss=rounds.miss,
    )


def progress(
    rounds: Rounds,
    contrasts: Sequence[Contrast],
    differences: Sequence[Mapping[int, float]],
    variants: Collection[str],
    ended: Collection[tuple[str, int]],
) -> Progress:
    """Take all looks that are due, from what is recorded alone.

    A round is over when every trial has ended that its open comparisons need. A variant none of whose comparisons is
    open takes no more seeds.

    Args:
        rounds: the rounds of the study.
        contrasts: its comparisons.
        differences: for each of them: seed -> difference.
        variants: the variants that are trained; in the first round they are all needed.
        ended: the variants and seeds whose trials have ended, however they did.
    """
    following = Following(rule_of(rounds), len(contrasts), rounds.alpha)
    for comparison, contrast in zip(following.comparisons, contrasts, strict=True):
        if contrast.incomparable:
            comparison.stand = "without values"
    seeds: dict[str, int] = {}
    needed = set(variants)
    for over, count in enumerate(rounds.looks):
        due = rounds.seeds[:count]
        seeds |= dict.fromkeys(needed, count)
        if any((variant, seed) not in ended for variant in needed for seed in due):
            return Progress(following, over, seeds, ended=False)
        following.look(differences, due)
        needed = {variant for number in following.open for variant in contrasts[number].weights}
        if not needed:
            return Progress(following, over + 1, seeds, ended=True)
    return Progress(following, len(rounds.looks), seeds, ended=True)
