"""The results folder breaks in mid-run: once a trial has stored its record, the place of the records is a file."""

from pathlib import Path

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.network import FCNHead, ResNet, SegmentationLoss


class Breaking(Synthetic):
    """Drawn scenes; once there are records, their place is a file."""

    def split(self, name):
        records = Path("out/broken/records")
        if name == "val" and records.is_dir():
            records.rename("out/broken/records-until-then")
            records.touch()
        return super().split(name)


STUDY = Study(
    name="broken",
    question="Is a wider head better?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("width", {"narrow": change(), "wide": change(head=choose(width=16))}),),
    baseline={"width": "narrow"},
    recipe=Recipe(
        data=part(Breaking, height_px=32, width_px=48, train_images=4, val_images=4),
        crop_px=(32, 48),
        iterations=1,
        batch=2,
        latency_samples=2,
        latency_least_s=0.0,
    ),
    seeds=(0, 1, 2),
    stages=("quality",),
)
