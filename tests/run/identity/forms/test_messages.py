"""Texts that code prints, logs, warns of or tells count in the key where something reads them, and nowhere else."""

from __future__ import annotations

import pytest

from tests.run.identity.conftest import Changes

MINE = "class Mine:\n    def forward(self, x):\n        return squash(x)\n"
BUFFER = "import contextlib, io, logging, sys, warnings\n"
LOGGER = "KEPT = []\nlog = logging.getLogger('mine')\n"
LOGGED = "def squash(x):\n    log.info('1.0')\n    return x * float(KEPT[0])\n"
PRINTS = "def report():\n    print('1.0')\n"

READ = {
    "warning that is recorded": "def squash(x):\n    with warnings.catch_warnings(record=True) as caught:\n"
    "        warnings.warn('1.0')\n    return x * float(str(caught[0].message))\n",
    "warning of another function that is recorded": "def fail():\n    warnings.warn('1.0', stacklevel=2)\n"
    "def squash(x):\n    with warnings.catch_warnings(record=True) as caught:\n        fail()\n"
    "    return x * float(str(caught[0].message))\n",
    "warning that is raised": "def squash(x):\n    warnings.simplefilter('error')\n    try:\n"
    "        warnings.warn('1.0')\n    except UserWarning as warning:\n        return x * float(str(warning))\n",
    "warning that the module's own filter raises": "warnings.filterwarnings('error')\ndef squash(x):\n    try:\n"
    "        warnings.warn('1.0')\n    except UserWarning as warning:\n        return x * float(str(warning))\n",
    "warning that a function shows": "SHOWN = []\ndef show(message, *rest):\n    SHOWN.append(float(str(message)))\n"
    "warnings.showwarning = show\ndef squash(x):\n    warnings.warn('1.0')\n    return x * SHOWN[0]\n",
    "warning that a function shows, set by its name": "SHOWN = []\ndef show(message, *rest):\n"
    "    SHOWN.append(float(str(message)))\nsetattr(warnings, 'showwarning', show)\n"
    "def squash(x):\n    warnings.warn('1.0')\n    return x * SHOWN[0]\n",
    "text that is printed into a buffer": "def squash(x):\n"
    "    with contextlib.redirect_stdout(io.StringIO()) as text:\n        print('1.0')\n"
    "    return x * float(text.getvalue())\n",
    "text that another function prints into a buffer": PRINTS + "def squash(x):\n    text = io.StringIO()\n"
    "    with contextlib.redirect_stdout(text):\n        report()\n    return x * float(text.getvalue())\n",
    "text that is printed into a stream of one's own": PRINTS + "def squash(x):\n    sys.stdout = io.StringIO()\n"
    "    report()\n    return x * float(sys.stdout.getvalue())\n",
    "text that the module prints into a buffer": "TEXT = io.StringIO()\nwith contextlib.redirect_stdout(TEXT):\n"
    "    print('1.0')\ndef squash(x):\n    return x * float(TEXT.getvalue())\n",
    "text that the module prints into a stream of its own": "TEXT = sys.stdout = io.StringIO()\nprint('1.0')\n"
    "sys.stdout = sys.__stdout__\ndef squash(x):\n    return x * float(TEXT.getvalue())\n",
    "text that a function prints for the module": PRINTS + "TEXT = io.StringIO()\n"
    "with contextlib.redirect_stdout(TEXT):\n    report()\ndef squash(x):\n    return x * float(TEXT.getvalue())\n",
    "text that a function keeps in place of print": "import builtins\nKEPT = []\nbuiltins.print = KEPT.append\n"
    "def squash(x):\n    print('1.0')\n    return x * float(KEPT[0])\n",
    "text that a handler of one's own keeps": "class Keeper(logging.Handler):\n    kept = []\n"
    "    def emit(self, record):\n        self.kept.append(record.msg)\nlog = logging.getLogger('mine')\n"
    "log.addHandler(Keeper())\ndef squash(x):\n    log.warning('1.0')\n    return x * float(Keeper.kept[0])\n",
    "text that is logged into a buffer": "TEXT = io.StringIO()\nlogging.basicConfig(stream=TEXT)\n"
    "def squash(x):\n    logging.warning('1.0')\n    return x * len(TEXT.getvalue())\n",
    "text that is logged to a handler with a buffer": "TEXT = io.StringIO()\nlog = logging.getLogger('mine')\n"
    "log.addHandler(logging.StreamHandler(TEXT))\ndef squash(x):\n    log.warning('1.0')\n"
    "    return x * len(TEXT.getvalue())\n",
    "list with the name of a listener": "def squash(x):\n    texts = []\n    tell = texts.append\n    tell('1.0')\n"
    "    return x * float(texts[0])\n",
    "parameter with the name of a listener": "def told(x, tell):\n    tell('1.0')\n"
    "def squash(x):\n    texts = []\n    told(x, texts.append)\n    return x * float(texts[0])\n",
    "local function with the name of a listener": "def squash(x):\n    def progress(text, by=0):\n"
    "        nonlocal x\n        x = x * float(text)\n    progress('1.0')\n    return x\n",
    "list with the name of a logger": "class Log:\n    def info(self, text):\n        self.text = text\nlog = Log()\n"
    "def squash(x):\n    log.info('1.0')\n    return x * float(log.text)\n",
    "error that a recorded warning names": "def squash(x):\n    try:\n        raise ValueError('1.0')\n"
    "    except ValueError as error:\n        with warnings.catch_warnings(record=True) as caught:\n"
    "            warnings.warn(error)\n    return x * float(str(caught[0].message))\n",
    "method of a logger that is set": LOGGER + "log.info = KEPT.append\n" + LOGGED,
    "method of a logger that is set by its name": LOGGER + "setattr(log, 'info', KEPT.append)\n" + LOGGED,
    "filter of a logger": LOGGER + "log.addFilter(lambda record: KEPT.append(record.msg))\n" + LOGGED,
    "class of loggers": "class Log(logging.Logger):\n    def info(self, text):\n        KEPT.append(text)\n"
    "logging.setLoggerClass(Log)\n" + LOGGER + LOGGED,
    "stream that is set in a table of names": "def squash(x):\n    sys.__dict__['stdout'] = text = io.StringIO()\n"
    "    print('1.0')\n    return x * float(text.getvalue())\n",
    "stream that is set by vars": "def squash(x):\n    vars(sys)['stdout'] = text = io.StringIO()\n"
    "    print('1.0')\n    return x * float(text.getvalue())\n",
    "stream that is set by a computed name": "def squash(x):\n    text = io.StringIO()\n"
    "    setattr(sys, 'std' + 'out', text)\n    print('1.0')\n    return x * float(text.getvalue())\n",
    "warning of a class that keeps its text": "KEPT = []\nclass Kept(UserWarning):\n"
    "    def __init__(self, text):\n        KEPT.append(text)\n"
    "def squash(x):\n    warnings.warn('1.0', Kept)\n    return x * float(KEPT[0])\n",
    "text of an assertion": "def squash(x):\n    try:\n        assert x is None, '1.0'\n"
    "    except AssertionError as error:\n        return x * float(str(error))\n",
    "cause of an error": "def squash(x):\n    try:\n        raise ValueError from KeyError('1.0')\n"
    "    except ValueError as error:\n        return x * float(error.__cause__.args[0])\n",
    "error that a thread keeps": "import concurrent.futures\ndef fail():\n    raise KeyError('1.0')\n"
    "def squash(x):\n    with concurrent.futures.ThreadPoolExecutor() as pool:\n"
    "        return x * float(pool.submit(fail).exception().args[0])\n",
    "error that a hook reads": "import threading\nKEPT = []\n"
    "threading.excepthook = lambda hook: KEPT.append(hook.exc_value.args[0])\ndef fail():\n    raise KeyError('1.0')\n"
    "def squash(x):\n    threading.Thread(target=fail).start()\n    return x * float(KEPT[0])\n",
}  # fmt: skip
"""Way in which code reads a text -> the module, in which an edit of the text changes what is computed."""


@pytest.mark.parametrize("way", READ)
def test_a_text_that_code_reads_counts(way: str, changes_key: Changes) -> None:
    assert changes_key(BUFFER + READ[way] + MINE)


UNREAD = {
    "warning": "def squash(x):\n    warnings.warn('1.0')\n    return x\n",
    "warning in a block that keeps the filters": "def squash(x):\n    with warnings.catch_warnings():\n"
    "        warnings.simplefilter('ignore')\n        warnings.warn('1.0')\n    return x\n",
    "text that is thrown away": "def squash(x):\n    with contextlib.redirect_stdout(io.StringIO()):\n"
    "        print('1.0')\n    return x\n",
    "text that is printed where warnings are read": "def squash(x):\n"
    "    with warnings.catch_warnings(record=True) as caught:\n        print('1.0')\n    return x * len(caught)\n",
    "text that the module prints": "print('1.0')\ndef squash(x):\n    return x\n",
    "text of an assertion": "def squash(x):\n    assert x is not None, '1.0'\n    return x\n",
    "text that a quiet logger logs": LOGGER + "log.setLevel(logging.ERROR)\n"
    "def squash(x):\n    log.info('1.0')\n    return x\n",
    "text that is logged": "log = logging.getLogger('mine')\nlog.addHandler(logging.StreamHandler(sys.stderr))\n"
    "def squash(x):\n    log.warning('1.0')\n    return x\n",
}  # fmt: skip


@pytest.mark.parametrize("way", UNREAD)
def test_a_text_that_nothing_reads_does_not_count(way: str, changes_key: Changes) -> None:
    assert not changes_key(BUFFER + UNREAD[way] + MINE)


def test_a_variable_of_a_message_changes_the_number_of_no_other_variable(changes_key: Changes) -> None:
    source = "def squash(x):\n    print([y for y in x])\n    z = x * 2\n    return z\n" + MINE
    assert not changes_key(source, "    print([y for y in x])\n", "")
