"""The memory of a training that several processes share, whose losses each of them computes over the whole batch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor

from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.hard_pixels import OHEMLoss
from bench.network.losses.segmentation import AuxiliaryLoss, SegmentationLoss
from bench.network.model import Output, SegModel, Variant
from bench.parts import Part, part
from bench.training.parallel import sums
from benchmarks.attention import Storages
from benchmarks.side_by_side import close, say

CLASSES, BATCH, CROP_PX, PROCESSES = 19, 16, (768, 768), (2, 4, 8)
LOSSES: dict[str, tuple[Part[Any], ...]] = {
    "cross-entropy": (part(SegmentationLoss), part(AuxiliaryLoss)),
    "hard pixels": (part(OHEMLoss), part(AuxiliaryLoss)),
}
META = torch.device("meta")


def shared_memory() -> None:
    """Bytes alive at the peak of a training step of ResNet-50 in each of several processes, counted without a GPU."""
    for name in LOSSES:
        one = step_bytes(name, BATCH, CROP_PX, 1)
        for size in PROCESSES:
            whole, divided = step_bytes(name, BATCH, CROP_PX, size), step_bytes(name, BATCH // size, CROP_PX, 1)
            say(
                f"{name}, {size} processes: {_gib(whole)} GiB in each, {_gib(divided)} if its losses were over its own "
                f"images alone, {_gib(one)} in one process"
            )
    ours, other = step_bytes("cross-entropy", BATCH, CROP_PX, 4), step_bytes("cross-entropy", BATCH // 4, CROP_PX, 1)
    what = (
        f"a step of {BATCH} crops of {CROP_PX[0]} x {CROP_PX[1]} by 4 processes, losses of the whole batch or not, GiB"
    )
    close("shared_memory", _gib(ours), _gib(other), f"{ours / other:.2f}", what)


def step_bytes(losses: str, batch: int, crop_px: tuple[int, int], size: int) -> int:
    """The bytes of all storages that a step makes and that are alive at once, in float32, without the weights.

    Those that come from other processes are counted by their size, as nothing is computed on the meta device. Buffers
    in which gradients are summed, as large as the weights, are not counted, nor is scratch memory of an operation.

    Args:
        losses: a name of :data:`LOSSES`.
        batch: the images of the whole batch.
        crop_px: height and width of each.
        size: the number of processes.
    """

    def gathered(own: Tensor) -> Tensor:
        return own.new_empty((size * len(own), *own.shape[1:]))

    variant = Variant(
        part(ResNet, depth=50, output_stride=8),
        part(FCNHead),
        auxiliary=part(FCNHead, width=256),
        losses=LOSSES[losses],
    )
    with META:
        model = SegModel(variant, CLASSES)
        terms = [term.build(CLASSES) for term in variant.losses]
        image = torch.empty(batch // size, 3, *crop_px)
        label = torch.empty(batch, *crop_px, dtype=torch.long)
    storages = Storages()
    with ExitStack() as stack:
        if size > 1:
            stack.enter_context(patch.object(sums, "gathered", gathered))
            stack.enter_context(patch.object(dist, "get_rank", lambda: 0))
        stack.enter_context(storages)
        output: Output = model(image, with_aux=True)
        if size > 1:
            output = Output(
                sums.whole(output.logits), {key: sums.whole(side) for key, side in output.aux.items()}, None
            )
        torch.stack([term(output, label) for term in terms]).sum().backward()
    held = peak = 0
    for _, bytes_more in storages.events:
        held += bytes_more
        peak = max(peak, held)
    return peak


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f}"
