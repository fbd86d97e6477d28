"""Attribution: rows that add up, exponents of known powers, attention's square, and times of what really takes time."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.measure.cost.activations import watched_saves
from bench.measure.cost.attribution import (
    ModuleCost,
    Timed,
    attribute,
    exponent,
    growth,
    saved_by_shape,
    shown_modules,
    time_modules,
)
from bench.measure.cost.counts import count_macs, parameters
from bench.measure.cost.whole.saves import followed_saves
from bench.network.heads.dual_attention import DualAttentionHead
from bench.network.model import SLOTS, SegModel, Variant
from bench.parts import part
from tests.measure.networks import CLASSES, FULL, LOSSES, SMALL, TWO_LAYERS, TwoLayers

ATTENTION = "head.branches.pam.attention"


def rows_of(variant: Variant, *sizes: int, depth: int = 3) -> list[ModuleCost]:
    """Counts on the meta device at square images."""
    with torch.device("meta"):
        model = SegModel(variant, CLASSES)
        images = [torch.zeros(1, 3, size, size) for size in sizes]
    return [
        row for image in images for row in attribute(model, image, batch=2, depth=depth, forwards=0, timed=Timed(model))
    ]


def exponents(rows: list[ModuleCost], quantity: str) -> dict[str, Any]:
    return {each.module: each for each in growth(rows) if each.quantity == quantity}


def test_slots_add_up_to_the_network_and_equal_the_counts() -> None:
    rows = {row.module: row for row in rows_of(FULL, 64, depth=1)}
    assert set(rows) == {"network", *SLOTS}
    model = SegModel(FULL, CLASSES)
    macs, counted = count_macs(model, 64, 64), parameters(model)
    assert {slot: rows[slot].macs for slot in SLOTS} == macs.by_slot
    assert {slot: rows[slot].output_bytes for slot in SLOTS} == macs.output_bytes
    assert {slot: rows[slot].parameters for slot in SLOTS} == counted
    assert rows["network"].macs == sum(macs.by_slot.values())
    assert rows["network"].parameters == sum(counted.values())
    outside = rows["network"].saved_bytes - sum(rows[slot].saved_bytes for slot in SLOTS)
    assert outside >= 4 * (2 * CLASSES * 64 * 64 * 4), "each of four cross-entropies keeps its log-probabilities"


def test_lists_of_modules_are_no_level_of_their_own() -> None:
    shown = shown_modules(SegModel(FULL, CLASSES), 3)
    assert (shown["head"], shown["head.branches.pam"], shown[ATTENTION]) == (1, 2, 3)
    assert "head.branches" not in shown
    assert max(shown.values()) == 3


def test_children_of_a_sequence_add_up_to_it() -> None:
    rows = rows_of(FULL, 64)
    blocks = [row for row in rows if row.module.startswith("backbone.layer3.")]
    (stage,) = (row for row in rows if row.module == "backbone.layer3")
    assert len(blocks) == 2
    for quantity in ("parameters", "macs", "output_bytes", "saved_bytes"):
        total = sum(getattr(row, quantity) for row in blocks)
        assert total == getattr(stage, quantity) * (2 if quantity == "output_bytes" else 1), quantity


def test_the_square_of_position_attention_is_visible_and_all_else_is_linear() -> None:
    backbone = SMALL.having(output_stride=8)
    rows = rows_of(Variant(backbone, part(DualAttentionHead, width=16), losses=LOSSES), 256, 512, 1024)
    macs = exponents(rows, "macs")
    assert macs[ATTENTION].last_exponent == pytest.approx(2, abs=0.01)
    assert macs[ATTENTION].exponent == pytest.approx(2, abs=0.02)
    for linear in ("backbone", "backbone.layer4", "head.branches.cam.attention", "head.branches.pam.entry"):
        assert macs[linear].exponent == pytest.approx(1, abs=1e-6)
    assert macs["head"].last_exponent > macs["head"].exponent > 1.1, "the square takes over as images grow"


def test_what_position_attention_keeps_is_linear_because_no_square_map_is_held() -> None:
    backbone = SMALL.having(output_stride=8)
    rows = rows_of(Variant(backbone, part(DualAttentionHead, width=16), losses=LOSSES), 256, 512, 1024)
    assert exponents(rows, "saved_bytes")[ATTENTION].last_exponent == pytest.approx(1, abs=1e-3)


def test_the_exponent_of_a_power_is_that_power_and_what_has_none_is_nan() -> None:
    pixels = [100, 200, 400]
    assert exponent(pixels, [3 * p**1.5 for p in pixels]) == pytest.approx(1.5)
    assert exponent(pixels, [7, 7, 7]) == pytest.approx(0)
    # By hand: log pixels −1, 0, 1 and log values 0, 0, 3 in units of log 2 have the slope (3 − 0) / 2.
    assert exponent(pixels, [1, 1, 8]) == pytest.approx(1.5)
    assert math.isnan(exponent(pixels, [0, 1, 2]))
    assert math.isnan(exponent(pixels, [1, math.nan, 2]))
    assert math.isnan(exponent([100, 100], [1, 2]))


def test_growth_of_one_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"two numbers of pixels at least, got \[4096\]"):
        growth(rows_of(TWO_LAYERS, 64))


class Sleepy(TwoLayers):
    """Sleeps 20 ms in one of its modules, twice."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.nap = Nap()

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(self.nap(self.nap(image)))


class Nap(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.02)
        return x


def test_time_goes_to_the_module_that_takes_it_all_calls_together_and_to_its_parents() -> None:
    model = SegModel(replace(TWO_LAYERS, whole=part(Sleepy)), CLASSES).train()
    told: list[tuple[int, int]] = []
    names = ["", "whole", "whole.nap", "whole.conv"]
    seconds = time_modules(Timed(model), torch.zeros(1, 3, 32, 32), names, 3, lambda *at: told.append(at))
    assert all(len(each) == 3 for each in seconds.values())
    assert min(seconds["whole.nap"]) >= 0.04
    for whole, inside, nap in zip(seconds[""], seconds["whole"], seconds["whole.nap"], strict=True):
        assert whole > inside > nap
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_rows_have_times_if_forwards_are_asked_for_and_nan_if_not() -> None:
    model = SegModel(TWO_LAYERS, CLASSES)
    image = torch.zeros(1, 3, 32, 32)
    timed, counted = (
        attribute(model, image, batch=2, depth=2, forwards=forwards, timed=Timed(model)) for forwards in (2, 0)
    )
    assert [row.module for row in timed] == ["network", "whole", "whole.conv", "whole.norm", "whole.classifier"]
    assert all(row.time_s > 0 for row in timed)
    assert all(math.isnan(row.time_s) for row in counted)


def test_bytes_saved_on_shapes_equal_those_of_a_real_training_forward() -> None:
    model = SegModel(FULL, CLASSES).train()
    image, label = torch.randn(2, 3, 48, 64), torch.zeros(2, 48, 64, dtype=torch.long)
    with watched_saves(model, (image, label)) as real:
        output = model(image)
        kept = [each.build(CLASSES)(output, label) for each in FULL.losses]
    assert len(kept) == 4
    by_shape = saved_by_shape(FULL, CLASSES, 2, 48, 64).by_module
    slots = [{name: count for name, count in each.items() if name != "outside"} for each in (real, by_shape)]
    assert slots[0] == slots[1]


class AttentiveByValues(TwoLayers):
    """Attention over all positions, in a forward that reads a value."""

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.conv(image))
        tokens = x.flatten(2).mT
        weights = (tokens @ tokens.mT).softmax(-1)
        assert weights.sum().item() > 0
        out: Tensor = self.classifier((weights @ tokens).mT.unflatten(2, x.shape[-2:]))
        return out


def test_saved_bytes_of_a_network_that_needs_values_follow_from_few_images() -> None:
    """Softmax keeps a number for each pair of 16x24 positions, in float32, and there is little else."""
    variant = Variant(whole=part(AttentiveByValues), losses=LOSSES)
    few, many = (sum(saved_by_shape(variant, CLASSES, batch, 32, 48).by_module.values()) for batch in (3, 16))
    pairs = 4 * (16 * 24) ** 2
    assert 13 * pairs < many - few < 1.2 * 13 * pairs


@pytest.mark.parametrize("px", [(336, 384), (512, 1024), (1024, 2048)])
def test_saved_bytes_follow_from_small_sizes(px: tuple[int, int]) -> None:
    run: list[tuple[int, int, int]] = []

    def saved(batch: int, height: int, width: int) -> dict[str, int]:
        run.append((batch, height, width))
        return {"": 100 + batch * (8 * height * width + 4 * (height * width // 64) ** 2)}

    followed = followed_saves(saved, 16, *px)
    assert followed.by_module == {"": 100 + 16 * (8 * px[0] * px[1] + 4 * (px[0] * px[1] // 64) ** 2)}
    assert max(batch * height * width for batch, height, width in run) < 16 * px[0] * px[1] / 8
    assert re.fullmatch(
        r"extrapolated from (\d+x\d+, ){3}quadratic in pixels; 0\.00% off at \d+x\d+; from batches of 2 and 3 images",
        followed.how,
    )


def test_saved_bytes_that_follow_no_parabola_say_how_far_off_they_are() -> None:
    def saved(batch: int, height: int, width: int) -> dict[str, int]:
        return {"": batch * (height * width + (height // 100) * 20_000)}

    how = followed_saves(saved, 3, 512, 512).how
    assert how.endswith("x256")
    error = float(how.partition("pixels; ")[2].partition("%")[0])
    assert 0.5 < error < 100


@pytest.mark.parametrize(("batch", "how"), [(2, ""), (3, ""), (16, "extrapolated from batches of 2 and 3 images")])
def test_saved_bytes_of_a_small_image_are_followed_in_the_batch_alone(batch: int, how: str) -> None:
    followed = followed_saves(lambda images, height, width: {"": images * height * width}, batch, 64, 64)
    assert (followed.by_module, followed.how) == ({"": batch * 64 * 64}, how)


def test_saved_bytes_of_a_network_of_one_size_are_those_of_this_size() -> None:
    def saved(batch: int, height: int, width: int) -> dict[str, int]:
        if (height, width) != (512, 512):
            raise ValueError("of one size")
        return {"": 7 * batch}

    assert followed_saves(saved, 16, 512, 512).by_module == {"": 7 * 16}
