"""The reason why a trial's process finds another trial than the one that was planned.

Either a file was changed after planning, or the same files give another study in every process: from the order of a
set, a clock or a random number.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.protocol.words import differing
from bench.records.files import RecordError, file_digest
from bench.records.plan.audit import Described
from bench.records.plan.plan import Plan, read_plan
from bench.study.cells import Cell


def disagreement(cell: Cell | None, variant: str, study_file: Path, folder: Path) -> str:
    """A sentence that says why the planned trial is another one here, with the remedy.

    Args:
        cell: the variant as it is here; ``None`` if the study has it no more.
        variant: the name of the variant.
        study_file: the file of the study.
        folder: the results folder with the plan.
    """
    try:
        plan = read_plan(folder)
    except (OSError, RecordError):
        return _CHANGED
    if not plan.modules or not _are_as_planned(plan, study_file.resolve().parent):
        return _CHANGED
    if cell is None:
        return _DIFFERS.format(f"this process has no variant {variant}")
    planned = plan.audit.variants.get(variant)
    if planned is None:
        return _CHANGED
    slots = {slot: Described.model_validate(part.describe()) for slot, part in cell.variant.parts().items()}
    losses = [Described.model_validate(part.describe()) for part in cell.variant.losses]
    before = _settings(planned.slots, planned.losses, planned.recipe)
    first = next(differing(before, _settings(slots, losses, cell.recipe.describe())), None)
    if first is None:
        return _CHANGED
    name, planned_value, value = first
    return _DIFFERS.format(f"{name} is {value} here, {planned_value} in the plan")


_CHANGED = "the study, a component or the data changed after planning; run again"
_DIFFERS = (
    "the study is not the same in two processes (a set, a clock, a random number?): {}; sort what comes from a set, "
    "and write numbers down"
)


def _are_as_planned(plan: Plan, folder: Path) -> bool:
    """True if the study's file and its own modules have the contents that they had when the study was planned."""
    imported = [Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]
    for name, digest in plan.modules.items():
        places = [folder / name, *(file for file in imported if file.name == name)]
        files = [file for file in places if file.is_file()]
        if digest not in (file_digest(file.read_bytes()) for file in files):
            return False
    return True


def _settings(
    slots: Mapping[str, Described], losses: Sequence[Described], recipe: Mapping[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """The classes and choices of a variant by slot and by the number of the loss, and its recipe."""
    parts = {**slots, **{f"losses.{index}": loss for index, loss in enumerate(losses)}}
    return {**{name: {"class": part.class_name, **part.choices} for name, part in parts.items()}, "recipe": recipe}
