"""Names and attributes: local variables by their numbers, definitions by references, and what else a name may read."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

from ..definitions.targets import Bound, External, Target, Unit
from .meaning import BUILTINS, Scope, is_private, spellings
from .pieces import Private, spelled
from .tokens import Tokens

METHODS_BY_NAME = {"__getattribute__": 1, "__getattr__": 1, "__setattr__": 2, "__delattr__": 1}
"""Method that reads or sets an attribute which its first argument names -> its number of arguments besides ``self``."""

LOOKERS = frozenset({"getattr", "hasattr", "setattr", "delattr", "vars"})

WHOLE_NAMESPACE = frozenset({"eval", "exec", "compile", "globals", "locals", "__import__"})

RAISED_READERS = (
    "sys.exc_info", "sys.exception", "sys.last_", "sys.excepthook", "sys.unraisablehook", "threading.excepthook",
    "traceback.", "asyncio.", "contextlib.ExitStack", "contextlib.AsyncExitStack", "pytest.",
    "unittest.",
)  # fmt: skip
"""The beginnings of the paths of what reads an exception though no handler names it."""

SWALLOWERS = ("contextlib.suppress", "threading.", "concurrent.", "multiprocessing.", "atexit.", "signal.", "weakref.")
"""The beginnings of the paths of what lets a program go on after an exception, though no handler catches it."""


class Names(Tokens):
    """Writes names and attributes."""

    def put_targets(self, targets: Iterable[Target]) -> None:
        for target in targets:
            if isinstance(target, External):
                self._external(target.path)
            elif isinstance(target, Bound) and target.unit in self.reading.reports:
                self.put("report")
            else:
                self.piece.tokens.append(target)

    def _external(self, path: str) -> None:
        if path.startswith(BUILTINS):
            self._name_of_nothing_here(path.removeprefix(BUILTINS))
            return
        self.put(f"X:{path}")
        self.piece.facts.packages.add(path.partition(".")[0])
        if self.at is not self.called:  # it is not called here but handed on, or a part of a class
            self.piece.facts.heard |= self.messages.read_by(path)
        if path == "sys.modules":
            self._undecided("sys.modules is read", beside=True)
        if path.startswith(RAISED_READERS):
            self.piece.facts.handlers.add(None)
        if path.startswith(SWALLOWERS):
            self.piece.facts.caught.add(None)
        if path.startswith(("os.environ", "os.getenv")):
            self._note_only("an environment variable is read; its value does not count")
        if path.startswith(("importlib.resources", "pkgutil.")) and not self.files.has_found(self.calling):
            self._note_only("a file is found by its package; its content does not count")
        if path.startswith(("inspect.getsource", "inspect.currentframe", "sys._getframe", "inspect.getmembers")):
            self._undecided(f"{path} reads the code itself")

    def _write_name(self, node: ast.Name) -> None:
        kind, scope = self.find(node.id)
        if kind == "local" and scope is not None:
            self._local(scope, node.id)
        elif kind == "argument":
            self.put(f"A:{node.id}")
        elif kind == "alias" and scope is not None:
            self.put_targets(scope.aliases[node.id])
        else:
            if kind == "class":
                self.put(f"C:{node.id}")
                if isinstance(node.ctx, ast.Load):  # it may be read before the class binds it
                    if is_private(node.id):  # such as in ``property(_scale)``
                        self.piece.facts.loads.add(node.id)
                        self.piece.facts.texts.add(node.id)
                    self.put_targets(self.at_module(node.id))
                return
            targets = self.at_module(node.id)
            if targets:
                self.put_targets(targets)
                return
            if node.id == "__file__" and self.files.has_found(node):
                self.put("N:__file__")
            else:
                self._name_of_nothing_here(node.id)

    def _name_of_nothing_here(self, name: str) -> None:
        """Write a name that the module does not bind: a builtin, or one that Python gives every module."""
        self.put(f"N:{name}")
        if name == "__file__":
            self._note_only("a file is found by __file__; files beside it count only where a text names them")
        elif name == "__doc__":
            self.put(spelled(self.module.docstring))
        elif name in ("__name__", "__qualname__", "__package__", "__spec__"):
            self.piece.facts.all_names = True
        elif name in LOOKERS:  # the function is not called here but handed on
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        elif name in WHOLE_NAMESPACE:
            self._undecided(f"{name}() may reach every name", beside=name in ("exec", "compile"))
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        elif not hasattr(builtins, name) and not name.startswith("__"):
            self._unknown_name(name)

    def _unknown_name(self, name: str) -> None:
        if self.module.stars:
            self._note_only(f"{name} comes from nowhere that can be seen")

    def _local(self, scope: Scope, name: str) -> None:
        number = scope.local[name]
        if scope.keeps_names or (number is None and not self.gives_numbers):
            self.put(f"L:{name}")
            return
        if number is None:
            number = scope.local[name] = self.count
            self.count += 1
        self.uses[number] = self.uses.get(number, 0) + 1
        self.put(f"L{number}")

    def _binding(self, name: str) -> None:
        """Write a name that is bound without a Name node, by an exception, an import or a nested function."""
        self._write_name(ast.Name(name, ast.Store()))

    called: ast.expr | None = None
    """The function that is called by the call which is being written."""
    calling: ast.Call | None = None
    """The call which is being written."""

    def _write_attribute(self, node: ast.Attribute) -> None:
        if node.attr in METHODS_BY_NAME and node is not self.called:  # the method is not called here but handed on
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        targets = self.resolve(node)
        if targets is not None:
            self.put_targets(targets)
            if not isinstance(node.ctx, ast.Load):
                self._set_outside(targets)
            return
        self.put("(Attribute")
        self.node(node.value)
        self.at = node
        self._attribute_name(node.attr, self.own if self._is_own(node.value) else None)
        facts = self.piece.facts
        if isinstance(node.ctx, ast.Load):
            facts.loads.add(node.attr)
            if is_private(node.attr):
                facts.texts |= spellings(node.attr) - {node.attr}
            is_type = isinstance(node.value, ast.Call) and self.builtin_called(node.value) == "type"
            self._reads_attribute(node.attr, of_class=is_type)
            if node.attr == "__class__" and self._is_own(node.value):
                self._own_class()
        elif not (isinstance(node.value, ast.Name) and node.value.id == self.selves[-1]):
            facts.stores.add(node.attr)
            facts.heard |= self.messages.read_by_logger(node)
        self.put(")")

    def _set_outside(self, targets: Iterable[Target]) -> None:
        """Note the messages that may be read once something outside this project has another value."""
        for target in targets:
            if isinstance(target, External):
                self.piece.facts.heard |= self.messages.read_where_set(target.path)

    def _reads_attribute(self, name: str, *, of_class: bool = False) -> None:
        """Note what counts besides the attribute itself, where it is one that Python makes from the code."""
        facts = self.piece.facts
        if (name in ("__name__", "__qualname__") and of_class) or name == "__class__":
            facts.class_names = True
        elif name in ("__name__", "__qualname__", "__module__", "__doc__", "__code__", "__mro__", "__bases__"):
            facts.all_names = True
            facts.docs = facts.docs or name == "__doc__"
        elif name == "__dict__":
            facts.computed_read = facts.computed_write = True
        elif name in ("__cause__", "__context__", "exception"):  # an error that another handler caught, or a thread
            facts.handlers.add(None)
        elif name == "__subclasses__":
            self._undecided("all subclasses are read", beside=True)
        elif name in ("__annotations__", "__annotate__"):
            self._reads_annotations()

    def _attribute_name(self, name: str, owner: Unit | None) -> None:
        if is_private(name):
            self.piece.tokens.append(Private(name, owner))
        else:
            self.put(f".{name}")

    def _reads_annotations(self) -> None:
        self.piece.facts.hints = True
        if not self.is_measuring:
            self.piece.facts.all_hints = True

    def _own_class(self) -> None:
        """Write the class that is being written as a value, since it may make another object of its kind."""
        if self.own is not None:
            self.put_targets([Bound(self.own, self.own.names[0])])

    def _is_own(self, node: ast.expr) -> bool:
        """Return whether an expression is the object (``self``) of the class that is being written."""
        return self.own is not None and isinstance(node, ast.Name) and node.id == self.selves[-1]
