"""Confusion matrix and whole-split evaluation, against hand-computed counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bench.data.base import IGNORE, Sample
from bench.inference import predict
from bench.measure.quality import confusion, evaluate
from bench.model import SegModel, Variant
from bench.parts import part
from bench.records import iou, mean_iou


def test_counts_are_label_by_prediction_and_void_is_left_out() -> None:
    label = torch.tensor([[[0, 0, 1], [2, IGNORE, 1]]], dtype=torch.uint8)
    guess = torch.tensor([[[0, 1, 1], [0, 2, 1]]])
    assert confusion(guess, label, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_iou_from_counts_by_hand() -> None:
    # class 0: hit 1, union 2 + 2 - 1; class 1: hit 2, union 3; class 2: hit 0, union 1; class 3 occurs nowhere
    matrix = [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    values = iou(matrix)
    assert values[:3] == pytest.approx([1 / 3, 2 / 3, 0.0])
    assert math.isnan(values[3])
    assert mean_iou(matrix) == pytest.approx(1 / 3)
    assert math.isnan(mean_iou([[0]]))


@pytest.mark.parametrize(("label", "guess", "what"), [(3, 0, "label 3"), (0, 3, "prediction 3")])
def test_a_value_outside_the_classes_is_refused(label: int, guess: int, what: str) -> None:
    with pytest.raises(ValueError, match=f"{what} with 3 classes; allowed: 0 … 2"):
        confusion(torch.tensor([guess]), torch.tensor([label]), 3)


class Brightness(nn.Module):
    """Class 1 where the image is bright; needs no training to be right or wrong."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, image: Tensor) -> Tensor:
        bright = image.mean(1, keepdim=True)
        return torch.cat([-bright, bright], 1)


class Loss(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()


class Pictures:
    """Three images of two sizes, bright in the left half."""

    sizes = ((4, 6), (4, 6), (8, 10))

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Sample:
        height, width = self.sizes[index]
        image = torch.zeros(3, height, width, dtype=torch.uint8)
        image[..., : width // 2] = 255
        label = torch.zeros(height, width, dtype=torch.uint8)
        label[:, : width // 2] = 1
        label[0, 0] = IGNORE
        return Sample(image, label, str(index))


MODEL = SegModel(Variant(whole=part(Brightness), losses=(part(Loss),)), 2)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_whole_split_is_scored_at_native_size_whatever_the_batch(batch: int) -> None:
    told: list[tuple[int, int]] = []
    counts = evaluate(MODEL, Pictures(), batch=batch, device=torch.device("cpu"), progress=lambda *at: told.append(at))
    assert counts.tolist() == [[12 + 12 + 40, 0], [0, 11 + 11 + 39]]
    assert told[-1] == (3, 3)


def test_prediction_in_training_mode_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"call model.eval\(\) first"):
        predict(SegModel(Variant(whole=part(Brightness), losses=(part(Loss),)), 2).train(), torch.zeros(1, 3, 4, 4))
