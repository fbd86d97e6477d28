"""Forward, loss and backward of variants in training mode on a GPU that computes nothing, in every precision.

Tensors are torch's fake ones: each operator checks that its operands lie on one device, and gives a shape and a type.
A network is made on the CPU and moved, as for training, so that what it forgets to move stays there.

Components share nothing but features, levels and the boundary map. So each backbone runs once, and what is behind it
runs on its features, once for all variants that are alike there: a hundred networks take seconds.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.network import SimplePyramid, Timm
from bench.network.losses.segmentation import SegmentationLoss
from bench.network.model import VARIANT_FIELDS, SegModel, Variant
from bench.network.numerics import numerics
from bench.parts import Level, Levels, Part, part
from bench.protocol.recipe import Precision
from bench.study.source import load_study
from tests.measure.networks import unloaded

STUDIES = [
    path for path in sorted(Path(__file__).parents[3].joinpath("studies").glob("[a-z]*.py")) if path.stem != "families"
]
"""Every study but that of whole networks, which `nox -s extras` tests; its parts are those of the others."""
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
HEIGHT, WIDTH, CLASSES = 65, 97, 5
WITH_BACKWARD: Precision = "bfloat16"
"""The precision in which gradients are computed too: their devices do not depend on it, and there casts have some."""
GPU = torch.device("cuda")
FINE = ""

Module = TypeVar("Module", bound=nn.Module)
Faults = dict[str, dict[str, str]]
"""Variant -> precision -> the error, or :data:`FINE`."""


def allow_half_precision() -> None:
    """Let autocast and the gradient scaler work for CUDA, which torch refuses where it sees no GPU."""
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = lambda including_emulation=True: True


def faults_of_the_studies() -> Faults:
    """The faults of every variant of every study, but those with a backbone of timm, whose constructors read values."""
    variants = {
        f"{path.stem}, {cell.name}": unloaded(cell.variant)
        for path in STUDIES
        for cell in load_study(path).cells()
        if cell.variant.backbone is None or cell.variant.backbone.cls not in (Timm, SimplePyramid)
    }
    return faults_of(variants)


def faults_of(variants: Mapping[str, Variant]) -> Faults:
    """The faults of variants by their names."""
    with FakeTensorMode():
        steps = _Steps()
        return {name: steps.faults(variant) for name, variant in variants.items()}


@dataclass(frozen=True)
class _Backbone:
    """What a backbone gave: its levels, its features by the type of autocast, and its errors by precision."""

    levels: Levels
    features: dict[torch.dtype | None, list[Tensor]]
    faults: dict[str, str]


class _Steps:
    """Training steps of several variants, which remember what was run before."""

    def __init__(self) -> None:
        self.image = torch.empty(2, 3, HEIGHT, WIDTH, device=GPU)
        self.label = torch.empty(2, HEIGHT, WIDTH, dtype=torch.long, device=GPU)
        self.backbones: dict[Part[Any], _Backbone] = {}
        self.behind: dict[tuple[Any, ...], dict[str, str]] = {}

    def faults(self, variant: Variant) -> dict[str, str]:
        """Precision -> the error of a variant's training step."""
        if variant.backbone is None:
            return self._faults(_built(variant))
        if variant.backbone not in self.backbones:
            self.backbones[variant.backbone] = self._run(variant.backbone)
        backbone = self.backbones[variant.backbone]
        rest = [getattr(variant, name) for name in VARIANT_FIELDS if name != "backbone"]
        alike = (backbone.levels, *(tuple(map(_form, maps)) for maps in backbone.features.values()), *rest)
        if alike not in self.behind:
            self.behind[alike] = self._faults(_built(replace(variant, backbone=part(_giving(backbone)))))
        return {precision: backbone.faults[precision] or self.behind[alike][precision] for precision in PRECISIONS}

    def _run(self, backbone: Part[Any]) -> _Backbone:
        """Run a backbone with a head that does nothing."""
        model = _built(Variant(backbone, part(Summed), losses=(part(SegmentationLoss),)))
        assert model.backbone is not None
        given: dict[torch.dtype | None, list[Tensor]] = {}
        model.backbone.register_forward_hook(lambda module, inputs, outputs: given.update({_autocast(): outputs}))
        faults = self._faults(model)
        return _Backbone(model.backbone.out_levels, given, faults)

    def _faults(self, model: SegModel) -> dict[str, str]:
        losses = [_moved(loss.build(CLASSES)) for loss in model.variant.losses]
        return {precision: self._fault(model, losses, precision) for precision in PRECISIONS}

    def _fault(self, model: SegModel, losses: Sequence[nn.Module], precision: Precision) -> str:
        try:
            with numerics(precision, "default", GPU):
                output = model(self.image, with_aux=True)
                loss = torch.stack([term(output, self.label) for term in losses]).sum()
            if precision == WITH_BACKWARD:
                loss.backward()
        except Exception:  # noqa: BLE001 - whatever a component raises is the result
            return traceback.format_exc()
        return FINE


def _autocast() -> torch.dtype | None:
    """The type to which autocast casts on a GPU, if it is on: it tells the precisions apart inside a network."""
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None


def _form(features: Tensor) -> tuple[Any, ...]:
    return (features.device, features.dtype, features.shape, features.is_contiguous())


def _giving(backbone: _Backbone) -> type[nn.Module]:
    """A backbone that gives the features of another, which was run before."""

    class Known(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out_levels = backbone.levels

        def forward(self, image: Tensor) -> list[Tensor]:
            return [features.detach().requires_grad_() for features in backbone.features.get(_autocast(), [])]

    return Known


def _built(variant: Variant) -> SegModel:
    return _moved(SegModel(variant, CLASSES))


def _moved(module: Module) -> Module:
    """The module after ``module.to(GPU)``, which fails for fake parameters: what is registered moves, and no more."""
    for each in module.modules():
        for name, parameter in each.named_parameters(recurse=False):
            each.register_parameter(name, nn.Parameter(parameter.detach().to(GPU), parameter.requires_grad))
        for name, buffer in each.named_buffers(recurse=False):
            setattr(each, name, buffer.to(GPU))
    return module


class Summed(nn.Module):
    """A head that does nothing but reach every feature, so that gradients reach the whole backbone."""

    def __init__(self, levels: Levels, classes: int, boundary: Level | None = None) -> None:
        super().__init__()
        self.classes = classes

    def forward(
        self, features: Sequence[Tensor], boundary: Tensor | None = None, *, with_aux: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        means = torch.stack([feature.float().mean((1, 2, 3)) for feature in features]).sum(0)
        return means[:, None, None, None].expand(-1, self.classes, *features[-1].shape[-2:]), {}
