"""The changes between two sets of results: the study, the choices of variants of the same name, the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.evidence.compare.sides import Side
from bench.protocol.setting import STAGES
from bench.protocol.words import NOTHING, differing, leaves
from bench.records.record import Record

DEFINITION = (
    "name", "question", "factors", "design", "baseline", "seeds", "stages", "margin", "focus", "against", "size",
    "final", "data", "other_data",
)  # fmt: skip


def changes(a: Side, b: Side, variants: Sequence[str]) -> pd.DataFrame:
    """One row a fact that differs: kind (study, recipe, choices, environment), what, and its text on both sides."""
    rows = [
        *_differing("study", _definition(a), _definition(b)),
        *_differing("recipe", a.plan.recipe, b.plan.recipe),
    ]
    told = {row[1:] for row in rows if row[0] == "recipe"}
    rows += [row for row in _choices(a, b, variants) if (row[1].partition(": recipe.")[2], *row[2:]) not in told]
    rows += _environments(a, b)
    return pd.DataFrame(rows, columns=["kind", "what", "a", "b"], dtype=object)


ChangedFact = tuple[str, str, str, str]
"""The kind of a changed fact, its name, and its text on both sides."""


def _definition(side: Side) -> dict[str, Any]:
    """The study's definition; fields without a value are left out, since older plans do not have them."""
    plan = side.plan.as_json()
    return {name: plan[name] for name in DEFINITION if plan.get(name) is not None}


def _differing(kind: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[ChangedFact]:
    return [(kind, *fact) for fact in differing(one, other, NOTHING)]


def _choices(a: Side, b: Side, variants: Sequence[str]) -> list[ChangedFact]:
    """The changed choices of the variants that both sides have; a change that all of them share is listed once."""
    variants_by_change: dict[tuple[str, str, str], list[str]] = {}
    comparable = 0
    for variant in variants:
        pair = [_chosen(side, variant) for side in (a, b)]
        comparable += all(pair)
        for _, name, x, y in _differing("choices", *pair) if all(pair) else []:
            variants_by_change.setdefault((name, x, y), []).append(variant)
    return [
        ("choices", f"{'all variants' if len(changed) == comparable > 1 else ', '.join(changed)}: {name}", x, y)
        for (name, x, y), changed in variants_by_change.items()
    ]


def _chosen(side: Side, variant: str) -> dict[str, Any]:
    records = [
        record
        for record in side.records
        if record.trial.variant == variant and (record.choices.variant or record.choices.recipe)
    ]
    if not records:
        return {}
    return {**records[0].choices.variant, "recipe": records[0].choices.recipe}


def _environments(a: Side, b: Side) -> list[ChangedFact]:
    """The changed facts of the environment; a side may have several values, and the kind names the stages."""
    stages_by_change: dict[tuple[str, str, str], list[str]] = {}
    for stage in STAGES:
        seen = [_facts([r for r in side.records if r.trial.stage == stage]) for side in (a, b)]
        for _, *fact in _differing("environment", *seen) if all(seen) else []:
            stages_by_change.setdefault((fact[0], fact[1], fact[2]), []).append(stage)
    return [(f"environment of {' and '.join(stages)}", *fact) for fact, stages in stages_by_change.items()]


def _facts(records: Sequence[Record]) -> dict[str, str]:
    values: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in leaves(record.environment.as_json()):
            values.setdefault(name, {})[value] = None
    return {name: "; ".join(sorted(texts)) for name, texts in values.items()}
