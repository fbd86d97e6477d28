"""The effects of a study: the difference of every contrast, with its interval, p-value and verdict.

A contrast is computed in each seed, as a weighted sum of variants' scores; Student-t then runs over the seeds. Least
squares with seed blocks would give too narrow an interval for an effect that varies from seed to seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from bench.evidence import stats
from bench.evidence.contrasts import Contrast
from bench.evidence.sequential.looking import Following, Stand
from bench.evidence.sequential.progress import Progress, progress
from bench.protocol.columns import JUDGED, column
from bench.records.files import RecordError
from bench.records.plan.rounds import Rounds
from bench.records.results import Results

COLUMNS = (
    "label", "kind", "factors", "variant", "delta", "low", "high", "sd", "n", "planned", "p", "p_holm", "verdict",
    "reason", "resolvable", "needed", "p_equivalent",
)  # fmt: skip
"""The columns of :func:`effects`. ``factors`` is the number of factors in which the two sides differ.
``delta``, ``low``, ``high``, ``sd`` and ``resolvable`` are in the stored unit."""
OF_ROUNDS = ("looks", "stand")
"""The columns that :func:`effects` has besides if seeds are added in rounds: the number of looks at a comparison, and
how it ended, as :data:`bench.evidence.sequential.looking.Stand` says."""
ENDS: Mapping[Stand, str] = {
    "open": "more seeds are to come",
    "futile": "stopped for futility",
    "at the maximum": "at the maximum of seeds",
}
"""How a comparison that was not resolved ended -> the reason that its verdict gives."""


def effects(results: Results, contrasts: Sequence[Contrast], name: str) -> pd.DataFrame:
    """One row a contrast, columns :data:`COLUMNS`; Holm's correction runs over all rows.

    Of a study whose seeds are added in rounds, intervals and p-values account for the looks, a comparison has the seeds
    up to its end, and :data:`OF_ROUNDS` tell of it.

    ``resolvable`` is the smallest true difference that this comparison would have resolved with 80 % power at its n and
    the spread seen, at the strictest of Holm's steps; ``needed`` the seeds that would resolve the difference seen.
    ``p_equivalent`` tests that the difference is beyond the study's margin, after Holm over the rows that such a claim
    can be about: all but interactions or, where the study has a factor in focus, that factor's. NaN for other rows.

    Raises:
        RecordError: for a column that does not exist, or that no quality trial measures and so has no seeds to pair.
    """
    definition = column(name)
    if definition.stage != "quality" or definition.better is None:
        raise RecordError(f"{name!r} cannot be judged over seeds: choose a quality column with a better direction")
    seeds = _planned_seeds(results)
    differences = by_seed(contrasts, results.scores(name))
    following = None
    if results.plan.rounds is not None and name == JUDGED:
        following = rounds_so_far(results, contrasts, differences).following
        estimates = [following.estimate(number) for number in range(len(contrasts))]
    else:
        estimates = [stats.effect(list(values.values())) for values in differences]
    judged = stats.judged(estimates, [definition.better] * len(estimates))
    alpha = stats.ALPHA / max(1, sum(not math.isnan(estimate.p) for estimate in estimates))
    margin = results.plan.margin if name == JUDGED else None
    focus = results.plan.focus
    equivalent = stats.holm(
        [
            _equivalence(following, number, estimate, margin) if margin and _is_claimed(contrast, focus) else stats.NAN
            for number, (contrast, estimate) in enumerate(zip(contrasts, estimates, strict=True))
        ]
    )
    rows = []
    for contrast, estimate, (p_holm, verdict), p_equivalent in zip(
        contrasts, estimates, judged, equivalent, strict=True
    ):
        rows.append(
            {
                "label": contrast.label,
                "kind": contrast.kind,
                "factors": len(contrast.factors),
                "variant": contrast.variant,
                **asdict(estimate),
                "planned": len(set.intersection(*(seeds[variant] for variant in contrast.weights))),
                "p_holm": p_holm,
                "verdict": verdict.word,
                "reason": f"not compared: {contrast.incomparable}" if contrast.incomparable else verdict.reason,
                "resolvable": stats.resolvable(estimate.sd, estimate.n, alpha=alpha),
                "needed": stats.seeds_needed(estimate.delta, estimate.sd, alpha=alpha),
                "p_equivalent": p_equivalent,
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"needed": "Int64"})
    return frame if following is None else _of_rounds(frame, following)


def rounds_so_far(
    results: Results, contrasts: Sequence[Contrast], differences: Sequence[Mapping[int, float]]
) -> Progress:
    """How far the rounds of a study have come, by its records alone.

    Raises:
        ValueError: for a study with fixed seeds.
    """
    if results.plan.rounds is None:
        raise ValueError("a study with fixed seeds has no rounds")
    ended = {
        (record.trial.variant, record.trial.seed)
        for record in results.records
        if record.trial.stage == "quality" and record.trial.seed is not None and record.status != "interrupted"
    }
    return progress(results.plan.rounds, contrasts, differences, results.planned("quality"), ended)


def _of_rounds(frame: pd.DataFrame, following: Following) -> pd.DataFrame:
    """The effects of a study whose seeds were added in rounds, with the columns :data:`OF_ROUNDS`."""
    spread = frame["sd"].where(frame["sd"] > 0)
    ends = [ENDS.get(comparison.stand, "") for comparison in following.comparisons]
    unresolved = (frame["verdict"] == "not resolved") & pd.Series([bool(end) for end in ends], index=frame.index)
    return frame.assign(
        reason=frame["reason"].where(~unresolved, pd.Series(ends, index=frame.index, dtype=object)),
        resolvable=following.rule.effect * spread,
        looks=[comparison.looks for comparison in following.comparisons],
        stand=[comparison.stand for comparison in following.comparisons],
    )


def _equivalence(following: Following | None, number: int, estimate: stats.Effect, margin: float) -> float:
    return stats.equivalence(estimate, margin) if following is None else following.equivalence(number, margin)


def by_seed(contrasts: Sequence[Contrast], scores: Mapping[str, Mapping[int, float]]) -> list[dict[int, float]]:
    """For each contrast: seed -> its difference, in the unit of the scores.

    Args:
        scores: variant -> seed -> score.
    """
    return [_per_seed(contrast, scores) for contrast in contrasts]


def mean_by_seed(variants: Sequence[str], scores: Mapping[str, Mapping[int, float]]) -> list[float]:
    """The mean score of several variants in every seed that all of them have, in order of seed."""
    sides = [scores.get(variant, {}) for variant in variants]
    return [sum(side[seed] for side in sides) / len(sides) for seed in sorted(set.intersection(*map(set, sides)))]


def _is_claimed(contrast: Contrast, focus: str | None) -> bool:
    """True if the contrast is one of which a study may claim that it loses nothing."""
    return contrast.kind != "interaction" and (focus is None or contrast.factors == (focus,))


@dataclass(frozen=True)
class Resolution:
    """The differences between a variant and the baseline that a study could have resolved, at Holm's strictest step.

    Attributes:
        n: the most common number of seeds; the other attributes are of the variants with so many seeds and a spread.
            If seeds were added in rounds, their maximum, and the other attributes are of all variants with a spread.
        pooled: the smallest resolvable difference, from the pooled spread of the variants.
        low: the least of the variants' own smallest resolvable differences.
        high: the greatest of them.
    """

    n: int
    pooled: float
    low: float
    high: float


def resolution(effects_frame: pd.DataFrame, rounds: Rounds | None = None) -> Resolution | None:
    """The resolution of a study, from its :func:`effects`; ``None`` if no variant has a spread over seeds.

    Args:
        effects_frame: the effects.
        rounds: the rounds in which seeds were added; then ``n`` is their maximum.
    """
    judged = effects_frame[(effects_frame["kind"] == "variant") & effects_frame["resolvable"].notna()]
    if judged.empty:
        return None
    if rounds is not None:
        spread = stats.pooled_sd(zip(judged["sd"], judged["n"], strict=True))
        low, high = float(judged["resolvable"].min()), float(judged["resolvable"].max())
        return Resolution(rounds.looks[-1], rounds.effect * spread, low, high)
    n = int(judged["n"].mode().max())
    judged = judged[judged["n"] == n]
    pooled = stats.pooled_sd(zip(judged["sd"], judged["n"], strict=True))
    tests = int(effects_frame["p"].notna().sum())
    smallest = stats.resolvable(pooled, n, alpha=stats.ALPHA / max(1, tests))
    return Resolution(n, smallest, float(judged["resolvable"].min()), float(judged["resolvable"].max()))


def _per_seed(contrast: Contrast, scores: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Seed -> the contrast, for the seeds that all its variants have, in order; none if it is no difference."""
    if contrast.incomparable:
        return {}
    sides = [scores.get(variant, {}) for variant in contrast.weights]
    common = sorted(set.intersection(*(set(side) for side in sides)))
    differences = [math.fsum(w * scores[variant][seed] for variant, w in contrast.weights.items()) for seed in common]
    settled = stats.settled(differences, [side[seed] for side in sides for seed in common])
    return dict(zip(common, settled, strict=True))


def _planned_seeds(results: Results) -> dict[str, set[int]]:
    seeds: dict[str, set[int]] = {}
    for trial in results.plan.trials:
        if trial.stage == "quality" and not trial.excluded and trial.seed is not None:
            seeds.setdefault(trial.variant, set()).add(trial.seed)
    return seeds
