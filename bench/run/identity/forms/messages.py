"""The texts that code prints, logs, warns of or tells a listener: they count only where other code reads them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from ..definitions.syntax import COMPREHENSIONS
from ..definitions.targets import Bound, External, Unit
from .meaning import Meaning

PRINTED = "text that is printed"
LOGGED = "text that is logged"
WARNED = "text of a warning"
"""The conditions of messages: each counts only if something reads the messages of its kind."""
EVERY = frozenset({PRINTED, LOGGED, WARNED})

LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
QUIET_METHODS = frozenset({"setLevel", "isEnabledFor", "getEffectiveLevel", "getChild", "hasHandlers", "name", "level"})
"""The attributes of loggers by which no message is read."""
WARNING_FILTERS = frozenset({"warnings.filterwarnings", "warnings.simplefilter"})
PLAIN_LOGGING = frozenset(
    {
        *LOG_METHODS, "getLogger", "basicConfig", "disable", "getLevelName", "addLevelName", "Logger", "LoggerAdapter",
        "NullHandler", "StreamHandler", "Formatter", "NOTSET", "DEBUG", "INFO", "WARNING", "ERROR",
        "CRITICAL",
    }
)  # fmt: skip
"""The names of :mod:`logging` that keep no message, or only if they are given a stream of one's own."""
OWN_STREAMS = frozenset({"stream", "filename", "handlers"})
"""The arguments of ``logging.basicConfig`` that name a place where messages are kept."""
STREAMS = ([External("sys.stdout")], [External("sys.stderr")])
READERS = {
    "contextlib.redirect_stdout": frozenset({PRINTED}),
    "contextlib.redirect_stderr": EVERY,
    "os.dup2": EVERY,
    "unittest.mock": EVERY,
    "warnings.catch_warnings": frozenset({WARNED}),
    "warnings.showwarning": frozenset({WARNED}),
    "warnings.formatwarning": frozenset({WARNED}),
    "warnings._showwarnmsg": frozenset({WARNED}),
    "logging.captureWarnings": frozenset({WARNED}),
}
"""Path outside this project -> the kinds of messages that code which names it, or a name in it, may read."""
HARMLESS_ACTIONS = frozenset({"default", "ignore", "always", "all", "module", "once"})
"""The actions of a filter that raise no warning as an exception."""

PURE_CALLS = frozenset(
    {
        "abs", "bool", "float", "format", "hasattr", "hex", "id", "int", "isinstance", "len", "repr", "round", "str",
        "type",
    }
)  # fmt: skip
"""The builtins that change nothing, not even by using up an iterator."""
PURE_METHODS = frozenset(
    {
        "format", "item", "tolist", "keys", "values", "items", "numel", "size", "dim", "strip", "lower", "upper",
        "title", "removeprefix", "removesuffix", "split", "rstrip", "lstrip", "ljust", "rjust", "isoformat", "encode",
        "decode", "startswith", "endswith", "nelement", "detach", "cpu",
    }
)  # fmt: skip
"""The names of methods that change nothing, whatever object they belong to."""


class Messages:
    """Tells which calls only make messages, and which code may read them.

    Args:
        meaning: the meaning of names where the code stands.
    """

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning

    def kind(self, call: ast.Call) -> str | None:
        """The kind of message that a call makes; ``None`` for a call that does more than print, log or warn."""
        meaning = self.meaning
        if meaning.builtin_called(call) == "print":
            files = [meaning.resolve(word.value) for word in call.keywords if word.arg in ("file", None)]
            return PRINTED if all(file in STREAMS for file in files) else None
        external = meaning.external_called(call)
        if external is not None:
            words = [*call.args, *(word.value for word in call.keywords)]
            if external == "warnings.warn" and any(map(self._is_own_class, words)):
                return None
            if external == "warnings.warn" or external in WARNING_FILTERS:
                return None if self.read_by_call(call, external) else WARNED
            module, _, name = external.rpartition(".")
            if module == "logging" and (name in LOG_METHODS or (name == "basicConfig" and not _keeps_messages(call))):
                return LOGGED
            return None
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr in LOG_METHODS:
            return LOGGED if self._is_logger_expression(function.value) else None
        return None

    def _is_logger(self, unit: Unit) -> bool:
        """Return whether a variable holds a logger."""
        value = getattr(unit.single, "value", None)
        if not isinstance(value, ast.Call):
            return False
        return self.meaning.elsewhere(unit.module).external_called(value) == "logging.getLogger"

    def _is_own_class(self, node: ast.expr) -> bool:
        """Return whether an expression names a class of this project, such as one of warnings that keep texts."""
        return any(isinstance(target, Bound) for target in self.meaning.resolve(node) or ())

    def read_by_logger(self, node: ast.Attribute, arguments: Sequence[ast.expr] = ()) -> frozenset[str]:
        """The kinds of messages that may be read since a logger's attribute is set or its method is called."""
        if not self._is_logger_expression(node.value):
            return frozenset()
        if isinstance(node.ctx, ast.Load) and node.attr in (*LOG_METHODS, *QUIET_METHODS):
            return frozenset()
        is_plain = node.attr == "addHandler" and all(
            isinstance(argument, ast.Call) and not self._keeps_log(argument) for argument in arguments
        )
        return frozenset() if is_plain and arguments else frozenset({LOGGED})

    def _keeps_log(self, call: ast.Call) -> bool:
        """Return whether a call may make a handler that keeps what is logged."""
        path = self.meaning.external_called(call)
        return path is None or bool(self.read_by_call(call, path))

    def _is_logger_expression(self, node: ast.expr) -> bool:
        """Return whether an expression is a logger: a variable, or a call of ``logging.getLogger``."""
        if isinstance(node, ast.Call):
            return self.meaning.external_called(node) == "logging.getLogger"
        targets = self.meaning.resolve(node) or ()
        return bool(targets) and all(isinstance(target, Bound) and self._is_logger(target.unit) for target in targets)

    def tells(self, call: ast.Call) -> bool:
        """Return whether a call reports progress to a listener that a function of the measuring package was given."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        kind, scope = self.meaning.find(name)
        return kind == "argument" and scope is not None and name in scope.listeners

    def effective(self, node: ast.AST) -> Iterator[ast.AST]:
        """The parts of a message that may do more than make text."""
        if isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            yield node
            return
        if isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
            if any(True for child in ast.iter_child_nodes(node) for _ in self.effective(child)):
                yield node
            return
        if isinstance(node, ast.Call):
            meaning = self.meaning
            pure = meaning.builtin_called(node) in PURE_CALLS or (
                isinstance(node.func, ast.Attribute) and node.func.attr in PURE_METHODS
            )
            if not pure:
                targets = meaning.resolve(node.func)
                reports = targets and all(isinstance(t, Bound) and t.unit in meaning.reading.reports for t in targets)
                if not reports:
                    yield node
                    return
        for child in ast.iter_child_nodes(node):
            yield from self.effective(child)

    # Readers of messages

    def read_by(self, path: str) -> frozenset[str]:
        """The kinds of messages that code which names something outside this project may read."""
        if path in ("sys.__dict__", "builtins.__dict__", "warnings.__dict__", "logging.__dict__"):
            return EVERY
        for beginning, kinds in READERS.items():
            if path == beginning or path.startswith(f"{beginning}."):
                return kinds
        if path.startswith("logging.") and path.split(".")[1] not in PLAIN_LOGGING:
            return frozenset({LOGGED})
        return frozenset()

    def read_by_call(self, call: ast.Call, path: str, *, is_unnamed: bool = False) -> frozenset[str]:
        """The kinds of messages that a call of something outside this project makes readable.

        Args:
            call: the call.
            path: the dotted path of what is called.
            is_unnamed: ``True`` for the context manager of a ``with`` statement that gives it no name.
        """
        words = {word.arg: word.value for word in call.keywords}
        first = call.args[0] if call.args else None
        if path == "warnings.catch_warnings":
            record = words.get("record", first)
            may_raise = None in words or _is_raised(words.get("action"))
            is_kept = record is not None and not (isinstance(record, ast.Constant) and not record.value)
            return READERS[path] if (is_kept and not is_unnamed) or may_raise else frozenset()
        if path in WARNING_FILTERS:
            return frozenset({WARNED}) if _is_raised(words.get("action", first or call)) else frozenset()
        if path == "logging.StreamHandler":
            stream = words.get("stream", first)
            is_plain = stream is None or self.meaning.resolve(stream) in STREAMS
            return frozenset() if is_plain and None not in words else frozenset({LOGGED})
        if path == "logging.basicConfig":
            return frozenset({LOGGED}) if _keeps_messages(call) else frozenset()
        if path.startswith("contextlib.redirect_") and is_unnamed and self._is_lost(first):
            return frozenset()
        return self.read_by(path)

    def _is_lost(self, stream: ast.expr | None) -> bool:
        """Return whether a stream is ``None`` or is made in place, so that nothing reads it unless it gets a name."""
        if isinstance(stream, ast.Constant):
            return stream.value is None
        return (
            isinstance(stream, ast.Call) and self.meaning.external_called(stream) == "io.StringIO" and not stream.args
        )

    def read_where_set(self, path: str) -> frozenset[str]:
        """The kinds of messages that may be read after something outside this project is set to another value."""
        if path in ("sys.*", "builtins.*", "warnings.*", "logging.*"):  # any of its names
            return EVERY
        if path in ("builtins.print", "sys.stdout") or path.startswith("sys.stdout."):
            return frozenset({PRINTED})
        return EVERY if path == "sys.stderr" or path.startswith("sys.stderr.") else self.read_by(path)


def _keeps_messages(call: ast.Call) -> bool:
    """Return whether ``logging.basicConfig`` may be given a place of one's own for messages."""
    return any(word.arg is None or word.arg in OWN_STREAMS for word in call.keywords)


def _is_raised(action: ast.expr | None) -> bool:
    """Return whether a filter's action may raise warnings as exceptions."""
    return action is not None and not (isinstance(action, ast.Constant) and action.value in {*HARMLESS_ACTIONS, None})
