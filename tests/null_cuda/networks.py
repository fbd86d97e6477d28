"""Small studies' networks and recipes for the null device, with faults that can be planted in them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Output, Variant
from bench.parts import part
from bench.protocol.recipe import Recipe
from tests.measure.networks import FULL, LOSSES, SMALL, Pixelwise

CLASSES = len(Synthetic.classes)
PLAIN = Variant(SMALL, part(FCNHead, width=8), losses=LOSSES)
KEPT: list[Tensor] = []
"""The tensors that :class:`LeakingNetwork` never gives back."""


def recipe(**choices: Any) -> Recipe:
    """A recipe for networks of small images, of which only the device's work matters."""
    usual: dict[str, Any] = {
        "data": part(Synthetic, height_px=64, width_px=64, train_images=16, val_images=16, test_images=4),
        "crop_px": (64, 64), "iterations": 10, "batch": 4, "eval_batch": 2, "boundary_px": (3,), "trimap_px": (3, 9),
        "distance_crop_px": (8,), "latency_samples": 2, "latency_least_s": 0.0,
    }  # fmt: skip
    return Recipe(**{**usual, **choices})


class ReadingLoss(nn.Module):
    """A loss that reads its value on the host at each step."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.loss = SegmentationLoss(classes)

    def forward(self, output: Output, label: Tensor) -> Tensor:
        value: Tensor = self.loss(output, label)
        return value + 0 * value.item()


class CopyingLoss(nn.Module):
    """A loss whose class weights come from the host's usual memory at each step, without being waited for."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, output: Output, label: Tensor) -> Tensor:
        weights = torch.ones(self.classes).to(label.device, non_blocking=True)
        return nn.functional.cross_entropy(output.logits, label, weights, ignore_index=255)


class ReadingNetwork(Pixelwise):
    """A network whose forward reads a value on the host."""

    def forward(self, image: Tensor) -> Tensor:
        logits = super().forward(image)
        return logits + logits.mean().item()


class LeakingNetwork(Pixelwise):
    """A network that keeps its features in a list of its module."""

    def forward(self, image: Tensor) -> Tensor:
        logits = super().forward(image)
        KEPT.append(logits)
        return logits


READING = Variant(whole=part(ReadingNetwork), losses=LOSSES)
LEAKING = Variant(whole=part(LeakingNetwork), losses=LOSSES)
VARIANTS = {"plain": PLAIN, "full": FULL}
