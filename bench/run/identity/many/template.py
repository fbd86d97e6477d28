"""One reading of code with open values, and the keys of all trials that it holds for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..forms.pieces import OpenSlot, OpenValue
from ..key import PREFIX, Computation, Key, Keys, digest_of_text, in_one_form
from ..known.logic import is_constant
from ..library import Root
from ..spelling import OpenSource
from .shape import Other
from .texts import Digests, SettingTexts


class Template:
    """The code of trials that differ in values at which the reading of the code did not look.

    Args:
        keys: makes the keys of single trials.
        source: the code as it was read.
        slots: place -> the slot of its value in the code.
        looked: the places whose values were looked at.
        first: place -> the value that stands there where a trial has no other.
        contents: all else that is in the key of the trial whose code was read.
        asked: that trial.
    """

    def __init__(
        self,
        keys: Keys,
        source: OpenSource,
        slots: Mapping[str, OpenSlot],
        looked: frozenset[str],
        first: Mapping[str, Any],
        contents: Mapping[str, Any],
        asked: Computation,
    ) -> None:
        self.keys, self.source, self.slots, self.looked = keys, source, slots, looked
        self._digests = Digests(source.text.parts, {slot: first[place] for place, slot in slots.items()})
        self._settings = SettingTexts(source, slots, first, contents["settings"], asked, keys)
        self._written = {name: in_one_form(value) for name, value in contents.items() if name != "settings"}
        self._heads: dict[tuple[str, int | None], str] = {}

    @classmethod
    def read(
        cls,
        keys: Keys,
        asked: Computation,
        open_roles: frozenset[str],
        others: Iterable[Other],
        first: Mapping[str, Any],
    ) -> Template:
        """Read the code of a trial with open values.

        Args:
            keys: makes the keys of single trials.
            asked: the trial.
            open_roles: the roles of components whose choices are open.
            others: the values of the trial that differ from the first ones.
            first: place -> the first value there.

        Raises:
            ValueError: for a component whose source cannot be found.
        """
        slots: dict[str, OpenSlot] = {}

        def opened(place: str, slot: OpenSlot, value: Any, *, choice: str = "", is_default: bool = False) -> OpenValue:
            slots[place] = slot
            return OpenValue.of(value, slot, choice=choice, is_default=is_default)

        known = keys.fields(asked)
        recipe = keys.library.unit_of(type(asked.recipe))
        known[recipe] = {
            name: value if name in asked.irrelevant else opened(f"recipe.{name}", OpenSlot(recipe, name), value)
            for name, value in known[recipe].items()
        }
        roots = []
        for number, root in enumerate(keys.roots(asked)):
            choices = root.choices
            if choices is not None and root.role in open_roles:
                choices = {
                    name: opened(
                        f"{root.role}.{name}",
                        OpenSlot(number, name),
                        value,
                        choice=name,
                        is_default=root.is_default(name),
                    )
                    if is_constant(value)
                    else value
                    for name, value in choices.items()
                }
            roots.append(Root(root.role, root.unit, choices, root.defaults))
        source, looked = keys.reader.read_open(roots, known, asked.modules)
        seen = frozenset(place for place, slot in slots.items() if slot in looked)
        values = _values(keys, slots, asked)
        started = {place: values[slot] for place, slot in slots.items()}
        started |= {other.place: first[other.place] for other in others if other.place not in seen}
        contents = keys.contents(asked, source.with_values(values))
        return cls(keys, source, slots, seen, started, contents, asked)

    def key(self, asked: Computation, others: Sequence[Other]) -> str:
        """The key of a trial with values that differ from the first ones."""
        written = self._written
        code = self._digests.digest([(self.slots[other.place], other.text) for other in others])
        known = (asked.data, asked.seed)
        if known not in self._heads:
            data, seed = in_one_form(asked.data), in_one_form(asked.seed)
            self._heads[known] = f'{{"data":{data},"roles":{self._written["roles"]},"seed":{seed},"settings":{{'
        tail = f'"stage":{written["stage"]},"version":{written["version"]},"versions":{written["versions"]}}}'
        return PREFIX + digest_of_text(f'{self._heads[known]}{self._settings.text(others)}}},"source":"{code}",{tail}')

    def contents(self, asked: Computation) -> Key:
        """The key of a trial with its contents."""
        return self.keys.made(asked, self.source.with_values(_values(self.keys, self.slots, asked)))


def _values(keys: Keys, slots: Mapping[str, OpenSlot], asked: Computation) -> dict[OpenSlot, Any]:
    """The values of a trial by slot."""
    roots = keys.roots(asked)
    values = {}
    for slot in slots.values():
        choices = roots[slot.owner].choices if isinstance(slot.owner, int) else None
        values[slot] = getattr(asked.recipe, slot.name) if choices is None else choices[slot.name]
    return values
