"""Matched controls: as many parameters as what they stand beside, built from shapes alone, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.network.backbones.resnet import ResNet
from bench.network.controls import matched_head
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.network.necks.jpu import JPU
from bench.network.shape_streams.gated import GatedShapeStream
from bench.parts import ChoiceError, Part, part

LOSSES = (part(SegmentationLoss),)


def variant(head: Part[Any], **slots: Any) -> Variant:
    return Variant(part(ResNet, depth=18, width=16, output_stride=8), head, losses=LOSSES, **slots)


def head_size(given: Variant) -> int:
    with torch.device("meta"):
        head = SegModel(given, 19).head
    assert head is not None
    return sum(p.numel() for p in head.parameters())


@pytest.mark.parametrize(
    "slots",
    [
        {},
        {"neck": part(JPU, width=32, dilations=(1, 2, 3))},
        {"shape_stream": part(GatedShapeStream, widths=(16, 8, 8, 4))},
    ],
    ids=lambda slots: str([*slots]),
)
@pytest.mark.parametrize("attention", [{}, {"channel": False}, {"position": False, "gamma": "frozen"}], ids=str)
def test_the_control_has_as_many_parameters_within_a_percent(slots: Any, attention: Any) -> None:
    head = part(DualAttentionHead, width=64, **attention)
    backbone = part(ResNet, depth=18, width=16, output_stride=32 if "neck" in slots else 8)
    given = Variant(backbone, head, losses=LOSSES, **slots)
    control = matched_head(part(FCNHead, dropout=0.3), given, 19)
    assert (control.cls, control["dropout"]) == (FCNHead, 0.3)
    sizes = [head_size(Variant(backbone, each, losses=LOSSES, **slots)) for each in (control, head)]
    assert abs(sizes[0] - sizes[1]) <= 0.01 * sizes[1]
    neighbours = [control.having(width=control["width"] + step) for step in (-1, 1)]
    off = [abs(head_size(Variant(backbone, each, losses=LOSSES, **slots)) - sizes[1]) for each in neighbours]
    assert abs(sizes[0] - sizes[1]) <= min(off)


def test_the_published_head_is_matched_by_a_width_of_1298() -> None:
    """23,954,619 parameters; the plain head has 2048 * 9 + 2 + 19 a channel, and 19."""
    given = Variant(part(ResNet, output_stride=8), part(DualAttentionHead), losses=LOSSES)
    assert matched_head(part(FCNHead), given, 19)["width"] == round((23_954_619 - 19) / (2048 * 9 + 2 + 19))


def test_matching_moves_no_random_stream() -> None:
    before = torch.get_rng_state()
    matched_head(part(FCNHead), variant(part(DualAttentionHead, width=64)), 19)
    assert torch.equal(before, torch.get_rng_state())


def test_a_control_that_cannot_come_near_is_refused() -> None:
    small = variant(part(FCNHead, width=1))
    with pytest.raises(ChoiceError, match="no width comes within 1% of the .* of FCNHead.*the nearest is 1 with"):
        matched_head(part(DualAttentionHead, reduction=1), small, 19)


def test_a_whole_network_and_an_unknown_choice_are_refused() -> None:
    class Network(torch.nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.classify = torch.nn.Conv2d(3, num_classes, 1)

    with pytest.raises(ChoiceError, match="needs a variant with a backbone and a head, got a whole network"):
        matched_head(part(FCNHead), Variant(whole=part(Network), losses=LOSSES), 19)
    with pytest.raises(ChoiceError, match="FCNHead has no choice 'depth'"):
        matched_head(part(FCNHead), variant(part(FCNHead)), 19, choice="depth")
