"""The loss of networks that predict masks by queries: each class of an image is matched with one query.

**Source**: Cheng et al. 2021, MaskFormer, section 3.3, and Cheng et al. 2022, Mask2Former, section 3.3, by the criteria
of Hugging Face's transformers (``MaskFormerLoss`` and ``Mask2FormerLoss``, which OneFormer and EoMT have too).

As published, a void pixel belongs to no mask, and so counts against every mask. A batch that is all void has a loss of
0, with a gradient of 0.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.layers import WiringError
from bench.network.model import Output
from bench.parts import BenchError, Count, Fraction, NonNegative, Range

NOT_INSTALLED = "MatchedMasksLoss needs transformers, which is not installed: pip install 'segbench[transformers]'"


class MatchedMasksLoss(nn.Module):
    """The sum over all layers of the losses of the queries that are matched with the classes of each image.

    It reads the side outputs ``masks`` and ``classes`` of the last layer, ``masks0``, ``classes0`` and so on of those
    before. Each layer's queries are matched anew.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
        criterion: ``points`` compares masks at sampled points, most of them uncertain (Mask2Former, OneFormer, EoMT);
            ``pixels`` at all pixels, by the focal loss (MaskFormer).
        class_weight: the weight of the cross-entropy of the classes.
        mask_weight: the weight of the cross-entropy or focal loss of the masks.
        dice_weight: the weight of the Dice loss of the masks.
        no_object_weight: the weight of "no object" in the cross-entropy of the classes.
        points: the number of points of each mask, with ``points``.
        oversample_ratio: how many times as many points the most uncertain ones are chosen from, with ``points``.
        importance_sample_ratio: the share of the points that are the most uncertain ones, with ``points``; the others
            are random.

    The costs of a match have the weights of the terms; but for ``pixels`` that of the class is 1, as in MaskFormer.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        weight: NonNegative = 1.0,
        criterion: Literal["points", "pixels"] = "points",
        class_weight: NonNegative = 2.0,
        mask_weight: NonNegative = 5.0,
        dice_weight: NonNegative = 5.0,
        no_object_weight: NonNegative = 0.1,
        points: Count = 12544,
        oversample_ratio: Annotated[float, Range(ge=1)] = 3.0,
        importance_sample_ratio: Fraction = 0.75,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.weights = {
            "loss_cross_entropy": class_weight, "loss_mask": mask_weight, "loss_dice": dice_weight,
        }  # fmt: skip
        if criterion == "points":
            sampling = (points, oversample_ratio, importance_sample_ratio)
            self.criterion = _of_points(num_classes, self.weights, no_object_weight, sampling)
        else:
            self.criterion = _of_pixels(num_classes, self.weights, no_object_weight)

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """The weighted sum.

        Raises:
            WiringError: if the network has no side outputs ``masks`` and ``classes``.
        """
        layers = list(_layers(output.aux))
        classes = [present[present != IGNORE] for present in map(torch.unique, label)]
        if not any(len(present) for present in classes):
            return torch.stack([0 * tensor.float().sum() for layer in layers for tensor in layer]).sum()
        masks = [(item == present[:, None, None]).float() for item, present in zip(label, classes, strict=True)]
        with torch.autocast(label.device.type, enabled=False):  # the matching reads costs in float32
            terms = [
                self.weights[name] * term
                for queries in layers
                for name, term in self.criterion(queries[0].float(), queries[1].float(), masks, classes).items()
            ]
            return self.weight * torch.stack([term.reshape(()) for term in terms]).sum()


def _layers(aux: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """The masks and classes of each layer."""
    if "masks" not in aux or "classes" not in aux:
        raise WiringError(
            f"MatchedMasksLoss reads the side outputs 'masks' and 'classes', but the network gave "
            f"{sorted(aux) or 'none'}; take a network that predicts masks by queries, such as "
            "part(HuggingFace, architecture='mask2former'), or leave this loss out"
        )
    earlier = [name.removeprefix("masks") for name in aux if name.startswith("masks")]
    return [(aux[f"masks{index}"], aux[f"classes{index}"]) for index in earlier]


def _of_points(
    num_classes: int, weights: dict[str, float], no_object_weight: float, sampling: tuple[int, float, float]
) -> nn.Module:
    points, oversample_ratio, importance_sample_ratio = sampling
    settings = SimpleNamespace(
        num_labels=num_classes,
        no_object_weight=no_object_weight,
        train_num_points=points,
        oversample_ratio=oversample_ratio,
        importance_sample_ratio=importance_sample_ratio,
        class_weight=weights["loss_cross_entropy"],
        mask_weight=weights["loss_mask"],
        dice_weight=weights["loss_dice"],
    )
    try:
        library: Any = importlib.import_module("transformers.models.mask2former.modeling_mask2former")
    except ImportError as error:
        raise BenchError(NOT_INSTALLED) from error
    module: nn.Module = library.Mask2FormerLoss(settings, weights)
    return module


def _of_pixels(num_classes: int, weights: dict[str, float], no_object_weight: float) -> nn.Module:
    try:
        library: Any = importlib.import_module("transformers.models.maskformer.modeling_maskformer")
    except ImportError as error:
        raise BenchError(NOT_INSTALLED) from error
    matcher = library.MaskFormerHungarianMatcher(
        cost_class=1.0, cost_mask=weights["loss_mask"], cost_dice=weights["loss_dice"]
    )
    module: nn.Module = library.MaskFormerLoss(num_classes, matcher, weights, no_object_weight)
    return module
