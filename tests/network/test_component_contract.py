"""What every component keeps to, over a list of Parts: shapes at odd sizes, draws, gradients, state, devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.network.backbones.resnet import ResNet
from bench.network.backbones.wide_resnet import WideResNet38
from bench.network.heads.aspp import DeepLabV3Head, DeepLabV3PlusHead
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.heads.encoding import EncNetHead
from bench.network.heads.fcn import FCNHead
from bench.network.heads.psp import PSPHead
from bench.network.necks.bilinear import Bilinear
from bench.network.necks.fpn import FPN
from bench.network.necks.jpu import JPU, JPUX
from bench.network.necks.path_aggregation import PathAggregation
from bench.network.numerics import halved
from bench.network.shape_streams.gated import GatedShapeStream
from bench.parts import Level, Levels, Part, part

HEIGHT, WIDTH = 65, 97
CLASSES = 5

PYRAMID: Levels = (Level(6, 2), Level(8, 4), Level(12, 8), Level(16, 16), Level(24, 32))
DILATED: Levels = (Level(6, 2), Level(8, 4), Level(12, 8), Level(16, 8), Level(24, 8))
WIDE: Levels = (Level(6, 1), Level(8, 2), Level(12, 4), Level(16, 8), Level(24, 8))
EDGES = Level(1, 1)
LARGE = 100.0
"""Standard deviation of large features: their squares, 10,000 and more, sum up beyond what float16 holds."""


@dataclass(frozen=True)
class Case:
    """A Part with the facts of its neighbours; ``boundary`` is given to heads alone."""

    slot: str
    part: Part[Any]
    levels: Levels = ()
    boundary: Level | None = None

    def build(self, seed: int = 0) -> nn.Module:
        facts: list[Any] = [] if self.slot == "backbone" else [self.levels]
        if self.slot == "head":
            facts += [CLASSES, self.boundary]
        torch.manual_seed(seed)
        module: nn.Module = self.part.build(*facts)
        for name, parameter in module.named_parameters():
            if name.endswith("gamma"):
                nn.init.constant_(parameter, 0.5)
        return module

    def inputs(self, device: str = "cpu", dtype: torch.dtype = torch.float32) -> dict[str, Any]:
        """An image, features of the facts' sizes and a boundary map, as far as the slot is given them."""
        generator = torch.Generator().manual_seed(1)

        def draw(channels: int, height: int, width: int) -> Tensor:
            return torch.randn(2, channels, height, width, generator=generator).to(device, dtype)

        features = [draw(level.channels, *level.size(HEIGHT, WIDTH)) for level in self.levels]
        image = draw(3, HEIGHT, WIDTH)
        if self.slot == "backbone":
            return {"image": image}
        if self.slot == "neck":
            return {"features": features}
        if self.slot == "shape_stream":
            return {"image": image, "features": features}
        boundary = None
        if self.boundary is not None:
            boundary = draw(self.boundary.channels, *self.boundary.size(HEIGHT, WIDTH)).sigmoid()
        return {"features": features, "boundary": boundary, "with_aux": True}


CASES = [
    *(Case("backbone", part(ResNet, depth=18, width=4, output_stride=stride)) for stride in (8, 16, 32)),
    Case("backbone", part(ResNet, depth=34, width=4, stem="deep")),
    Case("backbone", part(ResNet, depth=50, width=4, stem="deep", output_stride=8, multi_grid=(4, 8, 16))),
    Case("backbone", part(ResNet, depth=50, width=4, stem="deep", stem_widths=(3, 4, 5), dilations=(1, 1, 2, 4))),
    Case("backbone", part(WideResNet38, width=2)),
    Case("neck", part(JPU, width=6), PYRAMID),
    *(Case("neck", part(JPU, width=6, depthwise_norm=norm), PYRAMID) for norm in ("local", "none")),
    Case("neck", part(JPUX, width=8, groups=2), PYRAMID),
    *(Case("neck", part(FPN, width=6, fusion=fusion), PYRAMID) for fusion in ("concat", "sum", "finest")),
    *(Case("neck", part(PathAggregation, width=6, fusion=fusion), PYRAMID) for fusion in ("concat", "sum")),
    Case("neck", part(Bilinear), PYRAMID),
    Case("neck", part(JPU, width=6, dilations=(1, 2), frozen=True), PYRAMID),
    *(Case("head", part(FCNHead, width=8), DILATED, boundary) for boundary in (None, EDGES)),
    *(
        Case("head", part(DualAttentionHead, width=8, position=position, channel=channel), DILATED, boundary)
        for boundary in (None, EDGES)
        for position in (True, False)
        for channel in (True, False)
    ),
    Case("head", part(DualAttentionHead, width=8, branch_logits=False, channel_sign="paper"), DILATED),
    *(
        Case("head", each, DILATED, boundary)
        for boundary in (None, EDGES)
        for each in (
            part(PSPHead, width=8),
            part(DeepLabV3Head, width=8, rates=(2, 4)),
            part(DeepLabV3Head, width=8, rates=(2, 4), projection=False),
            part(DeepLabV3PlusHead, width=8, rates=(2, 4), low_width=4),
            part(EncNetHead, width=8, codes=4),
        )
    ),
    Case("head", part(EncNetHead, width=8, codes=4, entry_kernel=1, lateral=True, presence=False), DILATED),
    Case("shape_stream", part(GatedShapeStream, widths=(6, 5, 4, 3)), PYRAMID),
    Case("shape_stream", part(GatedShapeStream, widths=(6, 5, 4, 3)), WIDE),
    *(
        Case("shape_stream", part(GatedShapeStream, widths=(6, 5, 4, 3), image_gradient=gradient), PYRAMID)
        for gradient in ("canny", "released")
    ),
    Case("shape_stream", part(GatedShapeStream, widths=(8, 5, 4, 3), image_gradient="none", stride=2), PYRAMID),
    Case("shape_stream", part(GatedShapeStream, widths=(6, 5, 4, 3), gates="open"), PYRAMID),
]

every_case = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.slot}-{case.part}{'-boundary' if case.boundary else ''}"
)


def run(module: nn.Module, inputs: Mapping[str, Any]) -> list[Tensor]:
    """Every tensor that a component gives, in order."""
    return tensors(module(**inputs))


def tensors(given: Any) -> list[Tensor]:
    if isinstance(given, Tensor):
        return [given]
    values: Sequence[Any] = list(given.values()) if isinstance(given, dict) else list(given)
    return [tensor for value in values for tensor in tensors(value)]


def expected_shapes(case: Case, module: nn.Module) -> list[tuple[int, ...]]:
    """Shapes that the component announces: ``out_levels``, ``out_level``, or K classes where a head ends."""
    if case.slot in ("backbone", "neck"):
        return [(2, level.channels, *level.size(HEIGHT, WIDTH)) for level in module.out_levels]
    if case.slot == "shape_stream":
        level = module.out_level
        return [(2, 1, HEIGHT, WIDTH), (2, level.channels, *level.size(HEIGHT, WIDTH))]
    last = case.levels[-4 if isinstance(module, DeepLabV3PlusHead) else -1]
    logits = (2, CLASSES, *last.size(HEIGHT, WIDTH))
    presence = [(2, CLASSES)] if getattr(module, "presence", None) is not None else []
    return [logits] * (1 + len(getattr(module, "branch_classifiers", ()))) + presence


@every_case
def test_outputs_have_the_announced_shapes_at_odd_sizes_and_are_finite(case: Case) -> None:
    module = case.build()
    outputs = run(module, case.inputs())
    assert [tuple(output.shape) for output in outputs] == expected_shapes(case, module)
    assert all(output.isfinite().all() for output in outputs)


@every_case
def test_the_same_seed_gives_the_same_tensors_and_another_seed_others(case: Case) -> None:
    first, again, other = (case.build(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not first or any(not torch.equal(first[name], other[name]) for name in first)


@every_case
def test_a_state_dict_carries_everything_that_the_output_depends_on(case: Case) -> None:
    source, target = case.build(1), case.build(2)
    run(source, case.inputs())  # moves the running statistics
    target.load_state_dict(source.state_dict())
    for one, other in zip(run(source.eval(), case.inputs()), run(target.eval(), case.inputs()), strict=True):
        assert torch.equal(one, other)


@every_case
def test_a_gradient_reaches_every_trainable_parameter_but_those_listed_with_a_reason(case: Case) -> None:
    module = case.build().double()
    outputs = run(module, case.inputs(dtype=torch.float64))
    generator = torch.Generator().manual_seed(2)
    loss = torch.stack([(out * torch.randn(out.shape, generator=generator).double()).sum() for out in outputs]).sum()
    trainable = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not trainable:
        assert not loss.requires_grad
        return
    grads = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
    sizes = {name: 0.0 if g is None else float(g.abs().max()) for name, g in zip(trainable, grads, strict=True)}
    rounding = 1e-12 * max(sizes.values())
    excused = tuple(getattr(module, "zero_gradient", {}))
    assert {name for name, size in sizes.items() if size <= rounding} == {
        n for n in sizes if n.endswith(excused or "-")
    }


@every_case
def test_nothing_leaves_the_device_in_a_forward_pass(case: Case) -> None:
    """On the meta device there are no values, so whatever reads one (``.item()``, ``.cpu()``, NumPy) raises."""
    module = case.build().to("meta")
    outputs = run(module, case.inputs("meta"))
    assert [tuple(output.shape) for output in outputs] == expected_shapes(case, module)
    assert {output.device.type for output in outputs} == {"meta"}


@every_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_under_autocast_gives_finite_outputs_and_gradients_of_large_activations(
    case: Case, dtype: torch.dtype
) -> None:
    module, inputs = case.build(), case.inputs()
    inputs = {name: [LARGE * x for x in given] if name == "features" else given for name, given in inputs.items()}
    with torch.autocast("cpu", dtype=dtype):
        outputs = run(module, inputs)
    assert all(output.isfinite().all() for output in outputs)
    loss = torch.stack([output.float().square().mean() for output in outputs]).sum()
    if loss.requires_grad:
        loss.backward()
    assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)


@every_case
def test_weights_cast_once_give_the_outputs_of_autocast_bit_for_bit(case: Case) -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        module = case.build().eval()
        expected = run(module, case.inputs())
        halved(module, torch.bfloat16)
        outputs = run(module, case.inputs())
    assert all(torch.equal(one, other) for one, other in zip(outputs, expected, strict=True))
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert {layer.weight.dtype for layer in layers} <= {torch.bfloat16}


@pytest.mark.parametrize("head", [case for case in CASES if case.slot == "head" and case.boundary], ids=str)
def test_a_boundary_leaves_every_shared_initial_tensor_of_a_head_as_it_was(head: Case) -> None:
    plain = Case(head.slot, head.part, head.levels).build().state_dict()
    with_boundary = head.build().state_dict()
    assert set(plain) < set(with_boundary)
    # ASPP concatenates the boundary's branch, so what joins all branches has more inputs.
    resized = {name for name in plain if plain[name].shape != with_boundary[name].shape}
    assert len(resized) <= 1
    assert resized <= {"project.weight", "project.0.weight", "entry.0.weight"}
    assert all(torch.equal(plain[name], with_boundary[name]) for name in set(plain) - resized)
