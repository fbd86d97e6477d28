"""Does joint pyramid upsampling keep what dilation gains, for every head, and what does it save?

FastFCN's ablation (Wu et al., 2019) with the head held fixed on both sides: in the paper EncNet's entry convolution
shrinks from 3×3 to 1×1 wherever JPU is on. A JPU frozen at its random weights is a control: the first public training
script left JPU out of the optimiser.

    bench run studies/fastfcn_jpu.py --data /path/to/CamVid
    bench run studies/fastfcn_jpu.py --recipe fastfcn-pcontext --data pascal_context=/path   # as in the paper
"""

from bench import Factor, Published, Recipe, Study, Variant, adding, change, choose, part
from bench.data import CamVid
from bench.network import (
    FPN,
    JPU,
    AuxiliaryLoss,
    Bilinear,
    DeepLabV3Head,
    DualAttentionHead,
    EncNetHead,
    FCNHead,
    PathAggregation,
    PSPHead,
    ResNet,
    SegmentationLoss,
    SemanticEncodingLoss,
)

DILATED_16, UNDILATED = choose(output_stride=16), choose(output_stride=32)
RELEASED = {
    "upsampling=dilated-8": {"upsampling": "dilated-8"},
    "upsampling=jpu": {"upsampling": "jpu"},
    "head=psp": {"head": "psp"},
    "head=aspp": {"head": "aspp"},
    "head=encnet": {"head": "encnet"},
}
TOOLBOX = {**RELEASED, "upsampling=none-32": {"upsampling": "none-32"}}

STUDY = Study(
    name="fastfcn_jpu",
    question="Does joint pyramid upsampling keep what dilation gains, for every head, and what does it save?",
    base=Variant(
        backbone=part(ResNet, depth=50, stem="deep", output_stride=8),
        head=part(FCNHead),
        auxiliary=part(FCNHead, width=256),
        losses=(part(SegmentationLoss), part(AuxiliaryLoss, outputs=("c4",), weight=0.4)),
    ),
    factors=(
        Factor(
            "upsampling",
            {
                "dilated-8": change(),
                "dilated-16": change(backbone=DILATED_16),
                "none-32": change(backbone=UNDILATED),
                "bilinear": change(backbone=UNDILATED, neck=part(Bilinear)),
                "fpn": change(backbone=UNDILATED, neck=part(FPN, width=512)),
                "path-aggregation": change(backbone=UNDILATED, neck=part(PathAggregation, width=512)),
                "jpu": change(backbone=UNDILATED, neck=part(JPU)),
                "jpu-frozen": change(backbone=UNDILATED, neck=part(JPU, frozen=True)),
            },
            about=("backbone", "neck"),
            against={"jpu": "jpu-frozen"},  # the effect of training it
        ),
        Factor(
            "head",
            {
                "fcn": change(),
                "psp": change(head=part(PSPHead)),
                "aspp": change(head=part(DeepLabV3Head)),
                "encnet": change(head=part(EncNetHead), losses=adding(part(SemanticEncodingLoss))),
                "dual-attention": change(head=part(DualAttentionHead, branch_logits=False)),
            },
            about=("head",),  # EncNet's loss is not declared, so the audit names it
        ),
    ),
    baseline={"upsampling": "dilated-8", "head": "fcn"},
    margin=0.005,  # "loses nothing": within half a point of mIoU
    focus="upsampling",
    recipe=Recipe(
        data=part(CamVid),
        crop_px=(352, 480),
        iterations=20_000,
        batch=8,
        learning_rate=0.01,
        precision="bfloat16",
        eval_batch=4,
    ),
    published=(
        Published("FastFCN", {"upsampling": "dilated-8"}, RELEASED, {"backbone": "resnet50"}),
        Published("mmsegmentation", {"upsampling": "dilated-8"}, TOOLBOX, {"backbone": "resnet50"}),
    ),
)
