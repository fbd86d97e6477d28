"""What a study compares: each variant with the baseline and, where the design allows, main effects and interactions.

Each is one contrast a seed, a weighted sum of variants' scores, and then Student-t over seeds: least squares with seed
blocks would give too narrow an interval for an effect that varies from seed to seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations, product
from typing import Literal

import pandas as pd

from bench import stats
from bench.columns import column
from bench.records import Results
from bench.report.once import once
from bench.report.words import labels, levels_of
from bench.store import RecordError

Kind = Literal["variant", "main effect", "interaction"]

COLUMNS = (
    "label", "kind", "variant", "delta", "low", "high", "sd", "n", "planned", "p", "p_holm", "verdict", "reason",
    "resolvable", "needed", "p_equivalent",
)  # fmt: skip
"""Of :func:`effects`. ``delta``, ``low``, ``high``, ``sd`` and ``resolvable`` are in the stored unit."""


@dataclass(frozen=True)
class Contrast:
    """A difference to estimate: variant -> weight, weights adding up to 0.

    Attributes:
        label: what it is the effect of.
        kind: a variant against the baseline, or a factor's effect over the other factors' levels.
        variant: the variant that is compared; empty for a factor's effect.
        weights: variant -> weight.
    """

    label: str
    kind: Kind
    variant: str
    weights: Mapping[str, float]


def contrasts(results: Results) -> list[Contrast]:
    """Every comparison that the plan allows, in the study's order: variants, main effects, two-way interactions."""
    names, base = labels(results), results.baseline
    planned = results.planned("quality")
    against = [
        Contrast(names[variant], "variant", variant, {variant: 1.0, base: -1.0})
        for variant in planned
        if variant != base and base in planned
    ]
    return [*against, *_main_effects(results), *_interactions(results)]


@once
def effects(results: Results, name: str = "miou") -> pd.DataFrame:
    """One row a contrast, columns :data:`COLUMNS`; Holm's correction runs over all rows.

    ``resolvable`` is the smallest true difference that this comparison would have resolved with 80 % power at its n and
    the spread seen, at the strictest of Holm's steps; ``needed`` the seeds that would resolve the difference seen.
    ``p_equivalent`` tests, after Holm, that the difference is beyond the study's margin; NaN for a study without one.

    Raises:
        RecordError: for a column that does not exist, or that no quality trial measures and so has no seeds to pair.
    """
    definition = column(name)
    if definition.stage != "quality" or definition.better is None:
        raise RecordError(f"{name!r} cannot be judged over seeds: choose a quality column with a better direction")
    scores, seeds = _scores(results, name), _planned_seeds(results)
    wanted = contrasts(results)
    found = [stats.effect(_per_seed(contrast, scores)) for contrast in wanted]
    adjusted = stats.holm([each.p for each in found])
    alpha = stats.ALPHA / max(1, sum(not math.isnan(each.p) for each in found))
    margin = results.plan.get("margin") if name == "miou" else None
    equivalent = stats.holm([stats.equivalence(each, margin) if margin else stats.NAN for each in found])
    rows = []
    for contrast, each, p_holm, p_equivalent in zip(wanted, found, adjusted, equivalent, strict=True):
        said = stats.verdict(each, p_holm, definition.better)
        rows.append(
            {
                "label": contrast.label,
                "kind": contrast.kind,
                "variant": contrast.variant,
                **asdict(each),
                "planned": len(set.intersection(*(seeds[variant] for variant in contrast.weights))),
                "p_holm": p_holm,
                "verdict": said.word,
                "reason": said.reason,
                "resolvable": stats.resolvable(each.sd, each.n, alpha=alpha),
                "needed": stats.seeds_needed(each.delta, each.sd, alpha=alpha),
                "p_equivalent": p_equivalent,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"needed": "Int64"})


def study_resolvable(effects_frame: pd.DataFrame) -> tuple[float, int]:
    """The smallest difference between a variant and the baseline that the study could have resolved, and with how many
    seeds: from the variants' pooled spread, the most common n and the strictest of Holm's steps."""
    judged = effects_frame[(effects_frame["kind"] == "variant") & (effects_frame["n"] >= 2)]
    if judged.empty:
        return stats.NAN, 0
    pooled = stats.pooled_sd(zip(judged["sd"], judged["n"], strict=True))
    n = int(judged["n"].mode().max())
    tests = int(effects_frame["p"].notna().sum())
    return stats.resolvable(pooled, n, alpha=stats.ALPHA / max(1, tests)), n


def _per_seed(contrast: Contrast, scores: Mapping[str, Mapping[int, float]]) -> list[float]:
    """The contrast in every seed that all its variants have, in order of seed."""
    sides = [scores.get(variant, {}) for variant in contrast.weights]
    common = sorted(set.intersection(*(set(side) for side in sides)))
    differences = [math.fsum(w * scores[variant][seed] for variant, w in contrast.weights.items()) for seed in common]
    return stats.settled(differences, [side[seed] for side in sides for seed in common])


def _scores(results: Results, name: str) -> dict[str, dict[int, float]]:
    frame = results.frame()[["stage", "variant", "seed", name]]
    known = frame[(frame["stage"] == "quality") & frame[name].notna()]
    scores: dict[str, dict[int, float]] = {}
    for variant, seed, value in zip(known["variant"], known["seed"], known[name], strict=True):
        scores.setdefault(str(variant), {})[int(seed)] = float(value)
    return scores


def _planned_seeds(results: Results) -> dict[str, set[int]]:
    seeds: dict[str, set[int]] = {}
    for cell in results.plan["cells"]:
        if cell["stage"] == "quality" and not cell.get("excluded"):
            seeds.setdefault(cell["variant"], set()).add(int(cell["seed"]))
    return seeds


def _main_effects(results: Results) -> Iterator[Contrast]:
    """A level against the baseline's level of its factor, over every setting of the other factors.

    Where there is one setting only, the comparison is one of two variants and listed as that.
    """
    grid = _grid(results)
    for factor, levels in results.factors.items():
        base = str(results.plan["baseline_levels"].get(factor))
        for level in map(str, levels):
            pairs = [
                (variant, other)
                for setting, variant in grid.items()
                if dict(setting).get(factor) == level != base
                and (other := grid.get(_changed(setting, {factor: base}))) is not None
            ]
            if len(pairs) > 1:
                signs = [(variant, sign) for pair in pairs for variant, sign in zip(pair, (1, -1), strict=True)]
                yield Contrast(f"{factor}={level}, on average", "main effect", "", _weights(signs, len(pairs)))


def _interactions(results: Results) -> Iterator[Contrast]:
    """How much more one level does beside another than beside the baseline's: (ab − b) − (a − neither)."""
    grid, base = _grid(results), {f: str(level) for f, level in results.plan["baseline_levels"].items()}
    for first, second in combinations(results.factors, 2):
        for a, b in product(map(str, results.factors[first]), map(str, results.factors[second])):
            if a == base.get(first) or b == base.get(second):
                continue
            squares = list(_squares(grid, {first: a, second: b}, base))
            signs = [
                (variant, sign) for square in squares for variant, sign in zip(square, (1, -1, -1, 1), strict=True)
            ]
            if squares:
                yield Contrast(f"{first}={a} × {second}={b}", "interaction", "", _weights(signs, len(squares)))


def _squares(grid: Mapping[Setting, str], levels: Mapping[str, str], base: Mapping[str, str]) -> Iterator[list[str]]:
    """The variants with both levels, the second alone, the first alone and neither, for every setting that has all."""
    first, second = levels
    for setting in grid:
        if all(dict(setting).get(factor) == level for factor, level in levels.items()):
            changes: list[tuple[str, ...]] = [(), (first,), (second,), (first, second)]
            corners = [grid.get(_changed(setting, {factor: base[factor] for factor in change})) for change in changes]
            if None not in corners:
                yield [str(corner) for corner in corners]


Setting = tuple[tuple[str, str], ...]


def _grid(results: Results) -> dict[Setting, str]:
    """Levels -> variant, of the variants that are trained."""
    levels, planned = levels_of(results), results.planned("quality")
    return {tuple(sorted(levels[variant].items())): variant for variant in planned}


def _changed(setting: Setting, change: Mapping[str, str]) -> Setting:
    return tuple(sorted({**dict(setting), **change}.items()))


def _weights(signs: list[tuple[str, int]], count: int) -> dict[str, float]:
    weights: dict[str, float] = {}
    for variant, sign in signs:
        weights[variant] = weights.get(variant, 0.0) + sign / count
    return weights
