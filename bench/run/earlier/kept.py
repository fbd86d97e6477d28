"""The trials of an earlier plan that the next plan of the same study keeps, so that a report still has what was run.

A trial that is no longer planned stays if it has a record, or if another run is at work beside this one, and if the
code, the settings and the data are those that it was planned with. If a seed or a setting is left out now, the trial's
own key tells; if a level is gone, the key of a trial of the same stage and seed that both plans have. A trial that is
planned under another name, since a level was renamed, is there once, under the name that it has now.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.protocol.setting import STAGES, Setting, Stage
from bench.records.plan.plan import Plan, PlannedTrial
from bench.records.record import TrialFacts
from bench.run.trial import Trial
from bench.study.cells import Cell
from bench.study.study import Study

Measurement = tuple[str, Stage, int | None, str | None, Setting | None]
"""A variant, a stage, a seed, the variant that it is timed against, and the setting."""

KeyOf = Callable[[PlannedTrial, Cell, Cell | None], str]
"""The present key of a planned trial, from the trial, its cell and the cell that it is timed against."""


def kept_trials(
    study: Study,
    earlier: Plan,
    planned: Iterable[Measurement],
    names: Mapping[str, str],
    recorded: Iterable[str] | None,
    key_of: KeyOf,
) -> list[PlannedTrial]:
    """The trials of an earlier plan that stay.

    Args:
        study: the study as it is now.
        earlier: the plan that the results folder holds.
        planned: :func:`what_is_measured` of each trial that the study plans now.
        names: the key of each trial that the study plans now -> its variant; without costs, which variants share.
        recorded: the planned keys of all records; ``None`` if trials without a record stay too, since other runs are at
            work.
        key_of: a function that gives the present key of a trial of a cell of the study.
    """
    if list(earlier.factors) != [factor.name for factor in study.factors]:
        return []
    cells = {cell.name: cell for cell in study.cells()}
    left_out = {cell.name for cell in study.excluded()}
    known, with_record = set(planned), None if recorded is None else set(recorded)
    renamed = {row.variant: names[row.key] for row in earlier.trials if row.key in names}
    past = [_as_named_now(row, renamed, cells) for row in earlier.trials if not row.excluded]
    witnesses: dict[tuple[Stage, int | None], PlannedTrial] = {}
    for row in past:
        if row.variant in cells:
            witnesses.setdefault((row.stage, row.seed), row)

    @functools.cache
    def is_witnessed(stage: Stage, seed: int | None) -> bool:
        witness = witnesses.get((stage, seed))
        return witness is not None and is_unchanged(witness)

    def is_unchanged(row: PlannedTrial) -> bool:
        against = cells.get(row.against) if row.against else None
        if row.variant not in cells or (row.against and against is None):
            return False
        return key_of(row, cells[row.variant], against) == row.key

    def may_stay(row: PlannedTrial) -> bool:
        if {row.variant, row.against} & left_out:
            return False
        if row.variant in cells and (row.against is None or row.against in cells):
            return is_unchanged(row)
        return is_witnessed(row.stage, row.seed)

    candidates = (
        row for row in past if what_is_measured(row) not in known and (with_record is None or row.key in with_record)
    )
    return [row for row in candidates if may_stay(row)]


def _as_named_now(row: PlannedTrial, renamed: Mapping[str, str], cells: Mapping[str, Cell]) -> PlannedTrial:
    """A trial of an earlier plan with the names that its variants have now."""
    variant, against = renamed.get(row.variant, row.variant), renamed.get(row.against or "", row.against)
    if (variant, against) == (row.variant, row.against):
        return row
    levels = dict(cells[variant].levels) if variant in cells else row.levels
    return row.model_copy(update={"variant": variant, "against": against, "levels": levels})


def what_is_measured(trial: Trial | PlannedTrial | TrialFacts) -> Measurement:
    """The values that distinguish the trials of one study, from a trial, a planned trial or a record's trial."""
    return trial.variant, trial.stage, trial.seed, trial.against, trial.setting


def with_kept(document: Mapping[str, Any], earlier: Plan, rows: Sequence[PlannedTrial]) -> dict[str, Any]:
    """A plan as JSON-ready data, with the trials of an earlier plan that stay."""
    if not rows:
        return dict(document)
    planned = [trial for trial in document["trials"] if not trial["excluded"]]
    excluded = [trial for trial in document["trials"] if trial["excluded"]]
    variants = {trial["variant"] for trial in planned}
    gone = {row.variant: row.levels for row in rows if row.variant not in variants}
    seeds = [row.seed for row in rows if row.seed is not None]
    facts = {
        variant: earlier.audit.variants[variant].as_json() for variant in gone if variant in earlier.audit.variants
    }
    all_seeds = list(dict.fromkeys([*document["seeds"], *seeds]))
    return {
        **document,
        **_data(document, earlier, variants, list(gone)),
        "factors": {
            name: list(dict.fromkeys([*levels, *(variant_levels[name] for variant_levels in gone.values())]))
            for name, levels in document["factors"].items()
        },
        "seeds": all_seeds,
        "stages": [stage for stage in STAGES if stage in {*document["stages"], *(row.stage for row in rows)}],
        "trials": [*planned, *({**row.as_json(), "kept": True} for row in rows), *excluded],
        "audit": {**document["audit"], "variants": {**document["audit"]["variants"], **facts}},
        "command": document["command"] if gone else _with_seeds(document["command"], document["seeds"], all_seeds),
    }


def _data(document: Mapping[str, Any], earlier: Plan, variants: Iterable[str], gone: Sequence[str]) -> dict[str, Any]:
    """The data sets of variants that are gone, and what each variant is evaluated on where that may differ."""
    data = document["data"]
    others = {variant: earlier.data_of(variant).as_json() for variant in gone}
    others = {
        variant: other
        for variant, other in others.items()
        if (other["name"], other["classes"], other.get("fingerprint"))
        != (data["name"], data["classes"], data["fingerprint"])
    }
    evaluated = dict(document.get("evaluated", {}))
    if evaluated or earlier.evaluated:
        # A witness of each kept trial has the key that it had, so what the baseline is evaluated on has not changed.
        baseline = document["baseline"]
        of_baseline = evaluated.get(baseline, earlier.evaluated.get(baseline, ""))
        evaluated = {variant: evaluated.get(variant, of_baseline) for variant in variants}
        evaluated |= {variant: earlier.evaluated.get(variant, of_baseline) for variant in gone}
    added = {"other_data": {**document.get("other_data", {}), **others}, "evaluated": evaluated}
    return {name: value for name, value in added.items() if value}


def _with_seeds(command: str, seeds: Sequence[int], all_seeds: Sequence[int]) -> str:
    """A command that runs all seeds: the option ``--seeds`` names those of earlier runs too."""
    words = shlex.split(command)
    if words[1:2] != ["run"] or set(seeds) == set(all_seeds):
        return command
    rest: list[str] = []
    for index, word in enumerate(words):
        if word != "--seeds" and not word.startswith("--seeds=") and words[index - 1 : index] != ["--seeds"]:
            rest.append(word)
    return shlex.join([*rest, "--seeds", ",".join(map(str, sorted(all_seeds)))])
