"""The function is imported with a star."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mypkg.heads import Mine

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss

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
