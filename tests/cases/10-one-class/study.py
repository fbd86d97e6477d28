"""A binary task written as one class; the rest is void."""

import torch

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import Synthetic
from bench.data.base import Sample
from bench.network import FCNHead, ResNet, SegmentationLoss


class OneClass(Synthetic):
    """Drawn scenes, of which the sky is the one class."""

    name = "one_class"
    classes = ("sky",)

    def split(self, name):
        scenes = super().split(name)
        return [Sample(image, torch.where(label == 0, 0, 255).to(torch.uint8), title) for image, label, title in scenes]


STUDY = Study(
    name="one_class",
    question="Is a wider head better?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("width", {"narrow": change(), "wide": change(head=choose(width=16))}),),
    baseline={"width": "narrow"},
    recipe=Recipe(
        data=part(OneClass, height_px=32, width_px=48, train_images=4, val_images=4),
        crop_px=(32, 48),
        iterations=3,
        batch=2,
        latency_samples=2,
        latency_least_s=0.0,
    ),
    seeds=(0,),
    stages=("quality",),
)
