"""Computed controls: components that test another explanation of a difference than the component in question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from bench.network.model import SegModel, Variant
from bench.network.shapes_alone import shapes_alone
from bench.parts import ChoiceError, Part

TOLERANCE = 0.01
"""The share by which the number of parameters of a matched head may differ."""


def matched_head(control: Part[Any], variant: Variant, num_classes: int, *, choice: str = "width") -> Part[Any]:
    """The head ``control``, widened until it has as many parameters in the variant as the variant's own head.

    Attention comes with additional convolutions: at 2048 channels, dual attention has 14.5 million parameters more than
    the plain head, of which only 0.3 million belong to the attention. With a frozen gamma, these convolutions and the
    cost of the attention remain. A plain head of the same size shows the effect of the parameters alone.

    >>> matched_head(part(FCNHead), Variant(part(ResNet, output_stride=8), part(DualAttentionHead), losses=…), 19)
    FCNHead(width=1298, dropout=0.1)

    Args:
        control: the head to widen; its other choices stay.
        variant: the variant whose head is matched. Both heads are built on the meta device, so this is fast.
        num_classes: the number of classes.
        choice: the choice to search, a whole number; a larger number must mean more parameters.

    Raises:
        ChoiceError: if the control does not have the choice, or if no value of it matches.
    """
    model = shapes_alone(lambda: SegModel(variant, num_classes))
    source = model.neck if model.neck is not None else model.backbone
    if model.head is None or source is None:
        raise ChoiceError("matched_head needs a variant with a backbone and a head, got a whole network; match by hand")
    boundary = getattr(model.shape_stream, "out_level", None)

    def size(width: int) -> int:
        head = control.having(**{choice: width})
        return _parameters(shapes_alone(lambda: head.build(source.out_levels, num_classes, boundary)))

    target = _parameters(model.head)
    best = _nearest(size, target)
    if abs(size(best) - target) > TOLERANCE * target:
        raise ChoiceError(
            f"{control!r}: no {choice} comes within {TOLERANCE:.0%} of the {target:,} parameters of "
            f"{variant.head!r}; the nearest is {best} with {size(best):,}. Take another control, or other fixed choices"
        )
    return control.having(**{choice: best})


def _nearest(size: Callable[[int], int], target: int) -> int:
    """The whole number at which the increasing function ``size`` is nearest to ``target``."""
    high = 1
    while size(high) < target:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return min(
        (candidate for candidate in (low, high) if candidate > 0), key=lambda candidate: abs(size(candidate) - target)
    )


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
