"""The changes since a record was made, by which it belongs to no planned trial: settings, data, versions, source.

Settings are compared as the record has them. What else changed is told from a key of the present source with the
settings of the record, since a key holds the code together with the settings that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from bench.parts import BenchError, Part, plain
from bench.protocol.words import differing
from bench.records.record import Record
from bench.run.identity.explained import Explained, KeyChanges, Transition, changes_between, explained
from bench.run.identity.key import Key
from bench.run.stages import IRRELEVANT
from bench.study.cells import Cell

KeyOf = Callable[[Cell, str | None], Key]
"""The present key of the record's trial for a cell, with the fingerprint of the present data or another one."""


def changes_since(record: Record, cell: Cell, old: Explained | None, fingerprint: str, key_of: KeyOf) -> KeyChanges:
    """The changes since a record was made; as a text, a phrase such as ``settings changed: recipe.batch 4 → 8``.

    Args:
        record: the record.
        cell: the cell that its trial is of now.
        old: the contents of its key, if they are known.
        fingerprint: the fingerprint of the cell's present data.
        key_of: a function that gives present keys.
    """
    changes = KeyChanges(settings=tuple(_changed_settings(record, cell)))
    then = old.data if old is not None else record.choices.fingerprint
    before = _with_settings_of(record, cell)
    if old is not None:
        now = explained(key_of(before or cell, None))
        if before is not None or not changes.settings:
            if (old.text, old.data) != (now.text, now.data):
                more = changes_between(old, now)
                changes = replace(more, settings=changes.settings + more.settings)
        elif old.data != fingerprint:
            changes = replace(changes, data=True)
        return changes if changes != KeyChanges() else changes_between(old, now)
    if then is not None and then != fingerprint:
        changes = replace(changes, data=True)
    if before is not None and then is not None and key_of(before, then).text != record.planned_key:
        changes = replace(changes, other="source or versions changed")
    return changes if changes != KeyChanges() else KeyChanges(other="made by other source, versions or data")


def _changed_settings(record: Record, cell: Cell) -> Iterator[Transition]:
    """The settings in which a cell differs from a record's, such as ``head.width 8 → 12``."""
    recorded = record.choices
    if not recorded.variant and not recorded.recipe:
        return  # the trial ended before its cell was known
    irrelevant = IRRELEVANT[record.trial.stage]

    def settings(variant: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
        return {**variant, "recipe": {name: value for name, value in recipe.items() if name not in irrelevant}}

    present = settings(cell.variant.describe(), cell.recipe.describe())
    for name, before, now in differing(settings(recorded.variant, recorded.recipe), present):
        yield Transition(name.replace(".choices.", "."), before, now)


def _with_settings_of(record: Record, cell: Cell) -> Cell | None:
    """A cell with the recorded settings; ``None`` where a component is of another class than now, or is none now."""
    recorded = record.choices
    if not recorded.variant or not recorded.recipe:
        return None
    try:
        return replace(cell, variant=_restored_fields(cell.variant, recorded.variant),
                       recipe=_restored_fields(cell.recipe, recorded.recipe))  # fmt: skip
    except (BenchError, LookupError, TypeError):
        return None


def _restored_fields(current: Any, recorded: Mapping[str, Any]) -> Any:
    """A dataclass whose fields have the recorded values; a field that the record lacks is as now."""
    names = [field.name for field in fields(current)]
    values = {name: _restored(getattr(current, name), recorded.get(name)) for name in names if name in recorded}
    if empty := [name for name in names if name not in recorded and isinstance(getattr(current, name), Part)]:
        raise LookupError(f"the record has no {', '.join(empty)}")
    return replace(current, **values)


def _restored(current: Any, recorded: Any) -> Any:
    """A recorded value as the study would give it, from the present value of the same setting.

    Raises:
        LookupError: for a component of another class than the present one.
        ChoiceError: for a choice that is not allowed now.
    """
    if plain(current) == recorded:
        return current
    if isinstance(current, Part) and isinstance(recorded, Mapping):
        if recorded["class"] != current.describe()["class"]:
            raise LookupError(recorded["class"])
        choices = dict(current.choices)
        return current.having(**{name: _restored(choices[name], value) for name, value in recorded["choices"].items()})
    if isinstance(recorded, Mapping) or isinstance(current, Part):
        raise LookupError(str(recorded))
    if isinstance(recorded, list):
        now = current if isinstance(current, tuple) and len(current) == len(recorded) else [None] * len(recorded)
        return tuple(_restored(item, value) for item, value in zip(now, recorded, strict=True))
    return recorded
