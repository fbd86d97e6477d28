"""The names of Gated-SCNN.

**Source**: state-dict keys of nv-tlabs/GSCNN; only names are taken from them.
"""

from __future__ import annotations

from collections.abc import Collection

from bench.network.checkpoints.table import Layout, NameTable, numbered, under

RESIDUAL_BLOCK: NameTable = {name: name for name in ("conv1", "bn1", "conv2", "bn2")}
GATE: NameTable = {"0": "norm", "1": "mix", "3": "score", "4": "score_norm"}
GATED_CONVOLUTION: NameTable = {"weight": "out.weight", **under("_gate_conv", "gate", GATE)}


def _step(index: int, level: int) -> NameTable:
    """The names of a step of the shape stream, which is gated by the trunk's module ``level``."""
    number, ours = index + 1, f"steps.{index}"
    names = {f"res{number}": f"{ours}.residual", f"d{number}": f"{ours}.project", f"dsn{level}": f"{ours}.gate.side"}
    return {**names, **under(f"gate{number}", ours, GATED_CONVOLUTION)}


SHAPE_STREAM: NameTable = {**_step(0, 3), **_step(1, 4), **_step(2, 7), "fuse": "boundary", "cw": "fuse"}

EDGE_ASPP: NameTable = {**numbered("features.{}", "branches.{}", 4), "img_conv": "image", "edge_conv": "boundary"}
GSCNN_HEAD: NameTable = {
    **under("aspp", "aspp", EDGE_ASPP),
    "bot_aspp": "project",
    "bot_fine": "low",
    "final_seg.0": "refine.0.0",
    "final_seg.1": "refine.0.1",
    "final_seg.3": "refine.1.0",
    "final_seg.4": "refine.1.1",
    "final_seg.6": "classifier",
}

PRE_ACTIVATION_BLOCK: NameTable = {
    "bn1.0": "bn1",
    "convs.conv1": "conv1",
    "convs.bn2.0": "bn2",
    "convs.conv2": "conv2",
    "convs.bn3.0": "bn3",
    "convs.conv3": "conv3",
    "proj_conv": "projection",
}
WIDE_RESNET: NameTable = {
    "mod1.conv1": "mod1",
    **{
        a: b
        for module, blocks in ((2, 3), (3, 3), (4, 6), (5, 3), (6, 1), (7, 1))  # of model A2
        for index in range(blocks)
        for a, b in under(f"mod{module}.block{index + 1}", f"mod{module}.{index}", PRE_ACTIVATION_BLOCK).items()
    },
}


def gscnn(source: Collection[str]) -> Layout:
    """The layout of a Gated-SCNN."""
    slots = {"backbone": WIDE_RESNET, "shape_stream": SHAPE_STREAM, "head": GSCNN_HEAD}
    names = {theirs: f"{slot}.{ours}" for slot, table in slots.items() for theirs, ours in table.items()}
    return Layout("gscnn", names, unused=("dsn1",))  # a side output on mod1 that no gate reads
