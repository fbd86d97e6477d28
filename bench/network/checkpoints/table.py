"""What the original releases call their tensors, beside our names: plain tables, read in both directions.

A table maps a module's dotted name there to the same module's name here; everything below a module goes along, and
the longest entry that matches counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Names = dict[str, str]


def _unchanged(name: str, tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Layout:
    """How one kind of checkpoint is read.

    Attributes:
        name: of the layout.
        names: their module -> ours.
        unused: modules that the original network holds but never uses in a forward pass.
        change: our name and their tensor -> our tensor.
    """

    name: str
    names: Names
    unused: tuple[str, ...] = ()
    change: Callable[[str, Tensor], Tensor] = field(default=_unchanged)

    def our_name(self, key: str) -> str | None:
        """Our name of their tensor; ``None`` if no entry covers it."""
        return translate(key, self.names)

    def source_name(self, name: str) -> str | None:
        """Their name of our tensor; ``None`` if no entry covers it."""
        return translate(name, {ours: theirs for theirs, ours in self.names.items()})

    def is_unused(self, key: str) -> bool:
        return any(key == module or key.startswith(f"{module}.") for module in self.unused)


def translate(name: str, names: Mapping[str, str]) -> str | None:
    """``name`` with its longest leading modules that ``names`` has replaced; ``None`` if it has none of them."""
    cut = len(name)
    while cut > 0:
        if name[:cut] in names:
            return names[name[:cut]] + name[cut:]
        cut = name.rfind(".", 0, cut)
    return None


def under(theirs: str, ours: str, names: Mapping[str, str]) -> Names:
    """A submodule's table as part of the table of what holds it."""
    return {f"{theirs}.{a}": f"{ours}.{b}" for a, b in names.items()}


def numbered(theirs: str, ours: str, count: int, *, start: int = 0) -> Names:
    """Numbered modules; the number stands where ``{}`` does, theirs begin with ``start``."""
    return {theirs.format(index + start): ours.format(index) for index in range(count)}


def conv_modules(names: Mapping[str, str]) -> Names:
    """mmcv's ConvModule, a convolution and a normalisation by name, as the first two of our sequence."""
    return {f"{a}.{each}": f"{b}.{index}" for a, b in names.items() for index, each in enumerate(("conv", "bn"))}


def head_names(source: Collection[str], heads: Mapping[str, Names]) -> Names:
    """The table of the head whose key is in the source; empty if there is none."""
    return next((names for key, names in heads.items() if key in source), {})
