"""How much faster is joint pyramid upsampling than dilation, head by head, and from which input size on?

Both sides have the same head: in FastFCN's release EncNet's entry convolution shrinks from 3×3 to 1×1 with JPU. The
data set only determines the number of classes (9). Published numbers are printed beside the results. You may stop a run
at any time and run it again.

    bench speed studies/jpu_speed.py                in float32, one forward of one image
    bench run studies/jpu_speed.py --size gpu       with precisions and execution modes, MACs and memory
    bench run studies/jpu_speed.py --size cpu       with MACs and memory, for two CPU cores; bench plan says how long
    bench run studies/jpu_speed.py --size cpu_modes does it survive a compiler? torch.compile, ONNX Runtime and OpenVINO
"""

from itertools import product
from typing import Any

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
MODES: tuple[dict[str, Any], ...] = (
    {"memory_format": "channels_last"},
    {"memory_format": "channels_last", "mode": "compile"},
    {"memory_format": "channels_last", "mode": "cuda_graph"},
    {},
)
GPU_SETTINGS = tuple(
    Setting(height=height, width=width, precision=precision, least_s=3.0, **mode)
    for precision, mode, (height, width) in product(
        ("bfloat16", "tf32"), MODES, ((512, 512), (1024, 2048), (256, 256), (768, 768))
    )
)
"""The settings are timed in this order, the most important ones first. Forwards of milliseconds need only seconds."""

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

ON_CPU = STUDY.having(
    factors=(HEADS, UPSAMPLING),
    baseline={"head": "fcn", "upsampling": "dilated-8"},
    published=(
        Published("FastFCN", AGAINST, ROWS, {"backbone": "resnet50"}),
        Published("mmsegmentation", AGAINST, TOOLBOX, {"backbone": "resnet50"}),
    ),
)
TWO_HEADS = Factor(HEADS.name, {name: HEADS.levels[name] for name in ("fcn", "dual-attention")}, about=HEADS.about)

SIZES = {
    "gpu": STUDY.having(
        stages=("cost", "speed"),
        recipe=STUDY.recipe.having(precision="bfloat16", crop_px=(512, 512), batch=8, cost_px=(1024, 2048)),
        speed=Speed(AGAINST, GPU_SETTINGS),
    ),
    "cpu": ON_CPU.having(
        stages=("cost", "speed"),
        recipe=STUDY.recipe.having(cost_px=(256, 256), latency_samples=20),
        speed=Speed(
            AGAINST,
            (Setting(height=256, width=256), Setting(height=512, width=512), LARGE),
            only={LARGE.name: {"head": "fcn"}},
        ),
    ),
    "cpu_modes": ON_CPU.having(
        factors=(TWO_HEADS, UPSAMPLING),
        published=(),
        speed=Speed(AGAINST, (Setting(height=256, width=256),), modes=("eager", "compile", "onnxruntime", "openvino")),
    ),
}
