"""Do attention, joint pyramid upsampling and a gated shape stream help on street scenes, and what does each cost?

CamVid (11 classes, 480×360), ResNet-50, a recipe like the papers': SGD, poly schedule, scale 0.5 to 2, flip, auxiliary
loss 0.4 on C4. Weights start at random: no download. 2×2×2 cells × 3 seeds.

    bench run studies/components.py --data /path/to/CamVid                    on a GPU; bench plan says how long
    bench run studies/components.py --data /path/to/CamVid --size controls    with a control of each component, too
    bench run studies/components.py --data /path/to/CamVid --size headline    the same, a tenth of the iterations
    bench run studies/components.py --data /path/to/CamVid --size small       about 10 minutes on two CPU cores

With controls, each component also stands alone without what it is named after: attention that is computed and
multiplied by 0, a JPU that stays at its random weights, gates that are always open. They separate the component from
the convolutions that come with it. The small size has a ResNet-18 of a quarter of the width, smaller crops and few
iterations: it shows that everything runs and that networks learn, not which one is better.
"""

from dataclasses import replace

from bench import Factor, Part, Recipe, Require, Study, Variant, adding, change, choose, part
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

BASELINE = {"attention": "off", "upsampling": "dilated", "gate": "off"}
CONTROLS = {"attention": "on-frozen", "upsampling": "jpu-frozen", "gate": "on-open"}
ALONE = "a control stands alone: beside other components it would answer no question of its own"


def with_controls(
    backbone: Part[ResNet], width: int, stream: Part[GatedShapeStream], recipe: Recipe, seeds: tuple[int, ...]
) -> Study:
    """The study with networks of one size: ``width`` is that of JPU and of both heads.

    The last level of each factor is a control: its component without what it is named after.
    """
    # One supervised output of the head on both sides, as in DANet's own single-branch rows: with three, "on" would also
    # mean two more losses.
    attention = part(DualAttentionHead, width=width, branch_logits=False)
    undilated, jpu, boundary = choose(output_stride=32), part(JPU, width=width), adding(part(BoundaryLoss))
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
            Factor(
                "attention",
                {
                    "off": change(),
                    "on": change(head=attention),
                    "on-frozen": change(head=attention.having(gamma="frozen")),
                },
                against={"on": "on-frozen"},
            ),
            Factor(
                "upsampling",
                {
                    "dilated": change(),
                    "jpu": change(backbone=undilated, neck=jpu),
                    "jpu-frozen": change(backbone=undilated, neck=jpu.having(frozen=True)),
                },
                about=("backbone", "neck"),
                against={"jpu": "jpu-frozen"},
            ),
            Factor(
                "gate",
                {
                    "off": change(),
                    "on": change(shape_stream=stream, losses=boundary),
                    "on-open": change(shape_stream=stream.having(gates="open"), losses=boundary),
                },
                about=("shape_stream", "losses"),
                against={"on": "on-open"},
            ),
        ),
        baseline=BASELINE,
        require=tuple(
            Require({name: control}, {other: BASELINE[other] for other in BASELINE if other != name}, ALONE)
            for name, control in CONTROLS.items()
        ),
        recipe=recipe,
        seeds=seeds,
    )


def without_controls(study: Study) -> Study:
    """The study without the last level of each factor."""
    factors = (replace(factor, levels=dict(list(factor.levels.items())[:-1]), against={}) for factor in study.factors)
    return study.having(factors=tuple(factors), require=())


CONTROLLED = with_controls(
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
        precision="bfloat16",
        eval_batch=4,
        latency_samples=100,
    ),
    seeds=(0, 1, 2),
)
STUDY = without_controls(CONTROLLED)

SIZES = {
    "controls": CONTROLLED,
    "headline": CONTROLLED.having(recipe=CONTROLLED.recipe.having(iterations=2_000)),
    "small": without_controls(
        with_controls(
            backbone=part(ResNet, depth=18, width=16),
            width=32,
            stream=part(GatedShapeStream, widths=(16, 8, 8, 4), stride=4),
            recipe=CONTROLLED.recipe.having(
                crop_px=(176, 240),
                iterations=200,
                batch=4,
                learning_rate=0.05,
                head_lr_factor=1.0,
                scale=(0.5, 1.5),
                precision="float32",
                latency_samples=20,
            ),
            seeds=(0,),
        )
    ),
}
