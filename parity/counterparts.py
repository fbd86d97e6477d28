"""Our counterparts of the originals' modules, each built from the description in a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.network.backbones.wide_resnet import PreActivationBlock
from bench.network.checkpoints import encoding, gscnn
from bench.network.checkpoints.table import NameTable
from bench.network.heads.aspp import ASPP, DeepLabV3Head
from bench.network.heads.dual_attention import ChannelAttention, DualAttentionHead, PositionAttention
from bench.network.heads.encoding import ContextEncoding, EncNetHead, encode
from bench.network.heads.fcn import FCNHead
from bench.network.heads.psp import PSPHead, PyramidPooling
from bench.network.necks.jpu import JPU, JPUX
from bench.network.shape_streams.gated import Gate, ResidualBlock, StreamStep
from bench.parts import Level, Levels
from parity.golden import Case

BINS = (1, 2, 3, 6)
"""The grids of FastFCN's pyramid pooling."""

Call = Callable[[list[Tensor]], dict[str, Tensor]]


@dataclass(frozen=True)
class Counterpart:
    """Our counterpart of an original module.

    Attributes:
        module: our module, which holds the parameters.
        names: name of a module in the original -> our name.
        call: a function from inputs to outputs by stored key.
    """

    module: nn.Module
    names: NameTable
    call: Call


def _plain(module: nn.Module, names: NameTable) -> Counterpart:
    """The counterpart by a module that has the original's inputs and its only output."""
    return Counterpart(module, names, lambda inputs: {"out__out": module(*inputs)})


def _head(module: nn.Module, names: NameTable) -> Counterpart:
    """The counterpart by a head that reads one map and returns logits."""
    return Counterpart(module, names, lambda inputs: {"out__out": module(inputs)[0]})


def _neck(module: nn.Module, names: NameTable) -> Counterpart:
    """The counterpart by a neck, of whose maps the last one is stored."""
    return Counterpart(module, names, lambda inputs: {"out__feat": module(inputs)[-1]})


def _leave_out(module: nn.Module, *names: str) -> None:
    """Replace steps that the original's module does not have by the identity."""
    for name in names:
        setattr(module, name, nn.Identity())


def _levels(case: Case, *strides: int) -> Levels:
    """The levels of the inputs: their channels, with the last of the given strides."""
    specs = case.facts["inputs"]
    return tuple(Level(spec["shape"][1], stride) for spec, stride in zip(specs, strides[-len(specs) :], strict=True))


def _position_attention(case: Case) -> Counterpart:
    query, channels = case.shape("query_conv.weight")[:2]
    return _plain(PositionAttention(channels, channels // query, "trainable"), encoding.POSITION_ATTENTION)


def _channel_attention(case: Case) -> Counterpart:
    return _plain(ChannelAttention("trainable", "released"), encoding.CHANNEL_ATTENTION)


def _dual_attention_head(case: Case) -> Counterpart:
    query, width = case.shape("sa.query_conv.weight")[:2]
    classes = case.shape("conv8.1.weight")[0]
    head = DualAttentionHead(_levels(case, 8), classes, width=width, reduction=width // query)

    def call(inputs: list[Tensor]) -> dict[str, Tensor]:
        logits, aux = head(inputs, with_aux=True)
        return {"out__sasc": logits, "out__sa": aux["pam"], "out__sc": aux["cam"]}

    return Counterpart(head, encoding.DUAL_ATTENTION_HEAD, call)


def _fcn_head(case: Case) -> Counterpart:
    head = FCNHead(_levels(case, 8), case.shape("conv5.4.weight")[0], width=case.shape("conv5.0.weight")[0])
    return _head(head, encoding.FCN_HEAD)


def _pyramid_pooling(case: Case) -> Counterpart:
    width, channels = case.shape("conv1.0.weight")[:2]
    return _plain(PyramidPooling(channels, width, BINS), encoding.PYRAMID_POOLING)


def _psp_head(case: Case) -> Counterpart:
    classes, width = case.shape("conv5.5.weight")[:2]
    return _head(PSPHead(_levels(case, 8), classes, width=width, bins=BINS), encoding.PSP_HEAD)


def _aspp_module(case: Case) -> Counterpart:
    """The counterpart by our head up to its projection."""
    head = DeepLabV3Head(_levels(case, 8), 1, width=case.shape("b0.0.weight")[0], rates=_rates(case))
    _leave_out(head, "entry", "classifier")
    return Counterpart(head, encoding.ASPP_MODULE, lambda inputs: {"out__out": head.context(*inputs)})


def _deeplab_head(case: Case) -> Counterpart:
    classes, width = case.shape("block.4.weight")[:2]
    return _head(DeepLabV3Head(_levels(case, 8), classes, width=width, rates=_rates(case)), encoding.DEEPLAB_HEAD)


def _edge_aspp(case: Case) -> Counterpart:
    width, channels = case.shape("features.0.0.weight")[:2]
    rates = tuple(rate * 16 // case.options["output_stride"] for rate in (6, 12, 18))  # at output stride 16
    aspp = ASPP(channels, width, rates, Level(1, 1))
    return Counterpart(aspp, gscnn.EDGE_ASPP, lambda inputs: {"out__out": torch.cat(aspp(*inputs), dim=1)})


def _rates(case: Case) -> tuple[int, ...]:
    return tuple(case.options.get("atrous_rates", (12, 24, 36)))


def _encoding(case: Case) -> Counterpart:
    """The counterpart by our encoding with codewords alone."""
    codes, channels = case.shape("codewords")
    layer = ContextEncoding(channels, codes)
    _leave_out(layer, "entry", "norm")

    def call(inputs: list[Tensor]) -> dict[str, Tensor]:
        return {"out__out": encode(inputs[0].flatten(2), layer.codewords, layer.scale)}

    return Counterpart(layer, encoding.ENCODING, call)


def _encoding_module(case: Case) -> Counterpart:
    """The counterpart by our head between its entry and its classifier."""
    codes, channels = case.shape("encoding.3.codewords")
    presence = bool(case.options["se_loss"])
    head = EncNetHead(_levels(case, 8), case.options["nclass"], width=channels, codes=codes, presence=presence)
    _leave_out(head, "entry", "classifier")

    def call(inputs: list[Tensor]) -> dict[str, Tensor]:
        features, context = head.gated(*inputs)
        return {"out__feat": features, **({} if head.presence is None else {"out__se": head.presence(context)})}

    return Counterpart(head, encoding.ENCODING_MODULE, call)


def _encnet_head(case: Case) -> Counterpart:
    codes, width = case.shape("encmodule.encoding.3.codewords")
    head = EncNetHead(
        _levels(case, 8, 8, 8, 8),
        case.options["out_channels"],
        width=width,
        codes=codes,
        entry_kernel=1 if case.options["jpu"] else 3,
        lateral=bool(case.options["lateral"]),
        presence=bool(case.options["se_loss"]),
    )

    def call(inputs: list[Tensor]) -> dict[str, Tensor]:
        logits, aux = head(inputs, with_aux=True)
        return {"out__logits": logits, **({"out__se": aux["presence"]} if "presence" in aux else {})}

    return Counterpart(head, encoding.ENCNET_HEAD, call)


def _jpu(case: Case) -> Counterpart:
    return _neck(JPU(_levels(case, 4, 8, 16, 32), width=case.options["width"]), encoding.JPU_NAMES)


def _jpu_x(case: Case) -> Counterpart:
    return _neck(JPUX(_levels(case, 4, 8, 16, 32), width=case.options["width"]), encoding.JPU_X_NAMES)


def _gated_convolution(case: Case) -> Counterpart:
    channels = case.shape("weight")[0]
    step = StreamStep(channels, channels)
    _leave_out(step, "residual", "project")
    step.gate = Gate(channels, 1)
    _leave_out(step.gate, "side")
    return _plain(step, gscnn.GATED_CONVOLUTION)


def _residual_block(case: Case) -> Counterpart:
    return _plain(ResidualBlock(case.shape("conv1.weight")[0]), gscnn.RESIDUAL_BLOCK)


def _pre_activation_block(case: Case) -> Counterpart:
    options = case.options
    block = PreActivationBlock(
        options["in_channels"], tuple(options["channels"]), stride=options["stride"], dilation=options["dilation"]
    )
    return _plain(block, gscnn.PRE_ACTIVATION_BLOCK)


MODULES: dict[str, Callable[[Case], Counterpart]] = {
    "PAM_Module": _position_attention,
    "CAM_Module": _channel_attention,
    "DANetHead": _dual_attention_head,
    "FCNHead": _fcn_head,
    "PyramidPooling": _pyramid_pooling,
    "PSPHead": _psp_head,
    "ASPP_Module": _aspp_module,
    "DeepLabV3Head": _deeplab_head,
    "Encoding": _encoding,
    "EncModule": _encoding_module,
    "EncHead": _encnet_head,
    "EdgeASPP": _edge_aspp,
    "JPU": _jpu,
    "JPU_X": _jpu_x,
    "GatedSpatialConv2d": _gated_convolution,
    "IdentityResidualBlock": _pre_activation_block,
    "BasicBlock": _residual_block,
}
"""Class of the original -> function that builds our counterpart."""
