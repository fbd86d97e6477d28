"""The conversion of state dicts of the original releases. Every key is accounted for, or nothing is converted.

The names of the releases' tensors are in the other modules of this folder. The names and shapes of our tensors are read
from the variant itself, which is built on the meta device, so this module names no component.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.network.checkpoints.encoding import danet, fastfcn
from bench.network.checkpoints.files import (
    COUNTER,
    StateFileError,
    has_checksums,
    misfit,
    read_state,
    shown_name,
    without_module_prefix,
)
from bench.network.checkpoints.gscnn import gscnn
from bench.network.checkpoints.mmseg import mmseg
from bench.network.checkpoints.table import Layout
from bench.network.model import CONVENTIONS, SegModel, Variant
from bench.network.shapes_alone import shapes_alone

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

UNCHECKED = "the file has no checksums, so that a changed number in it could not be seen"
"""The note on a file in whose format the numbers have no checksums."""


@dataclass(frozen=True)
class Converted:
    """A converted state dict for :class:`~bench.network.model.SegModel`.

    Attributes:
        state: every tensor of the variant by our name.
        dropped: the keys of tensors that the original network holds but never uses in a forward pass.
        filled: our names of batch counters that the source lacks; they are 0.
        notes: facts about the original network that its tensors do not show, such as how it resizes maps.
    """

    state: dict[str, Tensor]
    dropped: tuple[str, ...]
    filled: tuple[str, ...]
    notes: tuple[str, ...] = ()


def convert(
    state_dict: Mapping[str, Any],
    variant: Variant,
    num_classes: int,
    layout: str | None = None,
    shown: str = "the checkpoint",
) -> Converted:
    """The tensors of a released checkpoint under our names.

    Args:
        state_dict: the state dict of the original network; the prefix ``module.`` of a data-parallel one is removed.
        variant: the network that gets the tensors.
        num_classes: the number of classes.
        layout: a name in :data:`LAYOUTS`; with ``None``, the layout is recognised by its keys.
        shown: the name of the checkpoint in messages.

    Raises:
        StateFileError: if a key is not understood, a tensor of the variant is missing or of another shape, or the
            variant computes something else with the same tensors. The message counts each kind, and names examples.
    """
    source = without_module_prefix(state_dict)
    chosen = layout_for(source, layout, shown)
    network = _network(variant, num_classes)
    expected = network.state_dict()
    renamed, dropped, problems = rename(source, chosen)
    origin = {chosen.our_name(key): key for key in source}
    filled = tuple(sorted(name for name in expected.keys() - renamed.keys() if name.endswith(COUNTER)))
    problems |= {
        "not in the variant": [f"{name} (from {origin[name]})" for name in sorted(renamed.keys() - expected.keys())],
        "missing": [
            f"{name} (expected as {chosen.source_name(name) or 'nothing that this layout has'})"
            for name in sorted(expected.keys() - renamed.keys() - set(filled))
        ],
        "of another shape": [
            f"{name} (got {tuple(renamed[name].shape)}, expected {tuple(expected[name].shape)}, from {origin[name]})"
            for name in sorted(expected.keys() & renamed.keys())
            if renamed[name].shape != expected[name].shape
        ],
        "another computation": chosen.differences(network),
    }
    if any(problems.values()):
        raise StateFileError(
            f"{shown} (layout {chosen.name!r}) does not fit the variant{misfit(problems)}; choose the variant with the "
            "same components, widths and number of classes"
        )
    zeros = {name: torch.zeros((), dtype=torch.int64) for name in filled}
    state = {name: zeros[name] if name in zeros else renamed[name] for name in expected}
    return Converted(state, dropped, filled, tuple(_on_resizing(chosen, variant)))


def _on_resizing(layout: Layout, variant: Variant) -> Iterator[str]:
    """A sentence about the convention by which the release's networks resize, compared with the variant's."""
    if layout.align_corners is not None:
        other = [name for name in CONVENTIONS if getattr(variant, name) not in (layout.align_corners, None)]
        told = f"the variant has {' and '.join(f'{name}={not layout.align_corners}' for name in other)}: choose "
        agreement = f"{told}{layout.align_corners}" if other else "so does the variant"
        convention = f"align_corners={layout.align_corners}, which no tensor shows"
        yield f"networks of {layout.name} resize with {convention}; {agreement}"


def convert_file(source: Path, variant: Variant, num_classes: int, out: Path, layout: str | None = None) -> Converted:
    """Convert a file into a file with :func:`convert`. Only tensors and plain containers are unpickled.

    Raises:
        StateFileError: if the file cannot be read in this way or does not fit, or if ``out`` cannot be a file.
        OSError: if ``out`` cannot be written.
    """
    if not out.parent.is_dir():
        raise StateFileError(f"{out} cannot be written: there is no folder {out.parent}; make it first")
    if out.exists() and not out.is_file():
        raise StateFileError(f"{out} cannot be written: it is there and is no file; name another")
    converted = convert(read_state(source), variant, num_classes, layout, str(source))
    content = io.BytesIO()
    torch.save(converted.state, content)
    out.write_bytes(content.getbuffer())
    return converted if has_checksums(source) else replace(converted, notes=(*converted.notes, UNCHECKED))


def _network(variant: Variant, num_classes: int) -> SegModel:
    """A variant on the meta device, where tensors have shapes but no values."""
    return shapes_alone(lambda: SegModel(variant, num_classes))


def expected_tensors(variant: Variant, num_classes: int) -> dict[str, Tensor]:
    """The tensors of a variant's state dict by name, on the meta device, where they have shapes but no values."""
    return dict(_network(variant, num_classes).state_dict())


def rename(
    source: Mapping[str, Any], layout: Layout
) -> tuple[dict[str, Tensor], tuple[str, ...], dict[str, list[str]]]:
    """The tensors by our name, the source's unused keys, and for each kind of problem the keys that have it."""
    renamed: dict[str, Tensor] = {}
    dropped: list[str] = []
    problems: dict[str, list[str]] = {"not understood": [], "not a tensor": [], "named twice": []}
    for key, value in source.items():
        name = layout.our_name(key)
        if layout.is_unused(key):
            dropped.append(key)
        elif not isinstance(value, Tensor):
            problems["not a tensor"].append(f"{key} (a {type(value).__name__})")
        elif name is None:
            problems["not understood"].append(key)
        elif name in renamed:
            problems["named twice"].append(f"{name} (by {key} and another key)")
        else:
            renamed[name] = layout.change(name, value)
    return renamed, tuple(dropped), problems


def layout_for(source: Collection[str], name: str | None = None, shown: str = "the checkpoint") -> Layout:
    """The layout for a state dict: the one of that name or, without a name, the one whose mark is among the keys.

    Raises:
        StateFileError: if the layout is not known.
    """
    if name is None:
        name = next((layout for layout, key in MARKS.items() if key in source), None)
    if name is None or name not in LAYOUTS:
        keys = ", ".join(map(shown_name, list(source)[:3])) or "none"
        got = f"unknown layout {name!r}" if name else f"the keys are of no layout that is known ({keys}, …)"
        raise StateFileError(f"{shown} cannot be converted: {got}; give one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name](source)
