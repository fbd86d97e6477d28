"""Two heads on any data set; a few iterations, so that each layout takes seconds."""

from bench import Factor, Recipe, Study, Variant, change, part
from bench.data import CamVid
from bench.network import FCNHead, ResNet, SegmentationLoss

STUDY = Study(
    name="heads",
    question="Does a wider head help?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=8), head=part(FCNHead, width=8), losses=(part(SegmentationLoss),)
    ),
    factors=(Factor("width", {"8": change(), "16": change(head=part(FCNHead, width=16))}),),
    baseline={"width": "8"},
    recipe=Recipe(data=part(CamVid), crop_px=(32, 48), iterations=3, batch=2),
    seeds=(0,),
    stages=("quality",),
)
