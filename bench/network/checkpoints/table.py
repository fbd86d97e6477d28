"""Tables of the names of tensors in the original releases and here, which are read in both directions.

A table maps the dotted name of a module in the release to its name here. Modules and tensors inside a module follow it,
and the longest matching entry counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

NameTable = dict[str, str]


def _unchanged(name: str, tensor: Tensor) -> Tensor:
    return tensor


def _no_differences(network: nn.Module) -> list[str]:
    return []


@dataclass(frozen=True)
class Layout:
    """The table of one kind of checkpoint.

    Attributes:
        name: the name of the layout.
        names: name of a module in the release -> our name.
        unused: the modules that the original network holds but never uses in a forward pass.
        change: a function that returns our tensor for our name and the release's tensor.
        differences: a function that returns a text about every place in which a built network computes something else
            than the release's network, although all tensors have the same names and shapes.
        align_corners: the convention by which all of the release's configurations resize; ``None`` if they differ.
    """

    name: str
    names: NameTable
    unused: tuple[str, ...] = ()
    change: Callable[[str, Tensor], Tensor] = field(default=_unchanged)
    differences: Callable[[nn.Module], list[str]] = field(default=_no_differences)
    align_corners: bool | None = None

    def our_name(self, key: str) -> str | None:
        """Our name of the release's tensor ``key``; ``None`` if no entry covers it."""
        return translate(key, self.names)

    def source_name(self, name: str) -> str | None:
        """The release's name of our tensor ``name``; ``None`` if no entry covers it."""
        return translate(name, {ours: theirs for theirs, ours in self.names.items()})

    def is_unused(self, key: str) -> bool:
        return any(key == module or key.startswith(f"{module}.") for module in self.unused)


def translate(name: str, names: Mapping[str, str]) -> str | None:
    """The name with its longest prefix in ``names`` replaced; ``None`` if it has no prefix in ``names``."""
    cut = len(name)
    while cut > 0:
        if name[:cut] in names:
            return names[name[:cut]] + name[cut:]
        cut = name.rfind(".", 0, cut)
    return None


def under(theirs: str, ours: str, names: Mapping[str, str]) -> NameTable:
    """The table of a submodule, with the names of the module that contains it in front."""
    return {f"{theirs}.{a}": f"{ours}.{b}" for a, b in names.items()}


def numbered(theirs: str, ours: str, count: int, *, start: int = 0) -> NameTable:
    """The table of ``count`` numbered modules. ``{}`` is the number, which starts at ``start`` in the release."""
    return {theirs.format(index + start): ours.format(index) for index in range(count)}


def conv_modules(names: Mapping[str, str]) -> NameTable:
    """The table of mmcv's ConvModules, whose ``conv`` and ``bn`` are the first two modules of our sequences."""
    return {f"{a}.{layer}": f"{b}.{index}" for a, b in names.items() for index, layer in enumerate(("conv", "bn"))}


def head_names(source: Collection[str], heads: Mapping[str, NameTable]) -> NameTable:
    """The table of the head whose key is in the source; empty if there is none."""
    return next((names for key, names in heads.items() if key in source), {})
