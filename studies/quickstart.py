"""Do attention, joint upsampling and a gated shape stream help a small network, and what do they cost?

Synthetic scenes, a narrow ResNet-18, 2×2×2 cells × 3 seeds. About 5 minutes on two CPU cores.

    bench run studies/quickstart.py
"""

from bench import Factor, Recipe, Study, Variant, adding, change, choose, part
from bench.data import Synthetic
from bench.network import JPU, BoundaryLoss, DualAttentionHead, FCNHead, GatedShapeStream, ResNet, SegmentationLoss

STUDY = Study(
    name="quickstart",
    question="Do attention, joint pyramid upsampling and a gated shape stream help, and what does each cost?",
    base=Variant(
        backbone=part(ResNet, depth=18, width=16, output_stride=8),
        head=part(FCNHead, width=32),
        losses=(part(SegmentationLoss),),
    ),
    factors=(
        # One supervised output on both sides: with three, "attention" would also mean two more losses.
        Factor(
            "attention", {"off": change(), "on": change(head=part(DualAttentionHead, width=32, branch_logits=False))}
        ),
        Factor(
            "upsampling",
            {"dilated": change(), "jpu": change(backbone=choose(output_stride=32), neck=part(JPU, width=32))},
            about=("backbone", "neck"),
        ),
        Factor(
            "gate",
            {
                "off": change(),
                "on": change(
                    shape_stream=part(GatedShapeStream, widths=(16, 8, 8, 4), stride=2),
                    losses=adding(part(BoundaryLoss, weight=1)),
                ),
            },
            about=("shape_stream", "losses"),
        ),
    ),
    baseline={"attention": "off", "upsampling": "dilated", "gate": "off"},
    recipe=Recipe(
        data=part(Synthetic, height_px=64, width_px=96, val_images=48),
        crop_px=(64, 96),  # whole scenes: what is lit depends on the sky
        scale=(1.0, 1.0),
        iterations=100,
        batch=8,
        learning_rate=0.1,
        head_lr_factor=1.0,
        eval_batch=8,
        latency_samples=20,
    ),
    seeds=(0, 1, 2),
)
