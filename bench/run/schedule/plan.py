"""The plan of a schedule as ``study.json`` holds it, with the trials of earlier runs that stay in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.records.files import file_digest, write_json
from bench.records.forms import build, problem
from bench.records.plan.plan import VERSION, Plan
from bench.run import environment
from bench.run.check import facts
from bench.run.earlier.kept import with_kept
from bench.run.earlier.plan import earlier_keys, earlier_plan
from bench.run.identity.explained import explained, packed
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial
from bench.study.cells import Cell
from bench.study.designs import word_of
from bench.study.factors import StudyError


def plan_of(schedule: Schedule, command: str, *, beside: bool = False) -> Plan:
    """The plan as ``study.json`` holds it, with the trials of earlier runs that stay in it.

    Args:
        schedule: the schedule.
        command: the command that the plan names.
        beside: ``True`` if other runs are at work in the folder, whose trials stay before they have records.

    Raises:
        StudyError: for a study that no plan can hold, so that nothing is run that a report would refuse.
    """
    study = schedule.study
    document = {
        "version": VERSION,
        "name": study.name,
        "folder": schedule.folder.name,
        "question": study.question,
        "factors": {factor.name: list(factor.levels) for factor in study.factors},
        "design": word_of(study.design, study.factors),
        "baseline": study.baseline_name,
        "baseline_levels": {factor.name: study.baseline[factor.name] for factor in study.factors},
        "seeds": _seeds(schedule),
        "stages": list(study.stages),
        "margin": study.margin,
        "focus": study.focus,
        "against": study.against,
        "published": [asdict(declared) for declared in study.published],
        "recipe": study.recipe.describe(),
        **_data(schedule),
        "size": schedule.loaded.source.size,
        "final": schedule.loaded.source.final,
        "created": {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            **environment.harness_state(),
        },
        "command": command,
        "trials": [*_costs(schedule), *_other_trials(schedule), *_excluded(schedule)],
        "audit": facts(study, schedule.checked, *schedule.loaded.input_px).as_json(),
        "identity": _identity(schedule),
        "modules": _modules(schedule),
        **({"rounds": schedule.rounds.as_json()} if schedule.rounds is not None else {}),
    }
    earlier = earlier_plan(schedule.folder)
    try:
        return build(Plan, document if earlier is None else with_kept(document, earlier, schedule.kept(beside=beside)))
    except ValueError as error:
        raise StudyError(f"study {study.name!r} cannot be planned: {problem(error)}") from error


def write_plan(schedule: Schedule, command: str, *, beside: bool = False) -> Path:
    """Write :func:`plan_of` a schedule as ``study.json`` into the results folder, whose lock the caller holds."""
    path = schedule.folder / "study.json"
    write_json(plan_of(schedule, command, beside=beside).as_json(), path)
    return path


def is_planned(schedule: Schedule) -> bool:
    """True if the folder's plan is as the run of this schedule, the last one at work, would write it.

    Its trials are there as planned ones, and every trial that stays from another run has a record.
    """
    plan = earlier_plan(schedule.folder)
    if plan is None:
        return False
    planned = {row.key for row in plan.trials if not row.kept}
    others = {row.key for row in plan.trials if row.kept}
    return {trial.key for trial in schedule.trials} <= planned and others <= {
        record.planned_key for record in schedule.records()
    }


def _seeds(schedule: Schedule) -> list[int]:
    """The seeds of the trials, in the order of the rounds, or those of the study."""
    if schedule.rounds is None:
        return list(schedule.study.seeds)
    taken = {trial.seed for trial in schedule.trials}
    return [seed for seed in schedule.rounds.seeds if seed in taken]


def _data(schedule: Schedule) -> dict[str, Any]:
    """The data sets as the plan describes them: the baseline's, and those of variants that have another."""
    baseline = schedule.study.cell("baseline")
    others = [cell for cell in schedule.study.cells() if cell.recipe.data != baseline.recipe.data]
    evaluated = schedule.loaded.evaluated()
    return {
        "data": _described(schedule, baseline, in_full=bool(others)),
        **({"other_data": {cell.name: _described(schedule, cell, in_full=True) for cell in others}} if others else {}),
        **({"evaluated": evaluated} if evaluated else {}),
    }


def _described(schedule: Schedule, cell: Cell, *, in_full: bool) -> dict[str, Any]:
    """The data set of a cell; in full with its choices and numbers of images, which tell it from another."""
    data, chosen = schedule.loaded.dataset_of(cell), cell.recipe.data
    described = {
        "name": data.name,
        "classes": list(data.classes),
        "fingerprint": schedule.fingerprints[cell.name],
    }
    if not in_full:
        return described
    images = {name: len(data.split(name)) for name in schedule.loaded.splits_of(chosen)}
    return {**described, "choices": chosen.describe()["choices"], "images": images}


def _costs(schedule: Schedule) -> Iterator[dict[str, Any]]:
    """The cost of every variant; several may share a trial."""
    trials = [trial for trial in schedule.trials if trial.stage == "cost"]
    of_variant = {variant: trial for trial in trials for variant in schedule.variants_of(trial)}
    for name, cell in schedule.cells.items():
        if name in of_variant:
            yield _planned(of_variant[name], cell)


def _other_trials(schedule: Schedule) -> Iterator[dict[str, Any]]:
    for trial in schedule.trials:
        if trial.stage != "cost":
            yield _planned(trial, schedule.cells[trial.variant])


def _planned(trial: Trial, cell: Cell) -> dict[str, Any]:
    return {
        "key": trial.key,
        "variant": cell.name,
        "levels": dict(cell.levels),
        "stage": trial.stage,
        "seed": trial.seed,
        "excluded": None,
        **({"against": trial.against, "setting": asdict(trial.setting)} if trial.setting else {}),
        **({"processes": trial.processes} if trial.processes > 1 else {}),
    }


def _excluded(schedule: Schedule) -> list[dict[str, Any]]:
    return [
        {
            "key": f"excluded:{cell.name}",
            "variant": cell.name,
            "levels": dict(cell.levels),
            "stage": stage,
            "seed": None,
            "excluded": cell.reason,
        }
        for cell in schedule.study.excluded()
        for stage in schedule.study.stages
    ]


def _identity(schedule: Schedule) -> dict[str, Any]:
    """The parts of the keys of this schedule, and of the keys of records that belong to none of its trials."""
    planned = {trial.key for trial in schedule.trials}
    now = [explained(schedule.keys[trial.key]) for trial in schedule.trials if trial.key in schedule.keys]
    others = dict.fromkeys(record.planned_key for record in schedule.records() if record.planned_key not in planned)
    earlier = {
        **schedule.earlier,
        **earlier_keys(schedule.folder),
    }  # another run may have ended since this schedule was made
    kept = [earlier[key] for key in others if key in earlier]
    return packed([*now, *kept])


def _modules(schedule: Schedule) -> dict[str, str]:
    """Path, from the study's folder on, of every file of the study's own code -> SHA-256 of its content.

    A file of neither the study's folder nor its repository is listed by its name alone.
    """
    study = Path(schedule.loaded.source.path).resolve()
    root = environment.repository(study.parent) or study.parent
    files = [study, *(file for source in schedule.keys.sources for file in source.files)]
    imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    digests = {}
    for file in dict.fromkeys(path.resolve() for path in files):
        is_near = file.is_relative_to(root) or file.is_relative_to(study.parent)
        path = os.path.relpath(file, study.parent) if is_near else file.name
        if is_near or str(file) in imported:
            digests[Path(path).as_posix()] = file_digest(file.read_bytes())
    return digests
