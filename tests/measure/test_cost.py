"""Cost: counts against closed forms and a second counter, real memory and latency, and a model left as it was."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.backbones.resnet import ResNet
from bench.heads.dual_attention import DualAttentionHead
from bench.heads.fcn import FCNHead
from bench.measure.counts import UncountedError, count_by_shape, count_macs, parameters
from bench.measure.latency import WARM_UP, latency
from bench.measure.memory import peak_memory
from bench.model import SegModel, Variant
from bench.necks.jpu import JPU
from bench.parts import part
from bench.shape_streams.gated import GatedShapeStream


def test_latency_gives_every_sample_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = SegModel(TWO_LAYERS, CLASSES).eval(), 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.register_forward_hook(counted)
    told: list[tuple[int, int]] = []
    samples = latency(model, torch.zeros(1, 3, 32, 32), 7, progress=lambda *at: told.append(at))
    assert len(samples) == 7
    assert calls >= 7 + WARM_UP
    assert all(sample > 0 for sample in samples)
    assert told[-1] == (7, 7)


def test_peak_memory_sees_weights_and_the_largest_maps() -> None:
    class Hungry(TwoLayers):
        def forward(self, image: Tensor) -> Tensor:
            image = image + torch.ones(64 * 2**20 // 4).mean()  # 64 MiB that live for a moment
            return super().forward(image)

    image = torch.zeros(1, 3, 64, 64)
    light, heavy = (
        peak_memory(lambda cls=cls: SegModel(Variant(whole=part(cls), losses=LOSSES), 5), image)  # type: ignore[misc]
        for cls in (TwoLayers, Hungry)
    )
    assert light.kind == heavy.kind == "cpu resident set"
    assert heavy.peak_bytes - light.peak_bytes == pytest.approx(64 * 2**20, rel=0.2)
