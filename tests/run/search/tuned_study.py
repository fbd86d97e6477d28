"""Two heads at a learning rate that is far too small for both: a study whose arms tuning improves, in CPU minutes.

bench tune tests/run/search/tuned_study.py --budget 10
"""

from bench import Factor, LogRange, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import FCNHead, SegmentationLoss
from bench.network.backbones.shallow import ShallowBackbone

STUDY = Study(
    name="tuned-heads",
    question="Is a wide head better than a narrow one, once both are tuned alike?",
    base=Variant(
        backbone=part(ShallowBackbone, width=8),
        head=part(FCNHead, width=8, dropout=0.0),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("head", {"narrow": change(), "wide": change(head=choose(width=32))}),),
    baseline={"head": "narrow"},
    recipe=Recipe(
        data=part(Synthetic, height_px=64, width_px=64, train_images=20, val_images=8, test_images=4),
        crop_px=(64, 64),
        iterations=40,
        batch=4,
        learning_rate=1e-4,
    ),
    seeds=(0, 1, 2),
    stages=("quality",),
    focus="head",
    tune={"learning_rate": LogRange(1e-4, 0.3)},
)
