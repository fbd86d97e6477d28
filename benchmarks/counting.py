"""The MACs of a network at a size that is large for the counter: from small images, and from the image itself."""

from __future__ import annotations

import time
import warnings

import torch
from fvcore.nn import FlopCountAnalysis

from bench.measure.cost.counts import count_macs
from bench.measure.cost.operators import PRODUCTS
from bench.network.backbones.resnet import ResNet
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import LogitsOnly, SegModel, Variant
from bench.parts import part
from benchmarks.side_by_side import close

SIZE_PX = (1024, 2048)


def counting() -> None:
    """Seconds of both counters, slot by slot (ours), and of fvcore alone at full size (other): DANet, 1024x2048."""
    variant = Variant(
        part(ResNet, depth=50, output_stride=8), part(DualAttentionHead), losses=(part(SegmentationLoss),)
    )
    model = SegModel(variant, 19).eval()
    count_macs(model, 32, 32)  # so that imports on first use are not timed
    start = time.perf_counter()
    macs = sum(count_macs(model, *SIZE_PX).by_slot.values())
    ours, start = time.perf_counter() - start, time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(LogitsOnly(model), torch.zeros(1, 3, *SIZE_PX))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        full = sum(count for name, count in analysis.by_operator().items() if name in PRODUCTS)
    other = time.perf_counter() - start
    if full != macs:
        raise RuntimeError(f"ours is {macs} MACs, fvcore at full size counts {full}")
    size = f"{macs / 1e9:.1f} GMACs at {SIZE_PX[0]}x{SIZE_PX[1]}"
    what = f"fvcore at full size ÷ ours, {size}, {torch.get_num_threads()} threads, s"
    close("counting", f"{ours:.3f}", f"{other:.3f}", f"{other / ours:.2f}", what)
