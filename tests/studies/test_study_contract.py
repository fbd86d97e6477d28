"""What every variant of every study that ships keeps to: one step of training reaches all that is to be trained.

Narrow by default, at the studies' own widths under ``nox -s contract``. A new study's variants are found by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bench.data.base import IGNORE
from bench.network import SimplePyramid, Timm
from bench.network.model import SLOTS, Output, SegModel, Variant
from bench.parts import Part
from bench.study.cells import Cell
from bench.study.source import load_study
from tests.measure.networks import without_weights

HEIGHT, WIDTH = 65, 97
CLASSES = 5
NARROWER = 8
"""What every width is divided by."""

STUDIES = [
    path for path in sorted(Path(__file__).parents[2].joinpath("studies").glob("[a-z]*.py")) if path.stem != "families"
]
"""Every study but that of whole networks, which `nox -s extras` tests; its parts are those of the others."""
CELLS = [(path.stem, cell) for path in STUDIES for cell in load_study(path).cells()]


def marks(cell: Cell, divisor: int) -> list[pytest.MarkDecorator]:
    """A backbone of timm is a matter of ``nox -s timm``, and the full width of others one of ``nox -s contract``."""
    if cell.variant.backbone is not None and cell.variant.backbone.cls in (Timm, SimplePyramid):
        return [pytest.mark.timm]
    return [pytest.mark.contract] if divisor == 1 else []


every_variant = pytest.mark.parametrize(
    ("study", "cell", "divisor"),
    [
        pytest.param(study, cell, divisor, marks=marks(cell, divisor), id=label)
        for divisor in (NARROWER, 1)
        for study, cell in CELLS
        for label in [f"{study}-{cell.name}-{'full' if divisor == 1 else 'narrow'}"]
    ],
)


def narrowed(variant: Variant, divisor: int) -> dict[str, Part[Any] | None]:
    """The variant's slots with every width divided, and without weights that would be fetched."""
    return {
        slot: each and _narrower(without_weights(each), divisor)
        for slot, each in ((slot, getattr(variant, slot)) for slot in SLOTS)
    }


def _narrower(part: Part[Any], divisor: int) -> Part[Any]:
    changes: dict[str, Any] = {}
    for name, value in part.choices:
        if isinstance(value, Part):
            changes[name] = _narrower(value, divisor)
        elif name in ("width", "low_width", "codes") and value is not None:
            changes[name] = min(value, max(8, value // divisor))
        elif name in ("widths", "stem_widths") and value is not None:
            changes[name] = tuple(min(each, max(3, each // divisor)) for each in value)
    return part.having(**changes)


def built(cell: Cell, divisor: int) -> SegModel:
    variant = cell.variant
    slots = narrowed(variant, divisor)
    model = SegModel(
        Variant(
            **slots,
            losses=variant.losses,
            align_corners=variant.align_corners,
            logits_align_corners=variant.logits_align_corners,
        ),
        CLASSES,
    )
    if isinstance(model.backbone, (Timm, SimplePyramid)):  # timm begins many blocks with factors of zero or of 1e-6
        for parameter in model.backbone.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        for module in model.backbone.modules():
            if hasattr(module, "drop_prob"):  # stochastic depth may leave a block out of a step for both images
                module.drop_prob = 0.0
    return model


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Two images and labels of all classes in blocks, with a void corner."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 3, HEIGHT, WIDTH, generator=generator, dtype=dtype)
    blocks = torch.randint(CLASSES, (2, 5, 7), generator=generator)
    label = blocks.repeat_interleave(13, 1).repeat_interleave(14, 2)[:, :HEIGHT, :WIDTH].clone()
    label[:, 5:9, :9] = IGNORE
    return image, label


def excused(model: nn.Module) -> set[str]:
    """Parameters whose gradient is zero in the first step, each for a reason that its component lists."""
    return {
        f"{prefix}.{name}"
        for prefix, module in model.named_modules()
        for listed in ("zero_gradient", "zero_gradient_at_first")
        for suffix in getattr(module, listed, {})
        for name, _ in module.named_parameters()
        if f".{name}".endswith(f".{suffix}")
    }


@every_variant
def test_one_step_gives_every_trainable_parameter_a_finite_gradient(study: str, cell: Cell, divisor: int) -> None:
    model = built(cell, divisor).double().train()
    image, label = batch()
    output = model(image)
    terms = [part.build(CLASSES).double()(output, label) for part in model.variant.losses]
    torch.stack(terms).sum().backward()
    trainable = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, grad in trainable.items() if grad is None] == []
    sizes = {name: float(grad.abs().max()) for name, grad in trainable.items() if grad is not None}
    assert all(torch.tensor(size).isfinite() for size in sizes.values()), sizes
    rounding = 1e-12 * max(sizes.values())
    assert {name for name, size in sizes.items() if size <= rounding} == excused(model) & set(sizes)


@every_variant
def test_training_and_evaluation_agree_in_shape_and_neither_reads_a_value_from_the_device(
    study: str, cell: Cell, divisor: int
) -> None:
    model = built(cell, divisor)
    image, _ = batch(torch.float32)
    with torch.no_grad(), NoReads(with_timm=isinstance(model.backbone, (Timm, SimplePyramid))):
        trained: Output = model.train()(image)
        evaluated: Output = model.eval()(image)
    assert trained.logits.shape == evaluated.logits.shape == (2, CLASSES, HEIGHT, WIDTH)
    assert evaluated.aux == {}
    wanted = {name for loss in cell.variant.losses for name in dict(loss.choices).get("outputs", ())}
    assert wanted <= set(trained.aux)
    assert (trained.boundary is None) == (cell.variant.shape_stream is None)


READS = (
    Tensor.item,
    Tensor.cpu,
    Tensor.numpy,
    Tensor.tolist,
    Tensor.nonzero,
    Tensor.__bool__,
    Tensor.__int__,
    Tensor.__float__,
    Tensor.__index__,
)


class NoReads(TorchFunctionMode):
    """Refuses what waits for the device: values and copies in the host's memory, shapes that depend on values.

    Args:
        with_timm: timm moves tensors to the device of others, which is the CPU here: only its name is refused then.
    """

    def __init__(self, *, with_timm: bool = False) -> None:
        super().__init__()
        self.refused = (str,) if with_timm else (str, torch.device)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = (*args[1:], *(kwargs or {}).values())
        moved = func is Tensor.to and "cpu" in [str(each) for each in given if isinstance(each, self.refused)]
        if func in READS or moved:
            raise AssertionError(f"{func.__name__} inside forward waits for the device")
        return func(*args, **(kwargs or {}))


OTHER_READS: dict[str, Callable[[Tensor], object]] = {"to": lambda x: x.to("cpu"), "if": lambda x: 1 if x else 0}


@pytest.mark.parametrize("read", [*READS, *OTHER_READS.values()], ids=[*(r.__name__ for r in READS), *OTHER_READS])
def test_a_read_is_seen(read: Callable[[Tensor], object]) -> None:
    with NoReads(), pytest.raises(AssertionError, match="waits for the device"):
        read(torch.zeros((), dtype=torch.long))
