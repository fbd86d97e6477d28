"""A study whose loss has a weight that the clock gives."""

import time

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss

STUDY = Study(
    name="clock",
    question="Does my head help?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss, weight=1 + time.time() % 1),),
    ),
    factors=(Factor("head", {"fcn": change(), "wide": change(head=choose(width=16))}),),
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
