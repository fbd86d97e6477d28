"""Small networks that tests share, and studies' networks without weights that would be fetched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from bench.network.backbones.resnet import ResNet
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import AuxiliaryLoss, BoundaryLoss, SegmentationLoss
from bench.network.model import Variant
from bench.network.necks.jpu import JPU
from bench.network.shape_streams.gated import GatedShapeStream
from bench.parts import Part, part

CLASSES = 5
LOSSES = (part(SegmentationLoss),)
SMALL = part(ResNet, depth=18, width=8, output_stride=32)
FULL = Variant(
    SMALL,
    part(DualAttentionHead, width=16),
    part(JPU, width=8),
    part(FCNHead, width=8),
    part(GatedShapeStream, widths=(8, 6, 5, 4)),
    (
        part(SegmentationLoss),
        part(AuxiliaryLoss, outputs=("c4",), weight=0.4),
        part(AuxiliaryLoss, outputs=("pam", "cam"), weight=1.0),
        part(BoundaryLoss),
    ),
)


class TwoLayers(nn.Module):
    """Convolution of stride 2 to 8 channels, normalisation, classifier."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.classifier = nn.Conv2d(8, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.norm(self.conv(image)))
        return out


class Pixelwise(nn.Module):
    """A 1x1 convolution, from which tests derive faulty networks."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.classify = nn.Conv2d(3, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classify(image)
        return logits


PIXELWISE = Variant(whole=part(Pixelwise), losses=LOSSES)


class WithUnusedHead(TwoLayers):
    """A network that runs a head whose output it throws away."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.auxiliary_head = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        self.auxiliary_head(image)
        return super().forward(image)


TWO_LAYERS = Variant(whole=part(TwoLayers), losses=LOSSES)


def without_weights(each: Part[Any]) -> Part[Any]:
    """A Part with random weights where it, or a Part among its choices, would fetch trained ones."""
    inner = {name: without_weights(value) for name, value in each.choices if isinstance(value, Part)}
    return each.having(**inner, **({"pretrained": False} if "pretrained" in dict(each.choices) else {}))


def unloaded(variant: Variant) -> Variant:
    """The variant with :func:`without_weights` in every slot."""
    return replace(variant, **{slot: without_weights(each) for slot, each in variant.parts().items()})
