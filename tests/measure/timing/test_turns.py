"""Turns: the order of a block, what a drift does to a ratio, and a network that is placed anew."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from bench.evidence.ranks import ratio_interval
from bench.measure.timing import turns as module
from bench.measure.timing.execution import forward_call, placed_anew
from bench.measure.timing.latency import Protocol
from bench.measure.timing.turns import MIN_BLOCKS, take_turns
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.setting import Setting

CPU = torch.device("cpu")
SHORT = Protocol(window=1, max_windows=1)
Made = Callable[[], Callable[[], object]]


def taker(seconds: Callable[[], float], letters: list[str], name: str) -> Made:
    """A side whose call sets the stopped clock of :func:`stopped` forward."""

    def call() -> None:
        letters.append(name)
        CLOCK[0] += seconds()

    return lambda: call


CLOCK = [0.0]


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    CLOCK[0] = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: CLOCK[0])


@pytest.mark.usefixtures("stopped")
def test_blocks_are_abba_in_drawn_order_and_a_drift_within_them_cancels() -> None:
    letters: list[str] = []
    drifting = taker(lambda: 1.0 + 0.001 * CLOCK[0], letters, "a"), taker(lambda: 2.0 + 0.002 * CLOCK[0], letters, "b")
    turns = take_turns(*drifting, CPU, least_s=1.0, protocol=SHORT)
    blocks = ["".join(letters[2 + at : 6 + at]) for at in range(0, 4 * MIN_BLOCKS, 4)]
    assert set(blocks) == {"abba", "baab"}
    assert len(letters) == 2 + 4 * MIN_BLOCKS, "a warm-up of one call each, then the letters"
    found = ratio_interval(turns.log_ratios)
    assert found.n == MIN_BLOCKS
    assert found.ratio == pytest.approx(2.0, rel=0.001)


@pytest.mark.usefixtures("stopped")
def test_a_fast_call_is_repeated_until_a_letter_lasts_and_blocks_go_on_until_the_time_is_over() -> None:
    letters: list[str] = []
    told: list[tuple[int, int]] = []
    sides = taker(lambda: 2.0**-11, letters, "a"), taker(lambda: 2.0**-10, letters, "b")
    turns = take_turns(*sides, CPU, least_s=1.0, letter_s=2.0**-8, protocol=SHORT, progress=lambda *at: told.append(at))
    assert turns.calls == 8
    block_s = 17 * 2.0**-10 + 16 * 2.0**-11 + 2.0**-11
    assert len(turns.ours_s) == 2 * (int(1.0 / block_s) + 1)
    assert turns.ours_s == pytest.approx([2.0**-11] * len(turns.ours_s))
    assert turns.other_s == pytest.approx([2.0**-10] * len(turns.other_s))
    assert told[-1] == (MIN_BLOCKS, MIN_BLOCKS)


def test_the_blocks_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOCKS", 7)

    def nothing() -> Callable[[], None]:
        return lambda: None

    turns = take_turns(nothing, nothing, CPU, least_s=60, letter_s=1e-5, protocol=SHORT)
    assert len(turns.log_ratios) == 7


def test_a_network_that_is_placed_anew_is_the_same_network_elsewhere() -> None:
    model = SegModel(
        Variant(
            part(ResNet, depth=18, width=8, output_stride=32), part(FCNHead, width=8), losses=(part(SegmentationLoss),)
        ),
        5,
    )
    setting = Setting(height=32, width=32)
    made = placed_anew(forward_call(model, setting, CPU), model, setting, CPU)
    before = {name: (each.data_ptr(), each.clone()) for name, each in model.state_dict().items()}
    first, second = made()(), made()()
    assert isinstance(first, torch.Tensor)
    assert isinstance(second, torch.Tensor)
    assert torch.equal(first, second)
    assert all(torch.equal(each, before[name][1]) for name, each in model.state_dict().items())
    moved = [name for name, each in model.state_dict().items() if each.data_ptr() != before[name][0]]
    assert len(moved) > len(before) / 2
