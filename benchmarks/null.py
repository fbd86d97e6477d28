"""A network compared with itself, to see whether the interval of a speed ratio covers 1 as often as it claims."""

from __future__ import annotations

import math
import statistics

import torch

from bench.evidence.ranks import Ratio, ratio_interval
from bench.measure.timing.execution import forward_call, placed_anew
from bench.measure.timing.latency import Protocol
from bench.measure.timing.turns import take_turns
from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import SegModel, Variant
from bench.parts import part
from bench.protocol.setting import Setting
from benchmarks.side_by_side import close, threads

REPETITIONS = 400
BLOCK_S = 1.2
THREADS = 1
SETTING = Setting(height=64, width=64)
PROTOCOL = Protocol(window=3, max_windows=2)
"""A short warm-up: the same network runs all the time, so only the first calls of a new pair are cold."""


def null() -> None:
    """Speed ratio of two builds of one ResNet-18: repetitions whose 95 % interval covers 1."""
    with threads(THREADS):
        estimates = [_compare(seed) for seed in range(REPETITIONS)]
    covered = sum(estimate.low <= 1 <= estimate.high for estimate in estimates)
    half_width = statistics.median((estimate.high - estimate.low) / 2 / estimate.ratio for estimate in estimates)
    blocks = statistics.median(estimate.n for estimate in estimates)
    error = statistics.stdev(math.log(estimate.ratio) for estimate in estimates)
    what = (
        f"repetitions whose interval covers 1, 370 to 392 wanted; median half-width {half_width:.2%}, at most 3 % "
        f"wanted; sd of the ratio {error:.2%}, median of {blocks:g} blocks, {THREADS} thread, count"
    )
    close("null", str(covered), str(REPETITIONS), f"{covered / REPETITIONS:.4f}", what)


def _compare(seed: int) -> Ratio:
    variant = Variant(
        part(ResNet, depth=18, width=32, output_stride=32), part(FCNHead, width=64), losses=(part(SegmentationLoss),)
    )
    device = torch.device("cpu")
    models = [SegModel(variant, 19) for _ in range(2)]
    ours, other = (placed_anew(forward_call(model, SETTING, device), model, SETTING, device) for model in models)
    turns = take_turns(ours, other, device, least_s=BLOCK_S, protocol=PROTOCOL, seed=seed)
    return ratio_interval(turns.log_ratios)
