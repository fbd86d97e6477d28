"""Latency: every sample, after a warm-up."""

from __future__ import annotations

import pytest
import torch

from bench.measure.latency import WARM_UP, latency
from bench.model import SegModel
from tests.measure.networks import CLASSES, TWO_LAYERS


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
