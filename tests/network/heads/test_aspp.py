"""ASPP heads: published parameter counts, branches and their order, the low-level decoder, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from bench.network.heads.aspp import ASPP, DeepLabV3Head, DeepLabV3PlusHead
from bench.network.layers import WiringError
from bench.parts import Level, Levels

DEEPLAB_50 = 39_772_411  # FastFCN at stride 8, 59 classes, without the auxiliary head
RESNET_50 = 23_631_808  # deep stem
WIDE_RESNET: Levels = (Level(64, 1), Level(128, 2), Level(256, 4), Level(512, 8), Level(4096, 8))
SMALL: Levels = (Level(2, 1), Level(3, 2), Level(4, 4), Level(5, 8), Level(6, 8))


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        plain = DeepLabV3Head((Level(2048, 8),), 59)
        plus = DeepLabV3PlusHead(WIDE_RESNET, 19, Level(1, 1))
    assert count(plain) == DEEPLAB_50 - RESNET_50
    assert count(plus.aspp) == 30_412_032
    assert count(plus) - count(plus.aspp) == 1_695_488


@pytest.mark.parametrize("boundary", [None, Level(1, 1)])
def test_the_branches_are_image_boundary_1x1_and_the_rates_in_this_order(boundary: Level | None) -> None:
    aspp = ASPP(4, 3, (2, 5), boundary).eval()
    x = torch.randn(2, 4, 7, 9)
    edges = torch.rand(2, 1, 49, 63) if boundary else None
    maps = aspp(x, edges)
    assert [tuple(each.shape) for each in maps] == [(2, 3, 7, 9)] * (5 if boundary else 4)
    assert aspp.out_channels == 3 * len(maps)
    assert torch.equal(maps[0], aspp.image(x.mean((2, 3), keepdim=True)).expand(2, 3, 7, 9))
    if edges is not None:
        sampled = edges[:, :, ::8, :][:, :, :, [0, 62]]  # aligned corners: 49 rows onto 7, and the outer columns
        assert aspp.boundary is not None
        assert torch.allclose(maps[1][..., [0, 8]], aspp.boundary(sampled), atol=1e-6)
    dilations = [branch[0].dilation for branch in aspp.branches]
    kernels = [branch[0].kernel_size for branch in aspp.branches]
    assert (dilations, kernels) == ([(1, 1), (2, 2), (5, 5)], [(1, 1), (3, 3), (3, 3)])
    assert all(torch.equal(got, branch(x)) for got, branch in zip(maps[-3:], aspp.branches, strict=True))


def test_deeplab_v3_puts_the_image_last_and_drops_half_of_the_projection() -> None:
    head = DeepLabV3Head((Level(4, 8),), 3, width=5, rates=(2,)).eval()
    x = torch.randn(2, 4, 7, 9)
    image, *others = head.aspp(x)
    context = head.project(torch.cat([*others, image], 1))
    assert torch.allclose(head.context(x), context, atol=1e-6)
    assert torch.allclose(head([x])[0], head.classifier(head.entry(context)), atol=1e-6)
    assert (head.pyramid_dropout.p, head.dropout.p) == (0.5, 0.1)


def test_the_decoder_joins_the_low_level_map_and_the_enlarged_projection_at_the_size_of_the_former() -> None:
    head = DeepLabV3PlusHead(SMALL, 3, width=5, rates=(2,), low_width=4).eval()
    features = [torch.randn(2, level.channels, *level.size(33, 41)) for level in SMALL]
    high = head.project(torch.cat(head.aspp(features[-1]), 1))
    # Not by our own resize, which is what is tested.
    enlarged = torch.nn.functional.interpolate(high, size=(17, 21), mode="bilinear", align_corners=True)  # noqa: TID251
    expected = head.classifier(head.refine(torch.cat([head.low(features[1]), enlarged], 1)))
    logits, aux = head(features, with_aux=True)
    assert tuple(logits.shape) == (2, 3, 17, 21)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert aux == {}


def test_the_decoder_starts_from_kaiming_normal_weights_and_the_rest_from_the_defaults() -> None:
    torch.manual_seed(0)
    head = DeepLabV3PlusHead((*WIDE_RESNET[:-1], Level(32, 8)), 19)
    for conv in (head.refine[0][0], head.refine[1][0], head.classifier):
        fan_in = conv.weight[0].numel()
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
    assert head.project.weight.abs().max().item() <= 1 / math.sqrt(head.project.weight[0].numel())


def test_neither_projection_of_the_decoder_is_normalised_and_no_bias_is_left() -> None:
    head = DeepLabV3PlusHead(SMALL, 3, Level(1, 1))
    assert [name for name, _ in head.named_parameters() if name.startswith(("project", "low", "classifier"))] == [
        "project.weight",
        "low.weight",
        "classifier.weight",
    ]


def test_a_boundary_that_was_announced_must_come() -> None:
    with pytest.raises(WiringError, match="built for a boundary map, got none"):
        DeepLabV3Head((Level(4, 8),), 3, Level(1, 1), width=2).eval()([torch.randn(1, 4, 5, 7)])


def test_a_decoder_without_a_finer_low_level_map_is_refused() -> None:
    with pytest.raises(WiringError, match="needs the last 4 levels of a pyramid, got 1.*DeepLabV3Head"):
        DeepLabV3PlusHead((Level(4, 8),), 3)
    with pytest.raises(WiringError, match="must not be coarser, got stride 16; order the levels"):
        DeepLabV3PlusHead((Level(4, 16), Level(4, 8), Level(4, 8), Level(4, 8)), 3)
