"""torchvision's published figures of FCN and DeepLabV3, by our counter, from our components and from torchvision's own.

torchvision prints 152.717 GMAC for FCN and 178.722 for DeepLabV3 with ResNet-50 at 520x520 and 21 classes. Both include
an auxiliary head on C4 that runs in evaluation, too; its logits are a second output, which no prediction reads.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.measure.cost.whole.dispatched import record_on_meta
from bench.measure.cost.whole.reach import Counts, summed
from bench.network.backbones.resnet import ResNet
from bench.network.heads.aspp import DeepLabV3Head
from bench.network.heads.fcn import FCNHead
from bench.network.model import SegModel, Variant
from bench.parts import Level, Part, part
from tests.measure.networks import LOSSES

PX, CLASSES = 520, 21
PUBLISHED = {"fcn": (152.717, 35_322_218), "deeplabv3": (178.722, 42_004_074)}
"""Architecture -> GMAC at 520x520 and parameters (the metadata of torchvision's ``COCO_WITH_VOC_LABELS_V1``)."""

UNUSED_GMAC = 9.991
"""The auxiliary head: a convolution of 3x3 from 1024 to 256 channels and a classifier, on maps of 65x65."""

HEADS: dict[str, Part[Any]] = {
    "fcn": part(FCNHead),
    "deeplabv3": part(DeepLabV3Head),
}


class WithUnusedHead(nn.Module):
    """A ResNet-50 of stride 8 with a head on C5, and torchvision's auxiliary one on C4, whose logits it throws away."""

    def __init__(self, num_classes: int, *, head: Part[Any]) -> None:
        super().__init__()
        self.backbone = ResNet(depth=50, stem="plain", output_stride=8)
        levels: tuple[Level, ...] = self.backbone.out_levels
        self.head: Any = head.build(levels, num_classes, None)
        self.auxiliary = FCNHead(levels[:-1], num_classes, width=256)

    def forward(self, image: Tensor) -> Tensor:
        features = self.backbone(image)
        self.auxiliary(features[:-1], with_aux=False)
        logits: Tensor = self.head(features, None, with_aux=False)[0]
        return logits


class OfTorchvision(nn.Module):
    """A network of torchvision as it comes, with random weights."""

    def __init__(self, num_classes: int, *, name: str) -> None:
        super().__init__()
        segmentation = pytest.importorskip("torchvision.models.segmentation", reason="torchvision is not installed")
        build = getattr(segmentation, f"{name}_resnet50")
        self.network = build(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=True)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)["out"]
        return logits


def counted(whole: Part[Any]) -> tuple[Counts, int]:
    """The counts at torchvision's size, and the number of parameters, from shapes alone."""
    with torch.device("meta"):
        model = SegModel(Variant(whole=whole, losses=LOSSES), CLASSES)
    return summed(record_on_meta(model, PX, PX)), sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_our_components_have_torchvisions_published_figures(name: str) -> None:
    counts, parameters = counted(part(WithUnusedHead, head=HEADS[name]))
    gmac, published_parameters = PUBLISHED[name]
    assert (round(counts.macs() / 1e9, 3), parameters) == (gmac, published_parameters)
    assert {idle.module: round(idle.macs / 1e9, 3) for idle in counts.idle()} == {"whole.auxiliary": UNUSED_GMAC}


@pytest.mark.extras
@pytest.mark.parametrize("name", PUBLISHED)
def test_torchvisions_own_networks_have_its_published_figures(name: str) -> None:
    counts, parameters = counted(part(OfTorchvision, name=name))
    gmac, published_parameters = PUBLISHED[name]
    assert (round(counts.macs() / 1e9, 3), parameters) == (gmac, published_parameters)
    unused = {idle.module: round(idle.macs / 1e9, 3) for idle in counts.idle()}
    assert unused == {"whole.network.aux_classifier": UNUSED_GMAC}
