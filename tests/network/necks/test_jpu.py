"""JPU: published parameter count, order of the concatenation, the frozen control, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.network.layers import WiringError
from bench.network.necks.jpu import JPU, JPUX, LocalBatchNorm2d
from bench.parts import ChoiceError, Level, Levels, part

RESNET50: Levels = tuple(map(Level, (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)))
SMALL: Levels = tuple(map(Level, (3, 4, 6, 8), (4, 8, 16, 32)))


def features() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, level.channels, *level.size(65, 97), generator=generator) for level in SMALL]


def test_the_parameter_count_on_a_resnet50_is_the_published_one() -> None:
    with torch.device("meta"):
        neck = JPU(RESNET50)
    assert sum(p.numel() for p in neck.parameters()) == 19_735_552
    assert neck.out_levels == (*RESNET50[:-1], Level(2048, 8))


def test_maps_before_the_last_pass_through_untouched() -> None:
    given = features()
    out = JPU(SMALL, width=4)(given)
    assert all(one is other for one, other in zip(out[:-1], given[:-1], strict=True))


def test_laterals_are_joined_from_deep_to_shallow() -> None:
    """With lateral outputs 1 (shallow), 2, 3 (deep), the branches see 3, 2, 1: what the release's weights expect."""
    neck = JPU(SMALL, width=2, dilations=(1,))
    for value, lateral in enumerate(neck.laterals, start=1):
        lateral.register_forward_hook(lambda _module, _given, out, value=value: torch.full_like(out, value))
    seen: list[torch.Tensor] = []
    neck.branches[0].register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    neck(features())
    assert seen[0][0, :, 3, 4].tolist() == [3, 3, 2, 2, 1, 1]


def test_a_frozen_neck_has_the_same_weights_and_trains_none_but_its_statistics_move() -> None:
    torch.manual_seed(0)
    trained = JPU(SMALL, width=4)
    torch.manual_seed(0)
    frozen = JPU(SMALL, width=4, frozen=True)
    assert all(torch.equal(one, other) for one, other in zip(trained.parameters(), frozen.parameters(), strict=True))
    assert all(p.requires_grad for p in trained.parameters())
    assert not any(p.requires_grad for p in frozen.parameters())
    given = [each.requires_grad_() for each in features()]
    frozen(given)[-1].sum().backward()
    assert given[-1].grad is not None, "the backbone in front must train through a frozen neck"
    norms = [m for m in frozen.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(norm.running_mean is not None and norm.running_mean.abs().max() > 0 for norm in norms)


def test_fewer_dilations_keep_the_tensors_of_those_that_remain() -> None:
    states = []
    for dilations in ((1, 2, 4), (1, 2)):
        torch.manual_seed(0)
        states.append(JPU(SMALL, width=4, dilations=dilations).state_dict())
    assert set(states[1]) < set(states[0])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


@pytest.mark.parametrize("strides", [(8, 8, 8), (8, 16, 8), (16, 8, 8)])
def test_levels_that_leave_nothing_to_upsample_are_refused(strides: tuple[int, ...]) -> None:
    with pytest.raises(WiringError, match=f"got strides {', '.join(map(str, strides))}; take a backbone with"):
        JPU(tuple(Level(4, stride) for stride in strides))


def test_a_backbone_at_output_stride_16_still_leaves_one_step_to_upsample() -> None:
    assert JPU(tuple(Level(4, stride) for stride in (8, 16, 16)), width=2).out_levels[-1] == Level(8, 8)


def test_fewer_than_three_levels_are_refused() -> None:
    with pytest.raises(WiringError, match="JPU needs the last 3 levels of a pyramid, got 2"):
        JPU(SMALL[:2])


def test_no_dilations_are_refused() -> None:
    with pytest.raises(ChoiceError, match="at least one dilation"):
        JPU(SMALL, dilations=())


def test_jpu_x_has_the_published_parameter_count_and_size() -> None:
    with torch.device("meta"):
        neck = JPUX(RESNET50)
    assert sum(p.numel() for p in neck.parameters()) == 19_719_168
    assert neck.out_levels == (*RESNET50[:-1], Level(2048, 8))


def test_jpu_x_joins_the_middle_level_first_and_passes_the_coarse_map_on() -> None:
    neck = JPUX(SMALL, width=8, groups=2, dilations=((1, 2), (1,)))
    seen: list[torch.Tensor] = []
    neck.second.register_forward_pre_hook(lambda _module, given: seen.extend(given))
    given = features()
    out = neck(given)
    assert seen[0] is given[-1]
    assert tuple(seen[1].shape) == (2, 3 * 4, *SMALL[1].size(65, 97))
    coarse = neck.second.resize(neck.second.eval().coarse(given[-1]), out[-1].shape[-2:])
    assert torch.equal(neck.second(*seen)[:, :8], coarse)


@pytest.mark.parametrize("choices", [{"width": 500}, {"dilations": ((1, 2), ())}])
def test_a_jpu_x_that_cannot_be_built_is_refused(choices: dict[str, object]) -> None:
    with pytest.raises(ChoiceError, match="JPUX"):
        part(JPUX, **choices).build(RESNET50)


def test_the_local_depthwise_normalisation_computes_like_the_other_in_training_and_evaluation() -> None:
    necks = []
    for norm in ("batch", "local"):
        torch.manual_seed(0)
        neck = part(JPU, width=4, depthwise_norm=norm).build(SMALL)
        trained = neck(features())[-1]
        necks.append((trained, neck.eval()(features())[-1], neck.state_dict()))
    for one, other in zip(necks[0][:2], necks[1][:2], strict=True):
        assert torch.equal(one, other)
    assert list(necks[0][2]) == list(necks[1][2])
    assert all(torch.equal(necks[0][2][name], necks[1][2][name]) for name in necks[0][2])


@pytest.mark.parametrize(("norm", "kept"), [("batch", 0), ("local", 4)])
def test_a_trainer_that_synchronises_batch_normalisation_leaves_only_the_local_one_alone(norm: str, kept: int) -> None:
    neck = nn.SyncBatchNorm.convert_sync_batchnorm(part(JPU, width=4, depthwise_norm=norm).build(SMALL))
    assert sum(isinstance(m, LocalBatchNorm2d) for m in neck.modules()) == kept
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in neck.modules()) == 11 - kept
    assert not any(isinstance(m, nn.BatchNorm2d) for m in neck.modules())


def test_the_depthwise_normalisation_can_be_left_out() -> None:
    with_norm, without = (part(JPU, width=4, depthwise_norm=norm).build(SMALL) for norm in ("batch", "none"))
    assert count(with_norm) - count(without) == 4 * 2 * 12


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
