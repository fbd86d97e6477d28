"""Networks with one tensor on the CPU each, as a component makes it that has never been run on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import Output, Variant
from bench.parts import part


class InForward(nn.Module):
    """A network that makes a tensor in its forward and does not say where."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        columns: Tensor = self.classifier(image) * torch.linspace(0, 1, image.shape[-1])
        return columns


class InConstructor(nn.Module):
    """A network whose constant is neither a parameter nor a buffer, so that it stays where it was made."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, classes, 1)
        self.mean = torch.ones(3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(image - self.mean)
        return logits


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * torch.full(grad.shape, 2.0)


class InBackward(nn.Module):
    """A network with a right forward, whose own backward makes a tensor on the CPU."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        doubled: Tensor = _Doubled.apply(self.classifier(image))
        return doubled


class LossOnHost(nn.Module):
    """A loss whose class weights are no buffer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weights = torch.ones(classes)

    def forward(self, output: Output, label: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.logits, label, self.weights)


class Sound(nn.Module):
    """The network that the faulty ones would be without their faults."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(3, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(image)
        return logits


LOSSES = (part(SegmentationLoss),)
VARIANTS = {
    "in forward": Variant(whole=part(InForward), losses=LOSSES),
    "in constructor": Variant(whole=part(InConstructor), losses=LOSSES),
    "in backward": Variant(whole=part(InBackward), losses=LOSSES),
    "in loss": Variant(whole=part(Sound), losses=(part(LossOnHost),)),
    "nowhere": Variant(whole=part(Sound), losses=LOSSES),
}
