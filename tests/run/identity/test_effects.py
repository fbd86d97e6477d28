"""Statements at the top of a module that change a class or a table count with it, in whatever way they change it."""

from __future__ import annotations

import pytest

from tests.run.identity.conftest import Changes, Reader

SCALED = "import functools, operator\nclass Mine:\n    def forward(self, x):\n        return x * self.scale\n"
OTHER = "class Other:\n    def forward(self, x):\n        return x * self.scale\n"
FIX = "def fix(cls):\n    cls.scale = 1.0\n"
PATCHER = "class Patcher:\n    def fix(self, cls):\n        cls.scale = 1.0\n"

PATCHES = {
    "called lambda": "(lambda cls: setattr(cls, 'scale', 1.0))(Mine)\n",
    "lambda with a name": "fix = lambda cls: setattr(cls, 'scale', 1.0)\nDONE = fix(Mine)\n",
    "lambda that names the class": "DONE = (lambda: setattr(Mine, 'scale', 1.0))()\n",
    "lambda of a lambda": "(lambda fix: fix(Mine))(lambda cls: setattr(cls, 'scale', 1.0))\n",
    "lambda with all arguments in one": "(lambda *all: setattr(all[0], 'scale', 1.0))(Mine)\n",
    "function mapped over a list": FIX + "list(map(fix, [Mine]))\n",
    "function mapped over a list that is kept": FIX + "DONE = list(map(fix, [Mine]))\n",
    "function mapped over a variable": FIX + "ALL = (Mine,)\nDONE = [*map(fix, ALL)]\n",
    "lambda mapped over a list": "list(map(lambda cls: setattr(cls, 'scale', 1.0), [Mine]))\n",
    "setattr mapped over lists": "list(map(setattr, [Mine], ['scale'], [1.0]))\n",
    "method of the class mapped": "DONE = list(map(type.__setattr__, [Mine], ['scale'], [1.0]))\n",
    "function that sorts": "def fix(cls):\n    cls.scale = 1.0\n    return 0\nDONE = sorted([Mine], key=fix)\n",
    "function of a reduction": FIX.replace("(cls)", "(cls, value)") + "DONE = functools.reduce(fix, [2], Mine)\n",
    "function in a comprehension": FIX + "DONE = [fix(cls) for cls in [Mine]]\n",
    "loop over a variable": "ALL = {'mine': Mine}\nfor cls in ALL.values():\n    cls.scale = 1.0\n",
    "function that loops over a variable": "def fix(all):\n    for cls in all:\n        cls.scale = 1.0\n"
    "ALL = [Mine]\nDONE = fix(ALL)\n",
    "functions in a loop": FIX + "DONE = [each(Mine) for each in [fix]]\n",
    "function with some of its arguments": FIX.replace("(cls)", "(value, cls)") + "functools.partial(fix, 2)(Mine)\n",
    "partial setattr": "fix = functools.partial(setattr, Mine, 'scale')\nfix(1.0)\n",
    "function in a table": FIX + "FIXES = {'scale': fix}\nFIXES['scale'](Mine)\n",
    "function under another name": FIX + "again = fix\nDONE = again(Mine)\n",
    "function that a function makes": "def made(value):\n    def fix(cls):\n        cls.scale = value\n    return fix\n"
    "DONE = made(1.0)(Mine)\n",
    "function that another function calls": FIX + "def apply(function, cls):\n    return function(cls)\n"
    "DONE = apply(fix, Mine)\n",
    "loop inside of a function": "def fix():\n    for cls in [Mine]:\n        cls.scale = 1.0\nDONE = fix()\n",
    "map inside of a function": FIX + "def fix_all():\n    return list(map(fix, [Mine]))\nDONE = fix_all()\n",
    "function with all arguments in one": "def fix(*all):\n    for cls in all:\n        cls.scale = 1.0\n"
    "DONE = fix(Mine)\n",
    "method of an object": PATCHER + "PATCHER = Patcher()\nDONE = PATCHER.fix(Mine)\n",
    "method of an object without a name": PATCHER + "DONE = Patcher().fix(Mine)\n",
    "method that is mapped": PATCHER + "DONE = list(map(Patcher().fix, [Mine]))\n",
    "static method": PATCHER.replace("    def fix(self, cls)", "    @staticmethod\n    def fix(cls)")
    + "DONE = Patcher.fix(Mine)\n",
    "method that names the class": "class Patcher:\n    def fix(self):\n        Mine.scale = 1.0\n"
    "DONE = Patcher().fix()\n",
    "class that a function gives": "def chosen():\n    return Mine\nchosen().scale = 1.0\n",
    "class that a lambda gives": "(lambda: Mine)().scale = 1.0\n",
    "class that an iterator gives": "next(iter([Mine])).scale = 1.0\n",
    "class that a function hands through": "def same(cls):\n    return cls\nsame(Mine).scale = 1.0\n",
    "lambda that a function makes, mapped": "def made(value):\n"
    "    return lambda cls: setattr(cls, 'scale', value)\nDONE = list(map(made(1.0), [Mine]))\n",
    "thread": FIX + "import threading\nTHREAD = threading.Thread(target=fix, args=(Mine,))\n",
    "operator of an object": "class Patcher:\n    def __or__(self, cls):\n        cls.scale = 1.0\n"
    "DONE = Patcher() | Mine\n",
    "item of an object": "class Patcher:\n    def __getitem__(self, cls):\n        cls.scale = 1.0\n"
    "DONE = Patcher()[Mine]\n",
    "names for several values": "A, B = Mine, 2\nA.scale = 1.0\n",
    "class in a table": "A = {'mine': Mine}\nA['mine'].scale = 1.0\n",
    "class that another class holds": "class Holder:\n    kept = Mine\nHolder.kept.scale = 1.0\n",
    "class of an object": "OBJECT = Mine()\ntype(OBJECT).scale = 1.0\n",
    "base of another class": "class Sub(Mine):\n    pass\nSub.__mro__[1].scale = 1.0\n",
}  # fmt: skip
"""Way to patch the class ``Mine`` -> the statements that do so."""


@pytest.mark.parametrize("way", PATCHES)
def test_a_patched_class_counts_with_its_patch(way: str, changes_key: Changes) -> None:
    assert changes_key(SCALED + PATCHES[way])


SEEN = (
    "called lambda", "function mapped over a list", "lambda mapped over a list", "method of an object",
    "function under another name", "function of a reduction",
)  # fmt: skip
"""Ways to patch a class that leave no doubt which class it is."""


@pytest.mark.parametrize("way", SEEN)
def test_a_patch_of_another_class_does_not_count(way: str, changes_key: Changes) -> None:
    assert not changes_key(SCALED.replace("self.scale", "2") + OTHER + PATCHES[way].replace("Mine", "Other"))


@pytest.mark.parametrize("way", ["function in a table", "function with some of its arguments"])
def test_a_note_says_where_a_computed_function_may_have_changed_a_class(way: str, read: Reader) -> None:
    notes = read({"study.py": SCALED + PATCHES[way]}).notes
    assert len(notes) == 1
    assert notes[0].startswith("study.py:")
    assert "a computed function is called" in notes[0]


def test_a_builtin_that_is_called_for_an_effect_which_is_not_seen_counts_with_a_note(
    read: Reader, changes_key: Changes
) -> None:
    source = SCALED.replace("self.scale", "2") + "import missing\nany(missing.fix(1.0) for each in [2])\n"
    (note,) = read({"study.py": source}).notes
    assert note.endswith("any() is called for an effect that is not seen")
    assert changes_key(source)


TABLE = "TABLE = []\nclass Mine:\n    def forward(self, x):\n        return x * TABLE[0]\n"
FILLED = {
    "method of the table mapped": "list(map(TABLE.append, [1.0]))\n",
    "function of another library": "import operator\nDONE = operator.setitem(TABLE, slice(0, 0), [1.0])\n",
    "method of the class list": "DONE = list.append(TABLE, 1.0)\n",
    "method under another name": "add = TABLE.append\nDONE = add(1.0)\n",
    "print into the table": "class Lines(list):\n    def write(self, text):\n        self.append(text)\n"
    "TABLE = Lines()\nprint(1.0, file=TABLE)\n",
    "function in a loop of a function": "def fill():\n    for name, kept in [('a', TABLE)]:\n        kept.append(1.0)\n"
    "DONE = fill()\n",
}  # fmt: skip


@pytest.mark.parametrize("call", ["Mine.put(1.0)", "list(map(Mine.put, [1.0]))"])
def test_a_class_counts_with_what_its_own_method_sets(call: str, changes_key: Changes) -> None:
    method = "    @classmethod\n    def put(cls, value):\n        cls.scale = value\n"
    assert changes_key(SCALED + method + f"DONE = {call}\n")


@pytest.mark.parametrize("way", FILLED)
def test_a_table_counts_with_what_fills_it(way: str, changes_key: Changes) -> None:
    assert changes_key(TABLE + FILLED[way])
