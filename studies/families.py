"""Which family of networks is best on one data set, and what does each cost?

DANet, FastFCN, Gated-SCNN, PSPNet, DeepLabV3 and path aggregation on a ResNet, beside whole networks of transformers:
UPerNet on Swin, SegFormer, Mask2Former, OneFormer and EoMT. Each is trained with its own losses, under one recipe:
AdamW, warm-up, 1e-4, 0.05. All weights start at random, so the rows say what these networks learn from this data set
alone and what they cost, not what the papers report, whose transformers start from pretrained weights: give those by
``weights``.

    pip install 'segbench[transformers]'
    bench run studies/families.py --data /path/to/CamVid
    bench run studies/families.py --size small    minutes on two CPU cores; synthetic scenes, networks of a few channels
"""

from typing import Any

from torch.optim import AdamW

from bench import Factor, Part, Recipe, Study, Variant, change, part
from bench.data import CamVid, ControlScenes
from bench.network import (
    JPU,
    AuxiliaryLoss,
    BoundaryLoss,
    DeepLabV3Head,
    DeepLabV3PlusHead,
    DualAttentionHead,
    EncNetHead,
    FCNHead,
    GatedShapeStream,
    HuggingFace,
    PathAggregation,
    PSPHead,
    ResNet,
    SegmentationLoss,
    SemanticEncodingLoss,
    hub_config,
    own_losses,
)
from bench.study.factors import Change

PIXELS = (part(SegmentationLoss),)
ON_C4 = (*PIXELS, part(AuxiliaryLoss, outputs=("c4",), weight=0.4))


def convolutional(backbone: Part[Any], width: int, stream: Part[Any]) -> dict[str, Change]:
    """The networks that are composed of parts, as levels beside the first of them."""
    undilated = backbone.having(output_stride=32)
    return {
        "psp": change(),
        "deeplabv3": change(head=part(DeepLabV3Head, width=width)),
        "danet": change(
            head=part(DualAttentionHead, width=width),
            losses=(*ON_C4, part(AuxiliaryLoss, outputs=("pam", "cam"), weight=1.0)),
        ),
        "fastfcn": change(
            backbone=undilated,
            neck=part(JPU, width=width),
            head=part(EncNetHead, width=width),
            losses=(*ON_C4, part(SemanticEncodingLoss)),
        ),
        "path-aggregation": change(
            backbone=undilated, neck=part(PathAggregation, width=width // 2), head=part(FCNHead, width=width)
        ),
        "gscnn": change(
            head=part(DeepLabV3PlusHead, width=width // 2, low_width=max(8, width * 3 // 32)),
            auxiliary=None,
            shape_stream=stream,
            losses=(*PIXELS, part(BoundaryLoss)),
        ),
    }


def whole(architecture: str, **entries: Any) -> Change:
    """A network of transformers with its own losses, as a level."""
    network = part(HuggingFace, architecture=architecture, config=hub_config(**entries))
    return change(
        backbone=None, head=None, auxiliary=None, whole=network, losses=own_losses(network), align_corners=False
    )


def families(
    levels: dict[str, Change], backbone: Part[Any], width: int, recipe: Recipe, seeds: tuple[int, ...]
) -> Study:
    """The study of these networks, of which PSPNet is the baseline."""
    return Study(
        name="families",
        question="Which family of networks is best on one data set, and what does each cost?",
        base=Variant(
            backbone=backbone,
            head=part(PSPHead, width=width),
            auxiliary=part(FCNHead, width=max(8, width // 2)),
            losses=ON_C4,
        ),
        factors=(
            Factor(
                "network",
                levels,
                about=("backbone", "neck", "head", "auxiliary", "shape_stream", "whole", "losses", "align_corners"),
            ),
        ),
        baseline={"network": "psp"},
        recipe=recipe,
        seeds=seeds,
    )


RESNET = part(ResNet, depth=50, stem="deep", output_stride=8)
STUDY = families(
    {
        **convolutional(RESNET, 512, part(GatedShapeStream)),
        "upernet-swin": whole("upernet", backbone_config={"model_type": "swin"}),
        "segformer": whole("segformer"),
        "mask2former": whole("mask2former"),
        "oneformer": whole("oneformer"),
        "eomt": whole(
            "eomt", hidden_size=384, num_hidden_layers=12, num_attention_heads=6, patch_size=16, image_size=480
        ),
    },
    RESNET,
    512,
    Recipe(
        data=part(CamVid),
        crop_px=(352, 480),
        iterations=20_000,
        batch=8,
        optimiser=part(AdamW, betas=(0.9, 0.999)),
        learning_rate=1e-4,
        weight_decay=0.05,
        decayed="weights",
        head_lr_factor=1.0,
        warmup_iterations=1500,
        poly_power=1.0,
        scale=(0.5, 2.0),
        precision="bfloat16",
        eval_batch=4,
    ),
    (0, 1, 2),
)

SMALL_RESNET = part(ResNet, depth=18, width=8, output_stride=8)
SWIN = {"model_type": "swin", "embed_dim": 12, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), "window_size": 4}
QUERIES = {
    "backbone_config": SWIN, "num_attention_heads": 4, "encoder_layers": 1, "dim_feedforward": 64,
    "encoder_feedforward_dim": 64, "hidden_dim": 64, "num_queries": 16, "train_num_points": 256,
}  # fmt: skip

SIZES = {
    "small": families(
        {
            **convolutional(SMALL_RESNET, 32, part(GatedShapeStream, widths=(8, 8, 4, 4), stride=4)),
            "upernet-swin": whole("upernet", backbone_config=SWIN, hidden_size=32, auxiliary_channels=16),
            "segformer": whole(
                "segformer",
                depths=(1, 1, 1, 1),
                hidden_sizes=(8, 16, 24, 32),
                num_attention_heads=(1, 2, 2, 4),
                decoder_hidden_size=32,
            ),
            "mask2former": whole("mask2former", **QUERIES, feature_size=64, mask_feature_size=64, decoder_layers=3),
            "oneformer": whole(
                "oneformer",
                **QUERIES,
                conv_dim=64,
                mask_dim=64,
                decoder_layers=3,
                text_encoder_width=64,
                text_encoder_num_layers=1,
                text_encoder_vocab_size=64,
                text_encoder_context_length=8,
                text_encoder_n_ctx=4,
            ),
            "eomt": whole(
                "eomt",
                hidden_size=48,
                num_hidden_layers=4,
                num_attention_heads=4,
                patch_size=16,
                image_size=64,
                num_blocks=2,
                num_queries=16,
                train_num_points=256,
            ),
        },
        SMALL_RESNET,
        32,
        STUDY.recipe.having(
            data=part(ControlScenes, train_images=64, val_images=8),
            crop_px=(128, 64),
            scale=(1.0, 1.0),
            iterations=30,
            batch=4,
            learning_rate=1e-3,
            warmup_iterations=5,
            precision="float32",
            latency_samples=10,
            latency_least_s=0.1,
        ),
        (0,),
    )
}
