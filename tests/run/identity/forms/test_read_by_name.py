"""Names, docstrings, annotations and files count in a key where code reads them, in whatever way it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.identity.conftest import Changes, Reader

NAMED = (
    "class Mine:\n    def _scale(self):\n        return 2\n"
    "    def forward(self, x, kind='scale'):\n        return x * {}\n"
)
METHOD = {
    "getattr": ("", "getattr(self, '_scale')()"),
    "getattr of a computed name": ("", "getattr(self, f'_{kind}')()"),
    "vars": ("", "len(vars(type(self)))"),
    "getattr of the module of builtins": ("import builtins\n", "builtins.getattr(self, f'_{kind}')()"),
    "getattr under another name": ("from builtins import getattr as read\n", "read(self, f'_{kind}')()"),
    "getattr handed on": ("", "sum(f() for f in map(getattr, [self], ['_scale']))"),
    "getattr with its arguments in a list": ("", "getattr(*[self, '_' + kind])()"),
    "eval of the module of builtins": ("import builtins\n", "builtins.eval('self._' + kind)()"),
    "vars of the module of builtins": ("import builtins\n", "len(builtins.vars(type(self))['_' + kind](self))"),
    "__getattribute__ of the object": ("", "self.__getattribute__('_' + kind)()"),
    "__getattribute__ of object": ("", "object.__getattribute__(self, '_' + kind)()"),
    "__getattribute__ handed on": ("", "sum(f() for f in map(self.__getattribute__, ['_' + kind]))"),
    "getattr_static": ("import inspect\n", "inspect.getattr_static(self, '_' + kind)(self)"),
    "attrgetter": ("import operator\n", "operator.attrgetter('_' + kind)(self)()"),
    "methodcaller": ("import operator\n", "operator.methodcaller('_' + kind)(self)"),
}
"""Way to call a method by its name -> the lines before the class, and the expression."""


@pytest.mark.parametrize("way", METHOD)
def test_a_private_method_keeps_its_name_where_it_is_read_by_name(way: str, changes_key: Changes) -> None:
    head, expression = METHOD[way]
    source = head + NAMED.format(expression)
    assert changes_key(source, "def _scale", "def _size")


def test_a_private_method_that_only_code_calls_may_have_another_name(changes_key: Changes) -> None:
    source = NAMED.format("self._scale()")
    assert not changes_key(source, "_scale", "_size")


@pytest.mark.parametrize("way", METHOD)
def test_the_body_of_a_private_method_that_is_read_by_name_counts(way: str, changes_key: Changes) -> None:
    head, expression = METHOD[way]
    source = head + NAMED.format(expression)
    assert changes_key(source, "return 2", "return 3")


@pytest.mark.parametrize("reads", ["self._Mine__scale()", "getattr(self, '_Mine__scale')()"])
def test_the_body_of_a_method_that_is_read_by_its_mangled_name_counts(
    reads: str, read: Reader, changes_key: Changes
) -> None:
    source = (
        "class Mine:\n    def __scale(self):\n        return 2\n"
        f"    def forward(self, x):\n        return x * {reads}\n"
    )
    assert changes_key(source, "return 2", "return 3")
    renamed = source.replace("def __scale", "def __size")
    assert read({"study.py": source}).digest != read({"study.py": renamed}).digest


def test_the_hooks_of_an_enumeration_count(changes_key: Changes) -> None:
    source = (
        "import enum\nclass Kind(enum.Enum):\n    A = 'a'\n    @classmethod\n    def _missing_(cls, value):\n"
        "        return cls.A\nclass Mine:\n    def forward(self, x):\n        return Kind(x)\n"
    )
    assert changes_key(source, "cls.A", "None")
    assert changes_key(source, "_missing_", "_lost_")


FOLDED = (
    "from torch import nn\n{head}class Mine(nn.Module):\n    def __init__(self, *, scale: int = 1):\n"
    "        super().__init__()\n        self.scale = scale\n        {change}\n"
    "{hook}    def forward(self, x):\n        if self.scale == 1:\n            return x\n        return x * 2\n"
)
SETTERS = {
    "object.__setattr__": "object.__setattr__(self, 'scale', 2)",
    "__setattr__ of the object": "self.__setattr__('scale', 2)",
    "__setattr__ by a computed name": "super().__setattr__('sca' + 'le', 2)",
    "__setattr__ handed on": "list(map(self.__setattr__, ['scale'], [2]))",
    "setattr of the module of builtins": "builtins.setattr(self, 'sca' + 'le', 2)",
    "delattr": "delattr(self, 'scale')",
}
HOOKS = {
    "__setattr__": "    def __setattr__(self, name, value):\n        super().__setattr__(name, 2)\n",
    "__getattribute__": "    def __getattribute__(self, name):\n        return 2\n",
    "__getattr__": "    def __getattr__(self, name):\n        return 2\n",
}


@pytest.mark.parametrize("way", SETTERS)
def test_a_branch_counts_where_its_attribute_may_be_set_by_name(way: str, changes_key: Changes) -> None:
    source = FOLDED.format(head="import builtins\n", change=SETTERS[way], hook="")
    assert changes_key(source, "return x * 2", "return x * 3", choices={"scale": 1})


@pytest.mark.parametrize("hook", HOOKS)
def test_a_branch_counts_in_a_class_that_says_how_its_attributes_are_read(hook: str, changes_key: Changes) -> None:
    source = FOLDED.format(head="", change="pass", hook=HOOKS[hook])
    assert changes_key(source, "return x * 2", "return x * 3", choices={"scale": 1})


def test_a_branch_that_is_never_taken_does_not_count(changes_key: Changes) -> None:
    source = FOLDED.format(head="", change="pass", hook="")
    assert not changes_key(source, "return x * 2", "return x * 3", choices={"scale": 1})


DOCUMENTED = (
    '"""Scale: one."""\ndef squash(x):\n    """Scale: one."""\n    return x\n'
    'class Mine:\n    """Scale: one."""\n    def forward(self, x):\n        squash(x)\n        return x * {}\n'
)


@pytest.mark.parametrize(
    "reads",
    ["len(self.__doc__)", "len(__doc__)", "len(squash.__doc__)", "len(type(self).__doc__)", "len(Mine.__doc__)",
     "len(getattr(self, '__doc__'))", "len(inspect.getdoc(self))"],
)  # fmt: skip
def test_a_docstring_counts_where_something_reads_docstrings(reads: str, changes_key: Changes) -> None:
    source = DOCUMENTED.format(reads) + "import inspect\n"
    assert changes_key(source, "one.", "three.")


@pytest.mark.parametrize("reads", ["2", "len(self.__class__.__name__)", "len(str(x))"])
def test_a_docstring_does_not_count_where_nothing_reads_docstrings(reads: str, changes_key: Changes) -> None:
    source = DOCUMENTED.format(reads)
    assert not changes_key(source, "one.", "three.")


ANNOTATED = (
    "import inspect, typing\ndef squash(x: int):\n    return x\nclass Mine:\n    size: int = 1\n"
    "    def forward(self, x):\n        squash(x)\n        return {}\n"
)


@pytest.mark.parametrize(
    "reads",
    ["squash.__annotations__", "typing.get_type_hints(squash)", "inspect.signature(squash)",
     "type(self).__annotations__", "getattr(squash, '__annotations__')", "inspect.get_annotations(Mine)"],
)  # fmt: skip
def test_an_annotation_counts_where_something_reads_annotations(reads: str, changes_key: Changes) -> None:
    source = ANNOTATED.format(reads)
    assert changes_key(source, ": int", ": float")


def test_the_annotation_of_a_field_counts_where_something_reads_annotations(read: Reader, changes_key: Changes) -> None:
    source = (
        "import typing\nfrom dataclasses import dataclass\n@dataclass\nclass Sizes:\n    width: int = 1\n"
        "class Mine:\n    def forward(self):\n        return typing.get_type_hints(Sizes)\n"
    )
    assert changes_key(source, "int", "float")
    pydantic = (
        "from pydantic import BaseModel\nclass Sizes(BaseModel):\n    width: int = 1\n"
        "class Mine:\n    def forward(self):\n        return Sizes()\n"
    )
    assert read({"study.py": pydantic}).digest != read({"study.py": pydantic.replace("int", "float")}).digest


def test_an_annotation_does_not_count_where_nothing_reads_annotations(changes_key: Changes) -> None:
    source = ANNOTATED.format("self.size")
    assert not changes_key(source, ": int", ": float")


def test_an_annotation_that_is_no_expression_is_read(changes_key: Changes) -> None:
    source = ANNOTATED.format("squash.__annotations__").replace(": int", ": 'a whole number'")
    assert changes_key(source, "whole", "round")


@pytest.mark.parametrize("path", ["scale.txt", "./scale.txt", "../scale.txt", "data/scale.txt"])
def test_a_file_that_a_text_names_counts_with_its_content(path: str, read: Reader) -> None:
    source = (
        f"def scale():\n    return float(open('{path}').read())\n"
        "class Mine:\n    def forward(self, x):\n        return x * scale()\n"
    )
    place = Path(path)
    module = "package/sub/study_parts.py"
    files = {
        "study.py": "from package.sub.study_parts import Mine\n",
        "package/__init__.py": "",
        "package/sub/__init__.py": "",
        module: source,
    }
    named = {"../scale.txt": "package/scale.txt"}.get(path, f"package/sub/{place.as_posix()}")
    assert read(files | {named: "1.0\n"}).digest != read(files | {named: "2.0\n"}).digest
