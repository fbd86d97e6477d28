"""Networks with one tensor on the CPU each, as a component makes it that has never been run on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.network.model import Output, Variant
from bench.parts import part
from tests.measure.networks import LOSSES, PIXELWISE, Pixelwise


class InForward(Pixelwise):
    """A network that makes a tensor in its forward and does not say where."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * torch.linspace(0, 1, image.shape[-1])


class InConstructor(Pixelwise):
    """A network whose constant is neither a parameter nor a buffer, so that it stays where it was made."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.mean = torch.ones(3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image - self.mean)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * torch.full(grad.shape, 2.0)


class InBackward(Pixelwise):
    """A network with a right forward, whose own backward makes a tensor on the CPU."""

    def forward(self, image: Tensor) -> Tensor:
        doubled: Tensor = _Doubled.apply(super().forward(image))
        return doubled


class LossOnHost(nn.Module):
    """A loss whose class weights are no buffer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weights = torch.ones(classes)

    def forward(self, output: Output, label: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.logits, label, self.weights)


VARIANTS = {
    "in forward": Variant(whole=part(InForward), losses=LOSSES),
    "in constructor": Variant(whole=part(InConstructor), losses=LOSSES),
    "in backward": Variant(whole=part(InBackward), losses=LOSSES),
    "in loss": Variant(whole=part(Pixelwise), losses=(part(LossOnHost),)),
    "nowhere": PIXELWISE,
}
