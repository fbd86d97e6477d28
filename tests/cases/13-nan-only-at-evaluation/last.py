"""A step so large that the last update leaves weights that are not finite."""

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss

STUDY = Study(
    name="last",
    question="Is a wider head better?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("width", {"narrow": change(), "wide": change(head=choose(width=16))}),),
    baseline={"width": "narrow"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=48, train_images=4, val_images=4),
        crop_px=(32, 48),
        iterations=1,
        batch=2,
        latency_samples=2,
        latency_least_s=0.0,
        learning_rate=1e30,
    ),
    seeds=(0,),
    stages=("quality",),
)
