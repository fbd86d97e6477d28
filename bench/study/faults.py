"""An exception from a user's own code as one line: the file and line of that code, the exception, and the remedy."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

from bench.parts import BenchError

MOST_CHARACTERS = 180
"""The characters of an exception's text that a line keeps."""

_WRONG_SIZE = re.compile(r"channels, but got|shapes cannot be multiplied|should contain \d+ elements")
"""The words in which torch says that a layer is given another number of channels than it was made for."""


def fault_line(error: BaseException) -> str:
    """The one line that tells ``error``, such as ``first.py:12: NameError: name 'F' is not defined; import it, …``.

    The place is the innermost line of code that belongs neither to this package nor to an installed one nor to Python.
    A :class:`~bench.parts.BenchError` is told by its message alone, because that names the mistake and the remedy.
    """
    place = fault_place(error)
    text = one_sentence(str(traceback.TracebackException(type(error), error, None)))
    if not isinstance(error, BenchError):
        text = f"{type(error).__name__}: {text}".removesuffix(": ") + _remedy(error)
    return f"{place}: {text}" if place else text


def fault_place(error: BaseException) -> str | None:
    """The ``file:line`` in the user's own code that an exception came from; ``None`` if none of it took part."""
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename):
        return shown(Path(error.filename)) + (f":{error.lineno}" if error.lineno else "")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_users(frame.filename):
            return f"{shown(Path(frame.filename))}:{frame.lineno}"
    return None


def shown(path: Path) -> str:
    """A file as people are told it: relative to the current folder if it lies below that."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def one_sentence(text: str) -> str:
    """A text in one line, cut after :data:`MOST_CHARACTERS`."""
    words = " ".join(text.split())
    return words if len(words) <= MOST_CHARACTERS else f"{words[:MOST_CHARACTERS]}…"


def _is_users(file: str) -> bool:
    path = Path(file)
    if not path.is_absolute():  # "<frozen importlib._bootstrap>", "<string>"
        return False
    bench = Path(__file__).resolve().parents[1]
    folders = [bench, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))]
    resolved = path.resolve()
    return not any(resolved.is_relative_to(folder.resolve()) for folder in folders) and not any(
        part in ("site-packages", "dist-packages") for part in path.parts
    )


def _remedy(error: BaseException) -> str:
    if isinstance(error, NameError):
        return "; import it, or correct the name"
    if isinstance(error, RuntimeError) and _WRONG_SIZE.search(str(error)):
        return "; take a layer's number of channels from the facts, such as levels[-1].channels"
    if isinstance(error, ModuleNotFoundError):
        return "; install it, or put it beside the study"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "; write 'from module import …', or make the study's folder a package with a file __init__.py"
    return ""
