"""The normal form of a piece of code: the computation, whatever the spelling.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .meaning import BUILTINS, Meaning, Scope, counted, is_private, parsed_annotation, spellings
from .pieces import ANNOTATION, DOCSTRING, FIELD_ANNOTATION, Payload, Piece, Private, Reading, Text
from .source import Bound, External, Module, Target, Unit, Whole, bound_names, evaluated_outside, is_text, local_path

SKIPPED = frozenset(
    {"ctx", "type_comment", "kind", "type_params", "annotation", "returns", "lineno", "col_offset", "decorator_list"}
)
READ_BY_NAME = frozenset({"getattr", "hasattr", "__getattribute__", "__getattr__", "inspect.getattr_static"})
SET_BY_NAME = frozenset({"setattr", "delattr", "__setattr__", "__delattr__"})
METHODS_BY_NAME = {"__getattribute__": 1, "__getattr__": 1, "__setattr__": 2, "__delattr__": 1}
"""Method that reads or sets an attribute which its first argument names -> its number of arguments besides ``self``."""
LOOKERS = frozenset({"getattr", "hasattr", "setattr", "delattr", "vars"})
READERS_OF_FILES = frozenset({"numpy.load", "torch.load", "pandas.read_csv", "json.load", "io.open"})
WHOLE_NAMESPACE = frozenset({"eval", "exec", "compile", "globals", "locals", "__import__"})
HINT_READERS = frozenset(
    {
        "typing.get_type_hints",
        "inspect.signature",
        "inspect.get_annotations",
        "inspect.getfullargspec",
        "annotationlib.get_annotations",
    }
)
DOCSTRING_READERS = frozenset({"inspect.getdoc", "inspect.getcomments", "pydoc.getdoc", "pydoc.render_doc"})
NEUTRAL = "neutral"
"""The key in a field's metadata for the value at which the field changes nothing, as if there were no such field."""
FIELD_MARKS = frozenset({"ClassVar", "InitVar", "KW_ONLY"})
PATH = re.compile(r"[^\n\0]+\.\w{1,8}")
RAISED_READERS = ("sys.exc_info", "sys.exception", "sys.last_", "traceback.")
"""The beginnings of the paths of what reads an exception though no handler names it."""


class Writer(Meaning):
    """Writes one unit, or some statements of a module, in their normal form.

    Args:
        reading: the settings by which code is read.
        module: the module that the code stands in.
    """

    def __init__(self, reading: Reading, module: Module) -> None:
        super().__init__(reading, module)
        self.piece = Piece()
        self.selves: list[str | None] = [None]
        self.count = 0
        self.uses: dict[int, int] = {}
        self.own: Unit | None = None
        self.single = False

    # Texts of units

    def unit(self, unit: Unit) -> Text:
        """The normal form of a unit, in which the private methods of a class are kept apart."""
        statement = unit.single
        self.single = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        if isinstance(statement, ast.ClassDef):
            self.own = self.module.bound(unit.names[0])
            return self._class_text(statement)
        for statement in unit.statements:
            self.statement(statement)
        return Text(self.piece)

    def defaults(self, node: ast.ClassDef) -> Piece:
        """The defaults of a class of plain values, without those that are the declared neutral value of their field."""
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
        bound_once = counted(name for statement in node.body for name in bound_names(statement))
        may_split = inherited is not None and all(self.has_no_effect(decorator) for decorator in node.decorator_list)
        apart: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        kept = set()
        for statement in node.body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and is_private(statement.name):
                is_new = inherited is not None and statement.name not in inherited
                pure = all(self.has_no_effect(decorator) for decorator in statement.decorator_list)
                if may_split and is_new and pure and bound_once[statement.name] == 1:
                    apart.append(statement)
                else:
                    kept.add(statement.name)
        self._class(node, without=apart)
        main, methods = self.piece, {}
        scope = Scope(is_class=True, local=dict.fromkeys(bound_once))
        for method in apart:
            self.piece, self.count, self.uses = Piece(), 0, {}
            with self._inside(scope):
                self._function(method, is_method=True)
            methods[method.name] = self.piece
        self.piece = main
        return Text(main, methods, frozenset(kept | (inherited or set())))

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
        if path == "sys.modules":
            self._undecided("sys.modules is read", beside=True)
        if path.startswith(RAISED_READERS):
            self.piece.facts.handlers.add(None)
        if path.startswith(("os.environ", "os.getenv")):
            self._note_only("an environment variable is read; its value does not count")
        if path.startswith(("importlib.resources", "pkgutil.")):
            self._note_only("a file is found by its package; its content does not count")
        if path.startswith(("inspect.getsource", "inspect.currentframe", "sys._getframe", "inspect.getmembers")):
            self._undecided(f"{path} reads the code itself")

    def put(self, token: str) -> None:
        self.piece.tokens.append(token)

    def _undecided(self, why: str, *, beside: bool = False, node: ast.AST | None = None) -> None:
        """Count everything that may be meant: this whole module, or all modules beside it."""
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
                for item in value:
                    self._value(item)
        else:
            self.put(_spelled(value))

    def statement(self, node: ast.stmt) -> None:
        if not is_text(node):
            self.node(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            self.piece.tokens.append(Payload(DOCSTRING, Piece([_spelled(node.value.value)])))

    def block(self, statements: Sequence[ast.stmt]) -> None:
        self.put("{")
        for statement in statements:
            self.statement(statement)
        self.put("}")

    def _write_constant(self, node: ast.Constant) -> None:
        self.put(_spelled(node.value))
        choice = getattr(node, "choice", None)
        if choice is not None:
            self.piece.facts.choices.add(choice)
        if isinstance(node.value, str):
            if is_private(node.value):
                self.piece.facts.texts |= spellings(node.value)
            if PATH.fullmatch(node.value):
                self._file(node.value)

    def _file(self, text: str) -> None:
        """Write the content of a file that a text names, if there is one."""
        path = local_path(self.module, text)
        if path is not None:
            self.put(f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}")

    def _write_binop(self, node: ast.BinOp) -> None:
        self._plainly(node)
        steps: list[str] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div) and _text(left.right) is not None:
            steps.insert(0, _text(left.right) or "")
            left = left.left
        if len(steps) > 1 or (steps and not PATH.fullmatch(steps[0])):
            self._file("/".join(steps))

    def _write_unaryop(self, node: ast.UnaryOp) -> None:
        value = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if isinstance(node.op, ast.USub) and isinstance(value, (int, float)) and not isinstance(value, bool):
            self.put(_spelled(-value))
        else:
            self._plainly(node)

    def _write_joinedstr(self, node: ast.JoinedStr) -> None:
        self.put("(JoinedStr")
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
                continue
            if text:
                self.put(_spelled(text))
            text = ""
            self.node(part)
        if text:
            self.put(_spelled(text))
        self.put(")")

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
            self._name_of_nothing_here(node.id)

    def _name_of_nothing_here(self, name: str) -> None:
        """Write a name that the module does not bind: a builtin, or one that Python gives every module."""
        self.put(f"N:{name}")
        if name == "__file__":
            self._note_only("a file is found by __file__; files beside it count only where a text names them")
        elif name == "__doc__":
            self.put(_spelled(self.module.docstring))
        elif name in ("__name__", "__qualname__", "__package__", "__spec__"):
            self.piece.facts.all_names = True
        elif name in LOOKERS:  # the function is not called here but handed on
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        elif name in WHOLE_NAMESPACE:
            self._undecided(f"{name}() may reach every name")
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        elif not hasattr(builtins, name) and not name.startswith("__"):
            self._unknown_name(name)

    def _note_only(self, why: str) -> None:
        note = f"{self.project.file_label(self.module.name)}:{getattr(self.at, 'lineno', 0)} {why}"
        self.piece.facts.notes[note] = None

    def _unknown_name(self, name: str) -> None:
        if self.module.stars:
            self._note_only(f"{name} comes from nowhere that can be seen")

    def _local(self, scope: Scope, name: str) -> None:
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
        """Write a name that is bound without a Name node, by an exception, an import or a nested function."""
        self._write_name(ast.Name(name, ast.Store()))

    called: ast.expr | None = None
    """The function that is called by the call which is being written."""

    def _write_attribute(self, node: ast.Attribute) -> None:
        if node.attr in METHODS_BY_NAME and node is not self.called:  # the method is not called here but handed on
            self.piece.facts.computed_read = self.piece.facts.computed_write = True
        targets = self.resolve(node)
        if targets is not None:
            self.put_targets(targets)
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
        self.put(")")

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
        elif name == "__subclasses__":
            self._undecided("all subclasses are read", beside=True)
        elif name in ("__annotations__", "__annotate__"):
            self._reads_annotations()

    def _attribute_name(self, name: str, owner: Unit | None) -> None:
        if is_private(name):
            self.piece.tokens.append(Private(name, owner))
        else:
            self.put(f".{name}")

    # Calls

    def _write_call(self, node: ast.Call) -> None:
        builtin, external = self.builtin_called(node), self.external_called(node)
        if external == "typing.cast" and len(node.args) == 2:
            self.node(node.args[1])
            return
        if external == "logging.getLogger":
            self._external("logging.getLogger")
            return
        targets = self.resolve(node.func)
        if targets and all(isinstance(target, Bound) and target.unit in self.reading.reports for target in targets):
            self._only_effects(node)
            return
        self.called = node.func
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        by_name = next((name for name in (builtin, external, method) if name in READ_BY_NAME | SET_BY_NAME), None)
        if by_name is not None:
            self._by_name(node, by_name)
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
            self._reads_annotations()
        elif external in DOCSTRING_READERS:
            self._reads_attribute("__doc__")
        elif external in ("operator.attrgetter", "operator.methodcaller"):
            self._named_by(node.args)
        if builtin in LOOKERS:
            self.put("(Call")
            self.put(f"N:{builtin}")
            for argument in [*node.args, *node.keywords]:
                self.node(argument)
            self.put(")")
        else:
            self._plainly(node)
        if builtin == "type" and len(node.args) == 1 and self._is_own(node.args[0]):
            self._own_class()
        if external == "os.path.join":
            steps = [text for text in map(_text, node.args) if text is not None]
            if len(steps) > 1 or (steps and not PATH.fullmatch(steps[0])):
                self._file("/".join(steps))
        if external in READERS_OF_FILES or builtin == "open":
            self._note_file(node)

    def _reads_annotations(self) -> None:
        self.piece.facts.hints = True
        if self.module.name.partition(".")[0] != self.project.origins.package:
            self.piece.facts.all_hints = True

    def _own_class(self) -> None:
        """Write the class that is being written as a value, since it may make another object of its kind."""
        if self.own is not None:
            self.put_targets([Bound(self.own, self.own.names[0])])

    def _note_file(self, node: ast.Call) -> None:
        first = node.args[0] if node.args else None
        named = first.value if isinstance(first, ast.Constant) else None
        if isinstance(named, str) and local_path(self.module, named) is None:
            self._note_only(f"the file {named} is read; its content does not count")

    def _named_by(self, names: Sequence[ast.expr]) -> None:
        for name in names:
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                for attribute in name.value.split("."):
                    self.piece.facts.loads.add(attribute)
                    self._reads_attribute(attribute)
            else:
                self.piece.facts.computed_read = True

    def _by_name(self, node: ast.Call, function: str) -> None:
        """Note the attribute that a call like ``getattr(…)`` reads or sets by its name, which may be computed."""
        receiver, name = _named_attribute(node, function)
        reads, facts = function in READ_BY_NAME, self.piece.facts
        targets = None if receiver is None else self.resolve(receiver)
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            if targets and reads and not any(isinstance(target, Bound) for target in targets):
                self.put_targets(t for target in targets for t in self.project.attribute(target, name.value))
            (facts.loads if reads else facts.stores).add(name.value)
            if reads:
                self._reads_attribute(name.value)
            return
        whole = [target for target in targets or () if isinstance(target, Whole)]
        if whole:
            self._undecided(f"an attribute of {whole[0].module} is read by a computed name")
        elif (targets and all(isinstance(target, External) for target in targets)) or (
            isinstance(receiver, ast.Name) and self._is_plain(receiver.id)
        ):
            pass
        elif name is not None and (known := self._texts_in(name)) is not None:
            (facts.loads if reads else facts.stores).update(known)
            for text in known:
                if reads:
                    self._reads_attribute(text)
                facts.texts |= spellings(text) if is_private(text) else set()
        elif reads and receiver is not None and self._is_own(receiver):
            assert self.own is not None
            facts.computed_self.add(self.own)
        elif reads:
            facts.computed_read = True
        else:
            facts.computed_write = True

    def _is_own(self, node: ast.expr) -> bool:
        """Return whether an expression is the object (``self``) of the class that is being written."""
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

    def _is_plain(self, name: str) -> bool:
        """Return whether a name is a parameter whose annotation names a class of plain values."""
        kind, scope = self.find(name)
        return kind == "argument" and scope is not None and scope.types.get(name) in self.reading.plain

    # Texts that do not count

    def _write_expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and self.is_message(node.value):
            self._only_effects(node.value)
        elif isinstance(node.value, ast.Call) and self.tells(node.value):
            self.put("(Expr")
            self.node(node.value.func)
            for argument in [*node.value.args, *(word.value for word in node.value.keywords)]:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    self.node(argument)
            self.put(")")
        else:
            self._plainly(node)

    def _only_effects(self, call: ast.Call) -> None:
        """The calls in the arguments of a message that may do more than make text."""
        kept = [
            part
            for argument in [*call.args, *(word.value for word in call.keywords)]
            for part in self.effective(argument)
        ]
        if kept:
            self.put("(message")
            for part in kept:
                self.node(part)
            self.put(")")

    def _write_raise(self, node: ast.Raise) -> None:
        self.put("(Raise")
        if isinstance(node.exc, ast.Call):
            self.node(node.exc.func)
            targets = self.resolve(node.exc.func)
            builtin = self.builtin_called(node.exc)
            raised = targets[0] if targets and len(targets) == 1 else builtin
            self._only_if(raised, [*node.exc.args, *node.exc.keywords])
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
            kind, scope = self.find(node.name)
            number = scope.local[node.name] if kind == "local" and scope is not None else None
        before = self.uses.get(number, 0) if number is not None else 0
        self.block(node.body)
        read = node.name is not None and (number is None or self.uses.get(number, 0) > before)
        if read:
            self._note_handler(node.type)
        self.put(")")

    def _note_handler(self, node: ast.expr | None) -> None:
        handlers = self.piece.facts.handlers
        for handled in node.elts if isinstance(node, ast.Tuple) else [node]:
            targets = None if handled is None else self.resolve(handled)
            if targets:
                handlers.update(targets)
            elif isinstance(handled, ast.Name) and self.is_builtin(handled.id):
                handlers.add(handled.id)
            else:
                handlers.add("BaseException" if handled is None else None)

    # Bindings

    def _write_import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.piece.facts.modules.update(dict.fromkeys(self.module.imported_modules(node)))
        names = [alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name != "*"]
        if all(self.find(name)[0] == "alias" for name in names) and self.scopes:
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
    """The annotations of its fields that the class which is being written reads: ``no``, ``marks`` or ``all``."""

    def _field(self, annotation: ast.expr) -> None:
        annotation = parsed_annotation(annotation)
        if self.reads_fields == "all":
            self.put("annotation=")
            self.node(annotation)
            return
        if self.reads_fields == "marks":
            marks = {getattr(leaf, "id", getattr(leaf, "attr", "")) for leaf in ast.walk(annotation)} & FIELD_MARKS
            self.put(f"field {' '.join(sorted(marks))}")
        self._only_if(FIELD_ANNOTATION if self.reads_fields == "marks" else ANNOTATION, [annotation])

    def _only_if(self, condition: Target | str | None, nodes: Sequence[ast.AST]) -> None:
        """Write code that counts only on a condition."""
        outer, self.piece = self.piece, Piece()
        for node in nodes:
            self.node(node)
        inner, self.piece = self.piece, outer
        if inner.tokens:
            self.piece.tokens.append(Payload(condition, inner))

    def _how_fields_are_read(self, node: ast.ClassDef) -> str:
        harmless = ("torch.nn.", "typing.Protocol", "typing.Generic", "abc.ABC")
        reads = "no"
        for written_base in node.bases:
            base = written_base.value if isinstance(written_base, ast.Subscript) else written_base
            targets = self.resolve(base)
            if targets is None:
                known = isinstance(base, ast.Name) and self.is_builtin(base.id)
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
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            targets = self.resolve(call) or []
            names = [target.path for target in targets if isinstance(target, External)]
            if names == ["dataclasses.dataclass"]:
                reads = max(reads, "marks", key=("no", "marks", "all").index)
            else:
                reads = "all"
        return reads

    @contextmanager
    def _inside(self, scope: Scope) -> Iterator[None]:
        self.scopes.append(scope)
        try:
            yield
        finally:
            self.scopes.pop()

    def _write_classdef(self, node: ast.ClassDef) -> None:
        self._class(node)

    def _class(self, node: ast.ClassDef, without: Sequence[ast.stmt] = ()) -> None:
        self.put("(class")
        if self.scopes or not self.single:
            self._binding(node.name)
        for expression in [*node.decorator_list, *node.bases, *node.keywords]:
            self.node(expression)
        outer, self.reads_fields = self.reads_fields, self._how_fields_are_read(node)
        # A class inside of a class has objects of its own.
        owner, self.own = self.own, None if self.scopes else self.own
        names = counted(name for statement in node.body for name in bound_names(statement))
        with self._inside(Scope(is_class=True, local=dict.fromkeys(names))):
            self.put("{")
            for statement in self._in_order([statement for statement in node.body if statement not in without], names):
                if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    self._function(statement, is_method=True)
                else:
                    self.statement(statement)
            self.put("}")
        self.reads_fields, self.own = outer, owner
        self.put(")")

    def _in_order(self, body: Sequence[ast.stmt], counts: Mapping[str, int]) -> list[ast.stmt]:
        """The statements of a class, functions last and by name, unless that order would change the class."""
        functions = [statement for statement in body if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))]
        rest = [statement for statement in body if statement not in functions]
        names = {function.name for function in functions}
        used = {leaf.id for statement in rest for leaf in ast.walk(statement) if isinstance(leaf, ast.Name)}
        outside = [part for function in functions for part in evaluated_outside(function)]
        decorated = {leaf.id for part in outside for leaf in ast.walk(part) if isinstance(leaf, ast.Name)}
        pure = all(self.has_no_effect(decorator) for function in functions for decorator in function.decorator_list)
        if not pure or names & (used | decorated) or any(counts[name] > 1 for name in names):
            return list(body)
        return [*rest, *sorted(functions, key=lambda function: function.name)]

    def _write_functiondef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._function(node, is_method=bool(self.scopes) and self.scopes[-1].is_class)

    _write_asyncfunctiondef = _write_functiondef

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, *, is_method: bool) -> None:
        self.put("(async" if isinstance(node, ast.AsyncFunctionDef) else "(def")
        if is_method:
            self._attribute_name(node.name, self.own)
        elif self.scopes or not self.single:
            self._binding(node.name)
        for decorator in node.decorator_list:
            self.node(decorator)
        scope = self.function_scope(node)
        self._arguments(node.args)
        parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        annotations = [parameter.annotation for parameter in parameters if parameter.annotation is not None]
        if all(self.has_no_effect(decorator) for decorator in node.decorator_list):
            self._only_if(ANNOTATION, [parsed_annotation(annotation) for annotation in annotations])
        else:  # a decorator may read annotations
            for annotation in annotations:
                self.put("annotation=")
                self.node(annotation)
        static = any(
            isinstance(decorator, ast.Name) and decorator.id == "staticmethod" for decorator in node.decorator_list
        )
        first = [*node.args.posonlyargs, *node.args.args][:1]
        if node.name in ("__exit__", "__aexit__") and _names_in(node.body) & {
            argument.arg for argument in parameters[1:]
        }:
            self.piece.facts.handlers.add(None)
        self.selves.append(first[0].arg if is_method and first and not static else self.selves[-1])
        with self._inside(scope):
            self.block(node.body)
        self.selves.pop()
        self.put(")")

    def _arguments(self, node: ast.arguments) -> None:
        """Write a signature without its defaults, which are evaluated outside of the function."""
        self.put("(args")
        for parameter in node.posonlyargs:
            self.put(f"{parameter.arg}/")
        for parameter in node.args:
            self.put(parameter.arg)
        for default in node.defaults:
            self.put("=")
            self.node(default)
        if node.vararg is not None:
            self.put("*")
        for parameter, value in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            self.put(f"{parameter.arg}:")
            if value is not None:
                self.node(value)
        if node.kwarg is not None:
            self.put("**")
        self.put(")")

    def _write_lambda(self, node: ast.Lambda) -> None:
        self.put("(lambda")
        parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        scope = Scope(arguments={parameter.arg for parameter in parameters})
        scope.local = {
            parameter.arg: None for parameter in (node.args.vararg, node.args.kwarg) if parameter is not None
        }
        self._arguments(node.args)
        with self._inside(scope):
            self.node(node.body)
        self.put(")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.put(f"({type(node).__name__}")
        self.node(node.generators[0].iter)
        names = [name for generator in node.generators for name in bound_names(generator.target)]
        keeps = bool(self.scopes) and self.scopes[-1].keeps_names
        scope = Scope(local=dict.fromkeys(names), keeps_names=keeps)
        for generator in node.generators:
            texts = self.constant_texts(generator.iter) if isinstance(generator.target, ast.Name) else None
            if texts is not None and isinstance(generator.target, ast.Name):
                scope.texts[generator.target.id] = texts
        with self._inside(scope):
            for index, generator in enumerate(node.generators):
                self.put("async" if generator.is_async else "for")
                self.node(generator.target)
                if index:
                    self.node(generator.iter)
                for condition in generator.ifs:
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
        for part in [*node.keys, *node.patterns]:
            self.node(part)
        if node.rest is not None:
            self._binding(node.rest)
        self.put(")")

    def _write_matchclass(self, node: ast.MatchClass) -> None:
        self.piece.facts.loads.update(node.kwd_attrs)
        self._plainly(node)


def _named_attribute(node: ast.Call, function: str) -> tuple[ast.expr | None, ast.expr | None]:
    """The object and the attribute's name in a call like ``getattr(…)``; ``None`` for one that cannot be told."""
    arguments: list[ast.expr | None] = [*node.args]
    if any(isinstance(argument, ast.Starred) for argument in node.args) or node.keywords:
        return None, None
    if isinstance(node.func, ast.Attribute) and METHODS_BY_NAME.get(function) == len(arguments):
        arguments.insert(0, node.func.value)
    receiver, name, *_ = [*arguments, None, None]
    return receiver, name


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _names_in(statements: Sequence[ast.stmt]) -> set[str]:
    return {leaf.id for statement in statements for leaf in ast.walk(statement) if isinstance(leaf, ast.Name)}


def _is_neutral(value: ast.expr) -> bool:
    """Return whether a field's default in ``field(default=…, metadata={"neutral": …})`` is its neutral value."""
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


def _spelled(value: Any) -> str:
    return f"{type(value).__name__}:{value!r}"
