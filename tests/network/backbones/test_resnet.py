"""ResNet: published parameter counts, dilation, initial weights, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from bench.network.backbones.resnet import ResNet
from bench.parts import ChoiceError, Level, part


def built(**choices: Any) -> ResNet:
    with torch.device("meta"):
        return part(ResNet, **choices).build()


def dilations(network: ResNet, stage: str) -> list[tuple[int, ...]]:
    """Dilations of the 3x3 convolutions of each block, downsampling left out."""
    return [
        tuple(m.dilation[0] for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3))
        for block in network.get_submodule(stage).children()
    ]


@pytest.mark.parametrize(
    ("choices", "count"),
    [
        ({"depth": 18}, 11_176_512),  # torchvision's 11,689,512 without the classifier's 513,000
        ({"depth": 34}, 21_284_672),  # torchvision's 21,797,672 without the classifier's 513,000
        ({"depth": 50}, 23_508_032),
        ({"depth": 101}, 42_500_160),
        ({"depth": 152}, 58_143_808),  # torchvision's 60,192,808 without the classifier's 2,049,000
        ({"depth": 50, "stem": "deep"}, 23_631_808),
        ({"depth": 50, "stem": "deep", "stem_widths": (32, 32, 64)}, 23_508_032 - 9_408 + 28_512 + 128),
        ({"depth": 101, "stem": "deep"}, 42_623_936),
    ],
)
@pytest.mark.parametrize("output_stride", [8, 32])
def test_parameter_counts_are_the_published_ones(choices: dict[str, Any], count: int, output_stride: int) -> None:
    assert sum(p.numel() for p in built(**choices, output_stride=output_stride).parameters()) == count


def test_channels_and_strides_follow_from_depth_stem_and_output_stride() -> None:
    assert built().out_levels == tuple(map(Level, (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)))
    assert [level.stride for level in built(output_stride=16).out_levels] == [2, 4, 8, 16, 16]
    assert [level.stride for level in built(output_stride=8).out_levels] == [2, 4, 8, 8, 8]
    assert [level.channels for level in built(depth=18, stem="deep").out_levels] == [128, 64, 128, 256, 512]


def test_the_first_block_of_a_dilated_stage_has_the_dilation_of_the_stage_before() -> None:
    network = built(output_stride=8)
    assert dilations(network, "layer3") == [(1,), (2,), (2,), (2,), (2,), (2,)]
    assert dilations(network, "layer4") == [(2,), (4,), (4,)]
    assert dilations(built(output_stride=16), "layer4") == [(1,), (2,), (2,)]
    assert {d for stage in range(1, 5) for each in dilations(built(), f"layer{stage}") for d in each} == {1}


def test_without_contraction_the_first_block_of_a_dilated_stage_is_dilated_like_the_others() -> None:
    network = built(output_stride=8, contracted=False)
    assert dilations(network, "layer3")[0] == (2,)
    assert dilations(network, "layer4") == [(4,), (4,), (4,)]


def test_stage_dilations_may_be_given_apart_from_the_output_stride_as_in_mmsegmentations_fastfcn() -> None:
    network = built(output_stride=32, dilations=(1, 1, 2, 4))
    assert [level.stride for level in network.out_levels] == [2, 4, 8, 16, 32]
    assert dilations(network, "layer3") == [(1,), (2,), (2,), (2,), (2,), (2,)]
    assert dilations(network, "layer4") == [(2,), (4,), (4,)]


def test_stage_strides_may_be_given_as_long_as_they_lead_to_the_output_stride() -> None:
    network = built(strides=(2, 1, 2, 1), dilations=(1, 1, 1, 2), output_stride=16)
    assert [level.stride for level in network.out_levels] == [2, 8, 8, 16, 16]
    assert [tuple(x.shape[-2:]) for x in network(torch.zeros(1, 3, 65, 97, device="meta"))] == [
        level.size(65, 97) for level in network.out_levels
    ]


def test_the_widths_of_a_deep_stem_are_a_choice() -> None:
    convs = [m for m in built(stem="deep", stem_widths=(32, 32, 64)).conv1.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convs] == [32, 32, 64]
    assert built(stem="deep", stem_widths=(32, 32, 64)).out_levels[0] == Level(64, 2)


def test_a_basic_block_contracts_its_first_convolution_alone() -> None:
    assert dilations(built(depth=18, output_stride=8), "layer4") == [(2, 4), (4, 4)]


def test_multi_grid_gives_the_absolute_dilations_of_the_last_stage_alone() -> None:
    network = built(output_stride=8, multi_grid=(4, 8, 16))
    assert dilations(network, "layer4") == [(4,), (8,), (16,)]
    assert dilations(network, "layer3") == dilations(built(output_stride=8), "layer3")
    assert dilations(built(depth=18, output_stride=16, multi_grid=(2, 4)), "layer4") == [(2, 2), (4, 4)]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"output_stride": 32, "multi_grid": (4, 8, 16)}, "output_stride=8 or 16"),
        ({"strides": (1, 2, 2, 2)}, "give the dilations of the four stages too"),
        ({"strides": (1, 2, 1, 1), "dilations": (1, 1, 2, 4)}, "lead to 8; give strides and output_stride that agree"),
        ({"stem_widths": (32, 32, 64)}, "give stem='deep', or no stem_widths"),
        ({"weights": "a.pth"}, "without weights_sha256"),
        ({"weights_sha256": "0" * 64}, "without weights:"),
        ({"weights": "a.pth", "weights_sha256": "ABC"}, "64 lower-case hexadecimal digits"),
        ({"output_stride": 8, "multi_grid": (4, 8)}, "each of the 3 blocks .* got 2"),
        ({"output_stride": 8, "depth": 18, "multi_grid": (4, 8, 16)}, "each of the 2 blocks .* got 3"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ChoiceError, match=message):
        built(**choices)


@pytest.mark.parametrize("choices", [{"output_stride": 64}, {"depth": 20}, {"multi_grid": (0,)}, {"width": 0}])
def test_a_value_outside_the_schema_is_refused_before_anything_is_built(choices: dict[str, Any]) -> None:
    with pytest.raises(ChoiceError, match="expected"):
        part(ResNet, **choices)


def test_convolutions_start_normal_with_the_fan_out_of_the_source_and_normalisation_at_one_and_zero() -> None:
    torch.manual_seed(0)
    network = ResNet(depth=18, width=32)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 10_000:
            expected = math.sqrt(2 / (module.out_channels * math.prod(module.kernel_size)))
            assert module.weight.std().item() == pytest.approx(expected, rel=0.03)
            assert abs(module.weight.mean().item()) < 0.03 * expected
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all()
            assert module.bias.eq(0).all()


@pytest.mark.parametrize("other", [{"output_stride": 8}, {"stem": "deep"}, {"depth": 34}])
def test_tensors_that_two_configurations_share_start_out_identical(other: dict[str, Any]) -> None:
    states = []
    for choices in ({}, other):
        torch.manual_seed(5)
        states.append(part(ResNet, **{"depth": 18, "width": 8, **choices}).build().state_dict())
    shared = [name for name in states[0] if name in states[1] and states[0][name].shape == states[1][name].shape]
    assert len(shared) > 80
    assert all(torch.equal(states[0][name], states[1][name]) for name in shared)


def test_no_two_convolutions_start_from_the_same_draws() -> None:
    torch.manual_seed(0)
    firsts = [m.weight.flatten()[0].item() / m.weight.std().item() for m in ResNet(depth=18, width=8).modules()
              if isinstance(m, nn.Conv2d)]  # fmt: skip
    assert len(set(firsts)) == len(firsts) == 20
