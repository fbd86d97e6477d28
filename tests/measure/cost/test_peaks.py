"""Peaks: plausible on this device, and the bytes of a forward against their closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.measure.cost.peaks import peaks, traffic_bytes
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part


class OneConvolution(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.conv(image).relu().flatten(2).unflatten(2, image.shape[-2:])
        return out


def test_peaks_are_those_of_a_computer() -> None:
    found = peaks(torch.device("cpu"))
    assert 1e8 < found["product_flops_per_s"] < 1e14
    assert 1e8 < found["copy_bytes_per_s"] < 1e13


def test_bytes_of_a_forward_are_each_operators_inputs_and_outputs_and_views_are_free() -> None:
    model = SegModel(Variant(whole=part(OneConvolution), losses=(part(SegmentationLoss),)), 5)
    image, out, weights = 3 * 16 * 24, 5 * 16 * 24, 5 * 27 + 5
    assert traffic_bytes(model, 16, 24) == 4 * ((image + weights + out) + (out + out))
    assert next(model.parameters()).device.type == "cpu"
