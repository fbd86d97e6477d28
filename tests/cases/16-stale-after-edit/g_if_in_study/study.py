"""The function is defined under an if of the study file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from torch import nn

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss

if True:

    def squash(x):
        return x * 1.0


class Mine(nn.Module):
    """One convolution."""

    def __init__(self, levels, num_classes, boundary=None):
        super().__init__()
        self.c = nn.Conv2d(levels[-1].channels, num_classes, 1)

    def forward(self, features, boundary=None, *, with_aux=False):
        return self.c(squash(features[-1])), {}


STUDY = Study(
    name="stale",
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
