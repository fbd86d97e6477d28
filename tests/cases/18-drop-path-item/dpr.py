"""A head whose drop rates rise with depth."""

import torch
from torch import nn

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss


class Mine(nn.Module):
    """Drop rates that rise with depth."""

    def __init__(self, levels, num_classes, boundary=None, *, drop: float = 0.1, depth: int = 3):
        super().__init__()
        channels = levels[-1].channels
        rates = [rate.item() for rate in torch.linspace(0, drop, depth)]
        blocks = (nn.Sequential(nn.Conv2d(channels, channels, 1), nn.Dropout2d(rate)) for rate in rates)
        self.blocks = nn.Sequential(*blocks)
        self.c = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features, boundary=None, *, with_aux=False):
        return self.c(self.blocks(features[-1])), {}


STUDY = Study(
    name="dpr",
    question="Does my head help?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("head", {"fcn": change(), "mine": change(head=part(Mine))}),),
    baseline={"head": "fcn"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=48, train_images=4, val_images=4, test_images=4),
        crop_px=(32, 48),
        iterations=3,
        batch=2,
        latency_samples=2,
        latency_least_s=0.0,
    ),
    seeds=(0,),
    stages=("quality",),
)
