"""An exception from a user's own code as one line: the file and line of that code, the exception, and the remedy."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from types import FrameType, FunctionType

from bench.network.raised import raised_in
from bench.parts import BenchError, nearest

MOST_CHARACTERS = 180
"""The characters that a line keeps of the text of an exception that another package wrote."""

MOST_OF_OURS = 600
"""The characters that it keeps of the text of a :class:`~bench.parts.BenchError`, which ends with the remedy."""

_WRONG_SIZE = re.compile(r"channels, but got|shapes cannot be multiplied|should contain \d+ elements")
"""The words in which torch says that a layer is given another number of channels than it was made for."""

_UNKNOWN_ARGUMENT = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")
_WRONG_CALL = re.compile(r"positional arguments?\b|forward\(\) got an unexpected")
"""The words in which Python says that a constructor or a forward does not take what its neighbours give."""

_WITH_SIGNATURE = (type, FunctionType)


def fault_line(error: BaseException) -> str:
    """The one line that tells ``error``, such as ``first.py:12: NameError: name 'F' is not defined; import it, …``.

    The place is the innermost line of code that belongs neither to this package nor to an installed one nor to Python.
    Without such code, the line ends with the place in the library of the network, if it is of one.
    A :class:`~bench.parts.BenchError` is told by its message alone, because that names the mistake and the remedy.
    """
    place = fault_place(error)
    known_text = error.msg if isinstance(error, SyntaxError) else None
    text = known_text or str(traceback.TracebackException(type(error), error, None))
    if isinstance(error, BenchError):
        text = one_sentence(text, MOST_OF_OURS)
    else:
        text = f"{type(error).__name__}: {one_sentence(text)}".removesuffix(": ") + _remedy(error)
        text += raised_in(error) if place is None else ""
    return f"{place}: {text}" if place else text


def fault_place(error: BaseException) -> str | None:
    """The ``file:line`` in the user's own code that an exception came from; ``None`` if none of it took part."""
    if isinstance(error, SyntaxError) and error.filename and _is_users(error.filename):
        return shown(Path(error.filename)) + (f":{error.lineno}" if error.lineno else "")
    frames = _users_frames(error)
    return f"{shown(Path(frames[-1].f_code.co_filename))}:{_line(error, frames[-1])}" if frames else None


def _users_frames(error: BaseException) -> list[FrameType]:
    """The frames of the user's own code that an exception passed, the innermost last."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [frame for frame in frames if _is_users(frame.f_code.co_filename)]


def _line(error: BaseException, frame: FrameType) -> int:
    return next(line for passed, line in traceback.walk_tb(error.__traceback__) if passed is frame)


def shown(path: Path) -> str:
    """A file as people are told it: relative to the current folder if it lies below that."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def one_sentence(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text in one line, cut after ``most`` characters."""
    words = " ".join(text.split())
    return words if len(words) <= most else f"{words[:most]}…"


@functools.cache
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
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        names = {name for frame in _users_frames(error)[-1:] for name in (*frame.f_locals, *frame.f_globals)}
        return nearest(error.name or "", names) or "; import it, or correct the name"
    if isinstance(error, RuntimeError) and _WRONG_SIZE.search(str(error)):
        return "; take a layer's number of channels from the facts, such as levels[-1].channels"
    if isinstance(error, ModuleNotFoundError):
        return "; install it, or put it beside the study"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "; write 'from module import …', or make the study's folder a package with a file __init__.py"
    if isinstance(error, ImportError):
        return nearest(_quoted(error), dir(sys.modules.get(error.name or "")))
    if isinstance(error, AttributeError):
        return nearest(error.name or "", dir(error.obj))
    if isinstance(error, TypeError) and _WRONG_CALL.search(str(error)) and not _users_frames(error):
        return (
            "; a component has __init__(levels, num_classes, *, …) and forward as docs/components.md lists them by slot"
        )
    if isinstance(error, TypeError) and (unknown := _UNKNOWN_ARGUMENT.match(str(error))):
        name, argument = unknown.groups()
        called = next((frame.f_globals[name] for frame in _users_frames(error) if name in frame.f_globals), None)
        return nearest(argument, inspect.signature(called).parameters) if isinstance(called, _WITH_SIGNATURE) else ""
    return ""


def _quoted(error: ImportError) -> str:
    """The name that could not be imported, which the message begins with."""
    return str(error).partition("'")[2].partition("'")[0]
