"""Do attention, joint pyramid upsampling and a gated shape stream help on street scenes, and what does each cost?

CamVid (11 classes, 480×360), ResNet-50, a recipe like the papers': SGD, poly schedule, scale 0.5 to 2, flip, auxiliary
loss 0.4 on C4. Weights start at random: no download. 2×2×2 cells × 3 seeds.

    bench run studies/components.py --data /path/to/CamVid                    hours on a GPU; bench plan says how many
    bench run studies/components.py --data /path/to/CamVid --size controls    with a control of each component, too
    bench run studies/components.py --data /path/to/CamVid --size headline    the same, a tenth of the iterations
    bench run studies/components.py --data /path/to/CamVid --size small       about 10 minutes on two CPU cores

With controls, each component also stands alone without what it is named after: attention that is computed and
multiplied by 0, a JPU that stays at its random weights, gates that are always open. They separate the component from
the convolutions that come with it. The small size has a ResNet-18 of a quarter of the width, smaller crops and few
iterations: it shows that everything runs and that networks learn, not which one is better.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations, product

from bench import Exclude, Factor, Part, Recipe, Study, Variant, adding, change, choose, part
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

ALONE = "a control stands alone: beside other components it would answer no question of its own"


def components(
    backbone: Part[ResNet],
    width: int,
    stream: Part[GatedShapeStream],
    recipe: Recipe,
    seeds: tuple[int, ...],
    *,
    controls: bool = False,
) -> Study:
    """The study with networks of one size: ``width`` is that of JPU and of both heads.

    With ``controls``, each factor has one more level: its component without what it is named after.
    """
    # One supervised output of the head on both sides, as in DANet's own single-branch rows: with three, "on" would also
    # mean two more losses.
    attention = part(DualAttentionHead, width=width, branch_logits=False)
    undilated, upsampling, boundary = choose(output_stride=32), part(JPU, width=width), adding(part(BoundaryLoss))
    levels = {
        "attention": {"off": change(), "on": change(head=attention)},
        "upsampling": {"dilated": change(), "jpu": change(backbone=undilated, neck=upsampling)},
        "gate": {"off": change(), "on": change(shape_stream=stream, losses=boundary)},
    }
    if controls:
        levels["attention"]["on-frozen"] = change(head=attention.having(gamma="frozen"))
        levels["upsampling"]["jpu-frozen"] = change(backbone=undilated, neck=upsampling.having(frozen=True))
        levels["gate"]["on-open"] = change(shape_stream=stream.having(gates="open"), losses=boundary)
    about = {"attention": ("head",), "upsampling": ("backbone", "neck"), "gate": ("shape_stream", "losses")}
    against = {"attention": {"on": "on-frozen"}, "upsampling": {"jpu": "jpu-frozen"}, "gate": {"on": "on-open"}}
    return Study(
        name="components",
        question="Do attention, joint pyramid upsampling and a gated shape stream help, and what does each cost?",
        base=Variant(
            backbone=backbone.having(output_stride=8),
            head=part(FCNHead, width=width),
            auxiliary=part(FCNHead, width=max(16, width // 2)),
            losses=(part(SegmentationLoss), part(AuxiliaryLoss, outputs=("c4",), weight=0.4)),
        ),
        factors=tuple(Factor(name, levels[name], about[name], against[name] if controls else {}) for name in levels),
        baseline={"attention": "off", "upsampling": "dilated", "gate": "off"},
        exclude=tuple(beside_a_control(levels)) if controls else (),
        recipe=recipe,
        seeds=seeds,
    )


def beside_a_control(levels: Mapping[str, Mapping[str, object]]) -> Iterator[Exclude]:
    """The rules that leave a control, which is the last level of its factor, at the baseline of all other factors."""
    for (one, ours), (other, theirs) in combinations(levels.items(), 2):
        for first, second in product(list(ours)[1:], list(theirs)[1:]):
            if first == list(ours)[-1] or second == list(theirs)[-1]:
                yield Exclude({one: first, other: second}, ALONE)


full = partial(
    components,
    backbone=part(ResNet, depth=50, stem="deep"),
    width=512,
    stream=part(GatedShapeStream),
    seeds=(0, 1, 2),
)
RECIPE = Recipe(
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
)
HEADLINE = RECIPE.having(iterations=2_000)
STUDY = full(recipe=RECIPE)

SIZES = {
    "controls": full(recipe=RECIPE, controls=True),
    "headline": full(recipe=HEADLINE, controls=True),
    "small": components(
        backbone=part(ResNet, depth=18, width=16),
        width=32,
        stream=part(GatedShapeStream, widths=(16, 8, 8, 4), stride=4),
        recipe=RECIPE.having(
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
    ),
}
