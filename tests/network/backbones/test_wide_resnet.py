"""WiderResNet-38: published parameter counts a stage, dilation, dropout, the pre-activation block."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.network.backbones.wide_resnet import PreActivationBlock, WideResNet38
from bench.parts import ChoiceError, Level, part

COUNTS = {
    "mod1": 1_728,
    "mod2": 820_608,
    "mod3": 3_279_616,
    "mod4": 27_274_752,
    "mod5": 26_484_736,
    "mod6": 9_442_304,
    "mod7": 37_758_976,
}


@pytest.fixture(scope="module")
def published() -> WideResNet38:
    with torch.device("meta"):
        return WideResNet38()


def test_the_parameter_counts_are_the_published_ones(published: WideResNet38) -> None:
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in published.named_children()}
    assert {name: counts[name] for name in COUNTS} == COUNTS
    assert sum(counts.values()) == 105_062_720


def test_the_levels_are_those_that_gated_scnn_reads(published: WideResNet38) -> None:
    assert published.out_levels == tuple(map(Level, (64, 128, 256, 512, 4096), (1, 2, 4, 8, 8)))


@pytest.mark.parametrize(("name", "dilation"), [("mod4", 1), ("mod5", 2), ("mod6", 4), ("mod7", 4)])
def test_every_3x3_convolution_of_a_deep_stage_is_dilated(published: WideResNet38, name: str, dilation: int) -> None:
    convs = [m for m in published.get_submodule(name).modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert {m.dilation for m in convs} == {(dilation, dilation)}


def test_whole_channels_are_dropped_ahead_of_the_last_convolution_of_the_two_bottlenecks(
    published: WideResNet38,
) -> None:
    drops = {name: m.p for name, m in published.named_modules() if isinstance(m, nn.Dropout2d)}
    assert drops == {"mod6.0.dropout": 0.3, "mod7.0.dropout": 0.5}
    block = PreActivationBlock(4, (4, 4, 8), dropout=1.0).train()
    seen: list[Tensor] = []
    block.get_submodule("conv3").register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    block(torch.randn(2, 4, 5, 5))
    assert not seen[0].any()


def test_a_block_of_zeroed_convolutions_passes_its_raw_input_on() -> None:
    block = PreActivationBlock(4, (4, 4))
    nn.init.zeros_(block.get_submodule("conv2").weight)
    x = torch.randn(1, 4, 6, 7)
    assert torch.equal(block(x), x)


def test_the_projection_reads_the_activated_input() -> None:
    block = PreActivationBlock(3, (5, 5), stride=2).eval()
    nn.init.zeros_(block.get_submodule("conv2").weight)
    assert block.projection is not None
    x = torch.randn(1, 3, 7, 9)
    activated = torch.relu(x / (1 + 1e-5) ** 0.5)
    assert torch.allclose(block(x), block.projection(activated), atol=1e-6)
    assert not torch.allclose(block(x), block.projection(x), atol=1e-3)


def test_the_last_level_is_not_activated() -> None:
    features = WideResNet38(width=2).eval()(torch.randn(1, 3, 17, 19))
    assert all(x.min() < 0 < x.max() for x in features)


def test_a_narrow_network_halves_the_published_channels() -> None:
    torch.manual_seed(0)
    network = WideResNet38(width=4)
    assert network.out_levels == tuple(map(Level, (4, 8, 16, 32, 256), (1, 2, 4, 8, 8)))
    assert [tuple(x.shape[1:]) for x in network(torch.zeros(1, 3, 33, 47))] == [
        (level.channels, *level.size(33, 47)) for level in network.out_levels
    ]
    with pytest.raises(ChoiceError, match="dropout"):
        part(WideResNet38, dropout=(0.3, 1.5))
