"""The architectures of transformers that segment, with what tells them apart: classes, sizes, colours and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from bench.network.normalisation import MEAN, STD
from bench.network.whole.eomt import eomt
from bench.network.whole.eomt import prepare as prepare_eomt
from bench.network.whole.frame import Frame
from bench.network.whole.oneformer import oneformer
from bench.network.whole.oneformer import prepare as prepare_oneformer
from bench.network.whole.pixelwise import (
    beit,
    beit_blocks,
    check_dpt,
    dpt,
    prepare_beit,
    prepare_segformer,
    prepare_upernet,
    quarters,
    segformer,
    upernet,
)
from bench.network.whole.queries import Answer, mask2former, maskformer, prepare_mask2former

Architecture = Literal[
    "oneformer", "mask2former", "maskformer", "segformer", "upernet", "dpt", "eomt", "eomt-dinov3", "beit"
]

Colours = tuple[float, float, float]
GREY: Colours = (0.5, 0.5, 0.5)
"""The mean and the deviation of images for networks that take colours from -1 to 1."""


class WholeForward(Protocol):
    """The forward of a family: logits at the image's size, and side outputs if ``with_aux``."""

    def __call__(self, network: Any, image: Tensor, frame: Frame, *, with_aux: bool) -> Answer: ...


@dataclass(frozen=True)
class Family:
    """An architecture of transformers.

    Attributes:
        network: the name of its class.
        config: the name of the class of its configuration.
        run: its forward.
        classifiers: the beginnings of the names of tensors that have a row for each class.
        multiple_px: the number that an image's height and width are made multiples of, given the configuration.
        mean: the mean of the images that it takes, with colours in 0 … 1.
        std: their deviation.
        defaults: the entries of the configuration that take other values than transformers' unless they are given.
        prepare: what is done to a network once it is built; it may refuse it.
        has_backbone: True if the entry ``backbone_config`` names a network that must give all of its stages.
        encoder: the modules of its encoder, from the image on.
    """

    network: str
    config: str
    run: WholeForward
    classifiers: tuple[str, ...]
    multiple_px: Callable[[Any], int] = lambda config: 32
    mean: Colours = MEAN
    std: Colours = STD
    defaults: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda entries: {}
    prepare: Callable[[Any], None] = lambda network: None
    has_backbone: bool = False
    encoder: Callable[[Any], Sequence[nn.Module]] = lambda network: (network.model.pixel_level_module.encoder,)


def _plain(network: Any) -> Sequence[nn.Module]:
    """The encoder of a network whose blocks are its own."""
    return network.embeddings, network.layers


_MASKS = ("class_predictor.", "criterion.empty_weight")
_HEADS = ("decode_head.classifier.", "auxiliary_head.classifier.")

FAMILIES: Mapping[str, Family] = {
    "oneformer": Family(
        "OneFormerForUniversalSegmentation", "OneFormerConfig", oneformer,
        ("model.transformer_module.decoder.class_embed.", "criterion.empty_weight"),
        defaults=lambda entries: {"is_training": True}, has_backbone=True, prepare=prepare_oneformer,
    ),
    "mask2former": Family(
        "Mask2FormerForUniversalSegmentation", "Mask2FormerConfig", mask2former, _MASKS, has_backbone=True,
        prepare=prepare_mask2former,
    ),
    "maskformer": Family(
        "MaskFormerForInstanceSegmentation", "MaskFormerConfig", maskformer, _MASKS, has_backbone=True
    ),
    "segformer": Family(
        "SegformerForSemanticSegmentation", "SegformerConfig", segformer, _HEADS[:1],
        encoder=lambda network: (network.segformer,), prepare=prepare_segformer,
    ),
    "upernet": Family(
        "UperNetForSemanticSegmentation", "UperNetConfig", upernet, _HEADS, has_backbone=True,
        encoder=lambda network: (network.backbone,), prepare=prepare_upernet,
    ),
    "dpt": Family(
        "DPTForSemanticSegmentation", "DPTConfig", dpt, ("head.head.4.", "auxiliary_head.head.4."),
        multiple_px=lambda config: 2 * config.patch_size, mean=GREY, std=GREY,
        defaults=lambda entries: {"backbone_out_indices": quarters(entries.get("num_hidden_layers", 12))},
        prepare=check_dpt, encoder=lambda network: (network.dpt,),
    ),
    "eomt": Family(
        "EomtForUniversalSegmentation", "EomtConfig", eomt, _MASKS,
        multiple_px=lambda config: config.patch_size, prepare=prepare_eomt, encoder=_plain,
    ),
    "eomt-dinov3": Family(
        "EomtDinov3ForUniversalSegmentation", "EomtDinov3Config", eomt, _MASKS,
        multiple_px=lambda config: config.patch_size, prepare=prepare_eomt, encoder=_plain,
    ),
    "beit": Family(
        "BeitForSemanticSegmentation", "BeitConfig", beit, _HEADS,
        multiple_px=lambda config: 2 * config.patch_size, mean=GREY, std=GREY,
        defaults=lambda entries: {"out_indices": beit_blocks(entries.get("num_hidden_layers", 12))},
        prepare=prepare_beit, encoder=lambda network: (network.beit,),
    ),
}  # fmt: skip
"""Architecture -> what is known of it."""
