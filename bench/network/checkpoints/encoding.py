"""The names of DANet and FastFCN. Both are built on PyTorch-Encoding, so their backbones and FCN heads share names.

**Source**: state-dict keys of junfu1115/DANet and wuhuikai/FastFCN; only names are taken from them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from torch import nn

from bench.network.checkpoints.table import Layout, NameTable, head_names, numbered, under

RESNET: NameTable = {name: name for name in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")}

POSITION_ATTENTION: NameTable = {"gamma": "gamma", "query_conv": "query", "key_conv": "key", "value_conv": "value"}
CHANNEL_ATTENTION: NameTable = {"gamma": "gamma"}
DUAL_ATTENTION_HEAD: NameTable = {
    "conv5a": "branches.pam.entry",
    "conv5c": "branches.cam.entry",
    **under("sa", "branches.pam.attention", POSITION_ATTENTION),
    **under("sc", "branches.cam.attention", CHANNEL_ATTENTION),
    "conv51": "branches.pam.exit",
    "conv52": "branches.cam.exit",
    "conv6.1": "branch_classifiers.pam",
    "conv7.1": "branch_classifiers.cam",
    "conv8.1": "classifier",
}
FCN_HEAD: NameTable = {"conv5.0": "entry.0", "conv5.1": "entry.1", "conv5.4": "classifier"}

PYRAMID_POOLING: NameTable = numbered("conv{}", "branches.{}", 4, start=1)
PSP_HEAD: NameTable = {
    **under("conv5.0", "pooling", PYRAMID_POOLING),
    "conv5.1": "entry.0",
    "conv5.2": "entry.1",
    "conv5.5": "classifier",
}

ASPP_MODULE: NameTable = {
    **numbered("b{}", "aspp.branches.{}", 4),
    "b4.gap.1": "aspp.image.0",
    "b4.gap.2": "aspp.image.1",
    "project": "project",
}
DEEPLAB_HEAD: NameTable = {
    **{f"aspp.{a}": b for a, b in ASPP_MODULE.items()},
    "block.0": "entry.0",
    "block.1": "entry.1",
    "block.4": "classifier",
}

ENCODING: NameTable = {"codewords": "codewords", "scale": "scale"}
ENCODING_MODULE: NameTable = {
    "encoding.0": "encoding.entry.0",
    "encoding.1": "encoding.entry.1",
    **under("encoding.3", "encoding", ENCODING),
    "encoding.4": "encoding.norm",
    "fc.0": "gate",
    "selayer": "presence",
}
ENCNET_HEAD: NameTable = {
    "conv5": "entry",
    "connect": "laterals.project",
    "fusion": "laterals.fuse",
    **{f"encmodule.{a}": b for a, b in ENCODING_MODULE.items()},
    "conv6.1": "classifier",
}


def _branches(count: int) -> NameTable:
    """The names of the dilated branches of FastFCN's upsampling modules."""
    names: NameTable = {}
    for index in range(count):
        theirs, ours = f"dilation{index + 1}", f"branches.{index}"
        names |= {f"{theirs}.0.conv1": f"{ours}.depthwise", f"{theirs}.0.bn": f"{ours}.depthwise_norm"}
        names |= {f"{theirs}.0.pointwise": f"{ours}.pointwise.0", f"{theirs}.1": f"{ours}.pointwise.1"}
    return names


JPU_NAMES: NameTable = {**numbered("conv{}", "laterals.{}", 3, start=3), **_branches(4)}


def _joint_step(theirs: str, ours: str) -> NameTable:
    return under(theirs, ours, {"conv_l": "coarse", "conv_h": "fine", **_branches(3)})


JPU_X_NAMES: NameTable = {**_joint_step("jum_1", "first"), **_joint_step("jum_2", "second")}

ENCODING_HEADS: dict[str, NameTable] = {
    "head.conv5a.0.weight": DUAL_ATTENTION_HEAD,
    "head.conv5.0.conv1.0.weight": PSP_HEAD,
    "head.aspp.b0.0.weight": DEEPLAB_HEAD,
    "head.encmodule.fc.0.weight": ENCNET_HEAD,
    "head.conv5.4.weight": FCN_HEAD,
}
"""A key that only one head of the PyTorch-Encoding family has -> the table of that head."""


def _encoding_family(name: str, source: Collection[str]) -> Layout:
    names = {
        **under("pretrained", "backbone", RESNET),
        **under("jpu", "neck", {**JPU_NAMES, **JPU_X_NAMES}),
        **under("head", "head", head_names(source, ENCODING_HEADS)),
        **under("auxlayer", "auxiliary", FCN_HEAD),
    }
    return Layout(name, names, unused=("pretrained.fc",), differences=_undilated_blocks)  # fc: ImageNet's classifier


def basic_blocks(network: nn.Module) -> Iterator[tuple[str, int, int]]:
    """The name of every basic block in a network's backbone, with the dilations of its two 3x3 convolutions."""
    convolutions = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    for name, first in convolutions.items():
        block, _, last = name.rpartition(".")
        second = convolutions.get(f"{block}.conv2")
        is_basic = re.fullmatch(r"backbone\.layer\d\.\d+", block) and f"{block}.conv3" not in convolutions
        if last == "conv1" and is_basic and second is not None:
            yield block, first.dilation[0], second.dilation[0]


def _undilated_blocks(network: nn.Module) -> list[str]:
    """A text about every basic block that leaves its second convolution undilated, which PyTorch-Encoding dilates."""
    return [
        f"{block} (its second convolution is undilated; choose basic_dilation='both')"
        for block, first, second in basic_blocks(network)
        if first > 1 and second == 1
    ]


def danet(source: Collection[str]) -> Layout:
    """The layout of a network in DANet's repository."""
    return _encoding_family("danet", source)


def fastfcn(source: Collection[str]) -> Layout:
    """The layout of a network in FastFCN's repository, with the head that is recognised by the keys."""
    return _encoding_family("fastfcn", source)
