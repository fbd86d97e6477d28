"""Bilinear, FPN and path aggregation: sizes, closed forms, what reaches the fused map, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.network.layers import WiringError, resize
from bench.network.necks.bilinear import Bilinear
from bench.network.necks.fpn import FPN
from bench.network.necks.path_aggregation import PathAggregation
from bench.parts import Level, Levels, Part, part

RESNET50: Levels = tuple(map(Level, (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)))
SMALL: Levels = tuple(map(Level, (3, 4, 6, 8), (4, 8, 16, 32)))

NECKS: list[tuple[Part[nn.Module], int, int]] = [
    (part(Bilinear), 2048, 0),
    (part(FPN), 768, (512 + 1024 + 2048 + 3) * 256 + 3 * (9 * 256 + 1) * 256),
    (part(FPN, fusion="sum"), 256, (512 + 1024 + 2048 + 3) * 256 + 3 * (9 * 256 + 1) * 256),
    (part(FPN, fusion="finest"), 256, (512 + 1024 + 2048 + 3) * 256 + (9 * 256 + 1) * 256),
    (part(PathAggregation), 768, (512 + 1024 + 2048 + 3) * 256 + 7 * (9 * 256 + 1) * 256),
    (part(PathAggregation, fusion="sum"), 256, (512 + 1024 + 2048 + 3) * 256 + 7 * (9 * 256 + 1) * 256),
]
every_neck = pytest.mark.parametrize(("neck", "channels", "count"), NECKS, ids=str)


def features(levels: Levels = SMALL) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, level.channels, *level.size(65, 97), generator=generator) for level in levels]


@every_neck
def test_channels_and_parameters_on_a_resnet50_are_those_of_the_definition(
    neck: Part[nn.Module], channels: int, count: int
) -> None:
    with torch.device("meta"):
        built = neck.build(RESNET50)
    assert built.out_levels == (*RESNET50[:-1], Level(channels, 8))
    assert sum(p.numel() for p in built.parameters()) == count


@every_neck
def test_maps_before_the_last_pass_through_and_all_three_read_levels_reach_the_last(
    neck: Part[nn.Module], channels: int, count: int
) -> None:
    del channels, count
    given = [x.requires_grad_() for x in features()]
    out = neck.build(SMALL)(given)
    assert all(one is other for one, other in zip(out[:-1], given[:-1], strict=True))
    assert tuple(out[-1].shape[-2:]) == SMALL[1].size(65, 97)
    grads = torch.autograd.grad(out[-1].sum(), given, allow_unused=True)
    reached = [grad is not None and bool(grad.any()) for grad in grads]
    assert reached == ([False, False, False, True] if neck.cls is Bilinear else [False, True, True, True])


@every_neck
@pytest.mark.parametrize("strides", [(4, 8, 8, 8), (4, 32, 16, 8)])
def test_levels_that_leave_nothing_to_upsample_are_refused(
    neck: Part[nn.Module], channels: int, count: int, strides: tuple[int, ...]
) -> None:
    del channels, count
    with pytest.raises(WiringError, match=f"{neck.cls.__name__} upsamples to the third level .* neck=None"):
        neck.build(tuple(map(Level, (3, 4, 6, 8), strides)))
    with pytest.raises(WiringError, match=f"{neck.cls.__name__} needs the last 3 levels"):
        neck.build(SMALL[:2])


@every_neck
def test_an_output_stride_of_16_is_upsampled_too(neck: Part[nn.Module], channels: int, count: int) -> None:
    del channels, count
    levels = tuple(map(Level, (4, 6, 8), (8, 16, 16)))
    built = neck.build(levels)
    assert tuple(built(features(levels))[-1].shape[1:]) == (built.out_levels[-1].channels, 9, 13)


def test_bilinear_is_the_resize_of_the_last_map() -> None:
    given = features()
    assert torch.equal(Bilinear(SMALL)(given)[-1], resize(given[-1], (9, 13), align_corners=True))


def test_the_levels_of_a_pyramid_are_smoothed_sums_from_the_top_down() -> None:
    neck = FPN(SMALL, width=2)
    given = features()
    laterals = [conv(x) for conv, x in zip(neck.top_down.laterals, given[-3:], strict=True)]
    p5 = laterals[2]
    p4 = laterals[1] + resize(p5, laterals[1].shape[-2:], align_corners=True)
    p3 = laterals[0] + resize(p4, laterals[0].shape[-2:], align_corners=True)
    smoothed = [conv(x) for conv, x in zip(neck.top_down.smooth, (p3, p4, p5), strict=True)]
    expected = torch.cat([resize(x, (9, 13), align_corners=True) for x in smoothed], dim=1)
    assert torch.allclose(neck(given)[-1], expected, atol=1e-6)


def test_the_fusions_of_a_pyramid_share_their_tensors_and_differ_as_their_names_say() -> None:
    maps = {}
    states = {}
    for fusion in ("concat", "sum", "finest"):
        torch.manual_seed(0)
        neck = part(FPN, width=2, fusion=fusion).build(SMALL)
        maps[fusion], states[fusion] = neck(features())[-1], neck.state_dict()
    assert all(torch.equal(tensor, states["concat"][name]) for s in states.values() for name, tensor in s.items())
    assert torch.equal(maps["finest"], maps["concat"][:, :2])
    assert torch.allclose(maps["sum"], sum(maps["concat"].chunk(3, dim=1)), atol=1e-6)


def test_path_aggregation_stands_on_the_pyramid_and_goes_back_up() -> None:
    neck = PathAggregation(SMALL, width=2)
    given = features()
    p3, p4, p5 = neck.top_down(given[-3:])
    n4 = neck.out[0](neck.down[0](p3).relu() + p4).relu()
    n5 = neck.out[1](neck.down[1](n4).relu() + p5).relu()
    expected = torch.cat([resize(x, (9, 13), align_corners=True) for x in (p3, n4, n5)], dim=1)
    assert torch.allclose(neck(given)[-1], expected, atol=1e-6)


def test_path_aggregation_refuses_levels_that_are_more_than_a_factor_of_two_apart() -> None:
    with pytest.raises(WiringError, match="got strides 8 and 32"):
        PathAggregation(tuple(map(Level, (4, 6, 8), (4, 8, 32))))
