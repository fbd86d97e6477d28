"""Code into which known values are written: the choices of a component, and fields of plain values such as a recipe.

A branch that a known value never takes is removed, so that a new choice, at the value that keeps the old behaviour,
leaves the old code. An observer is known not to be there, so that code which keeps what was computed is no part of the
computation. Nothing is written in where that is not safe: for a parameter that is assigned to, or in a function
that looks at its own names.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast

from ..definitions.project import Project
from ..definitions.syntax import bound_names, collecting_parameters, parameters
from ..definitions.targets import Bound, Unit
from ..forms.meaning import counted, parsed_annotation
from ..forms.pieces import ChosenValue, OpenSlot, OpenValue
from .logic import compared, is_constant, joined, negated, truth
from .syntax import all_bound, constructor, copied, looks_at_names, stored_on, stores

Fields = Mapping[Unit, Mapping[str, Any]]
"""Class of plain values -> field -> its value in every instance, which may be an :class:`OpenValue`."""
MOST_ROUNDS = 4
"""The most rounds in which constants are put into one function, each of which may make other variables constant."""


@dataclass
class _Frame:
    """The meaning of the names of one function; ``None`` for a name that only hides an outer one."""

    constants: dict[str, ast.Constant | None] = field(default_factory=dict)
    types: dict[str, Unit | None] = field(default_factory=dict)
    owner: str | None = None  # the name of ``self``, in a method
    observers: frozenset[str] = frozenset()  # parameters that may hold an observer


@dataclass
class Folded:
    """A unit into which known values were written.

    Attributes:
        unit: the definition with the changed statements.
        choices: the names of the choices whose values were written in; the code reads the others at run time.
    """

    unit: Unit
    choices: frozenset[str] = frozenset()


class Folding(ast.NodeTransformer):
    """Writes known values into one unit.

    Args:
        project: the project whose definitions names lead to.
        module: the module of the unit.
        fields: class of plain values -> field -> its known value.
        observers: class of observers -> its name.
        looked: the slots of open values that were looked at; those that are looked at are added.
    """

    def __init__(
        self,
        project: Project,
        module: str,
        fields: Fields,
        observers: Mapping[Unit, str],
        looked: set[OpenSlot] | None = None,
    ) -> None:
        self.looked: set[OpenSlot] = set() if looked is None else looked
        self.project, self.module, self.fields, self.observers = project, module, fields, observers
        self.plain_names = {name for unit in fields for name in unit.names}
        self.frames: list[_Frame] = []
        self.typed_attributes: dict[str, Unit] = {}
        self.attributes: dict[str, ast.Constant] = {}
        self.choices: dict[str, ChosenValue] = {}
        self.init: ast.FunctionDef | None = None

    def fold(self, unit: Unit, choices: Mapping[str, Any]) -> Folded:
        """The unit with the fields of plain values and, for the class of a component, its choices written in."""
        statements = [copied(statement) for statement in unit.statements]
        folded: frozenset[str] = frozenset()
        single = statements[0] if len(statements) == 1 else None
        if choices and isinstance(single, ast.ClassDef):
            folded = self._take_choices(single, choices)
        made = [self.visit(statement) for statement in statements]
        flat = [node for part in made for node in (part if isinstance(part, list) else [part]) if node is not None]
        return Folded(Unit(unit.module, flat, list(unit.names)), folded)

    def _take_choices(self, node: ast.ClassDef, choices: Mapping[str, Any]) -> frozenset[str]:
        init = constructor(node)
        if init is None or looks_at_names(init) or init.args.kwarg is not None or init.decorator_list:
            return frozenset()
        stored = {name for statement in init.body for name in all_bound(statement)}
        kept: list[tuple[ast.arg, ast.expr | None]] = []
        for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
            name = argument.arg
            value = choices.get(name)
            if name in choices and name not in stored and (isinstance(value, OpenValue) or is_constant(value)):
                self.choices[name] = value.in_code(self.looked) if isinstance(value, OpenValue) else ChosenValue(value)
                self.choices[name].choice = name
            else:
                kept.append((argument, default))
        init.args.kwonlyargs = [argument for argument, _ in kept]
        init.args.kw_defaults = [default for _, default in kept]
        self.init = init
        return frozenset(self.choices)

    # Scopes

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self.typed_attributes
        self.typed_attributes = dict(self._typed(node))
        self.generic_visit(node)
        self.typed_attributes = outer
        return node

    def _typed(self, node: ast.ClassDef) -> Iterator[tuple[str, Unit]]:
        """The attributes that hold a plain value: fields of its type, and those that are set to a parameter."""
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                unit = self._annotated(statement.annotation)
                if unit is not None:
                    yield statement.target.id, unit
        init = constructor(node)
        if init is None:
            return
        self_name = init.args.args[0].arg if init.args.args else ""
        types = {parameter.arg: self._annotated(parameter.annotation) for parameter in parameters(init)}
        for statement in init.body:
            attribute = stored_on(statement, self_name)
            value = getattr(statement, "value", None)
            if attribute and isinstance(value, ast.Name) and types.get(value.id) and stores(node)[attribute] == 1:
                yield attribute, cast(Unit, types[value.id])

    def _annotated(self, annotation: ast.expr | None) -> Unit | None:
        annotation = None if annotation is None else parsed_annotation(annotation)
        if not isinstance(annotation, ast.Name) or annotation.id not in self.plain_names:
            return None
        return next(iter(self._named(annotation.id) & self.fields.keys()), None)

    def _named(self, name: str) -> set[Unit]:
        """The definitions of this project that a name of the module stands for."""
        return {target.unit for target in self.project.lookup(self.module, name) if isinstance(target, Bound)}

    def _take_observers(self, node: ast.arguments, stored: Set[str]) -> frozenset[str]:
        """Remove parameters like ``*, keeper: Keeper | None = None`` that are never assigned to; return their names."""
        taken: set[str] = set()
        for parameter, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            match parameter.annotation, default:
                case ast.BinOp(ast.Name(name), ast.BitOr(), ast.Constant(None)), ast.Constant(None):
                    if name in self.observers.values() and self._named(name) & self.observers.keys():
                        taken |= {parameter.arg} - stored
        kept = [pair for pair in zip(node.kwonlyargs, node.kw_defaults, strict=True) if pair[0].arg not in taken]
        node.kwonlyargs, node.kw_defaults = [parameter for parameter, _ in kept], [default for _, default in kept]
        return frozenset(taken)

    def _is_observer(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Name):
            return False
        frame = next((frame for frame in reversed(self.frames) if node.id in frame.constants), None)
        return frame is not None and node.id in frame.observers

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords = [word for word in node.keywords if not self._is_observer(word.value)]
        self.generic_visit(node)
        node.keywords = [word for word in node.keywords if word.arg or not _is_empty(word.value)]
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        self.visit(node.args)
        frame = _Frame()
        stored = {name for statement in node.body for name in all_bound(statement)}
        hidden = _parameter_names(node) | stored
        frame.constants = dict.fromkeys(hidden)
        frame.types = dict.fromkeys(hidden)
        for parameter in [*parameters(node), *collecting_parameters(node)]:
            if parameter.arg not in stored:
                frame.types[parameter.arg] = self._annotated(parameter.annotation)
        positional = [*node.args.posonlyargs, *node.args.args]
        frame.owner = positional[0].arg if positional and positional[0].arg not in stored else None
        if node is self.init:
            frame.constants |= self.choices
        if looks_at_names(node):
            return node
        frame.observers = self._take_observers(node.args, stored)
        frame.constants |= {name: ast.Constant(None) for name in frame.observers}
        self.frames.append(frame)
        node.body = self._block(node.body)
        self.frames.pop()
        self._put_in_constants(node)
        return node

    def _put_in_constants(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Replace local variables by constants if they are set once, to a constant, before anything else happens."""
        taken = _parameter_names(node)
        for _ in range(MOST_ROUNDS):
            counts = counted(name for statement in node.body for name in all_bound(statement))
            known: dict[str, ast.Constant | None] = {}
            for statement in node.body:
                variable, value = _set_to_constant(statement)
                if variable is not None and value is not None and counts[variable] == 1 and variable not in taken:
                    known[variable] = value
            if not known:
                return
            left = [statement for statement in node.body if _set_to_constant(statement)[0] not in known]
            constants = Folding(self.project, self.module, {}, {})
            constants.frames.append(_Frame(known))
            node.body = constants._block(left) or [ast.Pass()]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.visit(node.args)
        hidden = _parameter_names(node)
        self.frames.append(_Frame(dict.fromkeys(hidden), dict.fromkeys(hidden)))
        node.body = self.visit(node.body)
        self.frames.pop()
        return node

    def _comprehension(self, node: Any) -> ast.AST:
        hidden = {name for generator in node.generators for name in bound_names(generator.target)}
        self.frames.append(_Frame(dict.fromkeys(hidden), dict.fromkeys(hidden)))
        self.generic_visit(node)
        self.frames.pop()
        return cast(ast.AST, node)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815 - ast's names

    def _constant(self, name: str) -> ast.Constant | None:
        for frame in reversed(self.frames):
            if name in frame.constants:
                return frame.constants[name]
        return None

    def _type(self, node: ast.expr) -> Unit | None:
        if isinstance(node, ast.Name):
            for frame in reversed(self.frames):
                if name_type := frame.types.get(node.id):
                    return name_type
                if node.id in frame.types:
                    return None
            return None
        if isinstance(node, ast.Attribute) and self._is_self(node.value):
            return self.typed_attributes.get(node.attr)
        return None

    def _is_self(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Name):
            return False
        for frame in reversed(self.frames):
            if node.id in frame.constants:
                return frame.owner == node.id
        return False

    # Values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        constant = self._constant(node.id) if isinstance(node.ctx, ast.Load) else None
        return node if constant is None else _same_place(copy.copy(constant), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.ctx, ast.Load):
            unit = self._type(node.value)
            if unit is not None and node.attr in self.fields[unit]:
                value = self.fields[unit][node.attr]
                known = value.in_code(self.looked) if isinstance(value, OpenValue) else ast.Constant(value)
                return _same_place(known, node)
            if node.attr in self.attributes and self._is_self(node.value):
                return _same_place(copy.copy(self.attributes[node.attr]), node)
        self.generic_visit(node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        return compared(node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        kept = [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key or not _is_empty(value)]
        node.keys, node.values = [key for key, _ in kept], [value for _, value in kept]
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return negated(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        return joined(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        known = truth(node.test)
        return node if known is None else node.body if known else node.orelse

    def visit_If(self, node: ast.If) -> Any:
        node.test = self.visit(node.test)
        known = truth(node.test)
        node.body = self._block(node.body) if known is not False else []
        node.orelse = self._block(node.orelse) if known is not True else []
        if known is not None:
            return node.body if known else node.orelse
        if not node.body:
            node.body = [ast.Pass()]
        return node

    def visit_Assert(self, node: ast.Assert) -> Any:
        self.generic_visit(node)
        return None if truth(node.test) is True else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                made = self._block(value)
                setattr(node, name, made if made or name != "body" else [ast.Pass()])
            elif isinstance(value, list):
                setattr(node, name, [self.visit(item) if isinstance(item, ast.AST) else item for item in value])
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
        return node

    def _block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        return _reachable(kept for statement in statements for kept in _listed(self.visit(statement)))


def _is_empty(node: ast.expr) -> bool:
    """Return whether an expression is ``{}``, of which ``**`` adds nothing to a call or to another dictionary."""
    return isinstance(node, ast.Dict) and not node.keys


def _listed(made: Any) -> list[ast.stmt]:
    return made if isinstance(made, list) else [] if made is None else [made]


def _reachable(statements: Iterable[ast.stmt]) -> list[ast.stmt]:
    """The statements up to the first one that leaves the block."""
    kept: list[ast.stmt] = []
    for statement in statements:
        kept.append(statement)
        if isinstance(statement, (ast.Return, ast.Raise, ast.Continue, ast.Break)):
            break
    return kept


def _same_place(node: ast.Constant, place: ast.AST) -> ast.Constant:
    return ast.copy_location(node, place)


def _parameter_names(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    return {parameter.arg for parameter in [*parameters(node), *collecting_parameters(node)]}


def _set_to_constant(statement: ast.stmt) -> tuple[str | None, ast.Constant | None]:
    """The variable that a statement sets to a constant, and the constant."""
    target: ast.expr | None = None
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    value = getattr(statement, "value", None)
    if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
        return target.id, value
    return None, None
