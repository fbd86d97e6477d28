"""Three levels of data: all training images, fewer of them, and another data set."""

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data.control import ControlScenes
from bench.data.synthetic import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss

STUDY = Study(
    name="levels",
    question="How much data does it take?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(
        Factor(
            "data",
            {
                "all": change(),
                "few": change(recipe=choose(data=choose(train_images=4))),
                "other": change(recipe=choose(data=part(ControlScenes, train_images=4, val_images=2))),
            },
        ),
    ),
    baseline={"data": "all"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=48, train_images=8, val_images=3),
        crop_px=(32, 48),
        iterations=3,
        batch=2,
    ),
    seeds=(0,),
    stages=("quality",),
)
