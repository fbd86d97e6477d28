"""Edits that compute the same keep the key; each stands beside one that does not, where one is close by."""

from __future__ import annotations

import pytest

from tests.run.identity.conftest import Changes, Reader

SOURCE = '''
"""A study."""
import logging
import warnings
from dataclasses import dataclass

import torch
from torch import nn

log = logging.getLogger(__name__)
SCALE = 2
UNUSED = 3


class SquashError(ValueError):
    """Something is wrong."""


@dataclass
class Sizes:
    """Some sizes."""

    width: int = 4
    height: int = 5


def helper(x, factor=1):
    """Says what it does."""
    total = x * SCALE  # a comment
    if factor < 0:
        raise SquashError(f"factor is {factor}, not positive")
    assert factor > 0, "factor"
    for index in range(factor):
        total = total + index
    return total


def unused(x):
    return x + UNUSED


class Mine(nn.Module):
    """A component."""

    size: int = 1

    def __init__(self, levels):
        super().__init__()
        self.layer = nn.Conv2d(levels, Sizes().width, 1)

    def forward(self, x: float) -> float:
        log.info("forward of %s", x)
        warnings.warn("slow", stacklevel=2)
        print("here", len(x.shape))
        return self._first(self._second(x))

    def _first(self, x):
        parts = [part for part in x]
        return helper(torch.cat(parts), factor=2)

    def _second(self, x):
        return x + self.size

    def _unused(self, x):
        return x
'''

SAME = {
    "comment": ("# a comment", "# another comment"),
    "docstring of a function": ("Says what it does", "Does what it says"),
    "docstring of a class": ("A component", "A part"),
    "docstring dropped": ('    """A component."""\n\n', ""),
    "layout": ("x * SCALE", "(x   *\n        SCALE)"),
    "unused constant": ("UNUSED = 3", "UNUSED = 4"),
    "unused function": ("x + UNUSED", "x - UNUSED"),
    "unused private method": ("def _unused(self, x):\n        return x", "def _unused(self, x):\n        return 2 * x"),
    "annotation of a parameter": ("x: float) -> float", "x: int) -> int"),
    "annotation of a local variable": ("total = x *", "total: float = x *"),
    "annotation of a class attribute": ("size: int = 1", "size: float = 1"),
    "annotation of a class attribute dropped": ("size: int = 1", "size = 1"),
    "annotation of a dataclass field that nothing reads": ("width: int = 4", "width: float = 4"),
    "text of an error": ("not positive", "below zero"),
    "text of an error with a call": ('SquashError(f"factor is {factor}', 'SquashError(f"factor is {describe(factor)}'),
    "text of an assertion": ('0, "factor"', '0, f"factor {factor}"'),
    "text of a log": ("forward of", "going through"),
    "a log dropped": ('        log.info("forward of %s", x)\n', ""),
    "text of a warning": ('"slow"', '"very slow"'),
    "text that is printed": ('print("here", len(x.shape))', 'print("there")'),
    "name of a local variable": ("total", "result"),
    "name of a loop variable": ("index", "step"),
    "name of a variable in a comprehension": ("[part for part in x]", "[piece for piece in x]"),
    "name of a function": ("helper", "assist"),
    "name of a constant": ("SCALE", "FACTOR"),
    "name of a class that is used": ("Sizes", "Extents"),
    "name of an error": ("SquashError", "PressError"),
    "name of a private method": ("_first", "_start"),
    "names of two private methods": ("_second", "_a"),
    "another private helper": ("def unused(x)", "def _another(x):\n    return x\n\n\ndef unused(x)"),
    "order of definitions": ("UNUSED = 3\n", "UNUSED = 3\n\n\ndef before(x):\n    return 0\n"),
    "another import": ("import torch\n", "import math\nimport torch\n"),
    "another name for a package": ("import torch\n", "import torch as t\n"),
    "sign of a number": ("factor < 0", "factor < -0"),
    "pass": ("    return x + UNUSED", "    pass"),
}  # fmt: skip

CHANGED = {
    "operator": ("x * SCALE", "x / SCALE"),
    "constant": ("SCALE = 2", "SCALE = 4"),
    "kind of a number": ("SCALE = 2", "SCALE = 2.0"),
    "class attribute": ("size: int = 1", "size: int = 2"),
    "default": ("factor=1", "factor=3"),
    "name of a parameter": ("def helper(x, factor", "def helper(y, factor"),
    "argument": ("factor=2", "factor=3"),
    "condition of an error": ("factor < 0", "factor < 1"),
    "kind of an error": ("raise SquashError", "raise ValueError"),
    "condition of an assertion": ("factor > 0", "factor > 1"),
    "order of calls": ("self._first(self._second(x))", "self._second(self._first(x))"),
    "another function called": ("helper(torch.cat", "unused(torch.cat"),
    "body of a method": ("x + self.size", "x - self.size"),
    "default of a dataclass field": ("width: int = 4", "width: int = 8"),
    "base class": ("class Mine(nn.Module)", "class Mine(nn.Identity)"),
    "base class of an error": ("SquashError(ValueError)", "SquashError(OSError)"),
    "function of a package": ("torch.cat", "torch.stack"),
    "public method": ("    def _second", "    def extra(self):\n        return 0\n\n    def _second"),
    "decorator": ("    def forward", "    @torch.no_grad()\n    def forward"),
    "loop": ("total = total + index", "total = total * index"),
    "statement": ("    return total", "    total.add_(1)\n    return total"),
    "local variable mixed up": ("total = total + index", "total = index + total"),
    "name of a public attribute": ("self.layer", "self.conv"),
}

SAME_BESIDES = {"another name for a package": ("torch.cat", "t.cat")}


@pytest.mark.parametrize("edit", SAME)
def test_an_edit_that_computes_the_same_keeps_the_key(edit: str, read: Reader) -> None:
    old, new = SAME[edit]
    assert old in SOURCE
    edited = SOURCE.replace(old, new)
    if edit in SAME_BESIDES:
        edited = edited.replace(*SAME_BESIDES[edit])
    assert edited != SOURCE
    assert read({"study.py": SOURCE}).digest == read({"study.py": edited}).digest


@pytest.mark.parametrize("edit", CHANGED)
def test_an_edit_that_may_compute_something_else_changes_the_key(edit: str, changes_key: Changes) -> None:
    old, new = CHANGED[edit]
    assert changes_key(SOURCE, old, new)


def test_the_class_may_have_another_name(read: Reader) -> None:
    renamed = read({"study.py": SOURCE.replace("Mine", "Yours")}, name="Yours")
    assert read({"study.py": SOURCE}).digest == renamed.digest


def test_a_definition_may_move_to_another_module_under_another_name(read: Reader) -> None:
    start = SOURCE.index("def helper")
    end = SOURCE.index("def unused")
    moved = "SCALE = 2\nclass Wrong(ValueError):\n    pass\n" + SOURCE[start:end].replace("SquashError", "Wrong")
    edited = "from parts.helpers import helper as assist\n" + SOURCE[:start] + SOURCE[end:]
    files = {
        "study.py": edited.replace("helper(torch", "assist(torch"),
        "parts/__init__.py": '"""Helpers."""\n',
        "parts/helpers.py": moved,
    }
    assert read({"study.py": SOURCE}).digest == read(files).digest


def test_a_package_may_be_split_and_its_names_passed_on(read: Reader) -> None:
    one = {"study.py": "from parts import a\nclass Mine:\n    def forward(self, x):\n        return a(x)\n"}
    together = one | {"parts.py": "def b(x):\n    return x\ndef a(x):\n    return b(x)\n"}
    split = one | {
        "parts/__init__.py": "from .first import a\nfrom .second import *\n",
        "parts/first.py": "from . import second\ndef a(x):\n    return second.b(x)\n",
        "parts/second.py": "def b(x):\n    return x\n",
    }
    assert read(together).digest == read(split).digest


def test_methods_of_a_class_may_change_places(read: Reader) -> None:
    one = "class Mine:\n    size = 1\n    def a(self):\n        return 1\n    def b(self):\n        return 2\n"
    other = "class Mine:\n    size = 1\n    def b(self):\n        return 2\n    def a(self):\n        return 1\n"
    assert read({"study.py": one}).digest == read({"study.py": other}).digest


def test_a_private_method_that_a_package_may_call_keeps_its_name(changes_key: Changes) -> None:
    source = "from torch import nn\nclass Mine(nn.Module):\n    def _apply(self, f):\n        return self\n"
    assert changes_key(source, "_apply", "_applied")


def test_local_names_are_kept_where_a_function_looks_at_them(changes_key: Changes) -> None:
    source = "class Mine:\n    def forward(self, x):\n        scale = 2\n        return locals()\n"
    assert changes_key(source, "scale", "factor")


def test_which_of_two_functions_a_name_is_bound_to_counts(read: Reader) -> None:
    source = (
        "import sys\nif sys.platform:\n    def a(x):\n        return 1\nelse:\n    def {}(x):\n        return 2\n"
        "def b(x):\n    return 3\nclass Mine:\n    def forward(self, x):\n        return a(x)\n"
    )
    assert read({"study.py": source.format("a")}).digest != read({"study.py": source.format("c")}).digest


def test_packages_are_named_and_definitions_are_listed_with_their_files(read: Reader) -> None:
    source = read({"study.py": SOURCE})
    assert source.packages >= {"torch"}
    assert list(source.definitions) == ["study.py:Mine", "study.py:Sizes", "study.py:helper", "study.py:SCALE",
                                        "study.py:SquashError"]  # fmt: skip
