"""Counts of whole networks: attention by any kernel, closed forms, modules that run for nothing, small sizes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.measure.cost.operators import UncountedError
from bench.measure.cost.shapes import count_shapes
from bench.measure.cost.whole.counters import counted_whole
from bench.measure.cost.whole.dispatched import record_on_meta, record_with_values
from bench.measure.cost.whole.formulas import (
    attention_macs,
    deformable_attention_macs,
    windowed_attention_macs,
)
from bench.measure.cost.whole.reach import Counts, summed
from bench.measure.cost.whole.sizes import TooLargeError, count_at
from bench.network.model import SegModel, Variant
from bench.parts import part
from tests.measure.networks import CLASSES, FULL, LOSSES

WIDTH, PATCH = 8, 4


class Tokens(nn.Module):
    """Patches of 4 pixels, :meth:`attend`, a classifier of each token; from which others are derived."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.classify = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patches(image)
        logits: Tensor = self.classify(self.attend(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return logits

    def attend(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        q, k, v = self.qkv(x.flatten(1, 2)).unflatten(-1, (3, 2, c // 2)).permute(2, 0, 3, 1, 4)
        return self.attention(q, k, v).transpose(1, 2).reshape(n, h, w, c)

    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


class Eager(Tokens):
    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v


class ByEinsum(Tokens):
    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.einsum("nhts,nhsd->nhtd", torch.einsum("nhtd,nhsd->nhts", q, k).softmax(-1), v)


class Biased(Tokens):
    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (each.flatten(0, 1) for each in (q, k, v))
        energy = torch.baddbmm(torch.ones(1, device=q.device), q, k.mT)
        return (energy.softmax(-1) @ v).unflatten(0, (-1, 2))


class Masked(Tokens):
    """Attention of tokens to those that a first guess is sure of (Cheng et al., 2022), which has no gradient."""

    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        unsure = (q @ k.mT).sigmoid().detach() < 0.5
        return F.scaled_dot_product_attention(q, k, v, attn_mask=~unsure)


class Windowed(Tokens):
    """Attention within windows of 3 tokens (Liu et al., 2021)."""

    window = 3

    def attend(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        side = self.window
        x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side))
        down, across = x.shape[1] // side, x.shape[2] // side
        x = x.reshape(n, down, side, across, side, c).transpose(2, 3).reshape(-1, side, side, c)
        x = super().attend(x).reshape(n, down, across, side, side, c).transpose(2, 3)
        return x.reshape(n, down * side, across * side, c)[:, :h, :w]


def model_of(module: type[nn.Module]) -> SegModel:
    return SegModel(Variant(whole=part(module), losses=LOSSES), CLASSES)


def counts_of(module: type[nn.Module], height: int, width: int) -> Counts:
    """The counts from shapes alone, which are those with values."""
    model = model_of(module)
    counts = summed(record_on_meta(model, height, width))
    with_values = summed(record_with_values(model, height, width))
    assert (counts.macs(), counts.wasted_macs()) == (with_values.macs(), with_values.wasted_macs())
    return counts


def products_of_tokens(tokens: int) -> int:
    """MACs of patches, classifier and the projections of query, key and value."""
    return tokens * (3 * PATCH**2 * WIDTH + WIDTH * CLASSES)


@pytest.mark.parametrize("module", [Tokens, Eager, ByEinsum, Biased])
def test_attention_is_counted_whatever_kernel_runs_it(module: type[Tokens]) -> None:
    n = 8 * 12
    expected = products_of_tokens(n) + n * 3 * WIDTH**2 + attention_macs(n, n, WIDTH)
    counts = counts_of(module, 32, 48)
    assert (counts.macs(), counts.wasted_macs()) == (expected, 0)
    record = counted_whole(model_of(module), 32, 48)
    assert (record["macs"], record["macs_difference"]) == ({"whole": expected}, "")


def test_masked_attention_equals_its_closed_form_and_reaches_the_output_through_its_mask() -> None:
    n = 8 * 12
    mask = n * n * WIDTH
    counts = counts_of(Masked, 32, 48)
    assert counts.macs() == products_of_tokens(n) + n * 3 * WIDTH**2 + attention_macs(n, n, WIDTH) + mask
    assert counts.wasted_macs() == 0
    assert counted_whole(model_of(Masked), 32, 48)["macs_difference"] == ""


@pytest.mark.parametrize(("height", "width"), [(36, 48), (32, 52)])
def test_windowed_attention_equals_its_closed_form_padding_included(height: int, width: int) -> None:
    h, w = height // PATCH, width // PATCH
    padded = math.ceil(h / 3) * 3 * math.ceil(w / 3) * 3
    expected = products_of_tokens(h * w) + padded * 3 * WIDTH**2 + windowed_attention_macs(h, w, 3, WIDTH)
    assert counts_of(Windowed, height, width).macs() == expected


class MultiscaleDeformableAttention(nn.Module):
    """Deformable attention in torch (Zhu et al., 2021), written as transformers writes that of Mask2Former."""

    def __init__(self) -> None:
        super().__init__()
        self.n_heads, self.n_levels, self.n_points = 2, 1, 4
        samples = self.n_heads * self.n_levels * self.n_points
        self.sampling_offsets = nn.Linear(WIDTH, 2 * samples)
        self.attention_weights = nn.Linear(WIDTH, samples)
        self.value_proj, self.output_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden_states: Tensor, height: int, width: int) -> Tensor:
        n, queries, _ = hidden_states.shape
        maps = self.value_proj(hidden_states).mT.reshape(n * self.n_heads, -1, height, width)
        shape = (n, queries, self.n_heads, self.n_points)
        places = self.sampling_offsets(hidden_states).view(*shape, 2).tanh().transpose(1, 2).flatten(0, 1)
        weights = self.attention_weights(hidden_states).view(shape).softmax(-1).transpose(1, 2).flatten(0, 1)
        samples = F.grid_sample(maps, places, align_corners=False)
        return self.output_proj((samples * weights[:, None]).sum(-1).reshape(n, -1, queries).mT)


class Deformable(Tokens):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.inner = MultiscaleDeformableAttention()

    def attend(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x.flatten(1, 2), *x.shape[1:3])
        return out.unflatten(1, x.shape[1:3])


def test_deformable_attention_is_counted_by_its_own_formula_beside_what_each_counter_sees() -> None:
    n, samples = 8 * 12, 4
    form = deformable_attention_macs(n, WIDTH, samples)
    assert form == 5 * n * samples * WIDTH
    linear = n * WIDTH * (2 * WIDTH + 3 * 2 * samples)
    counts = counts_of(Deformable, 32, 48)
    assert counts.by_operator("whole.inner")["deformable_attention"] == form
    assert counts.macs("whole.inner") == form + linear
    assert counts.macs() == products_of_tokens(n) + linear + form
    record = counted_whole(model_of(Deformable), 32, 48)
    assert record["macs_formulas"] == {
        "deformable_attention": {"macs": form, "fvcore": 4 * n * samples * WIDTH, "torch": 0}
    }
    assert record["macs_torch"] == {"whole": counts.macs() - form}
    assert record["macs_difference"] == ""


class ForNothing(Tokens):
    """Has a head whose logits it throws away, as transformers' UperNet and DPT, and keeps the last of three guesses."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.auxiliary_head = nn.Sequential(nn.Conv2d(3, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, num_classes, 1))
        self.guess = nn.Linear(WIDTH, WIDTH)

    def forward(self, image: Tensor) -> Tensor:
        self.auxiliary_head(image)
        return super().forward(image)

    def attend(self, x: Tensor) -> Tensor:
        guesses = [self.guess(x * factor) for factor in (1, 2, 3)]
        return guesses[-1]


def test_modules_whose_output_is_thrown_away_are_listed_with_their_macs() -> None:
    n = 8 * 12
    head, guess = 32 * 48 * (27 * WIDTH + WIDTH * CLASSES), n * WIDTH**2
    counts = counts_of(ForNothing, 32, 48)
    assert counts.macs() == head + products_of_tokens(n) + 3 * guess
    assert [(idle.module, idle.macs, idle.executed) for idle in counts.idle()] == [
        ("whole.auxiliary_head", head, head),
        ("whole.guess", 2 * guess, 3 * guess),
    ]
    assert counts.unused == ("whole.auxiliary_head",)  # a part of what guess computes is used
    record = counted_whole(model_of(ForNothing), 32, 48)  # fvcore's graph has no dead branches: it counts what is left
    assert record["macs_difference"] == ""
    assert record["macs_wasted"] == {"whole.auxiliary_head": head, "whole.guess": 2 * guess}


class InPlace(Tokens):
    """Writes a part of its map in place, so that what it writes reaches the output through the memory alone."""

    def attend(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        out[:, :4] = self.qkv(x[:, :4])[..., :WIDTH]
        return out


def test_what_is_written_in_place_reaches_the_output() -> None:
    assert counts_of(InPlace, 32, 48).wasted_macs() == 0


class LooksAtAValue(Tokens):
    """Cannot run on the meta device; what it asks for depends on a product."""

    def attend(self, x: Tensor) -> Tensor:
        energy = self.qkv(x).sum()
        return super().attend(x) if energy.item() < math.inf else x


class OfFixedSize(LooksAtAValue):
    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.position = nn.Parameter(torch.zeros(WIDTH, 80, 96))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classify(
            self.attend((self.patches(image) + self.position).permute(0, 2, 3, 1)).mT.mT.permute(0, 3, 1, 2)
        )
        return logits


def test_a_value_that_the_forward_reads_is_one_that_its_output_depends_on() -> None:
    counts = count_at(model_of(LooksAtAValue), 32, 48).counts
    n = 8 * 12
    assert counts.macs() == products_of_tokens(n) + 2 * n * 3 * WIDTH**2 + attention_macs(n, n, WIDTH)
    assert counts.wasted_macs() == 0


class LooksWithoutAnOperator(LooksAtAValue):
    """Reads values in ways that are no operators of their own, each of which decides what runs."""

    def attend(self, x: Tensor) -> Tensor:
        energy = self.qkv(x).sum()[None]
        read = {
            "tolist": lambda: len(energy.tolist()),
            "numpy": lambda: energy.numpy().size,
            "nonzero": lambda: len(energy.isfinite().nonzero()),
            "mask": lambda: len(energy[energy.isfinite()]),
        }[self.how]()
        return Tokens.attend(self, x) if read else x

    how = "tolist"


@pytest.mark.parametrize("how", ["tolist", "numpy", "nonzero", "mask"])
def test_a_value_that_is_read_without_an_operator_is_one_that_the_output_depends_on(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LooksWithoutAnOperator, "how", how)
    counts = count_at(model_of(LooksWithoutAnOperator), 32, 48).counts
    assert (counts.wasted_macs(), counts.unused) == (0, ())


def test_a_network_that_needs_values_is_counted_at_its_size_where_memory_allows() -> None:
    model, n = model_of(LooksAtAValue), 80 * 96
    sized = count_at(model, 320, 384)
    expected = products_of_tokens(n) + 2 * n * 3 * WIDTH**2 + attention_macs(n, n, WIDTH)
    assert (sized.counts.macs(), sized.fit) == (expected, None)


def test_it_is_extrapolated_where_memory_does_not_and_says_so() -> None:
    n = 80 * 96
    sized = count_at(model_of(LooksAtAValue), 320, 384, free_bytes=1)
    assert sized.fit is not None
    assert sized.counts.macs() == products_of_tokens(n) + 2 * n * 3 * WIDTH**2 + attention_macs(n, n, WIDTH)
    assert (sized.fit.degree, sized.fit.error) == (2, 0.0)
    assert str(sized.fit).startswith("extrapolated from 128x160, 160x")
    assert sized.counts.output_shape == (1, CLASSES, 320, 384)


class Padded(LooksAtAValue):
    """Pads its tokens to windows, so that its count is no polynomial in the number of pixels."""

    def attend(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        return super().attend(F.pad(x, (0, 0, 0, -width % 7, 0, -height % 7)))[:, :height, :width]


def test_an_extrapolation_that_is_wrong_at_the_held_out_size_says_by_how_much() -> None:
    fit = count_at(model_of(Padded), 320, 384, free_bytes=1).fit
    assert fit is not None
    assert 0 < fit.error < 0.2
    assert f"{fit.error:.2%} off at" in str(fit)


def test_a_network_of_one_size_is_run_at_that_size() -> None:
    assert count_at(model_of(OfFixedSize), 320, 384, free_bytes=1).fit is None


def test_small_sizes_that_differ_too_little_are_refused() -> None:
    with pytest.raises(TooLargeError, match="smaller sizes differ too little"):
        count_at(model_of(LooksAtAValue), 136, 640, free_bytes=1)


class Shrinking(Windowed):
    """Makes its windows smaller at a small image, and keeps them so."""

    def attend(self, x: Tensor) -> Tensor:
        self.window = min(self.window, *x.shape[1:3])
        return super().attend(x)


def test_counting_at_a_small_size_leaves_a_module_that_a_forward_changes_as_it_was() -> None:
    model = model_of(Shrinking)
    before = record_on_meta(model, 32, 48).macs()
    record_on_meta(model, 8, 8)
    record_with_values(model, 8, 8)
    assert record_on_meta(model, 32, 48).macs() == before
    assert model.get_submodule("whole").window == 3


@torch.library.custom_op("segbench_tests::flash_attention", mutates_args=())
def unknown_kernel(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return q + k + v


@unknown_kernel.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.empty_like(q)


class UnknownKernel(Tokens):
    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out: Tensor = unknown_kernel(q, k, v)
        return out


def test_an_attention_kernel_without_a_form_is_refused_by_its_name() -> None:
    with pytest.raises(UncountedError, match="no count for segbench_tests.flash_attention"):
        record_on_meta(model_of(UnknownKernel), 32, 48)


def test_the_record_of_slots_is_that_of_torchs_own_counter_module_by_module() -> None:
    model = SegModel(FULL, CLASSES)
    ours, theirs = summed(record_on_meta(model, 64, 96)), count_shapes(model, 64, 96)
    assert ours.output_bytes == theirs.output_bytes
    called = theirs.by_module
    assert {name: ours.macs(name) for name in called} == {name: theirs.macs(name) for name in called}
    assert summed(record_on_meta(SegModel(replace(FULL, auxiliary=None), CLASSES), 64, 96)).wasted_macs() == 0
