"""Whole networks of the originals as variants: converted weights, outputs, and outputs of named modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.network.backbones.resnet import BLOCKS, ResNet
from bench.network.backbones.wide_resnet import WideResNet38
from bench.network.heads.aspp import DeepLabV3Head, DeepLabV3PlusHead
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.heads.encoding import EncNetHead
from bench.network.heads.fcn import FCNHead
from bench.network.heads.psp import PSPHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Output, Variant
from bench.network.necks.jpu import JPU, JPUX
from bench.network.shape_streams.gated import GatedShapeStream
from bench.parts import Part, part
from parity.golden import GoldenError

LOSSES = (part(SegmentationLoss),)


@dataclass(frozen=True)
class Network:
    """Our counterpart of an original network.

    Attributes:
        variant: the variant to build.
        num_classes: the number of classes.
        layout: the layout of the original's state dict.
        outputs: a function from our output to the outputs by stored key.
    """

    variant: Variant
    num_classes: int
    layout: str
    outputs: Callable[[Output], dict[str, Tensor]]


def network_of(kind: str, options: Mapping[str, Any]) -> Network:
    """Our counterpart of an original network, from its class and constructor arguments.

    Raises:
        GoldenError: if an argument is not known here, because it could change the network.
    """
    build, known = NETWORKS[kind]
    unknown = sorted(set(options) - set(known.split()))
    if unknown:
        raise GoldenError(f"{kind} with {', '.join(unknown)}: known arguments are {known}")
    return build(kind, options)


def _depth(backbone: str) -> Any:
    return int(backbone.removeprefix("resnet"))


def _danet(_: str, options: Mapping[str, Any]) -> Network:
    depth = _depth(options["backbone"])
    grid: tuple[int, ...] = ()
    if options.get("multi_grid"):
        listed = options["multi_dilation"]  # the list is repeated if a stage has more blocks
        grid = tuple(listed[index % len(listed)] for index in range(BLOCKS[depth][3]))
    stem = "plain" if options.get("no_deepstem") else "deep"
    backbone = part(ResNet, depth=depth, stem=stem, output_stride=options.get("os", 8), multi_grid=grid)

    def outputs(output: Output) -> dict[str, Tensor]:
        return {"out__sasc": output.logits, "out__sa": output.aux["pam"], "out__sc": output.aux["cam"]}

    variant = Variant(backbone=backbone, head=part(DualAttentionHead), losses=LOSSES)
    return Network(variant, options["nclass"], "danet", outputs)


def _fastfcn(kind: str, options: Mapping[str, Any]) -> Network:
    # The release's own default, True, is no name of an upsampling module, so the release builds none.
    necks: dict[Any, Part[Any] | None] = {**dict.fromkeys((None, False, True)), "JPU": part(JPU), "JPU_X": part(JPUX)}
    depth, stride = _depth(options["backbone"]), 8 if options.get("dilated") else 32
    variant = Variant(
        backbone=part(ResNet, depth=depth, stem="deep", output_stride=stride),
        neck=necks[options.get("jpu")],
        head=_fastfcn_head(kind, options),
        auxiliary=part(FCNHead, width=256) if options.get("aux") else None,
        losses=LOSSES,
    )

    def outputs(output: Output) -> dict[str, Tensor]:
        sides = {"out__aux": "c4", "out__se": "presence"}
        return {"out__logits": output.logits, **{k: output.aux[v] for k, v in sides.items() if v in output.aux}}

    return Network(variant, options["nclass"], "fastfcn", outputs)


def _fastfcn_head(kind: str, options: Mapping[str, Any]) -> Part[Any]:
    match kind:
        case "PSP":
            return part(PSPHead)
        case "DeepLabV3":
            return part(DeepLabV3Head)
        case "EncNet":
            # The release shrinks the first convolution if there is a JPU.
            entry_kernel = 1 if options.get("jpu") else 3
            lateral, presence = bool(options.get("lateral")), bool(options.get("se_loss"))
            return part(EncNetHead, entry_kernel=entry_kernel, lateral=lateral, presence=presence)
    return part(FCNHead)


def _gscnn(_: str, options: Mapping[str, Any]) -> Network:
    variant = Variant(
        backbone=part(WideResNet38),
        head=part(DeepLabV3PlusHead),
        shape_stream=part(GatedShapeStream, image_gradient="released"),
        losses=LOSSES,
        logits_align_corners=False,
    )

    def outputs(output: Output) -> dict[str, Tensor]:
        assert output.boundary is not None
        return {"out__seg_logits": output.logits, "out__edge": torch.sigmoid(output.boundary)}

    return Network(variant, options["num_classes"], "gscnn", outputs)


FASTFCN = "nclass backbone aux se_loss jpu dilated lateral"

NETWORKS: dict[str, tuple[Callable[[str, Mapping[str, Any]], Network], str]] = {
    "DANet": (_danet, "nclass backbone os no_deepstem multi_grid multi_dilation"),
    **dict.fromkeys(("FCN", "PSP", "DeepLabV3", "EncNet"), (_fastfcn, FASTFCN)),
    "GSCNN": (_gscnn, "num_classes"),
}
"""Class of the original -> function that builds our counterpart, and the constructor arguments that it knows."""
