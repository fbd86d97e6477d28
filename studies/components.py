"""Do attention, joint pyramid upsampling and a gated shape stream help on street scenes, and what does each cost?

CamVid (11 classes, 480×360), ResNet-50, a recipe like the papers': SGD, poly schedule, scale 0.5 to 2, flip, auxiliary
loss 0.4 on C4. Weights start at random: no download. 2×2×2 cells × 3 seeds.

    bench run studies/components.py --data /path/to/CamVid                 about 10 GPU-hours on one recent GPU
    bench run studies/components.py --data /path/to/CamVid --size small    about 10 minutes on two CPU cores

The small size has a ResNet-18 of a quarter of the width, smaller crops and few iterations: it shows that everything
runs and that networks learn, not which one is better.
"""

from bench import Factor, Part, Recipe, Study, Variant, adding, change, choose, part
from bench.data import CamVid
from bench.network import (
    JPU,
    AuxiliaryLoss,
    BoundaryLoss,
    DualAttentionHead,
    FCNHead,
    GatedShapeStream,
    ResNet,
    SegmentationLoss,
)


def components(
    backbone: Part[ResNet], width: int, stream: Part[GatedShapeStream], recipe: Recipe, seeds: tuple[int, ...]
) -> Study:
    """The study with networks of one size: ``width`` is that of JPU and of both heads."""
    return Study(
        name="components",
        question="Do attention, joint pyramid upsampling and a gated shape stream help, and what does each cost?",
        base=Variant(
            backbone=backbone.having(output_stride=8),
            head=part(FCNHead, width=width),
            auxiliary=part(FCNHead, width=max(16, width // 2)),
            losses=(part(SegmentationLoss), part(AuxiliaryLoss, outputs=("c4",), weight=0.4)),
        ),
        factors=(
            # One supervised output of the head on both sides, as in DANet's own single-branch rows: with three, "on"
            # would also mean two more losses.
            Factor(
                "attention",
                {"off": change(), "on": change(head=part(DualAttentionHead, width=width, branch_logits=False))},
            ),
            Factor(
                "upsampling",
                {"dilated": change(), "jpu": change(backbone=choose(output_stride=32), neck=part(JPU, width=width))},
                about=("backbone", "neck"),
            ),
            Factor(
                "gate",
                {"off": change(), "on": change(shape_stream=stream, losses=adding(part(BoundaryLoss)))},
                about=("shape_stream", "losses"),
            ),
        ),
        baseline={"attention": "off", "upsampling": "dilated", "gate": "off"},
        recipe=recipe,
        seeds=seeds,
    )


STUDY = components(
    backbone=part(ResNet, depth=50, stem="deep"),
    width=512,
    stream=part(GatedShapeStream),
    recipe=Recipe(
        data=part(CamVid),
        crop_px=(352, 480),
        iterations=20_000,
        batch=8,
        learning_rate=0.01,
        head_lr_factor=10.0,
        scale=(0.5, 2.0),
        precision="float32",
        eval_batch=4,
        latency_samples=100,
    ),
    seeds=(0, 1, 2),
)

SIZES = {
    "small": components(
        backbone=part(ResNet, depth=18, width=16),
        width=32,
        stream=part(GatedShapeStream, widths=(16, 8, 8, 4), stride=4),
        recipe=STUDY.recipe.having(
            crop_px=(176, 240),
            iterations=200,
            batch=4,
            learning_rate=0.05,
            head_lr_factor=1.0,
            scale=(0.5, 1.5),
            latency_samples=20,
        ),
        seeds=(0,),
    )
}
