"""The contents of keys in ``study.json``: each stored once, restored as they were, packed without comparing them."""

from __future__ import annotations

import pytest

from bench.run.identity import explained
from bench.run.identity.explained import Explained, packed, unpacked


class Counted(str):
    """A text that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def contents(number: int, values: int) -> Explained:
    settings = {"recipe.learning_rate": number % values, "recipe.optimiser": Counted(f"o{number % values}")}
    return Explained(f"v2{number:016x}", settings, "data", {"torch": "2.9"}, {"a.py:f": "0", f"b.py:{number % 3}": "1"})


def test_packing_writes_each_value_once_and_compares_none(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [contents(number, values=300) for number in range(600)]
    written: list[object] = []
    write = explained.in_one_form

    def counted(value: object) -> str:
        written.append(value)
        return write(value)

    monkeypatch.setattr(explained, "in_one_form", counted)
    Counted.compared = 0
    document = packed(keys)
    assert (len(written), Counted.compared) == (4 * len(keys), 0)
    assert [len(document[name]) for name in ("sources", "settings", "versions", "data")] == [3, 300, 1, 1]
    assert unpacked(document) == {key.text: key for key in keys}


def test_a_whole_number_and_a_fraction_of_the_same_value_are_restored_as_what_they_were() -> None:
    one, other = (Explained(key, {"recipe.scale": value}, "", {}, {}) for key, value in (("a", 1), ("b", 1.0)))
    restored = unpacked(packed([one, other]))
    assert [repr(restored[key].settings["recipe.scale"]) for key in ("a", "b")] == ["1", "1.0"]
