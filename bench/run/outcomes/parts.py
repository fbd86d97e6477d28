"""Trainings whose batch is too large even for a whole device, and the parts in which it is computed in its place.

The effective batch stays: gradients of the parts are averaged before each update. Batch normalisation sees the parts,
so it is another training than the one that was planned, and the record says so.
"""

from __future__ import annotations

from dataclasses import replace

from bench.parts import ChoiceError
from bench.run.trial import Trial
from bench.study.source import load
from bench.training.parallel.group import SharingError, refuse_unshared


def in_more_parts(trial: Trial) -> Trial | None:
    """The training in twice as many parts; ``None`` if its batch has no such parts of two images a process at least."""
    more = replace(trial, parts=2 * trial.parts)
    try:
        refuse_unshared(more.recipe_of(load(trial.source).study.cell(trial.variant)), trial.processes)
    except (ChoiceError, SharingError):
        return None
    return more
