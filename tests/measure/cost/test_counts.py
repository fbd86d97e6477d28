"""Counts against closed forms, two counters against each other, and a model left as it was."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.data.synthetic import Synthetic
from bench.measure.cost import counts
from bench.measure.cost.counts import buffer_bytes, count_macs, parameters
from bench.measure.cost.operators import UncountedError, contraction_macs
from bench.measure.cost.shapes import count_shapes
from bench.network.backbones.resnet import ResNet
from bench.network.heads.aspp import DeepLabV3Head
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.heads.encoding import EncNetHead
from bench.network.heads.fcn import FCNHead
from bench.network.model import SLOTS, SegModel, Variant
from bench.network.necks.jpu import JPU
from bench.network.shape_streams.gated import GatedShapeStream
from bench.parts import Level, Part, part
from bench.protocol.recipe import Recipe
from bench.records.cost import MeasuredCost, cost_columns
from bench.records.forms import build
from bench.records.measured import doubts
from bench.run.cost import measure_cost
from bench.study.source import load_study
from tests.measure.networks import CLASSES, FULL, LOSSES, SMALL, TWO_LAYERS, TwoLayers, WithUnusedHead, unloaded

DILATED = part(ResNet, depth=18, width=8, output_stride=8)
STUDIES = [
    path for path in sorted(Path(__file__).parents[3].joinpath("studies").glob("[a-z]*.py")) if path.stem != "families"
]
"""Every study but that of whole networks, which `nox -s extras` tests; its parts are those of the others."""


def model_of(module: type[nn.Module]) -> SegModel:
    return SegModel(Variant(whole=part(module), losses=LOSSES), CLASSES)


def head_macs(head: Part[Any], height: int = 64, width: int = 96) -> int:
    """MACs of a head on a dilated ResNet of 64 channels at its end."""
    return count_macs(SegModel(Variant(DILATED, head, losses=LOSSES), CLASSES), height, width).by_slot["head"]


def test_convolutions_equal_their_closed_form_and_nothing_else_is_in_the_headline() -> None:
    macs = count_macs(SegModel(TWO_LAYERS, 5), 32, 48)
    assert macs.by_slot == macs.by_slot_torch == {"whole": 16 * 24 * 8 * 27 + 16 * 24 * 8 * 5}
    assert macs.by_operator["whole"]["batch_norm"] > 0
    assert macs.by_operator["outside"] == {"upsample_bilinear2d": 4 * 32 * 48 * 5}


def test_separable_and_transposed_convolutions_equal_their_closed_forms() -> None:
    class Separable(nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.entry = nn.Conv2d(3, 16, 1)
            self.depthwise = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16)
            self.pointwise = nn.Conv2d(16, 12, 1)
            self.up = nn.ConvTranspose2d(12, num_classes, 2, stride=2)

        def forward(self, image: Tensor) -> Tensor:
            out: Tensor = self.up(self.pointwise(self.depthwise(self.entry(image))))
            return out

    n = 32 * 48
    assert count_macs(model_of(Separable), 32, 48).by_slot["whole"] == n * (3 * 16 + 16 * 9 + 16 * 12 + 12 * 5 * 4)


def test_position_and_channel_attention_equal_their_closed_forms() -> None:
    plain, one_more = head_macs(part(FCNHead, width=16)), 8 * 12 * (16 * 16 * 9)  # a branch has a convolution more
    heads = {
        (position, channel): head_macs(part(DualAttentionHead, width=16, position=position, channel=channel))
        for position, channel in ((True, False), (False, True), (True, True))
    }
    n, c, r = 8 * 12, 16, 2
    position = n * (2 * c * r + c * c) + n * n * (r + c)  # query, key, value; energy, weighted sum
    channel = 2 * n * c * c
    assert heads[True, False] - plain == one_more + position
    assert heads[False, True] - plain == one_more + channel
    assert heads[True, True] - plain == 2 * one_more + position + channel + n * (64 * c * 9)


def test_context_encoding_equals_its_closed_form() -> None:
    n, d, m = 8 * 12, 16, 4
    entry, encoding, products, gate, classifier = n * 64 * d * 9, n * d * d, 2 * n * m * d, d * d, n * d * CLASSES
    assert head_macs(part(EncNetHead, width=16, codes=4)) == entry + encoding + products + gate + classifier


class Plain(TwoLayers):
    """Attention over positions by matrix products, in the place of the normalisation."""

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv(image)
        tokens = x.flatten(2).mT
        out: Tensor = self.classifier(self.attend(tokens).mT.unflatten(2, x.shape[-2:]))
        return out

    def attend(self, x: Tensor) -> Tensor:
        return (x @ x.mT).softmax(-1) @ x


class Fused(Plain):
    def attend(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


class Einsum(Plain):
    def attend(self, x: Tensor) -> Tensor:
        return torch.einsum("ntd,nsd->nts", x, x).softmax(-1) @ x


class Added(Plain):
    def attend(self, x: Tensor) -> Tensor:
        return torch.baddbmm(torch.zeros(1, device=x.device), x, x.mT).softmax(-1) @ x


class Vector(Plain):
    def attend(self, x: Tensor) -> Tensor:
        return x * (x @ x[0, 0])[..., None]


class MultiHead(Plain):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def attend(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


class Encoder(Plain):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)

    def attend(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


@pytest.mark.parametrize(
    ("module", "products"),
    [
        (Plain, lambda n: 2 * n * n * 8),
        (Fused, lambda n: 2 * n * n * 8),
        (Einsum, lambda n: 2 * n * n * 8),
        (Added, lambda n: 2 * n * n * 8),
        (Vector, lambda n: n * 8),
        (MultiHead, lambda n: 2 * n * n * 8 + 4 * n * 8 * 8),
        (Encoder, lambda n: 2 * n * n * 8 + 4 * n * 8 * 8 + 2 * n * 8 * 16),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_attention_is_counted_whatever_kernel_runs_it(module: type[Plain], products: Callable[[int], int]) -> None:
    n = 8 * 12
    convolutions = n * 8 * 27 + n * 8 * CLASSES
    macs = count_macs(model_of(module), 16, 24)
    assert macs.by_slot["whole"] - convolutions == products(n)


def test_attention_without_a_count_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    handles = {name: handle for name, handle in counts.HANDLES.items() if "attention" not in name}
    monkeypatch.setattr(counts, "HANDLES", handles)
    with pytest.raises(UncountedError, match=r"no count for aten::scaled_dot_product_attention; write it as matrix"):
        count_macs(model_of(Fused), 16, 24)


def test_counters_that_disagree_are_an_error_that_names_slot_and_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "HANDLES", {**counts.HANDLES, "aten::bmm": lambda inputs, outputs: 7})
    variant = Variant(DILATED, part(DualAttentionHead, width=16), losses=LOSSES)
    with pytest.raises(UncountedError, match=r"disagree on head: fvcore counts \{.*'bmm': \d+.*torch \{.*'bmm'"):
        count_macs(SegModel(variant, CLASSES), 32, 48)


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("ij,jk->ik", [(2, 3), (3, 5)], 30),
        ("bij, bjk -> bik", [(7, 2, 3), (7, 3, 5)], 210),
        ("...ij,...jk->...ik", [(7, 2, 3), (1, 3, 5)], 210),
        ("ij,jk", [(2, 3), (3, 5)], 30),
        ("...i,i", [(4, 2, 3), (3,)], 24),
        ("ij,jk->k", [(2, 3), (3, 5)], 15),  # i is summed out of the first operand beforehand
        ("i,j->ij", [(2,), (3,)], 0),
        ("ij->ji", [(2, 3)], 0),
    ],
)
def test_einsum_equals_the_count_of_the_product_that_it_stands_for(
    equation: str, shapes: list[tuple[int, ...]], macs: int
) -> None:
    assert contraction_macs(equation, shapes) == macs


def test_einsum_of_three_operands_is_refused() -> None:
    with pytest.raises(UncountedError, match="of 3 operands has no one count; contract two at a time"):
        contraction_macs("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)])


def test_slots_are_told_apart_and_need_no_real_tensors() -> None:
    model = SegModel(FULL, CLASSES)
    macs = count_macs(model, 64, 96)
    assert set(macs.by_slot) == set(SLOTS)
    assert macs.by_slot["auxiliary"] == 0
    assert all(count > 0 for slot, count in macs.by_slot.items() if slot != "auxiliary")
    with torch.device("meta"):
        counts = count_shapes(SegModel(FULL, CLASSES), 64, 96)
    assert (counts.macs(), counts.output_shape) == (sum(macs.by_slot.values()), (1, CLASSES, 64, 96))


@pytest.mark.parametrize(("height", "width", "images"), [(160, 192, 3), (168, 203, 9)])
def test_counts_from_small_images_equal_the_full_count_operator_by_operator(
    monkeypatch: pytest.MonkeyPatch, height: int, width: int, images: int
) -> None:
    model = SegModel(Variant(DILATED, part(DualAttentionHead, width=16), losses=LOSSES), CLASSES)
    full = count_macs(model, height, width)
    monkeypatch.setattr(counts, "DIRECT_MACS", 0)
    fitted = count_macs(model, height, width)
    assert (full.counted_px, len(fitted.counted_px)) == ([(height, width)], images)
    assert fitted.by_slot == full.by_slot
    assert fitted.by_operator == full.by_operator
    assert max(h * w for h, w in fitted.counted_px) < height * width


class Windowed(nn.Module):
    """A backbone that pads its image to windows of 28 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.out_levels = (Level(8, 2),)

    def forward(self, image: Tensor) -> list[Tensor]:
        height, width = (-int(size) % 28 for size in image.shape[-2:])
        return [self.conv(F.pad(image, (0, width, 0, height)))]


def test_a_network_that_small_images_do_not_foretell_is_counted_at_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "DIRECT_MACS", 0)
    macs = count_macs(SegModel(Variant(part(Windowed), part(FCNHead, width=8), losses=LOSSES), CLASSES), 160, 192)
    assert macs.counted_px == [(160, 192)]
    assert macs.by_slot["backbone"] == 84 * 98 * 8 * 27


def test_a_whole_network_is_shown_no_size_but_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "DIRECT_MACS", 0)
    assert count_macs(SegModel(TWO_LAYERS, CLASSES), 64, 96).counted_px == [(64, 96)]


def test_counting_changes_neither_tensors_nor_the_mode_of_any_module() -> None:
    model = SegModel(FULL, CLASSES).train()
    model.backbone.eval()
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    count_macs(model, 32, 64)
    count_shapes(model, 32, 64)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())
    assert torch.backends.mha.get_fastpath_enabled()


def test_output_bytes_are_those_of_the_maps_at_their_real_sizes() -> None:
    outputs = count_shapes(SegModel(replace(FULL, neck=None, shape_stream=None), CLASSES), 65, 97).output_bytes
    levels = [(8, 2), (8, 4), (16, 8), (32, 16), (64, 32)]
    assert outputs["backbone"] == 4 * sum(c * -(-65 // s) * -(-97 // s) for c, s in levels)
    assert outputs["head"] == 4 * CLASSES * 3 * 4


def test_parameters_are_counted_by_slot_frozen_ones_included() -> None:
    model = SegModel(Variant(SMALL, part(FCNHead, width=8), part(JPU, width=8, frozen=True), losses=LOSSES), CLASSES)
    every, trainable = parameters(model), parameters(model, trainable=True)
    assert set(every) == {"backbone", "neck", "head"}
    assert sum(every.values()) == sum(p.numel() for p in model.parameters())
    assert trainable == {**every, "neck": 0}


def test_buffers_are_the_statistics_of_normalisation() -> None:
    assert buffer_bytes(SegModel(TWO_LAYERS, CLASSES)) == {"whole": 2 * 8 * 4 + 8}


def narrow(variant: Variant) -> Variant:
    """The variant with narrow, shallow Parts of the same classes and other choices, without trained weights."""
    small: dict[str, Any] = {}
    for slot, each in unloaded(variant).parts().items():
        names = dict(each.choices)
        changes: dict[str, Any] = {"width": 16 if slot != "backbone" else 4} if "width" in names else {}
        if each.cls is ResNet:
            changes["depth"] = 18
            changes["multi_grid"] = names["multi_grid"][:2]  # a ResNet-18 has two blocks in its last stage
        if each.cls is GatedShapeStream:
            changes["widths"] = (8, 6, 5, 4)
        small[slot] = each.having(**changes)
    return replace(variant, **small)


def variants_with_every_part() -> Iterator[Any]:
    """Few cells of every study, fuller ones first, in which each Part of a slot occurs."""
    seen: set[tuple[str, Part[Any]]] = set()
    for path in STUDIES:
        for cell in reversed(load_study(path).cells()):
            parts = set(narrow(cell.variant).parts().items())
            if parts - seen:
                seen |= parts
                marks = [pytest.mark.timm] if path.stem == "backbones" else []
                yield pytest.param(cell.variant, id=f"{path.stem}-{cell.name}", marks=marks)


@pytest.mark.parametrize("variant", list(variants_with_every_part()))
def test_both_counters_agree_on_every_part_of_the_studies(variant: Variant) -> None:
    macs = count_macs(SegModel(narrow(variant), CLASSES), 64, 96)
    assert macs.by_slot == macs.by_slot_torch
    assert all(count > 0 for slot, count in macs.by_slot.items() if slot not in ("auxiliary", "neck"))
    if isinstance(variant.head, Part) and variant.head.cls is DualAttentionHead and variant.head["position"]:
        assert macs.by_operator["head"]["bmm"] > 0


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=pytest.mark.timm if path.stem == "backbones" else pytest.mark.contract)
        for path in STUDIES
    ],
)
def test_both_counters_agree_on_every_variant_at_full_width(path: Path) -> None:
    for cell in load_study(path).cells():
        macs = count_macs(SegModel(unloaded(cell.variant), 11), 96, 160)
        assert macs.by_slot == macs.by_slot_torch


def test_every_head_of_the_studies_is_among_the_counted() -> None:
    heads = {cell.variant.head.cls for path in STUDIES for cell in load_study(path).cells() if cell.variant.head}
    assert {DualAttentionHead, EncNetHead, DeepLabV3Head} <= heads


@torch.library.custom_op("segbench_tests::rows_attention", mutates_args=())
def kernel(x: Tensor) -> Tensor:
    return x.softmax(-1)


@kernel.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class OwnKernel(TwoLayers):
    """A network with an attention kernel of its own, which no counter has a form for."""

    def forward(self, image: Tensor) -> Tensor:
        x = self.conv(image)
        out: Tensor = self.classifier(x * kernel(x.detach()))
        return out


def test_an_operator_without_a_count_costs_a_cell_its_macs_and_nothing_else() -> None:
    recipe = Recipe(
        data=part(Synthetic, height_px=32, width_px=32), crop_px=(32, 32), iterations=1, batch=2, cost_px=(32, 32),
        latency_samples=2, latency_least_s=0.0,
    )  # fmt: skip
    variant = Variant(whole=part(OwnKernel), losses=LOSSES)
    content = measure_cost(variant, recipe, Synthetic(None), None, torch.device("cpu"), lambda event: None)
    measured = build(MeasuredCost, content)
    assert "no count for segbench_tests.rows_attention" in measured.macs_problem
    assert measured.training_memory is not None
    columns = cost_columns(measured.model_copy(update={"isolated": True}))
    assert math.isnan(columns["macs"])
    assert math.isnan(columns["flops_per_s"])
    assert columns["parameters"] == sum(weight.numel() for weight in OwnKernel(9).parameters())
    assert columns["latency_s"] > 0
    assert columns["peak_bytes"] > 0
    assert any("MACs not counted" in doubt for doubt in doubts(measured, columns))


def test_a_cost_trial_says_which_modules_of_a_whole_network_run_for_nothing() -> None:
    recipe = Recipe(
        data=part(Synthetic, height_px=32, width_px=32), crop_px=(32, 32), iterations=1, batch=2, cost_px=(32, 32),
        latency_samples=2, latency_least_s=0.0, training_cost=False,
    )  # fmt: skip
    variant = Variant(whole=part(WithUnusedHead), losses=LOSSES)
    content = measure_cost(variant, recipe, Synthetic(None), None, torch.device("cpu"), lambda event: None)
    measured = build(MeasuredCost, content)
    unused, used = 32 * 32 * 27 * 8, 16 * 16 * (27 * 8 + 8 * 9)
    columns = cost_columns(measured)
    assert columns["macs_unused"] == unused
    assert (columns["macs"], measured.macs_wasted) == (unused + used, {"whole.auxiliary_head": unused})
    assert (measured.macs_difference, measured.macs_extrapolated) == ("", "")
    share = unused / (unused + used)
    assert f"{share:.1%} of the MACs never reach the output: whole.auxiliary_head" in doubts(measured, columns)
