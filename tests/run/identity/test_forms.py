"""Whatever code a trial runs counts, in whatever form it is written and wherever it lies."""

from __future__ import annotations

import pytest

from tests.run.identity.conftest import Reader

MINE = """
class Mine(nn.Module):
    def forward(self, x):
        return squash(x)
"""
HEAD = "from torch import nn\n"
SQUASH = "def squash(x):\n    return x * 1.0\n"

FORMS = {
    "function in a sibling module": {
        "study.py": HEAD + "from helpers import squash\n" + MINE,
        "helpers.py": SQUASH,
    },
    "base class in a sibling module": {
        "study.py": "from base import Base\nclass Mine(Base):\n    pass\n",
        "base.py": HEAD + SQUASH + MINE.replace("Mine", "Base"),
    },
    "attribute of a sibling module": {
        "study.py": HEAD + "import helpers\n" + MINE.replace("squash", "helpers.squash"),
        "helpers.py": SQUASH,
    },
    "re-export of a package": {
        "study.py": HEAD + "from package import squash\n" + MINE,
        "package/__init__.py": "from .ops import squash\n",
        "package/ops.py": SQUASH,
    },
    "star import": {
        "study.py": HEAD + "from ops import *\n" + MINE,
        "ops.py": SQUASH,
    },
    "star import behind another": {
        "study.py": HEAD + "from package import *\n" + MINE,
        "package/__init__.py": "from .ops import *\n",
        "package/ops.py": "__all__ = ['squash']\ndef squash(x):\n    return x * 1.0\n",
    },
    "star import that may fail": {
        "study.py": HEAD + "try:\n    from ops import *\nexcept ImportError:\n    pass\n" + MINE,
        "ops.py": SQUASH,
    },
    "name that a module makes when it is asked for": {
        "study.py": HEAD + "from lazy import squash\n" + MINE,
        "lazy.py": "def _made(x):\n    return x * 1.0\ndef __getattr__(name):\n    return _made\n",
    },
    "name that a module sets in itself": {
        "study.py": HEAD + "from ops import squash\n" + MINE,
        "ops.py": "def other(x):\n    return x * 1.0\nglobals()['squash'] = other\n",
    },
    "file of source that is executed": {
        "study.py": HEAD + "def squash(x):\n    scope = {}\n    exec(open('ops.py').read(), scope)\n"
        "    return scope['f'](x)\n" + MINE,
        "ops.py": "def f(x):\n    return x * 1.0\n",
    },
    "method set in a loop": {
        "study.py": HEAD + "class Mine(nn.Module):\n    pass\nfor name in ('a', 'b'):\n    setattr(Mine, name, 1.0)\n"
    },
    "try and except": {
        "study.py": HEAD + "from ops import squash\n" + MINE,
        "ops.py": "try:\n    import no_such_module\nexcept ImportError:\n    def squash(x):\n        return x * 1.0\n",
    },
    "condition at the top level": {"study.py": HEAD + "if True:\n    def squash(x):\n        return x * 1.0\n" + MINE},
    "loop at the top level": {
        "study.py": HEAD + "for SCALE in (0.5, 1.0):\n    pass\ndef squash(x):\n    return x * SCALE\n" + MINE
    },
    "with at the top level": {
        "study.py": HEAD + "import contextlib\nwith contextlib.nullcontext(1.0) as SCALE:\n    pass\n"
        "def squash(x):\n    return x * SCALE\n" + MINE
    },
    "match at the top level": {
        "study.py": HEAD + "match 2:\n    case 2:\n        SCALE = 1.0\ndef squash(x):\n    return x * SCALE\n" + MINE
    },
    "table filled by calls": {
        "study.py": HEAD + "TABLE = []\nTABLE.append(1.0)\ndef squash(x):\n    return x * TABLE[0]\n" + MINE
    },
    "table filled by assignment": {
        "study.py": HEAD + "TABLE = {}\nTABLE['a'] = 1.0\ndef squash(x):\n    return x * TABLE['a']\n" + MINE
    },
    "table filled through another name": {
        "study.py": HEAD + "TABLE = []\nSAME = TABLE\nSAME.append(1.0)\ndef squash(x):\n"
        "    return x * TABLE[0]\n" + MINE
    },
    "table filled from another module": {
        "study.py": HEAD + "import tables, filler\ndef squash(x):\n    return x * tables.TABLE['a']\n" + MINE,
        "tables.py": "TABLE = {}\n",
        "filler.py": "from tables import TABLE\nTABLE.update(a=1.0)\n",
    },
    "table filled by a function": {
        "study.py": HEAD + "import tables\ndef squash(x):\n    return x * tables.TABLE['a']\n" + MINE,
        "tables.py": "TABLE = {}\ndef fill():\n    TABLE['a'] = 1.0\nfill()\n",
    },
    "table filled by a function whose value is kept": {
        "study.py": HEAD + "import tables\ndef squash(x):\n    return x * tables.TABLE['a']\n" + MINE,
        "tables.py": "TABLE = {}\ndef fill(value):\n    TABLE['a'] = value\n    return value\nUNUSED = fill(1.0)\n",
    },
    "table handed to a function": {
        "study.py": HEAD + "from tables import TABLE\ndef squash(x):\n    return x * TABLE['a']\n" + MINE,
        "tables.py": "def fill(table):\n    table['a'] = 1.0\n    return 0\nTABLE = {}\nUNUSED = fill(TABLE)\n",
    },
    "table filled in a loop": {
        "study.py": HEAD + "TABLE = {}\nfor name in 'ab':\n    TABLE[name] = 1.0\n"
        "def squash(x):\n    return x * TABLE['a']\n" + MINE
    },
    "registry by a decorator": {
        "study.py": HEAD + "from registry import TABLE\nimport entries\n"
        "def squash(x):\n    return TABLE['squash'](x)\n" + MINE,
        "registry.py": "TABLE = {}\ndef register(f):\n    TABLE[f.__name__] = f\n    return f\n",
        "entries.py": "from registry import register\n@register\ndef squash(x):\n    return x * 1.0\n",
    },
    "registry by a method as decorator": {
        "study.py": HEAD + "from registry import REGISTRY\nimport entries\n"
        "def squash(x):\n    return REGISTRY.table['squash'](x)\n" + MINE,
        "registry.py": "class Registry:\n    def __init__(self):\n        self.table = {}\n"
        "    def register(self, f):\n        self.table['squash'] = f\n        return f\nREGISTRY = Registry()\n",
        "entries.py": "from registry import REGISTRY\n@REGISTRY.register\ndef squash(x):\n    return x * 1.0\n",
    },
    "registry of subclasses": {
        "study.py": HEAD + "from registry import Base\nimport entries\n"
        "def squash(x):\n    return Base.known[0](x)\n" + MINE,
        "registry.py": "class Base:\n    known = []\n    def __init_subclass__(cls):\n        Base.known.append(cls)\n",
        "entries.py": "from registry import Base\nclass Entry(Base):\n    def __new__(cls, x):\n"
        "        return x * 1.0\n",
    },
    "registry of subclasses of a generic class": {
        "study.py": HEAD + "from registry import Base\nimport entries\n"
        "def squash(x):\n    return Base.known[0](x)\n" + MINE,
        "registry.py": "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass Base(Generic[T]):\n"
        "    known = []\n    def __init_subclass__(cls):\n        Base.known.append(cls)\n",
        "entries.py": "from registry import Base\nclass Entry(Base[int]):\n    def __new__(cls, x):\n"
        "        return x * 1.0\n",
    },
    "global statement": {
        "study.py": HEAD + "SCALE = 0\ndef setup():\n    global SCALE\n    SCALE = 1.0\nsetup()\n"
        "def squash(x):\n    return x * SCALE\n" + MINE
    },
    "augmented assignment": {
        "study.py": HEAD + "SCALE = 0.0\nSCALE += 1.0\ndef squash(x):\n    return x * SCALE\n" + MINE
    },
    "name bound twice": {
        "study.py": HEAD + "def squash(x):\n    return x\nold = squash\ndef squash(x):\n"
        "    return old(x) * 1.0\n" + MINE
    },
    "walrus at the top level": {
        "study.py": HEAD + "if (SCALE := 1.0):\n    pass\ndef squash(x):\n    return x * SCALE\n" + MINE
    },
    "class patched from another module": {
        "study.py": HEAD + "import patch\nfrom heads import Base\nclass Mine(Base):\n    pass\n",
        "heads.py": HEAD + "class Base(nn.Module):\n    scale = 0\n    def forward(self, x):\n"
        "        return x * self.scale\n",
        "patch.py": "import heads\nheads.Base.scale = 1.0\n",
    },
    "method patched at the top level": {
        "study.py": HEAD + "def forward(self, x):\n    return x * 1.0\nclass Mine(nn.Module):\n    pass\n"
        "Mine.forward = forward\n"
    },
    "method patched by setattr": {
        "study.py": HEAD + "def forward(self, x):\n    return x * 1.0\nclass Mine(nn.Module):\n    pass\n"
        "setattr(Mine, 'forward', forward)\n"
    },
    "variable of a module set from another": {
        "study.py": HEAD + "import ops, patch\ndef squash(x):\n    return ops.squash(x)\n" + MINE,
        "ops.py": "SCALE = 0\ndef squash(x):\n    return x * SCALE\n",
        "patch.py": "import ops\nops.SCALE = 1.0\n",
    },
    "another package patched": {
        "study.py": HEAD + "import patch\nfrom torch.nn.functional import relu as squash\n" + MINE,
        "patch.py": "from torch import nn\nnn.ReLU.forward = lambda self, x: x * 1.0\n",
    },
    "state of another package": {
        "study.py": HEAD + "import torch\ntorch.nn.functional.slope = 1.0\ndef squash(x):\n    return x\n" + MINE
    },
    "class made by a function": {
        "study.py": HEAD + "def make(scale):\n    class Made(nn.Module):\n        def forward(self, x):\n"
        "            return x * scale\n    return Made\nMine = make(1.0)\n"
    },
    "class decorated": {
        "study.py": HEAD + "def scaled(cls):\n    cls.scale = 1.0\n    return cls\n@scaled\nclass Mine(nn.Module):\n"
        "    def forward(self, x):\n        return x * self.scale\n"
    },
    "metaclass": {
        "study.py": "class Meta(type):\n    def __new__(cls, *args):\n        made = super().__new__(cls, *args)\n"
        "        made.scale = 1.0\n        return made\nclass Mine(metaclass=Meta):\n"
        "    def forward(self, x):\n        return x * self.scale\n"
    },
    "hook of subclasses": {
        "study.py": "class Base:\n    def __init_subclass__(cls):\n        cls.scale = 1.0\nclass Mine(Base):\n"
        "    def forward(self, x):\n        return x * self.scale\n"
    },
    "descriptor": {
        "study.py": "class Scale:\n    def __get__(self, owner, kind):\n        return 1.0\nclass Mine:\n"
        "    scale = Scale()\n"
        "    def forward(self, x):\n        return x * self.scale\n"
    },
    "property": {
        "study.py": "class Mine:\n    @property\n    def _scale(self):\n        return 1.0\n"
        "    def forward(self, x):\n        return x * self._scale\n"
    },
    "private method of another class": {
        "study.py": "class Scale:\n    def _of(self):\n        return 1.0\nclass Mine:\n    def forward(self, x):\n"
        "        return x * Scale()._of()\n"
    },
    "private method by getattr": {
        "study.py": "class Mine:\n    def _scale(self):\n        return 1.0\n    def forward(self, x):\n"
        "        return x * getattr(self, '_scale')()\n"
    },
    "private method by a computed name": {
        "study.py": "class Mine:\n    def _scale_a(self):\n        return 1.0\n    def forward(self, x, kind='a'):\n"
        "        return x * getattr(self, f'_scale_{kind}')()\n"
    },
    "nested class": {
        "study.py": "class Mine:\n    class Inner:\n        scale = 1.0\n    def forward(self, x):\n"
        "        return x * self.Inner.scale\n"
    },
    "closure": {
        "study.py": HEAD + "def make(scale):\n    def squash(x):\n        return x * scale\n    return squash\n"
        "squash = make(1.0)\n" + MINE
    },
    "lambda": {"study.py": HEAD + "squash = lambda x: x * 1.0\n" + MINE},
    "partial": {
        "study.py": HEAD + "import functools\ndef scaled(x, by):\n    return x * by\n"
        "squash = functools.partial(scaled, by=1.0)\n" + MINE
    },
    "conditional expression": {"study.py": HEAD + "SCALE = 1.0 if MINE else 2\ndef squash(x):\n"
    "    return x * SCALE\n" + MINE},
    "default of a parameter": {"study.py": HEAD + "def squash(x, scale=1.0):\n    return x * scale\n" + MINE},
    "submodule under another name": {
        "study.py": HEAD + "from package import ops as other\n" + MINE.replace("squash", "other.squash"),
        "package/__init__.py": "",
        "package/ops.py": SQUASH,
    },
    "dotted import": {
        "study.py": HEAD + "import package.ops\n" + MINE.replace("squash", "package.ops.squash"),
        "package/__init__.py": "",
        "package/ops.py": SQUASH,
    },
    "package's own __init__": {
        "study.py": HEAD + "from package.ops import squash\n" + MINE,
        "package/__init__.py": "from . import state\nstate.SCALE.append(1.0)\n",
        "package/state.py": "SCALE = []\n",
        "package/ops.py": "from .state import SCALE\ndef squash(x):\n    return x * SCALE[0]\n",
    },
    "import in a function": {
        "study.py": HEAD + MINE.replace("        return", "        from ops import squash\n        return"),
        "ops.py": SQUASH,
    },
    "import in a function that may fail": {
        "study.py": HEAD
        + MINE.replace(
            "        return",
            "        try:\n            from ops import squash\n        except ImportError:\n"
            "            squash = abs\n        return",
        ),
        "ops.py": SQUASH,
    },
    "module imported by a constant name": {
        "study.py": HEAD + "import importlib\ndef squash(x):\n"
        "    return importlib.import_module('ops').squash(x)\n" + MINE,
        "ops.py": SQUASH,
    },
    "module imported by a computed name": {
        "study.py": HEAD + "import importlib\nNAME = 'ops'\ndef squash(x):\n"
        "    return importlib.import_module(NAME).squash(x)\n" + MINE,
        "ops.py": SQUASH,
    },
    "attribute of a module by a computed name": {
        "study.py": HEAD + "import ops\nNAME = 'squash'\ndef squash(x):\n    return getattr(ops, NAME)(x)\n" + MINE,
        "ops.py": SQUASH,
    },
    "module as a value": {
        "study.py": HEAD + "import ops\ndef call(module, x):\n    return module.squash(x)\n"
        "def squash(x):\n    return call(ops, x)\n" + MINE,
        "ops.py": SQUASH,
    },
    "globals": {
        "study.py": HEAD + "def other(x):\n    return x * 1.0\ndef squash(x):\n"
        "    return globals()['other'](x)\n" + MINE
    },
    "eval": {"study.py": HEAD + "def other(x):\n    return x * 1.0\ndef squash(x):\n"
    "    return eval('other')(x)\n" + MINE},
    "payload of an exception": {
        "study.py": HEAD + "class Found(Exception):\n    pass\ndef search(x):\n    raise Found(x * 1.0)\n"
        "def squash(x):\n"
        "    try:\n        search(x)\n    except Found as found:\n        return found.args[0]\n" + MINE
    },
    "call inside of a message": {
        "study.py": HEAD + "def draw(x):\n    x.mul_(1.0)\n    return x\ndef squash(x):\n    print(draw(x))\n"
        "    return x\n"
        + MINE
    },
    "dataclass field": {
        "study.py": HEAD + "from dataclasses import dataclass\n@dataclass\nclass Scale:\n    by: float = 1.0\n"
        "def squash(x):\n    return x * Scale().by\n" + MINE
    },
    "file beside the module": {
        "study.py": HEAD + "from pathlib import Path\ndef squash(x):\n"
        "    return x * float((Path(__file__).parent / 'scale.txt').read_text())\n" + MINE,
        "scale.txt": "1.0\n",
    },
    "name of a class": {
        "study.py": HEAD + "class Scale_1_0:\n    pass\ndef squash(x):\n"
        "    return x * len(type(Scale_1_0()).__name__)\n"
        + MINE
    },
    "dispatch on an annotation": {
        "study.py": HEAD + "import functools\n@functools.singledispatch\ndef squash(x):\n    return x\n"
        "@squash.register\ndef _(x: float):\n    return x * 1.0\n" + MINE
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_edit_of_what_is_run_changes_the_key(form: str, read: Reader) -> None:
    files = FORMS[form]
    edited = {path: text.replace("1.0", "0.0").replace("1_0", "1_00") for path, text in files.items()}
    assert edited != files
    assert read(files).digest != read(edited).digest


@pytest.mark.parametrize("form", FORMS)
def test_reading_the_same_again_gives_the_same_key(form: str, read: Reader) -> None:
    assert read(FORMS[form]).digest == read(FORMS[form]).digest


UNDECIDED = (
    "module imported by a computed name",
    "attribute of a module by a computed name",
    "globals",
    "eval",
    "name that a module sets in itself",
    "file of source that is executed",
)


@pytest.mark.parametrize("form", FORMS)
def test_a_note_says_where_it_cannot_be_told_what_is_run_and_nowhere_else(form: str, read: Reader) -> None:
    notes = read(FORMS[form]).notes
    assert bool(notes) == (form in UNDECIDED)
    assert all(note.startswith(("study.py:", "ops.py:")) for note in notes)


UNRELATED = {
    "another class": "class Other:\n    scale = 1.0\n",
    "another function": "def other(x):\n    return x * 1.0\n",
    "another table": "OTHER = []\nOTHER.append(1.0)\n",
    "a script": "if __name__ == '__main__':\n    TABLE = 1.0\n",
    "types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    scale = 1.0\n",
    "a docstring": '"""1.0"""\n',
    "a function that fills its own list": "def fill(n):\n    made = []\n    made.append(1.0)\n    return made\n"
    "X = fill(2)\n",
    "a path for imports": "import sys\nsys.path.insert(0, '1.0')\n",
    "a filter of warnings": "import warnings\nwarnings.filterwarnings('ignore', '1.0')\n",
}


@pytest.mark.parametrize("form", UNRELATED)
def test_an_edit_of_what_is_not_run_keeps_the_key(form: str, read: Reader) -> None:
    text = HEAD + "def squash(x):\n    return x\n" + MINE
    with_it = text + UNRELATED[form]
    assert read({"study.py": with_it}).digest == read({"study.py": with_it.replace("1.0", "0.0")}).digest
    assert read({"study.py": with_it}).digest == read({"study.py": text}).digest
