"""Variant and SegModel: a network of five slots with one resize convention, and its forward contract.

Shapes: image ``N 3 H W`` (normalised), logits ``N K H W``, boundary logits ``N 1 H W``; ``K`` classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from bench.network.layers import Resize, WiringError, resize
from bench.parts import Level, Levels, Part

SLOTS = ("backbone", "neck", "head", "auxiliary", "shape_stream")
CONVENTIONS = ("align_corners", "logits_align_corners")


class Output(NamedTuple):
    """The output of a segmentation network for a batch.

    Attributes:
        logits: the class logits at image size, ``N K H W``.
        aux: the supervised side outputs by name: logits at image size (``pam``, ``cam``, ``c4``), or a vector for each
            image (``presence``, ``N K``). Those of a whole network are as it returns them. Empty if side outputs are
            off.
        boundary: the boundary logits at image size, ``N 1 H W``; ``None`` without a shape stream.
    """

    logits: Tensor
    aux: dict[str, Tensor]
    boundary: Tensor | None


@dataclass(frozen=True)
class Variant:
    """A segmentation network as Parts, not yet built.

    Attributes:
        backbone: the backbone, which computes features C1 … C5 from the image.
        head: the decode head.
        neck: the component between backbone and head; ``None`` passes the backbone's features on.
        auxiliary: a head on the backbone's C4, used in training only.
        shape_stream: the component that computes boundary logits, and a boundary map for the head, from image and
            features.
        losses: the loss terms (:mod:`bench.network.losses.segmentation`).
        align_corners: the resize convention of the whole network.
        logits_align_corners: the convention of the last resize; ``None`` is ``align_corners``.
        whole: a whole network in place of the slots: any ``nn.Module`` with ``forward(image) -> logits`` whose
            constructor takes the number of classes as its only positional parameter. One whose attribute
            ``has_side_outputs`` is true takes ``with_aux`` too, and returns ``(logits, side outputs)`` if that is true.
    """

    backbone: Part[Any] | None = None
    head: Part[Any] | None = None
    neck: Part[Any] | None = None
    auxiliary: Part[Any] | None = None
    shape_stream: Part[Any] | None = None
    losses: tuple[Part[Any], ...] = ()
    align_corners: bool = True
    logits_align_corners: bool | None = None
    whole: Part[Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in (*SLOTS, "whole"):
            value = getattr(self, name)
            if not isinstance(value, Part | None):
                raise TypeError(f"{name}={value!r}: a slot takes a Part, so write part({_name(value)}, …), or None")
        if not all(isinstance(loss, Part) for loss in self.losses):
            raise TypeError(f"losses={self.losses!r}: expected a tuple of Parts, such as (part(SegmentationLoss),)")
        if not self.losses:
            raise WiringError("a Variant without losses cannot be trained; give losses=(part(SegmentationLoss),)")
        filled = [slot for slot in SLOTS if getattr(self, slot) is not None]
        if self.whole is not None and filled:
            raise WiringError(f"whole={self.whole!r} is a network by itself, so {', '.join(filled)} must be left out")
        if self.whole is None and (self.backbone is None or self.head is None):
            raise WiringError("a Variant needs a backbone and a head, or whole=part(YourNetwork)")

    def parts(self) -> dict[str, Part[Any]]:
        """The filled slots by name, in the order in which a network is built."""
        named = {slot: getattr(self, slot) for slot in (*SLOTS, "whole")}
        return {slot: part for slot, part in named.items() if part is not None}

    def describe(self) -> dict[str, Any]:
        """The Variant as JSON-ready data, with the values of all choices."""
        described: dict[str, Any] = {slot: part.describe() for slot, part in self.parts().items()}
        described["losses"] = [loss.describe() for loss in self.losses]
        for name in CONVENTIONS:
            described[name] = getattr(self, name)
        return described


VARIANT_FIELDS = tuple(attribute.name for attribute in dataclass_fields(Variant))


class SegModel(nn.Module):
    """A built Variant, with one submodule for each slot, or ``None`` for an empty one.

    Args:
        variant: the variant to build.
        num_classes: the number of classes.
        seed: the seed of the initial weights. Each slot has a random stream of its own, so two variants with the same
            Part in a slot get bit-identical tensors there.

    Raises:
        WiringError: if neighbouring components do not fit together.
    """

    def __init__(self, variant: Variant, num_classes: int, *, seed: int = 0) -> None:
        super().__init__()
        self.variant = variant
        self.num_classes = num_classes

        def build(slot: str, *facts: Any) -> nn.Module | None:
            part = getattr(variant, slot)
            if part is None:
                return None
            with _slot_generator(seed, slot):
                return cast(nn.Module, part.build(*facts))

        self.whole = build("whole", num_classes)
        self.backbone = build("backbone")
        levels: Levels = () if self.backbone is None else _out_levels(self.backbone, "backbone")
        self.neck = build("neck", levels)
        head_levels = levels if self.neck is None else _out_levels(self.neck, "neck")
        self.shape_stream = build("shape_stream", levels)
        boundary: Level | None = getattr(self.shape_stream, "out_level", None)
        self.head = build("head", head_levels, num_classes, boundary)
        if variant.auxiliary is not None and len(levels) < 2:
            raise WiringError(
                f"the auxiliary head reads the level before the last, but {variant.backbone!r} has {len(levels)}"
            )
        self.auxiliary = build("auxiliary", levels[:-1], num_classes)
        for module in self.modules():
            if isinstance(module, Resize):
                module.align_corners = variant.align_corners

    def forward(self, image: Tensor, with_aux: bool | None = None) -> Output:
        """The network's output for ``image``, which has the same form in training and evaluation.

        Args:
            image: the normalised images, ``N 3 H W``.
            with_aux: ``True`` to compute side outputs, ``False`` for none; ``None`` means ``self.training``.
        """
        if with_aux is None:
            with_aux = self.training
        size = image.shape[-2:]
        if self.variant.whole is not None and with_aux and getattr(self.whole, "has_side_outputs", False):
            assert self.whole is not None
            scores, sides = self.whole(image, with_aux=True)
            return Output(self._to_image(scores, size), sides, None)
        if self.whole is not None:
            return Output(self._to_image(self.whole(image), size), {}, None)
        assert self.backbone is not None
        assert self.head is not None
        features: list[Tensor] = self.backbone(image)
        edges = boundary_map = None
        if self.shape_stream is not None:
            edges, boundary_map = self.shape_stream(image, features)
        fused = features if self.neck is None else self.neck(features)
        logits, aux = self.head(fused, boundary_map, with_aux=with_aux)
        if with_aux and self.auxiliary is not None:
            aux = {**aux, "c4": self.auxiliary(features[:-1], with_aux=False)[0]}
        spatial = {name: self._to_image(side, size) if side.ndim == 4 else side for name, side in aux.items()}
        return Output(self._to_image(logits, size), spatial, edges)

    def slots(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the filled slots as (name, module)."""
        for slot in (*SLOTS, "whole"):
            module = getattr(self, slot)
            if module is not None:
                yield slot, module

    def _to_image(self, logits: Tensor, size: torch.Size) -> Tensor:
        convention = self.variant.logits_align_corners
        return resize(logits, size, self.variant.align_corners if convention is None else convention)


class LogitsOnly(nn.Module):
    """A network as ``image -> logits`` without side outputs: its deployed form, which is counted and timed."""

    def __init__(self, model: SegModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image, with_aux=False).logits
        return logits


@contextmanager
def _slot_generator(seed: int, slot: str) -> Iterator[None]:
    """Inside the block, let torch draw from a stream that depends on (seed, slot) alone; the outer one is unchanged."""
    digest = hashlib.sha256(f"{seed}/{slot}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        yield


def _out_levels(module: nn.Module, slot: str) -> Levels:
    levels = getattr(module, "out_levels", None)
    if not (isinstance(levels, tuple) and levels and all(isinstance(level, Level) for level in levels)):
        raise WiringError(
            f"the {slot} {type(module).__name__} must set out_levels to a tuple of Level(channels, stride), "
            f"got {levels!r}"
        )
    return levels


def _name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__
