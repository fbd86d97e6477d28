"""Semantic scores of masks and classes, by hand; side outputs; frames."""

from __future__ import annotations

import pytest
import torch

from bench.network.whole.frame import Frame
from bench.network.whole.queries import answered, semantic_scores


def test_scores_are_the_logarithm_of_the_sum_over_queries_of_class_times_mask() -> None:
    """Two queries, two classes and "no object", one pixel. Masks have the probabilities 3/4 and 1/2."""
    masks = torch.tensor([[3.0, 1.0]]).log().view(1, 2, 1, 1)
    classes = torch.tensor([[[2.0, 1.0, 1.0], [1.0, 1.0, 2.0]]]).log()
    expected = torch.tensor([2 / 4 * 3 / 4 + 1 / 4 * 1 / 2, 1 / 4 * 3 / 4 + 1 / 4 * 1 / 2])
    scores = semantic_scores(masks, classes)
    torch.testing.assert_close(scores.exp().flatten(), expected)
    torch.testing.assert_close(scores.softmax(1).flatten(), expected / expected.sum())


def test_a_pixel_that_no_mask_has_gets_finite_scores() -> None:
    scores = semantic_scores(torch.full((1, 3, 1, 1), -1e4), torch.zeros(1, 3, 5))
    assert scores.isfinite().all()


def test_masks_are_brought_to_the_images_size_before_they_are_summed() -> None:
    masks, classes = torch.randn(1, 4, 4, 6), torch.randn(1, 4, 3)
    frame = Frame(10, 20, 8)  # 16 x 24
    scores, sides = answered([(masks, classes)], frame, with_aux=False)
    large = torch.nn.functional.interpolate(masks, size=(16, 24), mode="bilinear")[..., :10, :20]  # noqa: TID251 - by hand
    torch.testing.assert_close(scores, semantic_scores(large, classes))
    assert sides == {}


def test_queries_of_all_layers_are_side_outputs_and_scores_carry_no_gradient() -> None:
    layers = [(torch.randn(2, 4, 2, 3, requires_grad=True), torch.randn(2, 4, 3, requires_grad=True)) for _ in range(3)]
    scores, sides = answered(layers, Frame(16, 24, 8), with_aux=True)
    assert list(sides) == ["masks", "classes", "masks0", "classes0", "masks1", "classes1"]
    assert sides["masks"] is layers[2][0]
    assert scores.shape == (2, 2, 16, 24)
    assert not scores.requires_grad


@pytest.mark.parametrize("size", [(32, 64), (33, 70)])
def test_a_frame_adds_rows_and_columns_and_takes_them_off_again(size: tuple[int, int]) -> None:
    frame, image = Frame(*size, 32), torch.randn(1, 3, *size)
    padded = frame.padded(image)
    assert tuple(padded.shape[-2:]) == frame.px
    assert all(side % 32 == 0 for side in frame.px)
    assert torch.equal(frame.image_sized(padded), image)
    assert frame.is_image == (size == (32, 64))


def test_a_frame_has_a_least_size() -> None:
    frame = Frame(33, 200, 32, 128)
    assert frame.px == (128, 224)
    image = torch.randn(1, 3, 33, 200)
    assert torch.equal(frame.image_sized(frame.padded(image)), image)
