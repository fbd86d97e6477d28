"""JPU on an undilated backbone against a dilated backbone, the same head on both sides."""

from __future__ import annotations

import torch

from bench.network.backbones.resnet import ResNet
from bench.network.heads.fcn import FCNHead
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import LogitsOnly, SegModel, Variant
from bench.network.necks.jpu import JPU
from bench.parts import part
from benchmarks.side_by_side import alternate, verdict

SIDE_PX = 256
BLOCKS = 5


def upsampling() -> None:
    """Forward of ResNet-50 with JPU (ours) and dilated to stride 8 (other), FCN head, one 256x256 image."""
    losses = (part(SegmentationLoss),)
    jpu = Variant(part(ResNet, depth=50, output_stride=32), part(FCNHead), part(JPU), losses=losses)
    dilated = Variant(part(ResNet, depth=50, output_stride=8), part(FCNHead), losses=losses)
    image = torch.zeros(1, 3, SIDE_PX, SIDE_PX)
    ours, other = (LogitsOnly(SegModel(variant, 19)).eval() for variant in (jpu, dilated))
    with torch.inference_mode():
        times = alternate(lambda: ours(image), lambda: other(image), BLOCKS)
    verdict("upsampling", *times, f"dilated ÷ JPU, s a forward, {torch.get_num_threads()} threads")
