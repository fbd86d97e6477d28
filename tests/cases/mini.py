"""The smallest useful study of CamVid: two cells, three iterations."""

from bench import Factor, Recipe, Study, Variant, change, choose, part
from bench.data import CamVid
from bench.network import FCNHead, ResNet, SegmentationLoss

STUDY = Study(
    name="mini",
    question="Is a wider head better?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8, output_stride=32),
        head=part(FCNHead, width=8),
        losses=(part(SegmentationLoss),),
    ),
    factors=(Factor("width", {"narrow": change(), "wide": change(head=choose(width=16))}),),
    baseline={"width": "narrow"},
    recipe=Recipe(data=part(CamVid), crop_px=(32, 48), iterations=3, batch=2, latency_samples=2, latency_least_s=0.0),
    seeds=(0,),
    stages=("quality",),
)
