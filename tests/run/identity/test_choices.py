"""A choice counts where it is read: one at the value that keeps the old behaviour leaves the old key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.run.identity.conftest import Reader

OLD = """
from torch import nn


class Mine(nn.Module):
    def __init__(self, levels, *, width: int = 8, dropout: float = 0.1):
        super().__init__()
        self.layer = nn.Conv2d(levels, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout(self.layer(x))
"""
CHOICES = {"width": 8, "dropout": 0.1}

NEW = {
    "branch": (
        {"frozen": False},
        """
    def __init__(self, levels, *, width: int = 8, dropout: float = 0.1, frozen: bool = False):
        super().__init__()
        self.layer = nn.Conv2d(levels, width, 1)
        self.dropout = nn.Dropout(dropout)
        if frozen:
            self.requires_grad_(False)

    def forward(self, x):
        return self.dropout(self.layer(x))
""",
    ),
    "branch in another method": (
        {"order": "after"},
        """
    def __init__(self, levels, *, width: int = 8, dropout: float = 0.1, order: str = "after"):
        super().__init__()
        self.layer = nn.Conv2d(levels, width, 1)
        self.dropout = nn.Dropout(dropout)
        self.order = order

    def forward(self, x):
        if self.order == "before":
            return self.layer(self.dropout(x))
        return self.dropout(self.layer(x))
""",
    ),
    "conditional expression": (
        {"norm": None},
        """
    def __init__(self, levels, *, norm: str | None = None, width: int = 8, dropout: float = 0.1):
        super().__init__()
        self.layer = nn.Conv2d(levels, width, 1) if norm is None else nn.Linear(levels, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout(self.layer(x))
""",
    ),
    "several values": (
        {"kind": "plain"},
        """
    def __init__(self, levels, *, width: int = 8, dropout: float = 0.1, kind: Literal["plain", "deep"] = "plain"):
        super().__init__()
        if kind not in ("plain", "deep"):
            raise ValueError(f"kind {kind}")
        deep = kind == "deep"
        if deep and width > 4:
            self.layer = nn.Sequential()
        elif not deep:
            self.layer = nn.Conv2d(levels, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.dropout(self.layer(x))
""",
    ),
    "entry of a dictionary": (
        {"named": False},
        """
    def __init__(self, levels, *, width: int = 8, dropout: float = 0.1, named: bool = False):
        super().__init__()
        self.layer = nn.Conv2d(levels, width, 1)
        self.dropout = nn.Dropout(**{"p": dropout, **({"inplace": True} if named else {})})

    def forward(self, x):
        return self.dropout(self.layer(x))
""",
    ),
    "private method": (
        {"extra": 0},
        """
    def __init__(self, levels, *, width: int = 8, dropout: float = 0.1, extra: int = 0):
        super().__init__()
        self.layer = nn.Conv2d(levels, width, 1)
        self.dropout = nn.Dropout(dropout)
        self.extra = extra

    def forward(self, x):
        x = self.dropout(self.layer(x))
        if self.extra > 0:
            return self._more(x)
        return x

    def _more(self, x):
        return x + self.extra
""",
    ),
}
START = OLD[: OLD.index("    def __init__")]


@pytest.mark.parametrize("form", NEW)
def test_a_new_choice_at_the_old_behaviour_keeps_the_key(form: str, read: Reader) -> None:
    choice, body = NEW[form]
    changed = {
        "private method": ("return self.dropout(self.layer(x))", "x = self.dropout(self.layer(x))\n        return x"),
        "entry of a dictionary": ("nn.Dropout(dropout)", 'nn.Dropout(**{"p": dropout})'),
    }
    old = OLD.replace(*changed.get(form, ("", "")))
    source = read({"study.py": START + body}, CHOICES | choice)
    assert source.digest == read({"study.py": old}, CHOICES).digest
    assert source.unwritten[0] == {}


@pytest.mark.parametrize("form", NEW)
@pytest.mark.parametrize("value", [True, "before", "deep", "group", 3])
def test_another_value_of_a_new_choice_changes_the_key(form: str, value: Any, read: Reader) -> None:
    choice, body = NEW[form]
    (name,) = choice
    files = {"study.py": START + body}
    plain = read(files, CHOICES | choice, CHOICES | choice)
    other = read(files, CHOICES | {name: value}, CHOICES | choice)
    assert (plain.digest, plain.unwritten) != (other.digest, other.unwritten)


def test_a_choice_that_code_shows_is_told_by_the_code_alone(read: Reader) -> None:
    files = {"study.py": OLD}
    wide = read(files, {**CHOICES, "width": 16}, CHOICES)
    assert wide.digest != read(files, CHOICES, CHOICES).digest
    assert wide.unwritten[0] == {}


def test_another_default_counts_where_it_is_taken_and_nowhere_else(read: Reader) -> None:
    other = {"study.py": OLD.replace("width: int = 8", "width: int = 4")}
    given = read({"study.py": OLD}, CHOICES, CHOICES)
    assert read(other, CHOICES, {**CHOICES, "width": 4}).digest == given.digest
    assert read(other, {**CHOICES, "width": 4}, {**CHOICES, "width": 4}).digest != given.digest


@pytest.mark.parametrize(
    "body",
    [
        "        width = width + 1\n        self.layer = nn.Conv2d(levels, width, 1)",
        "        self.layer = nn.Conv2d(levels, locals()['width'], 1)",
        "        self.layer = nn.Conv2d(levels, eval('width'), 1)",
    ],
)
def test_nothing_is_put_in_where_that_is_not_safe(body: str, read: Reader) -> None:
    files = {"study.py": OLD.replace("        self.layer = nn.Conv2d(levels, width, 1)", body)}
    source = read(files, CHOICES, CHOICES)
    assert source.unwritten[0]["width"] == 8
    renamed = {"study.py": files["study.py"].replace("width: int = 8", "width: int = 4")}
    assert read(renamed, CHOICES, CHOICES).digest != source.digest


def test_an_attribute_that_others_may_set_is_not_put_in(read: Reader) -> None:
    source = START + (
        "    def __init__(self, *, scale: int = 1):\n        super().__init__()\n        self.scale = scale\n"
        "    def forward(self, x):\n        if self.scale == 1:\n            return x\n        return change(x)\n"
    )
    setter = "def change(module):\n    module.scale = 2\n    return module\nclass Other:\n    pass\n"
    calls = source.replace("            return x\n", "            change(self)\n            return x\n")
    edited = calls.replace("return change(x)", "return abs(x)")
    with_it = {"study.py": setter + calls}, {"study.py": setter + edited}
    first, second = (read(each, {"scale": 1}).digest for each in with_it)
    assert first != second  # the branch for another scale may be taken
    without = {"study.py": source}, {"study.py": source.replace("return change(x)", "return abs(x)")}
    third, fourth = (read(each, {"scale": 1}).digest for each in without)
    assert third == fourth  # it never is


def test_a_class_that_makes_another_of_its_kind_keeps_every_branch(read: Reader) -> None:
    source = START + (
        "    def __init__(self, *, deep: bool = False):\n        super().__init__()\n        if deep:\n"
        "            self.more = nn.Linear(1, 1)\n        else:\n            self.more = {}\n"
    )
    for made in ("Mine(deep=True)", "type(self)(deep=True)", "self.__class__(deep=True)"):
        one = source.format(made)
        assert (
            read({"study.py": one}, {"deep": False}).digest
            != read({"study.py": one.replace("nn.Linear(1, 1)", "nn.Linear(1, 2)")}, {"deep": False}).digest
        )


def test_a_choice_that_nothing_reads_is_told_apart_by_name(read: Reader) -> None:
    files = {"study.py": START + "    def __init__(self, *, unread: int = 1):\n        super().__init__()\n"}
    assert read(files, {"unread": 1}, {"unread": 1}).unwritten[0] == {}
    assert read(files, {"unread": 2}, {"unread": 1}).unwritten[0] == {"unread": 2}
    assert read(files, {"unread": 1}).digest == read(files, {"unread": 2}).digest


def test_equal_numbers_of_different_kinds_are_different_values(read: Reader) -> None:
    files = {"study.py": OLD}
    assert len({read(files, {"width": 8, "dropout": value}).digest for value in (0, 0.0, False, 1, 1.0)}) == 5


def test_a_choice_of_the_constructor_of_a_base_class_is_told_by_name(read: Reader) -> None:
    files = {"study.py": OLD.replace("Mine", "Base") + "\n\nclass Mine(Base):\n    pass\n"}
    assert read(files, CHOICES).unwritten[0] == CHOICES
