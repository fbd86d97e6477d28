"""Peaks: plausible on this device, and the bytes of a forward against their closed form."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from bench.measure.cost.peaks import peaks, traffic_bytes
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.recipe import Precision


class OneConvolution(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.conv(image).relu().flatten(2).unflatten(2, image.shape[-2:])
        return out


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_peaks_are_those_of_a_computer_in_the_precision_that_they_name(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    types, product = set(), torch.mm

    def watched(a: Tensor, b: Tensor, *, out: Tensor) -> Tensor:
        types.add(a.dtype)
        return product(a, b, out=out)

    monkeypatch.setattr(torch, "mm", watched)
    began = time.perf_counter()
    found = peaks(torch.device("cpu"), precision, 0.1)
    assert types == {getattr(torch, precision)}
    assert began + 2 * 0.1 < time.perf_counter()
    assert found["precision"] == precision
    assert 1e8 < found["product_flops_per_s"] < 1e14
    assert 1e8 < found["copy_bytes_per_s"] < 1e13


def test_bytes_of_a_forward_are_each_operators_inputs_and_outputs_and_views_are_free() -> None:
    model = SegModel(Variant(whole=part(OneConvolution), losses=(part(SegmentationLoss),)), 5)
    image, out, weights = 3 * 16 * 24, 5 * 16 * 24, 5 * 27 + 5
    moved = (image + weights + out) + (out + out)
    assert traffic_bytes(model, 16, 24, "float32") == 4 * moved
    assert traffic_bytes(model, 16, 24, "bfloat16") == 2 * moved + (4 + 2) * image, "the image is cast once"
    assert next(model.parameters()).device.type == "cpu"
