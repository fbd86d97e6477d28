"""The normal form of a piece of code: what it computes, without how it is written.

Left out are comments, docstrings, layout, annotations that nothing reads, and the texts of errors, logs and progress.
Local variables are numbered in the order in which they occur. A reference to a definition of this project is a token
of its own, so that neither its name nor its module counts; what belongs to an installed distribution is written with
its dotted path. The form does not depend on the version of Python: it is not that of :func:`ast.dump`.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .source import (
    COMPREHENSIONS,
    Bound,
    External,
    Module,
    Project,
    Target,
    Unit,
    Whole,
    bound_names,
    is_text,
    local_path,
)


@dataclass(frozen=True)
class Private:
    """The name of an attribute that begins with an underscore."""

    name: str


@dataclass(frozen=True, eq=False)
class Payload:
    """The arguments of a ``raise``: they count only where a handler reads what it caught.

    Attributes:
        raised: the exception's class.
        piece: the arguments.
    """

    raised: Target | str | None
    piece: Piece


Token = str | Bound | Whole | Private | Payload


@dataclass
class Facts:
    """What must be known about a piece to judge others.

    Attributes:
        loads: names of attributes that are read.
        stores: names of attributes that are set on another object than ``self``.
        texts: constant texts that look like a private name.
        computed_read: an attribute of an unknown object is read by a computed name.
        computed_self: classes that read attributes of their own objects by computed names.
        computed_write: an attribute of an unknown object is set by a computed name.
        class_names: the name of a class is read.
        all_names: names of functions or modules are read too.
        hints: annotations are read.
        handlers: exceptions whose content a handler reads; ``None`` for one that cannot be told.
        notes: ``file:line`` and why it cannot be decided what counts.
        packages: top-level packages outside this project.
        modules: project modules that are imported inside of functions.
        choices: choices of a component whose values are written into the piece.
    """

    loads: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    computed_read: bool = False
    computed_self: set[Unit] = field(default_factory=set)
    computed_write: bool = False
    class_names: bool = False
    all_names: bool = False
    hints: bool = False
    handlers: set[Target | str | None] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    modules: dict[str, None] = field(default_factory=dict)
    choices: set[str] = field(default_factory=set)

    def add(self, other: Facts) -> None:
        """Take in what is known about another piece."""
        for name, own in vars(self).items():
            value = getattr(other, name)
            if isinstance(own, bool):
                setattr(self, name, own or value)
            else:
                own.update(value)


@dataclass
class Piece:
    """Code in its normal form."""

    tokens: list[Token] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)


@dataclass
class Text:
    """The normal form of a unit.

    Attributes:
        main: what always counts.
        methods: private methods of a class, which count where something names them.
        kept: private names of methods that must not be renamed.
    """

    main: Piece
    methods: dict[str, Piece] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reading:
    """How a piece is read.

    Attributes:
        project: where names lead.
        plain: classes of plain values: instances are known by their fields.
        reports: classes of progress reports: their content does not count.
        hints: whether annotations of dataclass fields count.
    """

    project: Project
    plain: Mapping[Unit, str]
    reports: frozenset[Unit]
    hints: bool = False


SKIPPED = frozenset(
    {"ctx", "type_comment", "kind", "type_params", "annotation", "returns", "lineno", "col_offset", "decorator_list"}
)
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
PURE_CALLS = frozenset(
    {
        "abs", "bool", "dict", "enumerate", "float", "format", "frozenset", "getattr", "hasattr", "id",
        "int", "isinstance", "issubclass", "len", "list", "map", "max", "min", "range", "repr", "reversed",
        "round", "set", "sorted", "str", "sum", "tuple", "type", "zip", "any", "all", "ascii", "bin", "hex",
        "oct", "ord", "chr", "divmod",
    }
)  # fmt: skip
PURE_METHODS = frozenset(
    {
        "join", "format", "item", "tolist", "keys", "values", "items", "numel", "size", "dim", "strip",
        "lower", "upper", "title", "replace", "removeprefix", "removesuffix", "split", "splitlines",
        "rstrip", "lstrip", "ljust", "rjust", "center", "isoformat", "encode", "decode", "count",
        "startswith", "endswith", "nelement", "detach", "cpu",
    }
)  # fmt: skip
WHOLE_NAMESPACE = frozenset({"eval", "exec", "compile", "globals", "locals", "__import__"})
MIRRORS = frozenset({"eval", "exec", "locals", "vars", "dir"})
HINT_READERS = frozenset(
    {"typing.get_type_hints", "inspect.signature", "inspect.get_annotations", "inspect.getfullargspec"}
)
PURE_DECORATORS = ("functools.", "contextlib.", "abc.", "typing.", "dataclasses.", "torch.")
PLAIN_DECORATORS = frozenset({"property", "staticmethod", "classmethod"})
NEUTRAL = "neutral"
"""In the metadata of a field: the value at which it leaves everything as it was before there was such a field."""
FIELD_MARKS = frozenset({"ClassVar", "InitVar", "KW_ONLY"})
PATH = re.compile(r"[\w./\\-]+\.\w{1,8}")


@dataclass
class _Scope:
    """Names of one function, class or comprehension."""

    is_class: bool = False
    local: dict[str, int | None] = field(default_factory=dict)  # None until its first occurrence
    arguments: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)  # declared global or nonlocal
    aliases: dict[str, list[Target]] = field(default_factory=dict)
    types: dict[str, Unit] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    keeps_names: bool = False


class Writer:
    """Writes one unit, or some statements of a module, in their normal form.

    Args:
        reading: how to read.
        module: where the code stands.
    """

    def __init__(self, reading: Reading, module: Module) -> None:
        self.reading, self.project, self.module = reading, reading.project, module
        self.piece = Piece()
        self.scopes: list[_Scope] = []
        self.selves: list[str | None] = [None]
        self.count = 0
        self.uses: dict[int, int] = {}
        self.own: Unit | None = None
        self.plain_names = set(reading.plain.values())

    # Texts of units

    def unit(self, unit: Unit) -> Text:
        """The normal form of a unit; of a class, its private methods apart."""
        statement = unit.single
        if isinstance(statement, ast.ClassDef):
            self.own = self.module.bound(unit.names[0])
            return self._class_text(statement)
        for each in unit.statements:
            self.statement(each)
        return Text(self.piece)

    def defaults(self, node: ast.ClassDef) -> Piece:
        """The defaults of a class of plain values, but for fields at the neutral value that they declare."""
        for statement in node.body:
            if (
                isinstance(statement, ast.AnnAssign)
                and statement.value is not None
                and not _is_neutral(statement.value)
            ):
                self.put(ast.unparse(statement.target))
                self.node(statement.value)
        return self.piece

    def loose(self, statement: ast.stmt) -> Piece:
        """The normal form of a top-level statement that binds nothing."""
        self.statement(statement)
        return self.piece

    def _class_text(self, node: ast.ClassDef) -> Text:
        inherited = self.inherited_names(node)
        bound_once = _counts(name for statement in node.body for name in bound_names(statement))
        may_split = inherited is not None and all(self._is_pure_decorator(each) for each in node.decorator_list)
        apart: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        kept = set()
        for statement in node.body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and is_private(statement.name):
                own = inherited is not None and statement.name not in inherited
                pure = all(self._is_pure_decorator(each) for each in statement.decorator_list)
                if may_split and own and pure and bound_once[statement.name] == 1:
                    apart.append(statement)
                else:
                    kept.add(statement.name)
        self._class(node, without=apart)
        main, methods = self.piece, {}
        scope = _Scope(is_class=True, local=dict.fromkeys(bound_once))
        for method in apart:
            self.piece, self.count, self.uses = Piece(), 0, {}
            with self._inside(scope):
                self._function(method, is_method=True)
            methods[method.name] = self.piece
        self.piece = main
        return Text(main, methods, frozenset(kept | (inherited or set())))

    def inherited_names(self, node: ast.ClassDef) -> set[str] | None:
        """Private names that the bases of a class outside this project have; ``None`` where that cannot be told."""
        names: set[str] = set()
        for each in node.bases:
            base = each.value if isinstance(each, ast.Subscript) else each
            targets = self.resolve(base)
            if targets is None and isinstance(base, ast.Name) and self._is_builtin(base.id):
                names |= {name for name in dir(getattr(builtins, base.id)) if is_private(name)}
                continue
            if not targets:
                return None
            for target in targets:
                if isinstance(target, External):
                    found = live_object(target.path)
                    if found is None:
                        return None
                    names |= {name for name in dir(found) if is_private(name)}
                elif isinstance(target, Bound) and isinstance(target.unit.single, ast.ClassDef):
                    other = self.project.module(target.unit.module)
                    assert other is not None
                    above = Writer(self.reading, other).inherited_names(target.unit.single)
                    if above is None:
                        return None
                    names |= above
                else:
                    return None
        return None if any(word.arg == "metaclass" for word in node.keywords) else names

    def _is_pure_decorator(self, node: ast.expr) -> bool:
        node = node.func if isinstance(node, ast.Call) else node
        targets = self.resolve(node)
        if targets is None:
            return isinstance(node, ast.Name) and node.id in PLAIN_DECORATORS and self._is_builtin(node.id)
        return all(isinstance(each, External) and is_pure_decorator(each.path) for each in targets)

    # Names

    def _find(self, name: str) -> tuple[str, _Scope | None]:
        """Where a name is bound: ``local``, ``argument``, ``class``, ``alias`` or ``module``."""
        innermost = True
        for scope in reversed(self.scopes):
            if name in scope.elsewhere:
                innermost = False
                continue
            if scope.is_class:
                if innermost and name in scope.local:
                    return "class", scope
            elif name in scope.aliases:
                return "alias", scope
            elif name in scope.arguments:
                return "argument", scope
            elif name in scope.local:
                return "local", scope
            innermost = False
        return "module", None

    def _at_module(self, name: str) -> list[Target]:
        return self.project.lookup(self.module.name, name)

    def _is_builtin(self, name: str) -> bool:
        return self._find(name)[0] == "module" and not self._at_module(name) and hasattr(builtins, name)

    def resolve(self, node: ast.expr) -> list[Target] | None:
        """What a dotted name stands for at the top level of some module; ``None`` for anything else."""
        if isinstance(node, ast.Name):
            kind, scope = self._find(node.id)
            if kind == "alias" and scope is not None:
                return scope.aliases[node.id]
            return (self._at_module(node.id) or None) if kind == "module" else None
        if isinstance(node, ast.Attribute):
            bases = self.resolve(node.value)
            if not bases or any(isinstance(base, Bound) for base in bases):
                return None
            found = [target for base in bases for target in self.project.attribute(base, node.attr)]
            return found or None
        return None

    def put_targets(self, targets: Iterable[Target]) -> None:
        for target in targets:
            if isinstance(target, External):
                self._external(target.path)
            elif isinstance(target, Bound) and target.unit in self.reading.reports:
                self.put("report")
            else:
                self.piece.tokens.append(target)

    def _external(self, path: str) -> None:
        self.put(f"X:{path}")
        self.piece.facts.packages.add(path.partition(".")[0])
        if path == "sys.modules":
            self._undecided("sys.modules is read", beside=True)
        if path.startswith(("inspect.getsource", "inspect.currentframe", "sys._getframe", "inspect.getmembers")):
            self._undecided(f"{path} reads the code itself")

    def put(self, token: str) -> None:
        self.piece.tokens.append(token)

    def _undecided(self, why: str, *, beside: bool = False, node: ast.AST | None = None) -> None:
        """Count everything that may be meant: this module, or every module beside it."""
        line = getattr(node or self.at, "lineno", 0)
        note = f"{self.project.file_label(self.module.name)}:{line} {why}"
        self.piece.facts.notes[note] = None
        for name in self.project.files_beside(self.module.name) if beside else [self.module.name]:
            self.piece.tokens.append(Whole(name))

    at: ast.AST | None = None

    # Nodes

    def node(self, node: ast.AST) -> None:
        special = getattr(self, f"_write_{type(node).__name__.lower()}", None)
        if isinstance(node, (ast.stmt, ast.expr)):
            self.at = node
        if special is not None:
            special(node)
        else:
            self._plainly(node)

    def _plainly(self, node: ast.AST) -> None:
        self.put(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if name in SKIPPED or value is None or value == []:
                continue
            self.put(f"{name}=")
            self._value(value)
        self.put(")")

    def _value(self, value: Any) -> None:
        if isinstance(value, ast.AST):
            self.node(value)
        elif isinstance(value, list):
            if value and isinstance(value[0], ast.stmt):
                self.block(value)
            else:
                for each in value:
                    self._value(each)
        else:
            self.put(_spelled(value))

    def statement(self, node: ast.stmt) -> None:
        if not is_text(node):
            self.node(node)

    def block(self, statements: Sequence[ast.stmt]) -> None:
        self.put("{")
        for each in statements:
            self.statement(each)
        self.put("}")

    def _write_constant(self, node: ast.Constant) -> None:
        self.put(_spelled(node.value))
        choice = getattr(node, "choice", None)
        if choice is not None:
            self.piece.facts.choices.add(choice)
        if isinstance(node.value, str):
            if is_private(node.value):
                self.piece.facts.texts.add(node.value)
            path = local_path(self.module, node.value) if PATH.fullmatch(node.value) else None
            if path is not None:
                self.put(f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}")

    def _write_unaryop(self, node: ast.UnaryOp) -> None:
        value = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(node.op, ast.USub) and isinstance(value, (int, float)) and not isinstance(value, bool):
            self.put(_spelled(-value))
        else:
            self._plainly(node)

    def _write_joinedstr(self, node: ast.JoinedStr) -> None:
        self.put("(JoinedStr")
        text = ""
        for each in node.values:
            if isinstance(each, ast.Constant):
                text += str(each.value)
                continue
            if text:
                self.put(_spelled(text))
            text = ""
            self.node(each)
        if text:
            self.put(_spelled(text))
        self.put(")")

    def _write_name(self, node: ast.Name) -> None:
        kind, scope = self._find(node.id)
        if kind == "local" and scope is not None:
            self._local(scope, node.id)
        elif kind == "argument":
            self.put(f"A:{node.id}")
        elif kind == "alias" and scope is not None:
            self.put_targets(scope.aliases[node.id])
        else:
            if kind == "class":
                self.put(f"C:{node.id}")
                outside = self._at_module(node.id)
                self.put_targets(outside)
                return
            targets = self._at_module(node.id)
            if targets:
                self.put_targets(targets)
                return
            self.put(f"N:{node.id}")
            if node.id == "__file__":
                self._note_only("a file is found by __file__; files beside it count only where a text names them")
            elif node.id in ("__name__", "__qualname__", "__package__", "__spec__"):
                self.piece.facts.all_names = True
            elif node.id in WHOLE_NAMESPACE and hasattr(builtins, node.id):
                self._undecided(f"{node.id}() may reach every name")
            elif not hasattr(builtins, node.id) and not node.id.startswith("__"):
                self._unknown_name(node.id)

    def _note_only(self, why: str) -> None:
        note = f"{self.project.file_label(self.module.name)}:{getattr(self.at, 'lineno', 0)} {why}"
        self.piece.facts.notes[note] = None

    def _unknown_name(self, name: str) -> None:
        if self.module.stars:
            self._note_only(f"{name} comes from nowhere that can be seen")

    def _local(self, scope: _Scope, name: str) -> None:
        if scope.keeps_names:
            self.put(f"L:{name}")
            return
        number = scope.local[name]
        if number is None:
            number = scope.local[name] = self.count
            self.count += 1
        self.uses[number] = self.uses.get(number, 0) + 1
        self.put(f"L{number}")

    def _binding(self, name: str) -> None:
        """A name that is bound without a Name node: an exception, an import, a nested function."""
        self._write_name(ast.Name(name, ast.Store()))

    def _write_attribute(self, node: ast.Attribute) -> None:
        targets = self.resolve(node)
        if targets is not None:
            self.put_targets(targets)
            return
        self.put("(Attribute")
        self.node(node.value)
        self.at = node
        self._attribute_name(node.attr)
        facts = self.piece.facts
        if isinstance(node.ctx, ast.Load):
            facts.loads.add(node.attr)
            is_type = isinstance(node.value, ast.Call) and self._builtin_called(node.value) == "type"
            if (node.attr in ("__name__", "__qualname__") and is_type) or node.attr == "__class__":
                facts.class_names = True
            elif node.attr in ("__name__", "__qualname__", "__module__", "__doc__", "__code__", "__mro__", "__bases__"):
                facts.all_names = True
            elif node.attr == "__dict__":
                facts.computed_read = facts.computed_write = True
            elif node.attr == "__annotations__":
                facts.hints = True
        elif not (isinstance(node.value, ast.Name) and node.value.id == self.selves[-1]):
            facts.stores.add(node.attr)
        self.put(")")

    def _attribute_name(self, name: str) -> None:
        if is_private(name):
            self.piece.tokens.append(Private(name))
        else:
            self.put(f".{name}")

    # Calls

    def _builtin_called(self, node: ast.Call) -> str | None:
        if isinstance(node.func, ast.Name) and self._is_builtin(node.func.id):
            return node.func.id
        return None

    def _external_called(self, node: ast.Call) -> str | None:
        targets = self.resolve(node.func)
        if targets and len(targets) == 1 and isinstance(targets[0], External):
            return targets[0].path
        return None

    def _write_call(self, node: ast.Call) -> None:
        builtin, external = self._builtin_called(node), self._external_called(node)
        if external == "typing.cast" and len(node.args) == 2:
            self.node(node.args[1])
            return
        if external == "logging.getLogger":
            self._external("logging.getLogger")
            return
        targets = self.resolve(node.func)
        if targets and all(isinstance(each, Bound) and each.unit in self.reading.reports for each in targets):
            self._only_effects(node)
            return
        if builtin in ("getattr", "hasattr", "setattr", "delattr") and len(node.args) >= 2:
            if self._by_name(node, builtin):
                return
        elif builtin in ("vars", "dir") and not node.args:
            self._undecided(f"{builtin}() may reach every name")
        elif builtin in ("vars", "dir"):
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        elif external in ("importlib.import_module",) or builtin == "__import__":
            if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
                name = node.args[0].value
                if not name.startswith(".") and len(node.args) == 1:
                    self.put_targets([self.project.target(name)])
                    self.piece.facts.modules[name] = None
                    return
            self._undecided("a module is imported by a computed name", beside=True)
        elif external is not None and external.startswith(("importlib.util.spec_from", "runpy.", "pkgutil.")):
            self._undecided("a module is imported by a computed name", beside=True)
        elif external is not None and external.startswith("subprocess."):
            self._note_only("another program is started; what it does is not followed")
        elif external in HINT_READERS:
            self.piece.facts.hints = True
        elif external in ("operator.attrgetter", "operator.methodcaller"):
            self._named_by(node.args)
        self._plainly(node)

    def _named_by(self, names: Sequence[ast.expr]) -> None:
        for name in names:
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                self.piece.facts.loads.update(name.value.split("."))
            else:
                self.piece.facts.computed_read = True

    def _by_name(self, node: ast.Call, builtin: str) -> bool:
        """An attribute by ``getattr`` and the like; whether all is written already."""
        receiver, name = node.args[0], node.args[1]
        targets = self.resolve(receiver)
        facts = self.piece.facts
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            if targets and not any(isinstance(each, Bound) for each in targets) and builtin in ("getattr", "hasattr"):
                self.put_targets(t for each in targets for t in self.project.attribute(each, name.value))
            (facts.loads if builtin in ("getattr", "hasattr") else facts.stores).add(name.value)
            return False
        whole = [each for each in targets or () if isinstance(each, Whole)]
        if whole:
            self._undecided(f"an attribute of {whole[0].module} is read by a computed name")
        elif (targets and all(isinstance(each, External) for each in targets)) or (
            isinstance(receiver, ast.Name) and self._is_plain(receiver.id)
        ):
            pass
        elif (known := self._texts_in(name)) is not None:
            (facts.loads if builtin in ("getattr", "hasattr") else facts.stores).update(known)
            facts.texts.update(each for each in known if is_private(each))
        elif builtin in ("getattr", "hasattr") and self._is_own(receiver):
            assert self.own is not None
            facts.computed_self.add(self.own)
        elif builtin in ("getattr", "hasattr"):
            facts.computed_read = True
        else:
            facts.computed_write = True
        return False

    def _is_own(self, node: ast.expr) -> bool:
        """Whether an expression is the object of the class that is written."""
        return self.own is not None and isinstance(node, ast.Name) and node.id == self.selves[-1]

    def _texts_in(self, node: ast.expr) -> list[str] | None:
        """The constant texts that a loop variable takes, one after the other; ``None`` where that cannot be told."""
        if not isinstance(node, ast.Name):
            return None
        for scope in reversed(self.scopes):
            if node.id in scope.texts:
                return scope.texts[node.id]
            if node.id in scope.local or node.id in scope.arguments:
                return None
        return None

    def _constant_texts(self, node: ast.expr) -> list[str] | None:
        """The texts of a tuple or list of constants, at the top level of a module or in place."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else None
        if isinstance(node, (ast.Tuple, ast.List)):
            parts = [self._constant_texts(each.value if isinstance(each, ast.Starred) else each) for each in node.elts]
            return None if any(part is None for part in parts) else [text for part in parts for text in part or ()]
        targets = self.resolve(node) or []
        if len(targets) == 1 and isinstance(targets[0], Bound):
            unit = targets[0].unit
            other = self.project.module(unit.module)
            single = unit.single
            if other is not None and len(unit.names) == 1 and isinstance(single, (ast.Assign, ast.AnnAssign)):
                value = single.value
                return None if value is None else Writer(self.reading, other)._constant_texts(value)
        return None

    def _is_plain(self, name: str) -> bool:
        """Whether a name is a parameter that is annotated as a plain value."""
        kind, scope = self._find(name)
        return kind == "argument" and scope is not None and scope.types.get(name) in self.reading.plain

    # Texts that do not count

    def _write_expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and self._is_message(node.value):
            self._only_effects(node.value)
        elif isinstance(node.value, ast.Call) and self._tells(node.value):
            self.put("(Expr")
            self.node(node.value.func)
            for each in [*node.value.args, *(word.value for word in node.value.keywords)]:
                if not isinstance(each, ast.Constant) or not isinstance(each.value, str):
                    self.node(each)
            self.put(")")
        else:
            self._plainly(node)

    def _is_message(self, call: ast.Call) -> bool:
        if self._builtin_called(call) == "print":
            return True
        external = self._external_called(call)
        if external is not None:
            return external in ("warnings.warn", "warnings.filterwarnings", "warnings.simplefilter") or (
                external.startswith("logging.") and external.rpartition(".")[2] in {*LOG_METHODS, "basicConfig"}
            )
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr in LOG_METHODS:
            targets = self.resolve(function.value)
            return bool(targets) and all(
                isinstance(each, Bound) and self._is_logger(each.unit) for each in targets or ()
            )
        return False

    def _is_logger(self, unit: Unit) -> bool:
        value = getattr(unit.single, "value", None)
        other = self.project.module(unit.module)
        if not isinstance(value, ast.Call) or other is None:
            return False
        return Writer(self.reading, other)._external_called(value) == "logging.getLogger"

    def _tells(self, call: ast.Call) -> bool:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        return name in ("tell", "progress") and self._find(name)[0] in ("argument", "local")

    def _only_effects(self, call: ast.Call) -> None:
        """The calls in the arguments of a message that may do more than make text."""
        kept = [
            part for each in [*call.args, *(word.value for word in call.keywords)] for part in self._effective(each)
        ]
        if kept:
            self.put("(message")
            for part in kept:
                self.node(part)
            self.put(")")

    def _effective(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            yield node
            return
        if isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
            if any(True for child in ast.iter_child_nodes(node) for _ in self._effective(child)):
                yield node
            return
        if isinstance(node, ast.Call):
            pure = self._builtin_called(node) in PURE_CALLS or (
                isinstance(node.func, ast.Attribute) and node.func.attr in PURE_METHODS
            )
            if not pure:
                targets = self.resolve(node.func)
                reports = targets and all(isinstance(t, Bound) and t.unit in self.reading.reports for t in targets)
                if not reports:
                    yield node
                    return
        for child in ast.iter_child_nodes(node):
            yield from self._effective(child)

    def _write_raise(self, node: ast.Raise) -> None:
        self.put("(Raise")
        if isinstance(node.exc, ast.Call):
            self.node(node.exc.func)
            targets = self.resolve(node.exc.func)
            builtin = self._builtin_called(node.exc)
            outer, self.piece = self.piece, Piece()
            for each in [*node.exc.args, *node.exc.keywords]:
                self.node(each)
            inner, self.piece = self.piece, outer
            if inner.tokens:
                raised = targets[0] if targets and len(targets) == 1 else builtin
                self.piece.tokens.append(Payload(raised, inner))
        elif node.exc is not None:
            self.node(node.exc)
        self.put(")")

    def _write_assert(self, node: ast.Assert) -> None:
        self.put("(Assert")
        self.node(node.test)
        self.put(")")

    def _write_excepthandler(self, node: ast.ExceptHandler) -> None:
        self.put("(except")
        if node.type is not None:
            self.node(node.type)
        self.put(";")
        number = None
        if node.name is not None:
            self._binding(node.name)
            kind, scope = self._find(node.name)
            number = scope.local[node.name] if kind == "local" and scope is not None else None
        before = self.uses.get(number, 0) if number is not None else 0
        self.block(node.body)
        read = node.name is not None and (number is None or self.uses.get(number, 0) > before)
        if read:
            self._note_handler(node.type)
        self.put(")")

    def _note_handler(self, node: ast.expr | None) -> None:
        handlers = self.piece.facts.handlers
        for each in node.elts if isinstance(node, ast.Tuple) else [node]:
            targets = None if each is None else self.resolve(each)
            if targets:
                handlers.update(targets)
            elif isinstance(each, ast.Name) and self._is_builtin(each.id):
                handlers.add(each.id)
            else:
                handlers.add("BaseException" if each is None else None)

    # Bindings

    def _write_import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.piece.facts.modules.update(dict.fromkeys(self.module.imported_modules(node)))
        names = [alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name != "*"]
        if all(self._find(name)[0] == "alias" for name in names) and self.scopes:
            return
        self.put("(Import")
        for alias in node.names:
            if alias.name == "*":
                self.put("*")
                assert isinstance(node, ast.ImportFrom)
                self.put_targets([self.project.target(self.module.absolute(node))])
                continue
            self.put_targets(self.project.imported(self.module, node, alias))
            self._binding(alias.asname or alias.name.partition(".")[0])
        self.put(")")

    _write_importfrom = _write_import

    def _write_global(self, node: ast.Global | ast.Nonlocal) -> None:
        pass

    _write_nonlocal = _write_global

    def _write_annassign(self, node: ast.AnnAssign) -> None:
        in_class = bool(self.scopes) and self.scopes[-1].is_class
        if node.value is None and not in_class:
            return
        self.put("(Assign")
        self.node(node.target)
        if in_class:
            self._field(node.annotation)
        if node.value is not None:
            self.put("value=")
            self.node(node.value)
        self.put(")")

    def _write_assign(self, node: ast.Assign) -> None:
        self.put("(Assign")
        for target in node.targets:
            self.node(target)
        self.put("value=")
        self.node(node.value)
        self.put(")")

    reads_fields = "no"
    """How the class that is written reads the annotations of its fields: ``no``, ``marks`` or ``all``."""

    def _field(self, annotation: ast.expr) -> None:
        if self.reads_fields == "all" or (self.reads_fields == "marks" and self.reading.hints):
            self.put("annotation=")
            if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
                annotation = ast.parse(annotation.value, mode="eval").body
            self.node(annotation)
        elif self.reads_fields == "marks":
            marks = {getattr(leaf, "id", getattr(leaf, "attr", "")) for leaf in ast.walk(annotation)} & FIELD_MARKS
            self.put(f"field {' '.join(sorted(marks))}")

    def _how_fields_are_read(self, node: ast.ClassDef) -> str:
        harmless = ("torch.nn.", "typing.Protocol", "typing.Generic", "abc.ABC")
        reads = "no"
        for each in node.bases:
            base = each.value if isinstance(each, ast.Subscript) else each
            targets = self.resolve(base)
            if targets is None:
                known = isinstance(base, ast.Name) and self._is_builtin(base.id)
                reads = reads if known else "all"
                continue
            for target in targets:
                if isinstance(target, Bound) and isinstance(target.unit.single, ast.ClassDef):
                    other = self.project.module(target.unit.module)
                    assert other is not None
                    above = Writer(self.reading, other)._how_fields_are_read(target.unit.single)
                    reads = max(reads, above, key=("no", "marks", "all").index)
                elif not isinstance(target, External):
                    reads = "all"
                elif target.path == "typing.NamedTuple":
                    reads = max(reads, "marks", key=("no", "marks", "all").index)
                elif not target.path.startswith(harmless):
                    reads = "all"
        for each in node.decorator_list:
            call = each.func if isinstance(each, ast.Call) else each
            targets = self.resolve(call) or []
            names = [target.path for target in targets if isinstance(target, External)]
            if names == ["dataclasses.dataclass"]:
                reads = max(reads, "marks", key=("no", "marks", "all").index)
            else:
                reads = "all"
        return reads

    @contextmanager
    def _inside(self, scope: _Scope) -> Iterator[None]:
        self.scopes.append(scope)
        try:
            yield
        finally:
            self.scopes.pop()

    def _write_classdef(self, node: ast.ClassDef) -> None:
        self._class(node)

    def _class(self, node: ast.ClassDef, without: Sequence[ast.stmt] = ()) -> None:
        self.put("(class")
        if self.scopes:
            self._binding(node.name)
        for each in [*node.decorator_list, *node.bases, *node.keywords]:
            self.node(each)
        outer, self.reads_fields = self.reads_fields, self._how_fields_are_read(node)
        names = _counts(name for statement in node.body for name in bound_names(statement))
        with self._inside(_Scope(is_class=True, local=dict.fromkeys(names))):
            self.put("{")
            for statement in _in_order([each for each in node.body if each not in without], names):
                if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    self._function(statement, is_method=True)
                else:
                    self.statement(statement)
            self.put("}")
        self.reads_fields = outer
        self.put(")")

    def _write_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._function(node, is_method=bool(self.scopes) and self.scopes[-1].is_class)

    _write_asyncfunctiondef = _write_functiondef

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, *, is_method: bool) -> None:
        self.put("(async" if isinstance(node, ast.AsyncFunctionDef) else "(def")
        if is_method:
            self._attribute_name(node.name)
        elif self.scopes:
            self._binding(node.name)
        for each in node.decorator_list:
            self.node(each)
        scope = self._function_scope(node)
        self._arguments(node.args, scope)
        static = any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in node.decorator_list)
        first = [*node.args.posonlyargs, *node.args.args][:1]
        self.selves.append(first[0].arg if is_method and first and not static else self.selves[-1])
        with self._inside(scope):
            self.block(node.body)
        self.selves.pop()
        self.put(")")

    def _function_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> _Scope:
        scope = _Scope()
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        scope.arguments = {each.arg for each in every}
        counts = _counts(name for statement in node.body for name in bound_names(statement))
        leaves = list(_own_leaves(node.body))
        for leaf in leaves:
            if isinstance(leaf, (ast.Global, ast.Nonlocal)):
                scope.elsewhere.update(leaf.names)
        varied = [each.arg for each in (node.args.vararg, node.args.kwarg) if each is not None]
        names = [name for name in [*varied, *counts] if name not in scope.arguments and name not in scope.elsewhere]
        scope.local = dict.fromkeys(names)
        for leaf in leaves:
            if isinstance(leaf, (ast.Import, ast.ImportFrom)):
                for alias in leaf.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    if counts.get(name) == 1 and name in scope.local:
                        scope.aliases[name] = self.project.imported(self.module, leaf, alias)
        for each in every:
            plain = self._annotated(each.annotation)
            if plain is not None:
                scope.types[each.arg] = plain
        for leaf in leaves:
            if isinstance(leaf, ast.For) and isinstance(leaf.target, ast.Name) and counts.get(leaf.target.id) == 1:
                texts = self._constant_texts(leaf.iter)
                if texts is not None:
                    scope.texts[leaf.target.id] = texts
        mirrors = {
            leaf.func.id for leaf in ast.walk(node) if isinstance(leaf, ast.Call) and isinstance(leaf.func, ast.Name)
        }
        scope.keeps_names = bool(mirrors & MIRRORS)
        return scope

    def _annotated(self, annotation: ast.expr | None) -> Unit | None:
        """The class of plain values that an annotation names."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except SyntaxError:
                return None
        if annotation is None:
            return None
        name = annotation.id if isinstance(annotation, ast.Name) else getattr(annotation, "attr", "")
        if name not in self.plain_names:
            return None
        for target in self.resolve(annotation) or ():
            if isinstance(target, Bound) and target.unit in self.reading.plain:
                return target.unit
        return None

    def _arguments(self, node: ast.arguments, scope: _Scope) -> None:
        """A signature; its defaults are evaluated outside."""
        self.put("(args")
        for each in node.posonlyargs:
            self.put(f"{each.arg}/")
        for each in node.args:
            self.put(each.arg)
        for default in node.defaults:
            self.put("=")
            self.node(default)
        if node.vararg is not None:
            self.put("*")
        for each, value in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            self.put(f"{each.arg}:")
            if value is not None:
                self.node(value)
        if node.kwarg is not None:
            self.put("**")
        self.put(")")

    def _write_lambda(self, node: ast.Lambda) -> None:
        self.put("(lambda")
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        scope = _Scope(arguments={each.arg for each in every})
        scope.local = {each.arg: None for each in (node.args.vararg, node.args.kwarg) if each is not None}
        self._arguments(node.args, scope)
        with self._inside(scope):
            self.node(node.body)
        self.put(")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.put(f"({type(node).__name__}")
        self.node(node.generators[0].iter)
        names = [name for each in node.generators for name in bound_names(each.target)]
        keeps = bool(self.scopes) and self.scopes[-1].keeps_names
        scope = _Scope(local=dict.fromkeys(names), keeps_names=keeps)
        for each in node.generators:
            texts = self._constant_texts(each.iter) if isinstance(each.target, ast.Name) else None
            if texts is not None and isinstance(each.target, ast.Name):
                scope.texts[each.target.id] = texts
        with self._inside(scope):
            for index, each in enumerate(node.generators):
                self.put("async" if each.is_async else "for")
                self.node(each.target)
                if index:
                    self.node(each.iter)
                for condition in each.ifs:
                    self.put("if")
                    self.node(condition)
            for value in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                self.node(value)
        self.put(")")

    _write_listcomp = _write_setcomp = _write_generatorexp = _write_dictcomp = _comprehension

    def _write_matchas(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.put(f"({type(node).__name__}")
        if isinstance(node, ast.MatchAs) and node.pattern is not None:
            self.node(node.pattern)
        if node.name is not None:
            self._binding(node.name)
        self.put(")")

    _write_matchstar = _write_matchas

    def _write_matchmapping(self, node: ast.MatchMapping) -> None:
        self.put("(MatchMapping")
        for each in [*node.keys, *node.patterns]:
            self.node(each)
        if node.rest is not None:
            self._binding(node.rest)
        self.put(")")

    def _write_matchclass(self, node: ast.MatchClass) -> None:
        self.piece.facts.loads.update(node.kwd_attrs)
        self._plainly(node)


def _is_neutral(value: ast.expr) -> bool:
    """Whether a field's default, as ``field(default=…, metadata={"neutral": …})``, is its neutral value."""
    if not isinstance(value, ast.Call):
        return False
    words = {word.arg: word.value for word in value.keywords}
    metadata, default = words.get("metadata"), words.get("default")
    if not isinstance(metadata, ast.Dict) or default is None:
        return False
    for key, neutral in zip(metadata.keys, metadata.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == NEUTRAL:
            return ast.unparse(neutral) == ast.unparse(default)
    return False


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore and is not one of Python's own."""
    return name.startswith("_") and name.isidentifier() and not (name.startswith("__") and name.endswith("__"))


def is_pure_decorator(path: str) -> bool:
    """Whether a decorator outside this project is known to do nothing but wrap what it decorates."""
    return path.startswith(PURE_DECORATORS) and not path.startswith(("torch.library", "functools.singledispatch"))


def live_object(path: str) -> Any:
    """What a dotted path leads to in the modules that are loaded; ``None`` for nothing."""
    steps = path.split(".")
    for count in range(len(steps), 0, -1):
        found: Any = sys.modules.get(".".join(steps[:count]))
        if found is not None:
            for step in steps[count:]:
                found = getattr(found, step, None)
            return found
    return getattr(builtins, path, None)


def _spelled(value: Any) -> str:
    return f"{type(value).__name__}:{value!r}"


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _own_leaves(statements: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions and classes in it."""
    pending: list[ast.AST] = list(statements)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))


def _in_order(body: Sequence[ast.stmt], counts: Mapping[str, int]) -> list[ast.stmt]:
    """The statements of a class: other statements as they come, then functions by name, if that is the same."""
    functions = [each for each in body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
    rest = [each for each in body if each not in functions]
    names = {each.name for each in functions}
    used = {leaf.id for each in rest for leaf in ast.walk(each) if isinstance(leaf, ast.Name)}
    decorated = {
        leaf.id
        for each in functions
        for part in [*each.decorator_list, *each.args.defaults, *(v for v in each.args.kw_defaults if v is not None)]
        for leaf in ast.walk(part)
        if isinstance(leaf, ast.Name)
    }
    if names & (used | decorated) or any(counts[name] > 1 for name in names):
        return list(body)
    return [*rest, *sorted(functions, key=lambda each: each.name)]
