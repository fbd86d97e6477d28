"""Trainings whose batch is too large even for a whole device, and the parts in which it is computed in its place.

The effective batch stays: gradients of the parts are averaged before each update. Batch normalisation sees the parts,
so it is another training than the one that was planned, and the record says so.
"""

from __future__ import annotations

from dataclasses import replace

from bench.parts import ChoiceError
from bench.protocol.recipe import Recipe
from bench.run.trial import Trial
from bench.study.source import load


def in_more_parts(trial: Trial) -> Trial | None:
    """The training in twice as many parts; ``None`` if its batch has no such parts of two images at least."""
    more = replace(trial, parts=2 * trial.parts)
    recipe: Recipe = load(trial.source).study.cell(trial.variant).recipe
    try:
        recipe.having(accumulate=recipe.accumulate * more.parts)
    except ChoiceError:
        return None
    return more
