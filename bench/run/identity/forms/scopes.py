"""Classes, functions and comprehensions: what has names of its own."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from ..definitions.syntax import bases_of, bound_names, collecting_parameters, evaluated_outside, parameters
from ..definitions.targets import Bound, External
from .calls import Calls
from .meaning import Scope, counted, parsed_annotation
from .pieces import ANNOTATION, FIELD_ANNOTATION

FIELD_MARKS = frozenset({"ClassVar", "InitVar", "KW_ONLY"})


class Scopes(Calls):
    """Writes classes, functions, lambdas, comprehensions, and the fields of classes."""

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

    def _how_fields_are_read(self, node: ast.ClassDef) -> str:
        harmless = ("torch.nn.", "typing.Protocol", "typing.Generic", "abc.ABC")
        reads = "no"
        for base in bases_of(node):
            targets = self.resolve(base)
            if targets is None:
                known = isinstance(base, ast.Name) and self.is_builtin(base.id)
                reads = reads if known else "all"
                continue
            for target in targets:
                if isinstance(target, Bound) and isinstance(target.unit.single, ast.ClassDef):
                    above = Scopes.of_module(self.reading, target.unit.module)._how_fields_are_read(target.unit.single)
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
        taken = parameters(node)
        annotations = [parameter.annotation for parameter in taken if parameter.annotation is not None]
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
        if node.name in ("__exit__", "__aexit__"):
            self.piece.facts.caught.add(None)
            if _names_in(node.body) & {argument.arg for argument in taken[1:]}:
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
        scope = Scope(arguments={parameter.arg for parameter in parameters(node)})
        scope.local = {parameter.arg: None for parameter in collecting_parameters(node)}
        self._arguments(node.args)
        with self._inside(scope):
            self.node(node.body)
        self.put(")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.put(f"({type(node).__name__}")
        self.node(node.generators[0].iter)
        names = [name for generator in node.generators for name in bound_names(generator.target)]
        keeps = bool(self.scopes) and self.scopes[-1].keeps_names
        scope = Scope(is_inline=True, local=dict.fromkeys(names), keeps_names=keeps)
        for generator in node.generators:
            if isinstance(generator.target, ast.Name):
                scope.looped[generator.target.id] = generator.iter
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


def _names_in(statements: Sequence[ast.stmt]) -> set[str]:
    return {leaf.id for statement in statements for leaf in ast.walk(statement) if isinstance(leaf, ast.Name)}
