"""Loss terms: functions of a network's :class:`~bench.network.model.Output` and the labels, each with its weight.

Shapes: logits and spatial side outputs ``N K H W``, boundary logits ``N 1 H W``, label ``N H W`` of class indices with
:data:`~bench.data.base.IGNORE` for void; ``K`` classes. A term is 0-dimensional, in float32 at least. Void pixels count
in none of them, and a batch that is all void has a loss of exactly 0, with a gradient of 0; forms named
``as_published`` may differ. The terms that only Gated-SCNN has are in :mod:`bench.network.losses.gscnn` and
:mod:`bench.network.losses.dual_task`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.base import IGNORE
from bench.network.layers import WiringError
from bench.network.losses.boundaries import PublishedForm, boundary_target
from bench.network.model import Output
from bench.parts import ChoiceError, Count, NonNegative


class SegmentationLoss(nn.Module):
    """The cross-entropy of the logits, averaged over the pixels that are not void.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term.
        class_weights: one weight for each class, for the mean over pixels; ``()`` weighs all classes alike.

    Raises:
        ChoiceError: if the number of class weights is not the number of classes.
    """

    class_weights: Tensor | None

    def __init__(
        self, num_classes: int, *, weight: NonNegative = 1.0, class_weights: tuple[NonNegative, ...] = ()
    ) -> None:
        super().__init__()
        if class_weights and len(class_weights) != num_classes:
            raise ChoiceError(
                f"SegmentationLoss(class_weights=…): expected {num_classes} weights, one a class, got "
                f"{len(class_weights)}; give {num_classes}, or () to weigh all classes alike"
            )
        self.weight = weight
        self.register_buffer("class_weights", torch.tensor(class_weights) if class_weights else None, persistent=False)

    def forward(self, output: Output, label: Tensor) -> Tensor:
        return self.weight * cross_entropy(output.logits, label, self.class_weights)


class AuxiliaryLoss(nn.Module):
    """The sum of the cross-entropies of side outputs, each computed as in :class:`SegmentationLoss`.

    Side outputs with unequal weights (in mmsegmentation's DANet, ``pam`` and ``cam`` have 1.0 and ``c4`` 0.4) need a
    loss each.

    Args:
        num_classes: the number of classes.
        outputs: the names of the side outputs: ``c4`` is the auxiliary slot's, ``pam`` and ``cam`` dual attention's.
        weight: the weight of the term.

    Raises:
        ChoiceError: if there are no outputs, or if one is named twice.
    """

    def __init__(self, num_classes: int, *, outputs: tuple[str, ...] = ("c4",), weight: NonNegative = 0.4) -> None:
        super().__init__()
        if not outputs or len(set(outputs)) != len(outputs):
            raise ChoiceError(
                f"AuxiliaryLoss(outputs={outputs!r}): expected one or more side outputs, each once, such as ('c4',)"
            )
        self.outputs = outputs
        self.weight = weight

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """The weighted sum.

        Raises:
            WiringError: if the network does not have a side output, or if it is no map of K classes.
        """
        terms = [cross_entropy(self._side(output, name), label) for name in self.outputs]
        return self.weight * torch.stack(terms).sum()

    def _side(self, output: Output, name: str) -> Tensor:
        side = output.aux.get(name)
        if side is None:
            raise WiringError(
                f"AuxiliaryLoss reads the side output {name!r}, but the network gave {sorted(output.aux) or 'none'}; "
                "fill the auxiliary slot for 'c4', choose a head that has this output, run it with auxiliaries on, or "
                "take the name out of outputs"
            )
        if side.ndim != 4:
            raise WiringError(
                f"AuxiliaryLoss reads maps N K H W, but {name!r} has the shape {tuple(side.shape)}; take it out of "
                "outputs"
            )
        return side


class SemanticEncodingLoss(nn.Module):
    """The binary cross-entropy of the presence of each class in the image: EncNet's supervision of the context.

    An image that is all void has no information about presence and is left out of the mean.

    Args:
        num_classes: the number of classes.
        weight: the weight of the term; EncNet and FastFCN have 0.2.
    """

    def __init__(self, num_classes: int, *, weight: NonNegative = 0.2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.weight = weight

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """The weighted term.

        Raises:
            WiringError: if the network has no side output ``presence``.
        """
        if "presence" not in output.aux:
            raise WiringError(
                f"SemanticEncodingLoss reads the side output 'presence', but the network gave "
                f"{sorted(output.aux) or 'none'}; take EncNetHead(presence=True) with auxiliaries on, or leave this "
                "loss out"
            )
        logits = widened(output.aux["presence"])
        counts = class_counts(label, self.num_classes)
        target = counts.gt(0).to(logits.dtype)
        seen = target.amax(1, keepdim=True)
        total = F.binary_cross_entropy_with_logits(logits, target, seen.expand_as(logits), reduction="sum")
        return self.weight * total / (seen.sum() * self.num_classes).clamp(min=1)


class BoundaryLoss(nn.Module):
    """The class-balanced binary cross-entropy of the boundary logits, with the band around label boundaries as target.

    If the share of boundary pixels among those that are not void is ``b``, a boundary pixel weighs ``1 - b`` and any
    other ``b``; the mean is over all of them in the whole batch. This is Gated-SCNN's edge loss, applied to logits.

    Args:
        num_classes: the number of classes, whose boundaries all count alike.
        weight: the weight of the term; Gated-SCNN has 20.
        radius_px: the distance from a pixel with another label up to which the band reaches, on each side; Gated-SCNN
            has 2.
        form: ``as_published`` applies a second sigmoid, so that no probability is below 0.5 or above 0.73; it counts
            void pixels; and it has the release's targets, see
            :func:`~bench.network.losses.boundaries.boundary_target`.
    """

    def __init__(
        self, num_classes: int, *, weight: NonNegative = 20.0, radius_px: Count = 2, form: PublishedForm = "as_intended"
    ) -> None:
        super().__init__()
        self.weight = weight
        self.radius_px = radius_px
        self.form: PublishedForm = form

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """The weighted term.

        Raises:
            WiringError: if the network has no boundary logits.
        """
        logits = boundary_logits(self, output)
        target = boundary_target(label, self.radius_px, form=self.form)
        if self.form == "as_intended":
            return self.weight * balanced_cross_entropy(logits, target, label != IGNORE)
        return self.weight * balanced_cross_entropy(torch.sigmoid(widened(logits)), target, torch.ones_like(target))


def cross_entropy(logits: Tensor, label: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """The mean cross-entropy over the pixels that are not void, weighted by class; 0 if all pixels are void."""
    label, logits = label.long(), widened(logits)
    if class_weights is not None:
        class_weights = class_weights.to(logits.dtype)
    total = F.cross_entropy(logits, label, class_weights, ignore_index=IGNORE, reduction="sum")
    known = label != IGNORE
    if class_weights is None:
        return total / known.sum().clamp(min=1)
    weights = torch.where(known, class_weights[label.where(known, 0)], 0)
    share = weights.sum()
    return total / share.where(share > 0, 1)


def balanced_cross_entropy(logits: Tensor, target: Tensor, known: Tensor, *, over_all: bool = False) -> Tensor:
    """The binary cross-entropy in which true pixels are weighted by the share of false ones, and false by that of true.

    Args:
        logits: the logits, ``N H W``; the published form passes probabilities in their place.
        target: the boolean target, ``N H W``.
        known: the mask of the pixels that count, ``N H W``, boolean.
        over_all: ``True`` to divide by the number of all pixels, ``False`` to divide by that of the known ones.

    Returns:
        The mean over the known pixels; 0 if there are none.
    """
    logits = widened(logits)
    count = known.sum().clamp(min=1)
    share = (target & known).sum() / count
    weights = torch.where(target, 1 - share, share) * known
    total = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), weights, reduction="sum")
    return total / (known.numel() if over_all else count)


def boundary_logits(loss: nn.Module, output: Output) -> Tensor:
    """The network's boundary logits, ``N H W``.

    Raises:
        WiringError: if the network has none.
    """
    if output.boundary is None:
        raise WiringError(
            f"{type(loss).__name__} reads boundary logits, but the network gave none; fill the shape_stream slot, or "
            "leave this loss out"
        )
    return output.boundary.squeeze(1)


def class_counts(label: Tensor, num_classes: int) -> Tensor:
    """The number of pixels of each class in each image, ``N K``; void is not counted."""
    index = label.long().where(label != IGNORE, num_classes).flatten(1)
    counts = torch.zeros(len(label), num_classes + 1, dtype=torch.long, device=label.device)
    return counts.scatter_add(1, index, torch.ones_like(index))[:, :num_classes]


def widened(logits: Tensor) -> Tensor:
    """The logits in float32 at least, because half precision cannot hold a sum over all pixels.

    The same as :func:`bench.network.layers.widened`; as one function, finished trials would have other keys.
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
