"""Cost: counts against closed forms and a second counter, real memory and latency, and a model left as it was."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.backbones.resnet import ResNet
from bench.heads.dual_attention import DualAttentionHead
from bench.heads.fcn import FCNHead
from bench.measure.counts import UncountedError, count_by_shape, count_macs, parameters
from bench.measure.memory import peak_memory
from bench.model import SegModel, Variant
from bench.necks.jpu import JPU
from bench.parts import part
from bench.shape_streams.gated import GatedShapeStream


class Loss(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()


LOSSES = (part(Loss),)
SMALL = part(ResNet, depth=18, width=8, output_stride=32)
FULL = Variant(
    SMALL, part(DualAttentionHead, width=16), part(JPU, width=8), part(FCNHead, width=8), part(GatedShapeStream), LOSSES
)


class TwoLayers(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.classifier = nn.Conv2d(8, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.norm(self.conv(image)))
        return out


class FusedAttention(TwoLayers):
    def forward(self, image: Tensor) -> Tensor:
        x = self.conv(image).flatten(2).mT
        out: Tensor = self.classifier(F.scaled_dot_product_attention(x, x, x).mT.unflatten(2, (16, 16)))
        return out


def test_macs_of_convolutions_equal_their_closed_form_and_nothing_else_is_in_the_headline() -> None:
    macs = count_macs(SegModel(Variant(whole=part(TwoLayers), losses=LOSSES), 5), 32, 48)
    assert macs.by_slot == {"whole": 16 * 24 * 8 * 27 + 16 * 24 * 8 * 5}
    assert macs.by_operator["batch_norm"] > 0


def test_macs_of_attention_equal_their_closed_form() -> None:
    variant = Variant(
        part(ResNet, depth=18, width=8, output_stride=8), part(DualAttentionHead, width=16), losses=LOSSES
    )
    plain = Variant(variant.backbone, part(FCNHead, width=16), losses=LOSSES)
    with_attention, without = (count_macs(SegModel(v, 5), 64, 96).by_slot["head"] for v in (variant, plain))
    n, c, r = 8 * 12, 16, 2
    convolutions = n * (64 * c * 9) + 2 * n * (c * c * 9)  # one more entry, two exits
    position = n * (2 * c * r + c * c) + n * n * (r + c)  # query, key, value; energy, weighted sum
    channel = 2 * n * c * c
    assert with_attention - without == convolutions + position + channel


def test_slots_add_up_and_agree_with_torchs_own_counter() -> None:
    model = SegModel(FULL, 5)
    macs = count_macs(model, 64, 96)
    assert set(macs.by_slot) == {"backbone", "neck", "head", "auxiliary", "shape_stream"}
    assert macs.by_slot["auxiliary"] == 0
    assert sum(macs.by_slot.values()) == count_by_shape(model, 64, 96)[0]
    with torch.device("meta"):
        assert count_by_shape(SegModel(FULL, 5), 64, 96)[0] == sum(macs.by_slot.values())


def test_attention_in_a_kernel_that_is_not_counted_is_refused() -> None:
    with pytest.raises(
        UncountedError, match=r"aten::scaled_dot_product_attention.*write the attention as matrix products"
    ):
        count_macs(SegModel(Variant(whole=part(FusedAttention), losses=LOSSES), 5), 32, 32)


def test_counting_changes_neither_tensors_nor_mode() -> None:
    model = SegModel(FULL, 5).train()
    before = copy.deepcopy(model.state_dict())
    count_macs(model, 32, 32)
    count_by_shape(model, 32, 32)
    assert model.training
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())


def test_parameters_are_counted_by_slot_frozen_ones_included() -> None:
    model = SegModel(Variant(SMALL, part(FCNHead, width=8), part(JPU, width=8, frozen=True), losses=LOSSES), 5)
    counts = parameters(model)
    assert set(counts) == {"backbone", "neck", "head"}
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters())


def test_peak_memory_sees_weights_and_the_largest_maps() -> None:
    class Hungry(TwoLayers):
        def forward(self, image: Tensor) -> Tensor:
            image = image + torch.ones(64 * 2**20 // 4).mean()  # 64 MiB that live for a moment
            return super().forward(image)

    image = torch.zeros(1, 3, 64, 64)
    light, heavy = (
        peak_memory(lambda cls=cls: SegModel(Variant(whole=part(cls), losses=LOSSES), 5), image)  # type: ignore[misc]
        for cls in (TwoLayers, Hungry)
    )
    assert light.kind == heavy.kind == "cpu resident set"
    assert heavy.peak_bytes - light.peak_bytes == pytest.approx(64 * 2**20, rel=0.2)
