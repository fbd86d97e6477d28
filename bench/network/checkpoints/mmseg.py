"""The names of DANet and FastFCN in mmsegmentation.

**Source**: state-dict keys of open-mmlab/mmsegmentation 0.x and 1.x; only names are taken from them. Its DeepLabV3
head is ``DeepLabV3Head(projection=False)``, which has one 3x3 convolution where FastFCN has a 1x1 and a 3x3. The second
3x3 convolution of its basic block is never dilated, which is ``ResNet(basic_dilation='first')``. All of its
configurations (configs/_base_/models) have ``align_corners=False``.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import torch
from torch import Tensor, nn

from bench.network.checkpoints import encoding
from bench.network.checkpoints.table import Layout, NameTable, conv_modules, head_names, numbered, under

RESNET: NameTable = {
    **encoding.RESNET,
    **{f"stem.{index}": f"conv1.{index}" for index in (0, 1, 3, 4, 6)},
    "stem.7": "bn1",
}
FCN_HEAD: NameTable = {**conv_modules({"convs.0": "entry"}), "conv_seg": "classifier"}
DUAL_ATTENTION_HEAD: NameTable = {
    **conv_modules(
        {f"{a}_{b}_conv": f"branches.{a}.{c}" for a in ("pam", "cam") for b, c in (("in", "entry"), ("out", "exit"))}
    ),
    "pam.query_project": "branches.pam.attention.query",
    "pam.key_project": "branches.pam.attention.key",
    "pam.value_project": "branches.pam.attention.value",
    "pam.gamma.scale": "branches.pam.attention.gamma",
    "cam.gamma.scale": "branches.cam.attention.gamma",
    "pam_conv_seg": "branch_classifiers.pam",
    "cam_conv_seg": "branch_classifiers.cam",
    "conv_seg": "classifier",
}
PSP_HEAD: NameTable = {
    **conv_modules({**numbered("psp_modules.{}.1", "pooling.branches.{}", 4), "bottleneck": "entry"}),
    "conv_seg": "classifier",
}
DEEPLAB_HEAD: NameTable = {
    **conv_modules(
        {"image_pool.1": "aspp.image", **numbered("aspp_modules.{}", "aspp.branches.{}", 4), "bottleneck": "entry"}
    ),
    "conv_seg": "classifier",
}
ENCNET_HEAD: NameTable = {
    **conv_modules({"bottleneck": "entry", "enc_module.encoding_project": "encoding.entry", "fusion": "laterals.fuse"}),
    **conv_modules(numbered("lateral_convs.{}", "laterals.project.{}", 2)),
    **under("enc_module.encoding.0", "encoding", encoding.ENCODING),
    "enc_module.encoding.1": "encoding.norm",
    "enc_module.fc.0": "gate",
    "se_layer": "presence",
    "conv_seg": "classifier",
}


def _jpu() -> NameTable:
    names = numbered("conv_layers.{}.0", "laterals.{}", 3)
    names |= numbered("dilation_layers.{}.0.pointwise_conv", "branches.{}.pointwise", 4)
    names = conv_modules(names)
    for part, ours in (("conv", "depthwise"), ("bn", "depthwise_norm")):
        names |= numbered(f"dilation_layers.{{}}.0.depthwise_conv.{part}", f"branches.{{}}.{ours}", 4)
    return names


JPU_NAMES = _jpu()

HEADS: dict[str, NameTable] = {
    "decode_head.pam_conv_seg.weight": DUAL_ATTENTION_HEAD,
    "decode_head.psp_modules.0.1.conv.weight": PSP_HEAD,
    "decode_head.aspp_modules.0.conv.weight": DEEPLAB_HEAD,
    "decode_head.enc_module.fc.0.weight": ENCNET_HEAD,
    "decode_head.convs.0.conv.weight": FCN_HEAD,
}


def mmseg(source: Collection[str]) -> Layout:
    """The layout of a network in mmsegmentation, with the decode head that is recognised by the keys."""
    names = {
        **under("backbone", "backbone", RESNET),
        **under("neck", "neck", JPU_NAMES),
        **under("decode_head", "head", head_names(source, HEADS)),
        **under("auxiliary_head", "auxiliary", FCN_HEAD),
    }
    pyramid = "decode_head.aspp_modules.0.conv.weight" in source
    change = _with_image_last if pyramid else _from_mmseg
    return Layout("mmseg", names, change=change, differences=_dilated_blocks, align_corners=False)


def _dilated_blocks(network: nn.Module) -> list[str]:
    """A text about every basic block with a dilated second convolution, which mmsegmentation leaves undilated."""
    return [
        f"{block} (its second convolution is dilated; choose basic_dilation='first')"
        for block, _, second in encoding.basic_blocks(network)
        if second > 1
    ]


def _from_mmseg(name: str, tensor: Tensor) -> Tensor:
    """Our tensor: a scalar gamma becomes a vector of one, and the order in which JPU joins three maps is reversed."""
    if name.endswith(".gamma") and tensor.ndim == 0:
        return tensor.reshape(1)
    match = re.fullmatch(r"neck\.branches\.\d+\.(depthwise|depthwise_norm|pointwise\.0)\.\w+", name)
    dim = 1 if match and match[1] == "pointwise.0" else 0
    return shallow_last(tensor, dim) if match and tensor.ndim > dim else tensor


def _with_image_last(name: str, tensor: Tensor) -> Tensor:
    """Our tensor of a network with a pyramid, where mmsegmentation puts the pooled image first and we put it last."""
    if name == "head.entry.0.weight":
        return tensor.roll(
            -tensor.shape[0], dims=1
        )  # each branch has as many channels as the output of this convolution
    return _from_mmseg(name, tensor)


def shallow_last(tensor: Tensor, dim: int) -> Tensor:
    """The tensor with the thirds of a dimension in reverse order: from [C3, C4, C5] to [C5, C4, C3], or back."""
    return torch.cat(tensor.chunk(3, dim)[::-1], dim)
