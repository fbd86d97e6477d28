"""Does an auxiliary head on C4 help? The loss that reads it is forgotten."""

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss

STUDY = Study(
    name="auxfactor",
    question="Does an auxiliary head help?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=16),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("aux", {"off": change(), "on": change(auxiliary=part(FCNHead, width=16))}),),
    baseline={"aux": "off"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=48, train_images=4, val_images=4, test_images=4),
        crop_px=(32, 48),
        iterations=5,
        batch=2,
    ),
    seeds=(0, 1, 2),
    stages=("quality",),
)
