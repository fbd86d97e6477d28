"""Do attention, joint upsampling and a gated shape stream help a small network, and what do they cost?

Scenes and backbone of the positive control, in which each of the three has something to do; 2×2×2 cells × 5 seeds.
About 5 minutes on two CPU cores. The recipe was chosen with seeds 100 to 134. All other sets of seeds that were run,
each with the effects of attention, upsampling and gate on average, in points of mIoU, every one resolved as better:
seeds 10 to 14: 16.5, 15.7, 7.0; 20 to 24, in one of whose networks attention did not learn its cue: 15.8, 14.3, 8.6;
30 to 34: 16.6, 16.1, 6.8; 40 to 44: 17.2, 15.5, 7.2; and at last those that are reported, 0 to 4: 16.7, 15.9, 6.9.

    bench run studies/quickstart.py
"""

from bench import Factor, Recipe, Study, Variant, adding, change, part
from bench.data import ControlScenes
from bench.network import JPU, BoundaryLoss, DualAttentionHead, FCNHead, GatedShapeStream, SegmentationLoss
from bench.network.backbones.shallow import ShallowBackbone

# One supervised output, as the FCN head has: with three, "attention" would also mean two more losses.
ATTENTION = change(head=part(DualAttentionHead, width=64, reduction=1, branch_logits=False, dropout=0.0))
STREAM = part(GatedShapeStream, widths=(8, 8, 4, 4), stride=4)
GATE = change(shape_stream=STREAM, losses=adding(part(BoundaryLoss, weight=1)))
STUDY = Study(
    name="quickstart",
    question="Do attention, joint pyramid upsampling and a gated shape stream help, and what does each cost?",
    base=Variant(
        backbone=part(ShallowBackbone), head=part(FCNHead, width=64, dropout=0.0), losses=(part(SegmentationLoss),)
    ),
    factors=(
        Factor("attention", {"off": change(), "on": ATTENTION}),
        Factor("upsampling", {"none": change(), "jpu": change(neck=part(JPU, width=16, dilations=(1, 2)))}),
        Factor("gate", {"off": change(), "on": GATE}, about=("shape_stream", "losses")),
    ),
    baseline={"attention": "off", "upsampling": "none", "gate": "off"},
    recipe=Recipe(
        data=part(ControlScenes),
        crop_px=(128, 64),  # whole scenes: what is lit depends on the sky
        scale=(1.0, 1.0),
        iterations=600,
        batch=2,
        learning_rate=0.1,
        head_lr_factor=1.0,
        poly_power=0.3,  # a high rate to the end: attention learns its cue late
    ),
    seeds=(0, 1, 2, 3, 4),
)
