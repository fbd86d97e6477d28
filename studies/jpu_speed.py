"""How much faster is joint pyramid upsampling than dilation, head by head, and from which input size on?

Both sides have the same head: in FastFCN's release EncNet's entry convolution shrinks from 3×3 to 1×1 with JPU. The
data set only determines the number of classes (9). The CPU subset takes half an hour on two cores; you may stop it at
any time and run it again. Published numbers are printed beside the results.

    bench speed studies/jpu_speed.py --size cpu
"""

from bench import Factor, Published, Recipe, Setting, Speed, Study, Variant, adding, change, choose, part
from bench.data import Synthetic
from bench.network import (
    JPU,
    DeepLabV3Head,
    DualAttentionHead,
    EncNetHead,
    FCNHead,
    PSPHead,
    ResNet,
    SegmentationLoss,
    SemanticEncodingLoss,
)

SIDES = ((256, 256), (384, 384), (512, 512), (768, 768), (512, 1024), (1024, 2048))
LARGE = Setting(height=1024, width=2048)

HEADS = Factor(
    "head",
    {
        "fcn": change(),
        "psp": change(head=part(PSPHead)),
        "aspp": change(head=part(DeepLabV3Head)),
        "encnet": change(head=part(EncNetHead), losses=adding(part(SemanticEncodingLoss))),
        "dual-attention": change(head=part(DualAttentionHead, branch_logits=False)),
    },
    about=("head",),
)
UPSAMPLING = Factor(
    "upsampling",
    {"dilated-8": change(), "jpu": change(backbone=choose(output_stride=32), neck=part(JPU))},
    about=("backbone", "neck"),
)
BACKBONE = Factor("backbone", {"resnet50": change(), "resnet101": change(backbone=choose(depth=101))})

HEAD_ROWS = {f"head={head}": {"head": head} for head in ("psp", "aspp", "encnet")}
ROWS = {f"upsampling={level}": {"upsampling": level} for level in ("dilated-8", "jpu")} | HEAD_ROWS
TOOLBOX = ROWS | {"head=dual-attention": {"head": "dual-attention"}}
DEPTHS = {f"backbone={name}": {"backbone": name} for name in ("resnet50", "resnet101")}
AGAINST = {"upsampling": "dilated-8"}

STUDY = Study(
    name="jpu_speed",
    question="How much faster is joint pyramid upsampling than dilation, head by head, and from which input size on?",
    base=Variant(
        backbone=part(ResNet, depth=50, stem="deep", output_stride=8),
        head=part(FCNHead),
        losses=(part(SegmentationLoss),),
    ),
    factors=(BACKBONE, HEADS, UPSAMPLING),
    baseline={"backbone": "resnet50", "head": "fcn", "upsampling": "dilated-8"},
    recipe=Recipe(data=part(Synthetic), crop_px=(256, 256), iterations=1, batch=2),
    stages=("speed",),
    speed=Speed(AGAINST, tuple(Setting(height=height, width=width) for height, width in SIDES)),
    published=(
        Published("FastFCN", AGAINST, ROWS | DEPTHS),
        Published("mmsegmentation", AGAINST, TOOLBOX | DEPTHS),
    ),
)

SIZES = {
    "cpu": STUDY.having(
        factors=(HEADS, UPSAMPLING),
        baseline={"head": "fcn", "upsampling": "dilated-8"},
        published=(
            Published("FastFCN", AGAINST, ROWS, {"backbone": "resnet50"}),
            Published("mmsegmentation", AGAINST, TOOLBOX, {"backbone": "resnet50"}),
        ),
        speed=Speed(
            AGAINST,
            (Setting(height=256, width=256), Setting(height=512, width=512), LARGE),
            only={LARGE.name: {"head": "fcn"}},
        ),
    )
}
