"""Runtimes outside of torch compute what eager torch does; they need their packages (`nox -s extras`)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.measure.timing.execution import forward_call, timed_call
from bench.measure.timing.outputs import Deviation, difference
from bench.measure.timing.runtimes.prepared import Prepared
from bench.measure.timing.runtimes.runtime import PreparationError
from bench.network import (
    JPU,
    DualAttentionHead,
    FCNHead,
    GatedShapeStream,
    ResNet,
    SegmentationLoss,
    SegModel,
    Variant,
)
from bench.parts import Part, part
from bench.protocol.recipe import Recipe
from bench.protocol.setting import Setting

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore"),
]  # the packages warn of each other's deprecations

CPU = torch.device("cpu")
CLASSES = 9
RECIPE = Recipe(data=part(Synthetic), crop_px=(64, 64), iterations=1, batch=2)


class SegFormer(nn.Module):
    """SegFormer-B0 of transformers: image -> logits at a quarter of its size."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        self.network = SegformerForSemanticSegmentation(SegformerConfig(num_labels=num_classes))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image).logits
        return logits


class Unexportable(nn.Module):
    """A network whose output depends on its values in a way that no graph holds."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image)
        return logits * 2 if float(logits.sum()) > 0 else logits


def slots(**choices: Any) -> Variant:
    stride = 32 if "neck" in choices else 8
    backbone = part(ResNet, depth=18, width=16, output_stride=stride)
    return Variant(**{"backbone": backbone, "head": part(FCNHead), "losses": LOSSES, **choices})


LOSSES: tuple[Part[Any], ...] = (part(SegmentationLoss),)
NETWORKS = {
    "DANet": slots(head=part(DualAttentionHead)),
    "FastFCN, JPU": slots(neck=part(JPU, width=32)),
    "FastFCN, dilated": slots(),
    "Gated-SCNN": slots(shape_stream=part(GatedShapeStream)),
    "SegFormer": Variant(whole=part(SegFormer), losses=LOSSES),
}


def compared(variant: Variant, **choices: Any) -> Deviation:
    plain = Setting(height=64, width=96)
    eager = forward_call(SegModel(variant, CLASSES), plain, CPU)()
    call = timed_call(SegModel(variant, CLASSES), RECIPE, Setting(height=64, width=96, **choices), CPU)
    assert isinstance(call, Prepared)
    assert call.prepared_s > 0
    logits = call()
    assert isinstance(eager, Tensor)
    assert logits.shape == eager.shape
    return difference(logits, eager)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("mode", ["onnxruntime", "openvino"])
def test_a_runtime_computes_what_eager_torch_does(mode: str, network: str) -> None:
    found = compared(NETWORKS[network], mode=mode)
    assert found.max_abs < 1e-4 * found.largest
    assert found.changed < 1e-3


@pytest.mark.parametrize("mode", ["onnxruntime", "openvino"])
def test_a_network_that_cannot_be_exported_is_told_in_one_line(mode: str) -> None:
    with pytest.raises(PreparationError, match="the export to ONNX failed") as raised:
        compared(Variant(whole=part(Unexportable), losses=LOSSES), mode=mode)
    assert "\n" not in str(raised.value)
