"""Two supervised outputs, named by a set, whose order differs from process to process."""

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import AuxiliaryLoss, DualAttentionHead, ResNet, SegmentationLoss

SIDES = {"pam", "cam"}
STUDY = Study(
    name="setorder",
    question="Is a wider head better?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(DualAttentionHead, width=16),
        losses=(part(SegmentationLoss), part(AuxiliaryLoss, outputs=tuple(SIDES), weight=1.0)),
    ),
    factors=(Factor("width", {"narrow": change(), "wide": change(head=choose(width=32))}),),
    baseline={"width": "narrow"},
    recipe=Recipe(
        data=part(Synthetic, height_px=32, width_px=48, train_images=4, val_images=4, test_images=4),
        crop_px=(32, 48),
        iterations=3,
        batch=2,
    ),
    seeds=(0,),
    stages=("quality",),
)
