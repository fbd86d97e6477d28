"""Gated shape stream: parameter count, what "open" means, image gradients in closed form, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.network import normalisation
from bench.network.layers import WiringError
from bench.network.shape_streams.canny import canny
from bench.network.shape_streams.gated import (
    IMAGE_MEAN,
    IMAGE_STD,
    LUMINANCE,
    CannyEdges,
    GatedShapeStream,
    SobelMagnitude,
)
from bench.parts import Level, Levels, part

RESNET50: Levels = tuple(map(Level, (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)))
SMALL: Levels = tuple(map(Level, (6, 4, 5, 7, 8), (2, 4, 8, 16, 32)))


def built(seed: int = 0, levels: Levels = SMALL, **choices: Any) -> GatedShapeStream:
    torch.manual_seed(seed)
    return part(GatedShapeStream, **{"widths": (6, 5, 4, 3), **choices}).build(levels)


def given() -> tuple[Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    features = [torch.randn(2, level.channels, *level.size(33, 47), generator=generator) for level in SMALL]
    return torch.randn(2, 3, 33, 47, generator=generator), features


def count(stream: GatedShapeStream) -> int:
    return sum(p.numel() for p in stream.parameters())


def test_the_parameter_count_is_the_papers_on_its_own_levels() -> None:
    """107,950 with the WiderResNet's mod1, mod3, mod4, mod7, less 65 of a side convolution that is never used."""
    wide = tuple(map(Level, (64, 128, 256, 512, 4096), (1, 2, 4, 8, 8)))
    with torch.device("meta"):
        assert count(GatedShapeStream(wide)) == 107_950 - 65
        assert count(GatedShapeStream(RESNET50)) == 107_950 - 65 - (257 + 513 + 4097) + (513 + 1025 + 2049)


def test_open_gates_equal_a_stream_whose_alphas_are_all_one() -> None:
    stream, opened = built(gates="on").eval(), built(gates="open").eval()
    for step in stream.steps:
        step.gate.register_forward_hook(lambda _module, _given, alpha: torch.ones_like(alpha))
    image, features = given()
    for one, other in zip(stream(image, features), opened(image, features), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_deep_levels_reach_the_stream_through_the_gates_alone() -> None:
    image, features = given()
    for gates, changes in (("on", True), ("open", False)):
        stream = built(gates=gates).eval()
        before = stream(image, features)[0]
        for level in (2, 3, 4):
            moved = [x + torch.randn_like(x) if index == level else x for index, x in enumerate(features)]
            assert (not torch.equal(stream(image, moved)[0], before)) is changes
        unread = [x + 1 if index == 1 else x for index, x in enumerate(features)]
        assert torch.equal(stream(image, unread)[0], before), "C2 is not read"


def test_shared_tensors_start_out_identical_whatever_the_options() -> None:
    states = [
        built(**choices).state_dict()
        for choices in ({}, {"gates": "open"}, {"image_gradient": "none"}, {"image_gradient": "canny"})
    ]
    for other in states[1:]:
        shared = [name for name in states[0] if name in other and states[0][name].shape == other[name].shape]
        assert len(shared) >= 40
        assert all(torch.equal(states[0][name], other[name]) for name in shared)


def test_image_gradients_join_the_map_for_the_head_but_not_the_boundary_logits() -> None:
    image, features = given()
    with_gradient = built().eval()
    logits, edges = with_gradient(image, features)
    other_logits, other_edges = with_gradient(torch.zeros_like(image), features)
    assert torch.equal(logits, other_logits)
    assert not torch.equal(edges, other_edges)
    without = built(image_gradient="none").eval()
    assert torch.equal(without(image, features)[1], without(torch.zeros_like(image), features)[1])


def test_the_map_for_the_head_is_the_sigmoid_of_a_weighted_sum_of_probability_and_gradient() -> None:
    stream = built().eval()
    image, features = given()
    logits, edges = stream(image, features)
    probability, gradient = stream.fuse.weight.detach().flatten()
    expected = torch.sigmoid(probability * logits.sigmoid() + gradient * SobelMagnitude()(image))
    assert torch.allclose(edges, expected, atol=1e-6)


def test_a_coarser_stream_still_gives_logits_at_image_size() -> None:
    stream = built(stride=4)
    logits, edges = stream(*given())
    assert tuple(logits.shape) == (2, 1, 33, 47)
    assert tuple(edges.shape) == (2, 1, 9, 12)
    assert stream.out_level == Level(1, 4)


def test_a_stem_of_another_width_is_projected_and_one_of_the_same_width_is_not() -> None:
    assert count(built(widths=(6, 5, 4, 3))) == sum(
        p.numel() for n, p in built().named_parameters() if "start" not in n
    )
    assert built(widths=(8, 5, 4, 3)).start.weight.shape == (8, 6, 1, 1)


def step_image(angle: float) -> Tensor:
    """A normalised image, black on one side of a line through its centre and white on the other."""
    y, x = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(21.0) - 10, indexing="ij")
    white = (x * math.cos(angle) + y * math.sin(angle) > 0).float().expand(1, 3, 21, 21)
    return (white - torch.tensor(normalisation.MEAN).view(3, 1, 1)) / torch.tensor(normalisation.STD).view(3, 1, 1)


@pytest.mark.parametrize("angle", [0, math.pi / 2])
def test_a_straight_step_from_black_to_white_has_the_magnitude_one_on_its_two_sides_and_zero_elsewhere(
    angle: float,
) -> None:
    magnitude = SobelMagnitude()(step_image(angle))[0, 0]
    profile = magnitude[5] if angle == 0 else magnitude[:, 5]
    expected = torch.zeros(21)
    expected[10:12] = 1
    assert torch.allclose(profile, expected, atol=1e-5)


def test_a_diagonal_step_has_the_hand_computed_magnitude() -> None:
    """On the diagonal, x + y = 0 is black: Sobel gives 3/4 along either axis."""
    magnitude = SobelMagnitude()(step_image(math.pi / 4))[0, 0]
    assert magnitude[10, 10].item() == pytest.approx(math.sqrt(2) * 3 / 4, abs=1e-5)


def test_the_frame_of_a_constant_image_is_no_edge() -> None:
    assert SobelMagnitude()(torch.full((1, 3, 9, 9), 1.7)).abs().max() < 1e-6


def test_the_normalisation_undone_is_the_one_that_images_get() -> None:
    assert IMAGE_STD == normalisation.STD
    assert IMAGE_MEAN == normalisation.MEAN
    assert sum(LUMINANCE) == pytest.approx(1)


def test_fewer_than_five_levels_are_refused() -> None:
    with pytest.raises(WiringError, match="GatedShapeStream needs the last 5 levels of a pyramid, got 3"):
        GatedShapeStream(SMALL[:3])


def test_canny_reads_the_bytes_that_a_normalised_image_had() -> None:
    """Every byte in every channel survives normalisation and its undoing."""
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    generator = torch.Generator().manual_seed(0)
    texture = torch.randint(0, 256, (1, 3, 40, 50), generator=generator, dtype=torch.uint8)
    for image in (ramp, texture):
        edges = CannyEdges(released=False)(normalisation.normalise(image))
        assert torch.equal(edges, canny(image).float())
    assert edges.any()


def test_the_released_form_wraps_the_normalised_numbers_and_gives_0_and_255() -> None:
    """A jump from 0.5 to -0.5 is none after truncation, one from 0.5 to -1.5 is a jump to 255."""
    image = torch.full((1, 3, 6, 12), 0.5)
    image[..., 4:8] = -0.5
    image[..., 8:] = -1.5
    edges = CannyEdges(released=True)(image)
    assert edges[0, 0].int().tolist() == [[0] * 7 + [255] + [0] * 4] * 6


def test_the_released_map_for_the_head_is_made_of_probabilities_and_0_or_255() -> None:
    stream = built(image_gradient="released").eval()
    image, features = given()
    logits, edges = stream(image, features)
    probability, gradient = stream.fuse.weight.detach().flatten()
    expected = torch.sigmoid(probability * logits.sigmoid() + gradient * CannyEdges(released=True)(image))
    assert torch.allclose(edges, expected, atol=1e-6)
