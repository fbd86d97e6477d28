"""What does each piece of Gated-SCNN add: the shape stream, its gates, the image gradients, the dual-task loss?

Gated-SCNN's ablation (Takikawa et al., 2019, table 3), on a ResNet-50 and on the WiderResNet-38 of the paper, with
gates forced open as a control between "no stream" and "gates".

    bench run studies/gscnn_gates.py --data /path/to/CamVid
    bench run studies/gscnn_gates.py --recipe gscnn-cityscapes --data cityscapes=/path   # as in the paper
"""

from bench import Factor, Published, Recipe, Study, Variant, adding, change, part
from bench.data import CamVid
from bench.network import (
    BoundaryLoss,
    BoundaryRestrictedLoss,
    ClassWeightedLoss,
    DeepLabV3PlusHead,
    DualTaskLoss,
    GatedShapeStream,
    ResNet,
    WideResNet38,
)

PLAIN = part(GatedShapeStream, image_gradient="none")
SUPERVISED = adding(part(BoundaryLoss))
DUAL_TASK = adding(part(BoundaryLoss), part(BoundaryRestrictedLoss), part(DualTaskLoss))
PAPER = {
    "trunk=wide-resnet-38": {"backbone": "wideresnet38"},
    "shape=none": {"shape": "none"},
    "shape=gates-gradients-dual": {"shape": "gates-gradients-dual"},
}
TOOLBOX = {
    "trunk=resnet-50": {"backbone": "resnet50"},
    "shape=gates-gradients-dual": {"shape": "gates-gradients-dual"},
}

STUDY = Study(
    name="gscnn_gates",
    question="What does each piece of Gated-SCNN add: stream, gates, image gradients, dual-task loss?",
    base=Variant(
        backbone=part(ResNet, depth=50, output_stride=8),
        head=part(DeepLabV3PlusHead),
        losses=(part(ClassWeightedLoss),),
    ),
    factors=(
        Factor("trunk", {"resnet-50": change(), "wide-resnet-38": change(backbone=part(WideResNet38))}),
        Factor(
            "shape",
            {
                "none": change(),
                "gates-open": change(shape_stream=PLAIN.having(gates="open"), losses=SUPERVISED),
                "gates": change(shape_stream=PLAIN, losses=SUPERVISED),
                "gates-gradients": change(shape_stream=PLAIN.having(image_gradient="sobel"), losses=SUPERVISED),
                "gates-gradients-dual": change(shape_stream=PLAIN.having(image_gradient="sobel"), losses=DUAL_TASK),
            },
            about=("shape_stream", "losses"),
            against={
                "gates": "gates-open",
                "gates-gradients": "gates",
                "gates-gradients-dual": "gates-gradients",
            },
        ),
    ),
    baseline={"trunk": "resnet-50", "shape": "none"},
    recipe=Recipe(
        data=part(CamVid),
        crop_px=(352, 480),
        iterations=20_000,
        batch=8,
        learning_rate=0.01,
        precision="bfloat16",
        eval_batch=2,
    ),
    published=(
        Published("Gated-SCNN", {"shape": "none"}, PAPER, {"head": "deeplabv3plus"}),
        Published("PaddleSeg", {"shape": "none"}, TOOLBOX, {"head": "deeplabv3plus"}),
    ),
)
