"""Which pretrained backbone is best, for which head, and what does it cost?

Three pyramids of timm and a plain vision transformer with a simple pyramid, all joined at stride 8 by the same feature
pyramid network. Weights are those of timm's tags, which timm fetches once. They were pretrained on other images: the
rows compare what one can have, not four architectures under one pretraining. Optimiser, warm-up, decay by layers and
rates are those of mmsegmentation's ConvNeXt with UPerNet (configs/convnext, AdamW, 1e-4, 0.05, 0.9), for a fifth of its
160,000 iterations.

    pip install 'segbench[timm]'
    bench run studies/backbones.py --data /path/to/CamVid

``--size small`` has smaller networks with random weights, and fetches nothing.
"""

from typing import Any

from torch.optim import AdamW

from bench import Factor, Part, Recipe, Study, Variant, change, part
from bench.data import CamVid
from bench.network import FPN, DeepLabV3Head, FCNHead, PSPHead, SegmentationLoss, SimplePyramid, Timm


def backbones(name: str, networks: dict[str, Part[Any]], width: int, recipe: Recipe, seeds: tuple[int, ...]) -> Study:
    """The study of these backbones, of which the first is the baseline, with necks and heads of this width."""
    first = next(iter(networks))
    return Study(
        name=name,
        question="Which pretrained backbone is best, for which head, and what does it cost?",
        base=Variant(
            backbone=networks[first],
            neck=part(FPN, width=width, fusion="sum"),
            head=part(FCNHead, width=width),
            losses=(part(SegmentationLoss),),
        ),
        factors=(
            Factor("backbone", {level: change(backbone=network) for level, network in networks.items()}),
            Factor(
                "head",
                {
                    "fcn": change(),
                    "psp": change(head=part(PSPHead, width=width)),
                    "aspp": change(head=part(DeepLabV3Head, width=width)),
                },
            ),
        ),
        baseline={"backbone": first, "head": "fcn"},
        focus="backbone",
        recipe=recipe,
        seeds=seeds,
    )


STUDY = backbones(
    "backbones",
    {
        "resnet50": part(Timm, name="resnet50.a1_in1k", pretrained=True),
        "convnext-tiny": part(Timm, name="convnext_tiny.fb_in1k", pretrained=True),
        "swin-tiny": part(Timm, name="swin_tiny_patch4_window7_224.ms_in1k", pretrained=True),
        "vit-small-dinov3": part(
            SimplePyramid,
            transformer=part(Timm, name="vit_small_patch16_dinov3.lvd1689m", pretrained=True),
            strides=(8, 16, 32),
        ),
    },
    width=256,
    recipe=Recipe(
        data=part(CamVid),
        crop_px=(352, 480),
        iterations=32_000,
        batch=8,
        optimiser=part(AdamW, betas=(0.9, 0.999)),
        learning_rate=1e-4,
        weight_decay=0.05,
        decayed="weights",
        head_lr_factor=1.0,
        layer_decay=0.9,
        warmup_iterations=1500,
        poly_power=1.0,
        precision="bfloat16",
        eval_batch=4,
    ),
    seeds=(0, 1, 2),
)

SIZES = {
    "small": backbones(
        "backbones",
        {
            "resnet18": part(Timm, name="resnet18"),
            "convnext-atto": part(Timm, name="convnext_atto"),
            "swin-tiny": part(Timm, name="swin_tiny_patch4_window7_224"),
            "vit-tiny": part(
                SimplePyramid, transformer=part(Timm, name="vit_tiny_patch16_224"), width=64, strides=(8, 16, 32)
            ),
        },
        width=32,
        recipe=STUDY.recipe.having(
            crop_px=(96, 128),
            iterations=20,
            batch=2,
            warmup_iterations=5,
            precision="float32",
            latency_samples=5,
            latency_least_s=0.1,
        ),
        seeds=(0,),
    )
}
