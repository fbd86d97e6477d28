"""The texts that keys are digests of, for other and other values in their slots."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..forms.pieces import OpenSlot, OpenValue, spelled
from ..key import Computation, Keys, in_one_form
from ..spelling import OpenSource
from ..values import is_neutral, readable
from .shape import Other


class Digests:
    """The digests of a text for other and other values in its slots; beginnings that were digested are kept.

    Args:
        parts: the text with its slots.
        first: slot -> the value that stands there if no other one is given.
    """

    def __init__(self, parts: Sequence[str | OpenSlot], first: Mapping[OpenSlot, Any]) -> None:
        self.parts = parts
        self.first = {slot: spelled(value) for slot, value in first.items()}
        self._place = {slot: place for place, slot in reversed(list(enumerate(parts))) if isinstance(slot, OpenSlot)}
        self._varying: list[OpenSlot] = []
        self._stretches: list[list[bytes | int]] = []
        self._begun: dict[tuple[str, ...], Any] = {}
        self._done: dict[tuple[str, ...], str] = {}
        self._cut([])

    def digest(self, others: Iterable[tuple[OpenSlot, str]]) -> str:
        """The SHA-256 of the text with these values, in hexadecimal digits."""
        given = {slot: text for slot, text in others if slot in self._place}
        if not given.keys() <= set(self._varying):
            self._cut([*self._varying, *(slot for slot in given if slot not in self._varying)])
        values = tuple([given.get(slot, self.first[slot]) for slot in self._varying])
        if values not in self._done:
            self._done[values] = self._digested(values)
        return self._done[values]

    def _digested(self, values: tuple[str, ...]) -> str:
        at = len(values)
        while values[:at] not in self._begun:
            at -= 1
        state = self._begun[values[:at]]
        texts = [value.encode() for value in values]
        for number in range(at, len(values)):
            state = state.copy()
            state.update(b"".join([texts[part] if isinstance(part, int) else part for part in self._stretches[number]]))
            if number + 1 < len(values):
                self._begun[values[: number + 1]] = state
        return str(state.hexdigest())

    def _cut(self, varying: list[OpenSlot]) -> None:
        """Cut the text where each of the varying slots comes first; in a stretch, a number stands for one of them."""
        self._varying = sorted(varying, key=self._place.__getitem__)
        numbers = {slot: number for number, slot in enumerate(self._varying)}
        starts = [0, *(self._place[slot] for slot in self._varying), len(self.parts)]
        cut = [self._joined(self.parts[start:end], numbers) for start, end in itertools.pairwise(starts)]
        beginning, self._stretches = cut[0], cut[1:]
        self._begun = {(): hashlib.sha256(b"".join(part for part in beginning if isinstance(part, bytes)))}
        self._done = {}

    def _joined(self, parts: Iterable[str | OpenSlot], numbers: Mapping[OpenSlot, int]) -> list[bytes | int]:
        joined: list[bytes | int] = []
        for part in parts:
            number = None if isinstance(part, str) else numbers.get(part)
            if number is not None:
                joined.append(number)
                continue
            text = (part if isinstance(part, str) else self.first[part]).encode()
            if joined and isinstance(joined[-1], bytes):
                joined[-1] += text
            else:
                joined.append(text)
        return joined


class SettingTexts:
    """The settings in the keys of trials, as text in which a few are replaced.

    Args:
        source: the code of the trials.
        slots: place -> the slot of its value in the code.
        first: place -> the value that stands there if no other one is given.
        settings: the settings of the trial whose code was read.
        asked: that trial.
        keys: makes the keys of single trials.
    """

    def __init__(
        self,
        source: OpenSource,
        slots: Mapping[str, OpenSlot],
        first: Mapping[str, Any],
        settings: Mapping[str, Any],
        asked: Computation,
        keys: Keys,
    ) -> None:
        self._recipe, self._project = asked.recipe, keys.library.project
        unwritten = {
            value.slot for names in source.unwritten for value in names.values() if isinstance(value, OpenValue)
        }
        self._told = {place for place, slot in slots.items() if slot in unwritten or not isinstance(slot.owner, int)}
        names = sorted({*settings, *self._told})
        self._number = {name: number for number, name in enumerate(names)}
        self._texts = [
            self._text(name, first[name])
            if name in self._told
            else f"{in_one_form(name)}:{in_one_form(settings[name])}"
            for name in names
        ]
        self._known: dict[tuple[str, str], str] = {}

    def _text(self, place: str, value: Any) -> str:
        """One setting as text, which is empty for a value that counts as if there were no such field."""
        start, _, name = place.partition(".")
        if start == "recipe" and is_neutral(self._recipe, name, value):
            return ""
        return f"{in_one_form(place)}:{in_one_form(readable(value, self._project))}"

    def text(self, others: Iterable[Other]) -> str:
        """All settings, with values that differ from the first ones."""
        texts = self._texts.copy()
        for place, value, spelling in others:
            if place in self._told:
                known = (place, spelling)
                if known not in self._known:
                    self._known[known] = self._text(place, value)
                texts[self._number[place]] = self._known[known]
        return ",".join(filter(None, texts))
