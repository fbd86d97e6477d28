"""Ways in which code reaches what a trial computes that no name at its place of use shows; each counts in the key."""

from __future__ import annotations

import pytest

from tests.run.identity.conftest import Changes

MINE = "class Mine:\n    def forward(self, x):\n        return squash(x)\n"
SCALED = "class Mine:\n    def forward(self, x):\n        return x * self.scale\n"
RAISING = "def fail():\n    raise ValueError('1.0')\ndef squash(x):\n    try:\n        fail()\n"
DRAWING = "def draw(x):\n    x.mul_(1.0)\n    return 'drawn'\n"

FORMS = {
    "class patched by type.__setattr__": {"study.py": SCALED + "type.__setattr__(Mine, 'scale', 1.0)\n"},
    "class patched in a loop": {"study.py": SCALED + "for cls in [Mine]:\n    cls.scale = 1.0\n"},
    "class patched under another name": {"study.py": SCALED + "SAME = Mine\nSAME.scale = 1.0\n"},
    "private method in a property": {
        "study.py": "class Mine:\n    def _scale(self):\n        return 1.0\n    scale = property(_scale)\n"
        "    def forward(self, x):\n        return x * self.scale\n"
    },
    "private method in a table of the class": {
        "study.py": "class Mine:\n    def _scale(self):\n        return 1.0\n    table = {'scale': _scale}\n"
        "    def forward(self, x):\n        return x * self.table['scale'](self)\n"
    },
    "file in a folder beside the module": {
        "study.py": "from pathlib import Path\nSCALE = (Path(__file__).parent / 'data' / 'scale.txt').read_text()\n"
        "def squash(x):\n    return x * float(SCALE)\n" + MINE,
        "data/scale.txt": "1.0\n",
    },
    "file of joined names": {
        "study.py": "import os\nPATH = os.path.join(os.path.dirname(__file__), 'data', 'scale.txt')\n"
        "def squash(x):\n    return x * float(open(PATH).read())\n" + MINE,
        "data/scale.txt": "1.0\n",
    },
    "file without a suffix": {
        "study.py": "from pathlib import Path\nSCALE = (Path(__file__).parent / 'scale').read_text()\n"
        "def squash(x):\n    return x * float(SCALE)\n" + MINE,
        "scale": "1.0\n",
    },
    "file with a space in its name": {
        "study.py": "SCALE = open('the scale.txt').read()\ndef squash(x):\n    return x * float(SCALE)\n" + MINE,
        "the scale.txt": "1.0\n",
    },
    "exception that is read through sys": {
        "study.py": "import sys\n" + RAISING + "    except ValueError:\n"
        "        return x * float(str(sys.exc_info()[1]))\n" + MINE
    },
    "exception that is read as a traceback": {
        "study.py": "import traceback\n" + RAISING + "    except ValueError:\n"
        "        return x * len(traceback.format_exc())\n" + MINE
    },
    "exception that a with statement catches": {
        "study.py": "class Caught:\n    def __enter__(self):\n        return self\n"
        "    def __exit__(self, kind, value, place):\n        self.value = float(str(value))\n        return True\n"
        "def squash(x):\n    with Caught() as caught:\n        raise ValueError('1.0')\n"
        "    return x * caught.value\n" + MINE
    },
    "call in an error that is caught": {
        "study.py": DRAWING + "def squash(x):\n    try:\n        raise ValueError(draw(x))\n"
        "    except ValueError:\n        return x\n" + MINE
    },
    "call in an error of another class that is caught": {
        "study.py": DRAWING + "class Wrong(ValueError):\n    pass\ndef fail(x):\n    raise Wrong(f'{draw(x)}')\n"
        "def squash(x):\n    try:\n        fail(x)\n    except (KeyError, ValueError):\n        return x\n" + MINE
    },
    "call in an assertion that is caught": {
        "study.py": DRAWING + "def squash(x):\n    try:\n        assert x is None, draw(x)\n"
        "    except AssertionError:\n        return x\n" + MINE
    },
    "call in the cause of an error that is caught": {
        "study.py": DRAWING + "def squash(x):\n    try:\n        raise ValueError from KeyError(draw(x))\n"
        "    except ValueError:\n        return x\n" + MINE
    },
    "call in an error that a with statement drops": {
        "study.py": "import contextlib\n" + DRAWING + "def squash(x):\n    with contextlib.suppress(ValueError):\n"
        "        raise ValueError(draw(x))\n    return x\n" + MINE
    },
    "call in an error that a context manager drops": {
        "study.py": DRAWING + "class Dropping:\n    def __enter__(self):\n        return self\n"
        "    def __exit__(self, *place):\n        return True\ndef squash(x):\n    with Dropping():\n"
        "        raise ValueError(draw(x))\n    return x\n" + MINE
    },
    "call in an error that a last block drops": {
        "study.py": DRAWING + "def squash(x):\n    try:\n        raise ValueError(draw(x))\n"
        "    finally:\n        return x\n" + MINE
    },
    "call in an error that ends a loop": {
        "study.py": DRAWING + "class Steps:\n    def __init__(self, x):\n        self.x = x\n"
        "    def __iter__(self):\n        return self\n    def __next__(self):\n"
        "        raise StopIteration(draw(self.x))\ndef squash(x):\n    list(Steps(x))\n    return x\n" + MINE
    },
    "call in an error that ends a thread": {
        "study.py": "import threading\n" + DRAWING + "def fail(x):\n    raise ValueError(draw(x))\n"
        "def squash(x):\n    threading.Thread(target=fail, args=(x,)).start()\n    return x\n" + MINE
    },
    "exception in a group": {
        "study.py": "def squash(x):\n    try:\n        raise ExceptionGroup('group', [ValueError(1.0)])\n"
        "    except* ValueError as group:\n        x = x * group.exceptions[0].args[0]\n    return x\n" + MINE
    },
    "text that is printed into a variable": {
        "study.py": "import io\ndef squash(x):\n    text = io.StringIO()\n    print('1.0', file=text)\n"
        "    return x * float(text.getvalue())\n" + MINE
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_edit_of_what_is_reached_changes_the_key(form: str, changes_key: Changes) -> None:
    assert changes_key(FORMS[form])


UNREAD = {
    "call in an error that ends the trial": DRAWING + "def squash(x):\n    try:\n        raise ValueError(draw(x))\n"
    "    except KeyError:\n        return x\n",
    "text of an error that a handler without a name catches": RAISING + "    except ValueError:\n        return x\n",
    "text that is printed to the terminal": "import sys\ndef squash(x):\n    print('1.0', file=sys.stderr)\n"
    "    return x\n",
    "text that is printed": "def squash(x):\n    print('1.0')\n    return x\n",
    "private method that nothing names": "class Scale:\n    def _by(self):\n        return 1.0\n"
    "def squash(x):\n    return Scale(), x\n",
    "another class patched in a loop": "class Other:\n    pass\nfor cls in [Other]:\n    cls.scale = 1.0\n"
    "def squash(x):\n    return x\n",
}  # fmt: skip


@pytest.mark.parametrize("form", UNREAD)
def test_an_edit_of_what_nothing_reads_keeps_the_key(form: str, changes_key: Changes) -> None:
    assert not changes_key(UNREAD[form] + MINE)
