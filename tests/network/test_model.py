"""Variant and SegModel: wiring, the forward contract, and paired initial weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.network.layers import BoundaryFusion, Resize, WiringError, own_draws, resize
from bench.network.model import LogitsOnly, SegModel, Variant
from bench.parts import Level, Levels, Part, part


class Pyramid(nn.Module):
    """Three levels by strided convolutions."""

    def __init__(self, *, width: int = 4) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(c, width, 3, stride=2, padding=1) for c in (3, width, width))
        self.out_levels: Levels = (Level(width, 2), Level(width, 4), Level(width, 8))

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            image = stage(image)
            features.append(image)
        return features


class Head(nn.Module):
    def __init__(self, levels: Levels, num_classes: int, boundary: Level | None = None, *, side: bool = False) -> None:
        super().__init__()
        self.fusion = BoundaryFusion(levels[-1].channels, boundary)
        self.classifier = nn.Conv2d(levels[-1].channels, num_classes, 1)
        self.side = side

    def forward(
        self, features: list[Tensor], boundary: Tensor | None = None, *, with_aux: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.classifier(self.fusion(features[-1], boundary))
        sides = {"side": logits * 2, "presence": logits.mean((2, 3))} if with_aux and self.side else {}
        return logits, sides


class Stream(nn.Module):
    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        self.out_level = Level(1, 1)

    def forward(self, image: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        edges = self.conv(image)
        return edges, edges.sigmoid()


class Upsampler(nn.Module):
    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self.resize = Resize()
        self.mix = nn.Conv2d(levels[-1].channels, 6, 1)
        self.out_levels: Levels = (*levels[:-1], Level(6, levels[0].stride))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [*features[:-1], self.mix(self.resize(features[-1], features[0].shape[-2:]))]


class Whole(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 3, stride=4, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.conv(image)
        return out


class Silent(nn.Module):
    """A backbone that does not say its levels."""

    def __init__(self) -> None:
        super().__init__()


class Loss(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()


LOSSES: tuple[Part[Any], ...] = (part(Loss),)
BASE = Variant(part(Pyramid), part(Head), losses=LOSSES)
FULL = Variant(part(Pyramid), part(Head, side=True), part(Upsampler), part(Head), part(Stream), LOSSES)


def test_outputs_have_image_size_at_odd_sizes() -> None:
    output = SegModel(FULL, 5)(torch.randn(2, 3, 37, 51))
    assert output.logits.shape == output.aux["side"].shape == output.aux["c4"].shape == (2, 5, 37, 51)
    assert output.aux["presence"].shape == (2, 5)
    assert output.boundary is not None
    assert output.boundary.shape == (2, 1, 37, 51)


def test_training_and_evaluation_differ_in_auxiliaries_only() -> None:
    model, image = SegModel(FULL, 5), torch.randn(1, 3, 16, 16)
    assert set(model(image).aux) == {"side", "c4", "presence"}
    assert set(model.eval()(image).aux) == set()
    assert set(model(image, with_aux=True).aux) == {"side", "c4", "presence"}
    assert torch.equal(model(image).logits, LogitsOnly(model)(image))


def test_any_network_can_stand_as_a_variant_by_itself() -> None:
    model = SegModel(Variant(whole=part(Whole), losses=LOSSES), 3)
    assert model(torch.randn(1, 3, 17, 23)).logits.shape == (1, 3, 17, 23)
    assert [slot for slot, _ in model.slots()] == ["whole"]


@pytest.mark.parametrize("other", [Variant(part(Pyramid), part(Head), part(Upsampler), losses=LOSSES), FULL])
def test_a_shared_part_starts_bit_identical_under_one_seed(other: Variant) -> None:
    one, two = SegModel(BASE, 5, seed=3), SegModel(other, 5, seed=3)
    assert one.backbone is not None
    assert two.backbone is not None
    for name, tensor in one.backbone.state_dict().items():
        assert torch.equal(tensor, two.backbone.state_dict()[name])


def test_a_head_starts_the_same_with_and_without_a_boundary() -> None:
    gated = Variant(part(Pyramid), part(Head), shape_stream=part(Stream), losses=LOSSES)
    one, two = SegModel(BASE, 5, seed=3).head, SegModel(gated, 5, seed=3).head
    assert one is not None
    assert two is not None
    shared = one.state_dict()
    assert set(two.state_dict()) > set(shared)
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in shared.items())


def test_another_seed_gives_other_weights_and_building_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    one, two = SegModel(BASE, 5, seed=0), SegModel(BASE, 5, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.equal(next(one.parameters()), next(two.parameters()))


def test_draws_inside_own_draws_do_not_move_those_outside() -> None:
    torch.manual_seed(1)
    plain = [torch.rand(2), torch.rand(2)]
    torch.manual_seed(1)
    first = torch.rand(2)
    with own_draws("x"):
        inside = torch.rand(2)
    assert torch.equal(plain[0], first)
    assert torch.equal(plain[1], torch.rand(2))
    assert not torch.equal(inside, plain[1])


def test_one_resize_convention_holds_in_the_whole_network_and_the_last_may_differ() -> None:
    aligned = SegModel(FULL, 5)
    free = SegModel(Variant(**{**vars(FULL), "align_corners": False}), 5)
    conventions = [{m.align_corners for m in net.modules() if isinstance(m, Resize)} for net in (aligned, free)]
    assert conventions == [{True}, {False}]
    image = torch.randn(1, 3, 32, 32)
    last = SegModel(Variant(**{**vars(BASE), "logits_align_corners": False}), 5).eval()
    model = SegModel(BASE, 5).eval()
    assert model.backbone is not None
    assert model.head is not None
    small = model.head(model.backbone(image), None, with_aux=False)[0]
    assert torch.equal(model(image).logits, resize(small, (32, 32), align_corners=True))
    assert torch.equal(last(image).logits, resize(small, (32, 32), align_corners=False))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"backbone": part(Pyramid)}, WiringError, "needs a backbone and a head"),
        ({"backbone": Pyramid, "head": part(Head)}, TypeError, r"write part\(Pyramid, …\)"),
        ({"backbone": part(Pyramid), "head": Head}, TypeError, r"write part\(Head, …\)"),
        ({"backbone": part(Pyramid), "head": part(Head), "whole": part(Whole)}, WiringError, "must be left out"),
        ({"backbone": part(Pyramid), "head": part(Head), "losses": ()}, WiringError, "cannot be trained"),
        ({"backbone": part(Pyramid), "head": part(Head), "losses": (Loss,)}, TypeError, "tuple of Parts"),
    ],
)
def test_a_variant_that_makes_no_network_is_refused(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Variant(**{"losses": LOSSES, **fields})


def test_a_backbone_that_does_not_say_its_levels_is_refused() -> None:
    with pytest.raises(WiringError, match="must set out_levels"):
        SegModel(Variant(part(Silent), part(Head), losses=LOSSES), 5)


def test_an_auxiliary_head_needs_a_level_before_the_last() -> None:
    class OneLevel(Pyramid):
        def __init__(self) -> None:
            super().__init__()
            self.out_levels = self.out_levels[:1]

    with pytest.raises(WiringError, match="auxiliary head reads the level before the last"):
        SegModel(Variant(part(OneLevel), part(Head), auxiliary=part(Head), losses=LOSSES), 5)
