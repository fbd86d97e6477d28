"""A study of two networks whose trainings take some seconds, with dropout and looks at the validation split."""

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import Synthetic
from bench.network import FCNHead, SegmentationLoss
from bench.network.backbones.shallow import ShallowBackbone

STUDY = Study(
    name="long",
    question="Do two processes train as one does, also after they were stopped?",
    base=Variant(
        backbone=part(ShallowBackbone), head=part(FCNHead, width=8, dropout=0.0), losses=(part(SegmentationLoss),)
    ),
    factors=(Factor("dropout", {"off": change(), "on": change(head=part(FCNHead, width=8, dropout=0.5))}),),
    baseline={"dropout": "off"},
    recipe=Recipe(
        data=part(Synthetic, height_px=40, width_px=48, train_images=8, val_images=2),
        crop_px=(32, 32),
        iterations=200,
        batch=4,
        learning_rate=0.01,
        validated_at=(0.5,),
        ema_decay=0.9,
    ),
    seeds=(0,),
    stages=("quality",),
)
