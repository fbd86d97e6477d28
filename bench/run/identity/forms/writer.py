"""The normal form of a piece of code: the computation, whatever the spelling.

Left out are comments, docstrings, layout, annotations that nothing reads, and the texts of errors, logs and progress.
Local variables are numbered in the order in which they occur. A reference to a definition of this project is a token
of its own, so that neither its name nor its module counts; what belongs to an installed distribution is written with
its dotted path. The form does not depend on the version of Python: it is not that of :func:`ast.dump`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from ..definitions.syntax import bound_names
from ..definitions.targets import Unit
from .meaning import Scope, counted, is_private
from .pieces import Piece, Text
from .scopes import Scopes

NEUTRAL = "neutral"
"""The key in a field's metadata for the value at which the field changes nothing, as if there were no such field."""


class Writer(Scopes):
    """Writes one unit, or some statements of a module, in their normal form.

    Args:
        reading: the settings by which code is read.
        module: the module that the code stands in.
    """

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

    def loose(self, statement: ast.stmt, whys: Iterable[str]) -> Piece:
        """The normal form of a top-level statement that binds nothing.

        Args:
            statement: the statement.
            whys: the reasons for which it cannot be decided what the statement changes.
        """
        self.at = statement
        for why in sorted(whys):
            self._note_only(why)
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
        if node.value is not None and not in_class:
            self.files.gets_name(node.target, node.value)
        self.put("(Assign")
        self.node(node.target)
        if in_class:
            self._field(node.annotation)
        if node.value is not None:
            self.put("value=")
            self.node(node.value)
        self.put(")")

    def _write_assign(self, node: ast.Assign) -> None:
        is_class = bool(self.scopes) and self.scopes[-1].is_class
        if len(node.targets) == 1 and not is_class:
            self.files.gets_name(node.targets[0], node.value)
        self.put("(Assign")
        for target in node.targets:
            self.node(target)
        self.put("value=")
        self.node(node.value)
        self.put(")")

    def _write_augassign(self, node: ast.AugAssign) -> None:
        self.files.gets_name(node.target, node.value)
        self._plainly(node)

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
