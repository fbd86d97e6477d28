"""The conversion of state dicts of the original releases. Every key is accounted for, or nothing is converted.

The names of the releases' tensors are in the other modules of this folder. The names and shapes of our tensors are read
from the variant itself, which is built on the meta device, so this module names no component.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.network.checkpoints.encoding import danet, fastfcn
from bench.network.checkpoints.files import COUNTER, StateFileError, read_state, without_module_prefix
from bench.network.checkpoints.gscnn import gscnn
from bench.network.checkpoints.mmseg import mmseg
from bench.network.checkpoints.table import Layout
from bench.network.model import SegModel, Variant

LAYOUTS: dict[str, Callable[[Collection[str]], Layout]] = {
    "danet": danet,
    "fastfcn": fastfcn,
    "gscnn": gscnn,
    "mmseg": mmseg,
}
"""Name of a layout -> function that returns its table for the keys of a state dict."""

MARKS = {
    "danet": "head.conv5a.0.weight",
    "gscnn": "mod1.conv1.weight",
    "mmseg": "decode_head.conv_seg.weight",
    "fastfcn": "pretrained.layer1.0.conv1.weight",
}
"""Name of a layout -> key by which it is recognised, the most specific first."""


@dataclass(frozen=True)
class Converted:
    """A converted state dict for :class:`~bench.network.model.SegModel`.

    Attributes:
        state: every tensor of the variant by our name.
        dropped: the keys of tensors that the original network holds but never uses in a forward pass.
        filled: our names of batch counters that the source lacks; they are 0.
    """

    state: dict[str, Tensor]
    dropped: tuple[str, ...]
    filled: tuple[str, ...]


def convert(state_dict: Mapping[str, Any], variant: Variant, num_classes: int, layout: str | None = None) -> Converted:
    """The tensors of a released checkpoint under our names.

    Args:
        state_dict: the state dict of the original network; the prefix ``module.`` of a data-parallel one is removed.
        variant: the network that gets the tensors.
        num_classes: the number of classes.
        layout: a name in :data:`LAYOUTS`; with ``None``, the layout is recognised by its keys.

    Raises:
        StateFileError: if a key is not understood, a tensor of the variant is missing, or a shape differs. The message
            lists all of them.
    """
    source = without_module_prefix(state_dict)
    chosen = layout_for(source, layout)
    expected = expected_tensors(variant, num_classes)
    renamed, dropped, problems = rename(source, chosen)
    origin = {chosen.our_name(key): key for key in source}
    for name in sorted(renamed.keys() - expected.keys()):
        problems.append(f"not in the variant: {name} (from {origin[name]})")
    filled = tuple(sorted(n for n in expected.keys() - renamed.keys() if n.endswith(COUNTER)))
    for name in sorted(expected.keys() - renamed.keys() - set(filled)):
        problems.append(f"missing: {name} (expected as {chosen.source_name(name) or 'nothing that this layout has'})")
    for name in sorted(expected.keys() & renamed.keys()):
        if renamed[name].shape != expected[name].shape:
            got, want = tuple(renamed[name].shape), tuple(expected[name].shape)
            problems.append(f"shape of {name}: got {got}, expected {want} (from {origin[name]})")
    if problems:
        listed = "\n  ".join(problems)
        raise StateFileError(
            f"the checkpoint (layout {chosen.name!r}) does not fit the variant in {len(problems)} places; choose the "
            f"variant with the same components, widths and number of classes:\n  {listed}"
        )
    zeros = {name: torch.zeros((), dtype=torch.int64) for name in filled}
    state = {name: zeros[name] if name in zeros else renamed[name] for name in expected}
    return Converted(state, dropped, filled)


def convert_file(source: Path, variant: Variant, num_classes: int, out: Path, layout: str | None = None) -> Converted:
    """Convert a file into a file with :func:`convert`. Only tensors and plain containers are unpickled.

    Raises:
        StateFileError: if the file cannot be read in this way or does not fit, or if the folder of ``out`` is missing.
    """
    if not out.parent.is_dir():
        raise StateFileError(f"{out} cannot be written: there is no folder {out.parent}; make it first")
    converted = convert(read_state(source), variant, num_classes, layout)
    torch.save(converted.state, out)
    return converted


def expected_tensors(variant: Variant, num_classes: int) -> dict[str, Tensor]:
    """The tensors of a variant's state dict by name, on the meta device, where they have shapes but no values."""
    with torch.device("meta"):
        return dict(SegModel(variant, num_classes).state_dict())


def rename(source: Mapping[str, Any], layout: Layout) -> tuple[dict[str, Tensor], tuple[str, ...], list[str]]:
    """The tensors by our name, the source's unused keys, and a line for every key that is not understood."""
    renamed: dict[str, Tensor] = {}
    dropped, problems = [], []
    for key, value in source.items():
        name = layout.our_name(key)
        if layout.is_unused(key):
            dropped.append(key)
        elif not isinstance(value, Tensor):
            problems.append(f"not a tensor: {key} is a {type(value).__name__}")
        elif name is None:
            problems.append(f"not understood: {key}")
        elif name in renamed:
            problems.append(f"twice: {key} is {name}, which another key is too")
        else:
            renamed[name] = layout.change(name, value)
    return renamed, tuple(dropped), problems


def layout_for(source: Collection[str], name: str | None = None) -> Layout:
    """The layout for a state dict: the one of that name or, without a name, the one whose mark is among the keys.

    Raises:
        StateFileError: if the layout is not known.
    """
    if name is None:
        name = next((layout for layout, key in MARKS.items() if key in source), None)
    if name is None or name not in LAYOUTS:
        keys = ", ".join(list(source)[:5]) or "none"
        got = f"unknown layout {name!r}" if name else f"the keys are of no layout that is known ({keys}, …)"
        raise StateFileError(f"{got}; give one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name](source)
